"""One step of the chain's dynamic program: the best way to come from the states of a layer to those of the next.

Gains are negative costs, up to a constant of each pair of layers. No step looks at all arcs: an upper bound on the gain
of an arc shows most of them to be useless. The numbers are 32-bit floats where these are exact.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.program import FloatArray, IntArray

Numbers = NDArray[Any]

EXACT_BELOW = 2.0**22
"""Halves of whole numbers are exact as 32-bit floats below this."""
ROWS_AT_ONCE = 128


class Steps(Protocol):
    """What the dynamic program needs to know about the arcs between two layers."""

    def advance(self, pair: int, reached: FloatArray, here: IntArray, there: IntArray) -> FloatArray:
        """Return the best gain with which each of the states ``there`` is reached, (there,).

        ``reached`` is the best gain of each of the states ``here``, (here,).
        """

    def into(self, pair: int, here: IntArray, there: int) -> FloatArray:
        """Return the gain of the arc from each of the states ``here`` to one state, (here,)."""

    def out_of(self, pair: int, here: int, there: IntArray) -> FloatArray:
        """Return the gain of the arc from one state to each of the states ``there``, (there,)."""


def number_type(*arrays: FloatArray) -> type[np.floating[Any]]:
    """Return 32-bit floats where they hold all sums of the numbers exactly: halves of whole ones, not too large."""
    largest = sum(float(np.abs(array).max(initial=0.0)) for array in arrays)
    halves = not any((2.0 * array % 1.0).any() for array in arrays)
    return np.float32 if halves and largest < EXACT_BELOW else np.float64


class Bilinear:
    """States as vectors, and the gain of an arc as their product through a matrix.

    Two interchangeable parts: vectors of signs. ``(sum(w) + |s W t|) / 2`` is kept, the better way to label the parts.
    Else: one-hot vectors, and minus the cost is the gain.
    """

    def __init__(self, program: LayeredAssignment, rows: IntArray) -> None:
        self._signs = program.interchangeable and program.parts == 2
        self._full = program.full
        items, parts = program.items, program.parts
        if self._signs:
            half = float(program.distance[0, 1]) / 2.0
            self._vectors = 1.0 - 2.0 * rows.astype(np.float64)
            self._matrices = half * program.weights
            self._offset = half * program.weights.sum(axis=(1, 2))
        else:
            one_hot = rows[:, :, None] == np.arange(parts)
            self._vectors = one_hot.astype(np.float64).reshape(len(rows), items * parts)
            self._matrices = -np.array([np.kron(own, program.distance) for own in program.weights])
            self._offset = np.zeros(len(program.weights))
        self._items = items

    def advance(self, pair: int, reached: FloatArray, here: IntArray, there: IntArray) -> FloatArray:
        """Return the best gain with which each of the states ``there`` is reached."""
        slopes = self._vectors[there] @ self._matrices[pair].T
        upper = self._most(slopes)
        chosen = number_type(reached, np.abs(slopes).sum(axis=1))
        order = np.argsort(-reached, kind="stable")
        vectors = self._vectors[here[order]].astype(chosen)
        columns = np.ascontiguousarray(slopes.T, dtype=chosen)
        ordered = reached[order].astype(chosen)
        best = np.full(len(there), -np.inf, dtype=chosen)
        active = np.arange(len(there))
        for first in range(0, len(here), ROWS_AT_ONCE):
            useful = ordered[first] + upper[active] > best[active]
            if not useful.all():
                active, columns = active[useful], np.ascontiguousarray(columns[:, useful])
                if not len(active):
                    break
            gains = vectors[first : first + ROWS_AT_ONCE] @ columns
            if self._signs:
                np.abs(gains, out=gains)
            gains += ordered[first : first + ROWS_AT_ONCE, None]
            best[active] = np.maximum(best[active], gains.max(axis=0))
        return np.asarray(best.astype(np.float64) + self._offset[pair])

    def into(self, pair: int, here: IntArray, there: int) -> FloatArray:
        """Return the gain of the arc from each of the states ``here`` to one state."""
        gains = self._vectors[here] @ (self._matrices[pair] @ self._vectors[there])
        return np.asarray((np.abs(gains) if self._signs else gains) + self._offset[pair], dtype=np.float64)

    def out_of(self, pair: int, here: int, there: IntArray) -> FloatArray:
        """Return the gain of the arc from one state to each of the states ``there``."""
        gains = self._vectors[there] @ (self._vectors[here] @ self._matrices[pair])
        return np.asarray((np.abs(gains) if self._signs else gains) + self._offset[pair], dtype=np.float64)

    def _most(self, slopes: FloatArray) -> FloatArray:
        """Return the most that any state can gain on the way to each, before the offset."""
        if not self._signs:
            return np.asarray(slopes.reshape(len(slopes), self._items, -1).max(axis=2).sum(axis=1), dtype=np.float64)
        if not self._full:
            return np.asarray(np.abs(slopes).sum(axis=1), dtype=np.float64)
        ordered, half = np.sort(slopes, axis=1), self._items // 2
        return np.asarray(ordered[:, half:].sum(axis=1) - ordered[:, :half].sum(axis=1), dtype=np.float64)
