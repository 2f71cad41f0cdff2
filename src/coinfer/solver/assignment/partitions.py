"""The states of one layer: every way to put its items into parts, or to group them where the parts are alike."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from coinfer.solver.assignment.program import BoolArray, LayeredAssignment, imbalance
from coinfer.solver.program import FloatArray, IntArray

ROUNDING = 1e-9
"""Share of a cap by which a load may exceed it, as in :func:`coinfer.solver.assignment.program.evaluate`."""
MOST_COUNTED = 10**9


def count_states(program: LayeredAssignment) -> int:
    """Return the number of states of a layer before loads and forbidden places; at most :data:`MOST_COUNTED`."""
    room = np.minimum(program.capacity, program.items).tolist()
    if program.interchangeable:
        return min(MOST_COUNTED, _groupings(program.items, program.parts, room[0]))
    ways = [1] + [0] * program.items  # by number of items placed, over the parts so far
    for most in room:
        ways = [sum(ways[n - k] * math.comb(n, k) for k in range(min(most, n) + 1)) for n in range(program.items + 1)]
    return min(MOST_COUNTED, ways[-1])


@cache
def _groupings(items: int, parts: int, most: int) -> int:
    """Return in how many ways items make at most so many groups of at most so many items."""
    if items == 0 or parts == 0 or most == 0:
        return int(items == 0)
    return sum(
        math.comb(items - 1, k - 1) * _groupings(items - k, parts - 1, most) for k in range(1, min(most, items) + 1)
    )


def states(program: LayeredAssignment) -> IntArray:
    """Return the part of each item in each state, (states, items), in lexicographic order.

    Where the parts are interchangeable, only one of the states that differ by an exchange of parts is listed: the one
    in which a part's first item comes after the first items of all parts with lower numbers.
    """
    alike = program.interchangeable
    rows = np.zeros((1, 0), dtype=np.int64)
    counts = np.zeros((1, program.parts), dtype=np.int64)
    for _ in range(program.items):
        free = counts < program.capacity
        if alike:
            used = (counts > 0).sum(axis=1)
            free &= np.arange(program.parts) <= used[:, None]
        parent, part = np.nonzero(free)
        rows = np.column_stack([rows[parent], part])
        counts = counts[parent]
        counts[np.arange(len(part)), part] += 1
    return rows


def state_loads(loads: FloatArray, rows: IntArray, parts: int) -> FloatArray:
    """Return the load of each part in each state, (states, parts), for the loads of one layer, (items,)."""
    total = np.zeros((len(rows), parts))
    index = np.arange(len(rows))
    for item, load in enumerate(loads):
        total[index, rows[:, item]] += load
    return total


def kept_states(program: LayeredAssignment, layer: int, rows: IntArray) -> BoolArray:
    """Return which states keep the limits of a layer, (states,)."""
    kept = np.ones(len(rows), dtype=bool)
    if program.allowed is not None:
        kept &= program.allowed[layer, np.arange(program.items), rows].all(axis=1)
    if program.loads is not None and program.load_caps is not None:
        largest = state_loads(program.loads[layer], rows, program.parts).max(axis=1)
        kept &= largest <= program.load_caps[layer] * (1.0 + ROUNDING)
    return kept


def placing_costs(program: LayeredAssignment, layer: int, rows: IntArray) -> FloatArray:
    """Return the placement costs of each state of a layer, (states,)."""
    if program.cost is None:
        return np.zeros(len(rows))
    return np.asarray(program.cost[layer, np.arange(program.items), rows].sum(axis=1), dtype=np.float64)


def imbalances(program: LayeredAssignment, layer: int, rows: IntArray) -> FloatArray:
    """Return the largest part's load over the mean in each state of a layer, (states,); 1 where there is no load."""
    if program.loads is None:
        return np.ones(len(rows))
    return np.asarray(imbalance(state_loads(program.loads[layer], rows, program.parts)), dtype=np.float64)
