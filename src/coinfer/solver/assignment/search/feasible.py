"""Assignments within all caps: the least imbalance that exchanges reach, and repair of one that breaks a cap."""

from __future__ import annotations

import numpy as np

from coinfer.solver.assignment.search.state import FORBIDDEN, Full, part_loads
from coinfer.solver.program import FloatArray, IntArray


def balanced_start(full: Full) -> IntArray:
    """Return an assignment with small largest loads: heaviest items first, each to the lightest part with room."""
    layers, items = full.loads.shape
    made = np.zeros((layers, items), dtype=np.int64)
    limit = FORBIDDEN / 2.0
    for layer in range(layers):
        load, room = np.zeros(len(full.capacity)), full.capacity.copy()
        choices = (full.cost[layer] < limit).sum(axis=1)
        for item in np.lexsort((-full.loads[layer], choices)):
            open_ = room > 0
            fine = open_ & (full.cost[layer, item] < limit)
            options = np.flatnonzero(fine if fine.any() else open_)
            chosen = options[np.argmin(load[options])]
            made[layer, item] = chosen
            load[chosen] += full.loads[layer, item]
            room[chosen] -= 1
    return made


def forbidden(full: Full, part: IntArray) -> int:
    """Return how many items are where they must not be."""
    layer, item = np.indices(part.shape)
    return int((full.cost[layer, item, part] >= FORBIDDEN / 2.0).sum())


def placed(full: Full, part: IntArray) -> IntArray:
    """Return an assignment without forbidden places, if there is one: layers with some are assigned anew."""
    from scipy.optimize import linear_sum_assignment

    made = part.copy()
    layer, item = np.indices(part.shape)
    wrong = (full.cost[layer, item, part] >= FORBIDDEN / 2.0).any(axis=1)
    slots = np.repeat(np.arange(len(full.capacity)), full.capacity)
    for at in np.flatnonzero(wrong):
        costs = (full.cost[at] >= FORBIDDEN / 2.0) * 1e6 + (np.arange(len(full.capacity)) != part[at][:, None])
        rows, columns = linear_sum_assignment(costs[:, slots])
        made[at, rows] = slots[columns]
    return made


def repaired(full: Full, part: IntArray, table: FloatArray) -> IntArray:
    """Lower the largest load of every layer that breaks a cap, by the exchanges that cost least for what they lower.

    Parameters
    ----------
    full
        The program.
    part
        Assignment, (layers, items).
    table
        What each item would cost in each part, (layers, items, parts): see ``place_costs``.

    Returns
    -------
    The repaired assignment; it may still break a cap where exchanges of two items do not suffice.
    """
    made = part.copy()
    for layer in range(len(made)):
        if np.isfinite(full.load_caps[layer]):
            _lower(full, made, table, layer, full.load_caps[layer])
    if not np.isfinite(full.imbalance_sum):
        return made
    for _ in range(4 * made.size):
        uneven = part_loads(full, made).max(axis=1) / full.mean_loads
        if uneven.sum() <= full.imbalance_sum:
            break
        order = np.argsort(-uneven)
        if not any(_exchange(full, made, table, int(layer), 0.0) for layer in order):
            break
    return made


def _lower(full: Full, made: IntArray, table: FloatArray, layer: int, cap: float) -> None:
    for _ in range(4 * made.shape[1]):
        if part_loads(full, made)[layer].max() <= cap or not _exchange(full, made, table, layer, cap):
            return


def _exchange(full: Full, made: IntArray, table: FloatArray, layer: int, cap: float) -> bool:
    """Exchange an item of the most loaded part for a lighter one elsewhere; return whether one was found.

    Among the exchanges that lower the larger load of the two parts, the one with the best ratio of lowering to cost;
    one that brings both parts within the cap counts no more than that.
    """
    part, loads = made[layer], full.loads[layer]
    held = np.bincount(part, weights=loads, minlength=len(full.capacity))
    top = int(held.argmax())
    own, others = np.flatnonzero(part == top), np.flatnonzero(part != top)
    moved = loads[own][:, None] - loads[others][None, :]
    after = np.maximum(held[top] - moved, held[part[others]][None, :] + moved)
    lowered = held[top] - np.maximum(after, cap)
    cost = (
        table[layer, own][:, part[others]]
        + table[layer, others, top][None, :]
        - table[layer, own, top][:, None]
        - table[layer, others, part[others]][None, :]
    )
    fine = (lowered > 1e-12 * max(held[top], 1e-300)) & (cost < FORBIDDEN / 2.0)
    if not fine.any():
        return False
    floor = 1e-9 * max(1.0, float(np.abs(table[layer][np.abs(table[layer]) < FORBIDDEN / 2.0]).max(initial=0.0)))
    ratio = np.where(fine, lowered / np.maximum(cost - cost[fine].min() + floor, floor), -1.0)
    i, j = np.unravel_index(int(ratio.argmax()), ratio.shape)
    part[own[i]], part[others[j]] = part[others[j]], top
    return True
