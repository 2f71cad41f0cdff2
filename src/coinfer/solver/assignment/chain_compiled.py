"""The steps of :mod:`coinfer.solver.assignment.chain_groups`, compiled by numba: the same answers, faster.

Optional: ``pip install coinfer[fast]``. Importing this module imports numba; the first call compiles, and the result is
kept on disk where that is possible.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from coinfer.solver.program import FloatArray, IntArray

_compiled = njit(cache=True, nogil=True)


def advance(between: FloatArray, own: IntArray, other: IntArray, reached: FloatArray) -> FloatArray:
    """Return the best gain with which each state is reached, as ``advance_groups`` there does."""
    best: FloatArray = _advance(between, np.ascontiguousarray(own), np.ascontiguousarray(other), reached)
    return best


@_compiled  # type: ignore[untyped-decorator]
def _advance(  # noqa: PLR0912
    between: FloatArray, own: IntArray, other: IntArray, reached: FloatArray
) -> FloatArray:
    groups, parts, count = len(between), own.shape[1], len(own)
    back = np.empty((groups, count))  # what a group of the next layer gains at most from each state
    for group in range(groups):
        for s in range(count):
            top = between[own[s, 0], group]
            for part in range(1, parts):
                top = max(top, between[own[s, part], group])
            back[group, s] = top
    rows = np.zeros(1 << parts, dtype=np.int64)  # how many members each set of groups has
    for chosen in range(1, 1 << parts):
        rows[chosen] = rows[chosen >> 1] + (chosen & 1)
    table, most = np.empty(1 << parts), np.empty(groups)
    upper, open_states, result = np.empty(count), np.empty(count, dtype=np.int64), np.empty(len(other))
    for t in range(len(other)):
        for group in range(groups):
            top = between[group, other[t, 0]]
            for part in range(1, parts):
                top = max(top, between[group, other[t, part]])
            most[group] = top
        upper[:] = reached
        for part in range(parts):
            gain = back[other[t, part]]
            for s in range(count):
                upper[s] += gain[s]
        tried = int(np.argmax(upper))
        best = reached[tried] + _best_labels(between, own[tried], other[t], rows, table)
        left = 0
        for s in range(count):
            if upper[s] > best:
                open_states[left] = s
                left += 1
        tried = -1
        for index in range(left):
            s = open_states[index]
            bound = reached[s]
            for part in range(parts):
                bound += most[own[s, part]]
            upper[s] = min(upper[s], bound)
            if tried < 0 or upper[s] > upper[tried]:
                tried = s
        if tried >= 0:
            best = max(best, reached[tried] + _best_labels(between, own[tried], other[t], rows, table))
        for index in range(left):
            s = open_states[index]
            if upper[s] > best:
                best = max(best, reached[s] + _best_labels(between, own[s], other[t], rows, table))
        result[t] = best
    return result


@_compiled  # type: ignore[untyped-decorator]
def _best_labels(between: FloatArray, own: IntArray, other: IntArray, rows: IntArray, table: FloatArray) -> float:
    """Return the largest sum over all ways to pair the groups; ``table`` is room for one number per set of groups."""
    parts = len(own)
    table[0] = 0.0
    for chosen in range(1, 1 << parts):
        line = between[own[rows[chosen] - 1]]
        top = -np.inf
        for column in range(parts):
            if chosen >> column & 1:
                top = max(top, table[chosen ^ (1 << column)] + line[other[column]])
        table[chosen] = top
    best: float = table[(1 << parts) - 1]
    return best
