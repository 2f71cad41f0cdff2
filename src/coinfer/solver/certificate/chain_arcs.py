"""The arcs between the states of two layers, as the checker of chains sees them: numpy only, and no solver's code."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.program import FloatArray, IntArray

Numbers = NDArray[Any]
ROWS_AT_ONCE = 128
ARCS_AT_ONCE = 1 << 14
COLUMNS_AT_ONCE = 1024
SINGLE_BELOW = 2.0**22


class Arcs:
    """Costs of the arcs: what separation costs, under the best labels where the parts are interchangeable."""

    def __init__(self, program: LayeredAssignment, rows: IntArray) -> None:
        self._program = program
        self._rows = rows
        self._one_hot = (rows[:, :, None] == np.arange(program.parts)).astype(np.float64)
        self._labels = program.interchangeable and program.parts > 1
        if self._labels and program.parts > 2:
            codes = (self._one_hot.transpose(0, 2, 1) @ (2.0 ** np.arange(program.items))).astype(np.int64)
            known, groups = np.unique(codes, return_inverse=True)
            self._groups = np.asarray(groups.reshape(codes.shape), dtype=np.int64)
            self._members = (known[:, None] >> np.arange(program.items) & 1).astype(np.float64)

    def largest_excess(self, pair: int, here: IntArray, there: IntArray, low: FloatArray, high: FloatArray) -> float:
        """Return the most by which ``high[t] - low[s]`` exceeds the cost of an arc from s to t; at least 0.

        Parameters
        ----------
        pair
            First layer of the arcs.
        here, there
            States of both layers.
        low, high
            (here,), (there,): numbers of the states.
        """
        weights = self._program.weights[pair]
        if not self._labels:
            # The least cost of each item, given the state of the next layer, bounds the cost of an arc.
            slopes = -np.einsum("ef,gh,tfh->teg", weights, self._program.distance, self._one_hot[there])
            most = slopes.max(axis=2).sum(axis=1)
            vectors = self._one_hot[here].reshape(len(here), -1)
            return _staircase(vectors, slopes.reshape(len(there), -1), most, -low, -high, absolute=False)
        apart = float(self._program.distance[0, 1])
        if self._program.parts > 2:
            return self._grouped(apart * weights, here, there, -low, -high)
        # Of two parts (sum(w) + |s W t|) / 2 stays together, for signs s and t.
        signs = 1.0 - 2.0 * self._one_hot[:, :, 1]
        slopes = signs[there] @ (apart / 2.0 * weights).T
        offset = apart * float(weights.sum()) / 2.0
        return _staircase(signs[here], slopes, self._most_signed(slopes), -low, offset - high, absolute=True)

    def _most_signed(self, slopes: FloatArray) -> FloatArray:
        """Return the largest product with signs of any state; half of them are negative where the parts are full."""
        if not self._program.full:
            return np.asarray(np.abs(slopes).sum(axis=1), dtype=np.float64)
        middle = np.sort(slopes, axis=1)
        half = slopes.shape[1] // 2
        return np.asarray(middle[:, half:].sum(axis=1) - middle[:, :half].sum(axis=1), dtype=np.float64)

    def _grouped(
        self, weights: FloatArray, here: IntArray, there: IntArray, gain: FloatArray, least: FloatArray
    ) -> float:
        """Return the largest excess where an assignment problem labels the parts."""
        total = float(weights.sum())
        if self._program.full:
            # Each item meets as many others as a part has room for, so a number of each adds a constant to all arcs.
            by_row = np.rint(weights.mean(axis=1, keepdims=True))
            by_column = np.rint((weights - by_row).mean(axis=0, keepdims=True))
            weights = weights - by_row - by_column
            total -= float(self._program.capacity[0]) * float(by_row.sum() + by_column.sum())
        between = self._members @ weights @ self._members.T
        shift = float(gain.max())
        gain, least = gain - shift, least - shift
        worst = 0.0
        for first in range(0, len(there), COLUMNS_AT_ONCE):
            part = slice(first, first + COLUMNS_AT_ONCE)
            own, other = self._groups[here], self._groups[there[part]]
            worst = max(worst, _largest_grouped(between, own, other, gain, total + least[part], worst))
        return worst


def _staircase(
    vectors: FloatArray, slopes: FloatArray, most: FloatArray, gain: FloatArray, least: FloatArray, *, absolute: bool
) -> float:
    """Return the largest ``gain[s] + vectors[s] @ slopes[t] - least[t]``, at least 0; the largest gains come first.

    No product with ``slopes[t]`` exceeds ``most[t]``, so the later states need a look at ever fewer t.
    """
    order = np.argsort(-gain, kind="stable")
    shift = float(gain[order[0]])
    gain, least = gain[order] - shift, least - shift
    chosen = _number_type(gain, least, np.abs(slopes).sum(axis=1), slopes)
    gain, least, vectors = gain.astype(chosen), least.astype(chosen), vectors[order].astype(chosen)
    columns, active = np.ascontiguousarray(slopes.T, dtype=chosen), np.arange(len(least))
    worst = 0.0
    for first in range(0, len(gain), ROWS_AT_ONCE):
        useful = gain[first] + most[active] - least[active] > worst
        if not useful.all():
            active, columns = active[useful], np.ascontiguousarray(columns[:, useful])
        if not len(active):
            break
        own = slice(first, first + ROWS_AT_ONCE)
        products = vectors[own] @ columns
        if absolute:
            np.abs(products, out=products)
        products += gain[own, None]
        worst = max(worst, float((products.max(axis=0) - least[active]).max()))
    return worst


def _largest_grouped(
    between: Numbers, own: IntArray, other: IntArray, gain: Numbers, least: Numbers, worst: float
) -> float:
    """Return the largest excess of a block of arcs, at least ``worst``; only those are solved that could exceed it."""
    single = _number_type(between, gain, least, np.abs(between).sum(axis=1))
    between, gain, least = between.astype(single), gain.astype(single), least.astype(single)
    from_state = np.max([between[groups] for groups in own.T], axis=0).T.copy()
    upper = gain - (least[:, None] + worst)
    for groups in other.T:
        upper += from_state[groups]
    right, left = np.nonzero(upper > 0.0)
    to_state = np.max([between[:, groups] for groups in other.T], axis=0)
    second = gain[left] - (least[right] + worst)
    for groups in own.T:
        second += to_state[groups[left], right]
    useful = second > 0.0
    left, right = left[useful], right[useful]
    for first in range(0, len(left), ARCS_AT_ONCE):
        s, t = left[first : first + ARCS_AT_ONCE], right[first : first + ARCS_AT_ONCE]
        together = _best_pairing(between[own[s][:, :, None], other[t][:, None, :]])
        worst = max(worst, float((gain[s] + together - least[t]).max()))
    return worst


def _best_pairing(tables: Numbers) -> Numbers:
    """Return the largest sum with one number of each row and each column, of (arcs, parts, parts) numbers."""
    parts = tables.shape[1]
    best: dict[tuple[int, ...], Numbers] = {(): np.zeros(len(tables), dtype=tables.dtype)}
    for row in range(parts):
        best = {
            columns: np.max(
                [best[tuple(c for c in columns if c != column)] + tables[:, row, column] for column in columns], axis=0
            )
            for columns in combinations(range(parts), row + 1)
        }
    return best[tuple(range(parts))]


def _number_type(*arrays: FloatArray) -> type[np.floating[Any]]:
    """Return 32-bit floats where all sums of the numbers are exact in them: halves of whole ones, not too large."""
    halves = not any((2.0 * array % 1.0).any() for array in arrays)
    largest = sum(float(np.abs(array).max(initial=0.0)) for array in arrays)
    return np.float32 if halves and largest < SINGLE_BELOW else np.float64
