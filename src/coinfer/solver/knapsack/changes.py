"""Changes of option that could be part of a better choice: of single rows, and of rows with copies."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.fill import Filled, Move
from coinfer.solver.knapsack.survivors import Survivors
from coinfer.solver.program import FloatArray, IntArray

MOST_REPEATS = 512
"""Copies of one row with several options left that are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changes:
    """Changes of option that could be part of a better choice; one entry each.

    Attributes
    ----------
    item
        Of every item one change may be made, or none; rising.
    row, start, end, count
        ``count`` copies of ``row`` go from option ``start`` to ``end``.
    start_value, start_cost, end_value, end_cost
        Of one copy.
    """

    item: IntArray
    row: IntArray
    start: IntArray
    end: IntArray
    count: IntArray
    start_value: FloatArray
    start_cost: FloatArray
    end_value: FloatArray
    end_cost: FloatArray

    def pick(self, which: IntArray) -> Changes:
        """Return the changes at the places ``which``."""
        return Changes(**{name: getattr(self, name)[which] for name in self.__slots__})

    def move(self, place: int) -> Move:
        """Return one change, with exact numbers."""
        start_value, end_value = Fraction(float(self.start_value[place])), Fraction(float(self.end_value[place]))
        start_cost, end_cost = Fraction(float(self.start_cost[place])), Fraction(float(self.end_cost[place]))
        return Move(
            row=int(self.row[place]),
            start=int(self.start[place]),
            end=int(self.end[place]),
            count=int(self.count[place]),
            gain=end_value - start_value,
            cost=end_cost - start_cost,
        )


def single_changes(filled: Filled, left: Survivors, gap: float) -> Changes:
    """Return the changes that lose less than ``gap`` where every row has one copy: a row is an item."""
    row = left.row
    gain, cost = left.value - filled.value[row], left.cost - filled.cost[row]
    near = np.flatnonzero(filled.price * cost - gain < gap)
    row = row[near]
    new = np.concatenate([[True], row[1:] != row[:-1]])[: len(row)]
    return Changes(
        item=np.cumsum(new) - 1,
        row=row,
        start=filled.option[row].astype(np.int64),
        end=left.option[near],
        count=np.ones(len(row), dtype=np.int64),
        start_value=filled.value[row],
        start_cost=filled.cost[row],
        end_value=left.value[near],
        end_cost=left.cost[near],
    )


_Option = tuple[int, float, float]


def changes_with_copies(
    filled: Filled, left: Survivors, gap: float, *, strict: bool
) -> tuple[Changes, FloatArray, bool, bool]:
    """Return the changes, the key of every item, and whether they are complete and loose, where rows have copies."""
    keys: list[float] = []
    table: list[tuple[float, ...]] = []
    complete, loose = True, not strict and filled.split is not None
    for row, start, most, options in _units(filled, left, strict=strict):
        losses = [max(0.0, filled.price * (cost - start[2]) - (value - start[1])) for _, value, cost in options]
        near = [(loss, end) for loss, end in zip(losses, options, strict=True) if loss < gap]
        counts = [most if loss <= 0.0 else min(most, int(gap / loss) + 1) for loss, _ in near]
        if strict and sum(counts) > most and len(near) > 1:  # every copy chooses for itself
            useful = max(counts)
            complete = complete and useful <= MOST_REPEATS
            least = min(loss for loss, _ in near)
            for place in range(min(useful, MOST_REPEATS)):
                table += [(len(keys), row, start[0], end[0], 1, *start[1:], *end[1:]) for _, end in near]
                keys.append(least * (place + 1))
            continue
        loose = loose or sum(counts) > most
        for (loss, end), count in zip(near, counts, strict=True):  # any number of copies as a sum of bundles
            bundles = [1 << bit for bit in range(count.bit_length() - 1)]
            for bundle in [*bundles, count - sum(bundles)]:
                table.append((len(keys), row, start[0], end[0], bundle, *start[1:], *end[1:]))
                keys.append(loss * bundle)
    columns = np.array(table, dtype=np.float64).reshape(len(table), 9).T
    whole = [column.astype(np.int64) for column in columns[:5]]
    changes = Changes(**dict(zip(Changes.__slots__, [*whole, *columns[5:]], strict=True)))
    return changes, np.array(keys), complete, loose


def _units(filled: Filled, left: Survivors, *, strict: bool) -> list[tuple[int, _Option, int, list[_Option]]]:
    """Return row, (option, value, cost) of copies that stand alike, their number, and what they could change to.

    Where a row is split between two options, ``strict`` says that copies of both may change to any other. Without it
    only those of the one that has more do, which then may give away more copies than it has.
    """
    ends: dict[int, list[_Option]] = {}
    columns = (left.row, left.option, left.value, left.cost)
    for row, option, value, cost in zip(*(column.tolist() for column in columns), strict=True):
        ends.setdefault(row, []).append((option, value, cost))
    split = filled.split
    if split is not None:
        ends.setdefault(split.row, [])
    units: list[tuple[int, _Option, int, list[_Option]]] = []
    for row, options in ends.items():
        start = (int(filled.option[row]), float(filled.value[row]), float(filled.cost[row]))
        count = filled.count(row)
        if split is None or split.row != row:
            units.append((row, start, count, options))
            continue
        further = (split.end, float(Fraction(start[1]) + split.gain), float(Fraction(start[2]) + split.cost))
        others = [option for option in options if option[0] != split.end]
        units.append((row, further, split.count, [*others, start] if strict else [start]))
        units.append((row, start, count - split.count, [*others, further] if strict else [further]))
        units.append((row, further if 2 * split.count > count else start, 0 if strict else count, others))
    return [unit for unit in units if unit[2] and unit[3]]
