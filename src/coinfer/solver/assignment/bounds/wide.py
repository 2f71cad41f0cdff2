"""2-partition inequalities with two or three items on the smaller side, grown from many random starts at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.program import FloatArray, IntArray

STARTS = 5
"""Random starts for each item of a block."""
STEPS = 30
"""Most changes from a start."""
LEAST = 0.02
"""Least violation that counts: small ones are not worth the time they cost in every sweep."""
HELD = -1e9
"""Gain of what must not be done."""


def wide(block: FloatArray, *, room: int, most: int, random: np.random.Generator) -> list[tuple[IntArray, IntArray]]:
    """Return sets of items for which ``x(S, T) - x(S) - x(T)`` exceeds ``|S|``, the most broken ones.

    Parameters
    ----------
    block
        (n, n) symmetric entries in [0, 1], ones on the diagonal.
    room
        Most items of a layer in a part: a start looks at as many neighbours of an item, for both layers.
    most
        Inequalities at most.
    random
        Draws the starts.
    """
    some, others = _starts(block, room, random)
    target = random.integers(2, 4, size=len(some))
    row = np.arange(len(some))
    # For each start and item: what it has in common with the one set beyond the other.
    pull = block[some.argmax(axis=1)] - block[others.argmax(axis=1)]
    for _ in range(STEPS):
        sizes, other_sizes = some.sum(axis=1), others.sum(axis=1)
        free = ~(some | others)
        join = np.where(free, pull, HELD)
        leave = np.where(others, -pull - 1.0, HELD)
        joined, left = join.argmax(axis=1), leave.argmax(axis=1)
        grow = join[row, joined] > LEAST
        shrink = (leave[row, left] > LEAST) & (other_sizes > sizes)
        widen = (sizes < target) & ((other_sizes > sizes + 1) | ~grow) & free.any(axis=1)
        if not (grow | shrink | widen).any():
            break
        third = np.where(free, -pull, HELD).argmax(axis=1)
        shrink &= ~widen & ~grow
        grow &= ~widen
        for chosen, item, table, joins, towards in (
            (widen, third, some, True, True),
            (grow, joined, others, True, False),
            (shrink, left, others, False, True),
        ):
            at = np.flatnonzero(chosen)
            table[at, item[at]] = joins
            change = block[item[at]]
            pull[at] += change if towards else -change
    return _best(block, some, others, most)


def _starts(block: FloatArray, room: int, random: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw one item for each set, near each other."""
    items = len(block)
    starts = np.arange(STARTS * items)
    first = random.integers(items, size=len(starts))
    worth = block[first] + 0.3 * random.random((len(starts), items))
    worth[starts, first] = HELD
    near = np.argpartition(-worth, min(2 * room, items - 2), axis=1)[:, : max(1, min(2 * room, items - 1))]
    second = near[starts, random.integers(near.shape[1], size=len(starts))]
    some, others = np.zeros((len(starts), items), dtype=bool), np.zeros((len(starts), items), dtype=bool)
    some[starts, first] = True
    others[starts, second] = True
    return some, others


def _best(
    block: FloatArray, some: NDArray[np.bool_], others: NDArray[np.bool_], most: int
) -> list[tuple[IntArray, IntArray]]:
    """Return the most broken ones of the sets, each once."""
    difference = some.astype(np.float64) - others
    sizes, other_sizes = some.sum(axis=1), others.sum(axis=1)
    total = -np.einsum("re,re->r", difference @ block, difference) + sizes + other_sizes
    excess = total / 2.0 - np.minimum(sizes, other_sizes)
    order = np.argsort(-excess, kind="stable")
    order = order[(excess[order] > LEAST) & (sizes[order] > 1) & (other_sizes[order] > 1)]
    found: dict[bytes, tuple[IntArray, IntArray]] = {}
    for index in order:
        name = some[index].tobytes() + others[index].tobytes()
        found.setdefault(name, (np.flatnonzero(some[index]), np.flatnonzero(others[index])))
        if len(found) == most:
            break
    return list(found.values())
