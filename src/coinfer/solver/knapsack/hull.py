"""The steps along the upper left concave hull of menus, between two options of each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.program import FloatArray, IntArray

SmallInts = NDArray[np.int32]

COLLINEAR = 1e-12
"""Slopes closer than this share count as one: the longer step is taken."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steps:
    """Changes of option, each by one corner of the hull of its row; those of one row in their order.

    Attributes
    ----------
    row, start, end
        (steps,): the row, the option left, the option taken.
    gain, cost
        (steps,): what one copy gains and takes, both above 0.
    slope
        (steps,): gain over cost, made not to rise along a row; ``inf`` beyond the range of floats.
    end_value, end_cost
        (steps,): value and cost of the option taken.
    """

    row: SmallInts
    start: SmallInts
    end: SmallInts
    gain: FloatArray
    cost: FloatArray
    slope: FloatArray
    end_value: FloatArray
    end_cost: FloatArray

    def pick(self, which: IntArray) -> Steps:
        """Return the steps at the places ``which``."""
        return Steps(**{name: getattr(self, name)[which] for name in self.__slots__})


def joined(parts: list[Steps]) -> Steps:
    """Return all steps, in the order of the parts."""
    return Steps(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in Steps.__slots__})


def walk(value: FloatArray, cost: FloatArray, row: IntArray, start: IntArray, end: IntArray) -> Steps:
    """Return the hull's steps from option ``start`` to the dearer and better option ``end`` of every row.

    Parameters
    ----------
    value, cost
        (rows, options): the menus.
    row
        (rows,): the names of the rows in the result.
    start, end
        (rows,): where to begin and to stop.
    """
    parts: list[Steps] = []
    line = np.arange(len(row))
    top_cost, top_value = cost[line, end, None], value[line, end, None]
    steep = np.full(len(row), np.inf)
    while len(row) or not parts:
        line = np.arange(len(row))
        taken = cost - cost[line, start, None]
        gained = value - value[line, start, None]
        reach = (taken > 0.0) & (cost <= top_cost) & (value <= top_value)
        slope = np.divide(gained, taken, out=np.full_like(taken, -np.inf), where=reach)
        best = slope.max(axis=1, keepdims=True)
        near = reach & ((slope == best) | (slope >= best - COLLINEAR * np.abs(best)))  # the first where it overflows
        to = np.where(near, cost, -np.inf).argmax(axis=1)
        steep = np.minimum(steep, slope[line, to])
        parts.append(
            Steps(
                row=row.astype(np.int32),
                start=start.astype(np.int32),
                end=to.astype(np.int32),
                gain=gained[line, to],
                cost=taken[line, to],
                slope=steep,
                end_value=value[line, to],
                end_cost=cost[line, to],
            )
        )
        short = (cost[line, to] < top_cost[:, 0]) & (value[line, to] < top_value[:, 0])
        on = np.flatnonzero(short & (taken[line, to] > 0.0))  # no step on where overflow hides all of them
        value, cost, row, start, end, steep = value[on], cost[on], row[on], to[on], end[on], steep[on]
        top_cost, top_value = top_cost[on], top_value[on]
    return joined(parts)
