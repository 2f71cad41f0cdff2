"""Steps between groupings of items into three or more interchangeable parts.

The gain of an arc is the best way to label the parts of one state after those of the other: a small assignment problem
over the weights between their groups. A row of it gains at most its largest number; only arcs whose sum of these
could be the best are solved.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from itertools import combinations

import numpy as np

from coinfer.solver.assignment.chain_steps import Numbers, number_type
from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.program import FloatArray, IntArray

ARCS_AT_ONCE = 1 << 14
COMPILED_FROM = 100_000_000
"""Arcs in all layers from which on compiled code is used: below, loading it takes longer than what it saves."""


class Grouped:
    """States as sets of groups of items; each group is numbered once.

    Attributes
    ----------
    groups
        (states, parts): number of each group of each state.
    """

    def __init__(self, program: LayeredAssignment, rows: IntArray) -> None:
        self._parts = program.parts
        members = rows[:, None, :] == np.arange(program.parts)[:, None]
        codes = members @ (1 << np.arange(program.items, dtype=np.int64))
        known, groups = np.unique(codes, return_inverse=True)
        self.groups = np.asarray(groups.reshape(codes.shape), dtype=np.int64)
        self._indicator = (known[:, None] >> np.arange(program.items) & 1).astype(np.float64)
        self._weights, self._offset = centred(program)

    def advance(self, pair: int, reached: FloatArray, here: IntArray, there: IntArray) -> FloatArray:
        """Return the best gain with which each of the states ``there`` is reached."""
        between = self.between(pair)
        chosen = number_type(reached, np.abs(self._weights[pair]).sum(keepdims=True), self._weights[pair])
        arcs = len(here) * len(there) * len(self._weights)
        if arcs >= COMPILED_FROM and find_spec("numba") is not None:
            module = importlib.import_module("coinfer.solver.assignment.chain_compiled")
            best = module.advance(between, self.groups[here], self.groups[there], reached)
            return np.asarray(best + self._offset[pair], dtype=np.float64)
        best = advance_groups(between.astype(chosen), self.groups[here], self.groups[there], reached.astype(chosen))
        return np.asarray(best.astype(np.float64) + self._offset[pair])

    def into(self, pair: int, here: IntArray, there: int) -> FloatArray:
        """Return the gain of the arc from each of the states ``here`` to one state."""
        other = self.groups[np.full(len(here), there)]
        gains = best_labels(self.between(pair), self.groups[here], other)
        return np.asarray(gains + self._offset[pair], dtype=np.float64)

    def out_of(self, pair: int, here: int, there: IntArray) -> FloatArray:
        """Return the gain of the arc from one state to each of the states ``there``."""
        own = self.groups[np.full(len(there), here)]
        gains = best_labels(self.between(pair), own, self.groups[there])
        return np.asarray(gains + self._offset[pair], dtype=np.float64)

    def between(self, pair: int) -> FloatArray:
        """Return the weight from each group to each, (groups, groups)."""
        return np.asarray(self._indicator @ self._weights[pair] @ self._indicator.T, dtype=np.float64)


def centred(program: LayeredAssignment) -> tuple[FloatArray, FloatArray]:
    """Return the costs of separation less a number of each item, and how much less any two states then keep together.

    Where all parts are full, each item is together with as many items of the other layer as a part has room for, so a
    number of each item adds a constant. Without the popularity of the items the bounds on the gain are far sharper.
    Whole numbers stay whole.
    """
    weights = program.weights * float(program.distance[0, 1])
    if not program.full:
        return weights, np.zeros(len(weights))
    own = weights.mean(axis=2, keepdims=True)
    other = (weights - own).mean(axis=1, keepdims=True)
    if not (weights % 1.0).any():
        own, other = np.rint(own), np.rint(other)
    offset = float(program.capacity[0]) * (own.sum(axis=(1, 2)) + other.sum(axis=(1, 2)))
    return weights - own - other, offset


def advance_groups(between: Numbers, own: IntArray, other: IntArray, reached: Numbers) -> Numbers:
    """Return the best gain with which each state of a layer is reached, (there,).

    Parameters
    ----------
    between
        (groups, groups): weight from each group to each.
    own, other
        (here, parts), (there, parts): groups of the states of both layers.
    reached
        (here,): best gain of each state.
    """
    back = _largest(between, own)  # what a group gains at most on the way from each state
    upper = np.repeat(reached[None, :], len(other), axis=0)
    for groups in other.T:
        upper += back[groups]
    tried = upper.argmax(axis=1)
    best = np.asarray(reached[tried] + best_labels(between, own[tried], other))
    right, left = np.nonzero(upper > best[:, None])
    most = _largest(between.T, other)  # the same from the other side
    bound = reached[left]
    for groups in own.T:
        bound += most[groups[left], right]
    useful = bound > best[right]
    left, right = left[useful], right[useful]
    for first in range(0, len(left), ARCS_AT_ONCE):
        s, t = left[first : first + ARCS_AT_ONCE], right[first : first + ARCS_AT_ONCE]
        np.maximum.at(best, t, reached[s] + best_labels(between, own[s], other[t]))
    return best


def _largest(between: Numbers, states: IntArray) -> Numbers:
    """Return the largest weight between any group of each state and each group, (groups, states)."""
    largest = between[states[:, 0]]
    for groups in states.T[1:]:
        np.maximum(largest, between[groups], out=largest)
    return np.ascontiguousarray(largest.T)


def best_labels(between: Numbers, own: IntArray, other: IntArray) -> Numbers:
    """Return the largest sum of ``between`` over all ways to pair the groups of two states, (arcs,).

    ``own`` and ``other`` are the groups of both states of each arc, (arcs, parts).
    """
    parts = own.shape[1]
    # Over the sets of groups of the other state that the first groups of one state are paired with.
    size = between.shape[1]
    flat = between.ravel()
    tables: dict[tuple[int, ...], Numbers] = {(): np.zeros(len(own), dtype=between.dtype)}
    for part in range(parts):
        row = own[:, part] * size
        gain = [flat[row + other[:, column]] for column in range(parts)]
        grown: dict[tuple[int, ...], Numbers] = {}
        for chosen in combinations(range(parts), part + 1):
            best = tables[chosen[1:]] + gain[chosen[0]]
            for position, column in enumerate(chosen[1:], start=1):
                sums = tables[chosen[:position] + chosen[position + 1 :]] + gain[column]
                np.maximum(best, sums, out=best)
            grown[chosen] = best
        tables = grown
    return tables[tuple(range(parts))]
