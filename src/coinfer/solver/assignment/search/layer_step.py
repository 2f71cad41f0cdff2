"""The exact step for one layer: with all other layers fixed, the best assignment is a transportation problem."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coinfer.solver.assignment.search.rounds import Budget
from coinfer.solver.assignment.search.state import Full
from coinfer.solver.program import FloatArray, IntArray

WIDEST = 7
"""Most layers that are shaken at once."""


def assigned(costs: FloatArray, capacity: IntArray) -> IntArray:
    """Return the cheapest assignment of items to parts of fixed sizes, for costs (items, parts)."""
    from scipy.optimize import linear_sum_assignment

    slots = np.repeat(np.arange(len(capacity)), capacity)
    rows, columns = linear_sum_assignment(costs[:, slots])
    made = np.empty(len(costs), dtype=np.int64)
    made[rows] = slots[columns]
    return made


def layer_costs(full: Full, part: IntArray, layer: int) -> FloatArray:
    """Return what each item of a layer costs in each part, (items, parts)."""
    costs: FloatArray = full.cost[layer].copy()
    if layer > 0:
        costs += full.weights[layer - 1].T @ full.distance[part[layer - 1]]
    if layer < len(part) - 1:
        costs += full.weights[layer] @ full.distance[part[layer + 1]]
    return costs


def swept(full: Full, part: IntArray, *, budget: Budget, sweeps: int) -> IntArray:
    """Take exact steps through all layers, forth and back, until nothing changes; loads are not looked at."""
    made = part.copy()
    order = [*range(len(part)), *range(len(part) - 2, 0, -1)]
    for _ in range(sweeps):
        before = made.copy()
        for layer in order:
            if budget.over():
                return made
            costs = layer_costs(full, made, layer)
            found = assigned(costs, full.capacity)
            index = np.arange(len(found))
            if costs[index, found].sum() < costs[index, made[layer]].sum() - 1e-12 * abs(costs).max():
                made[layer] = found
        if np.array_equal(before, made):
            break
    return made


def shaken(full: Full, part: IntArray, random: np.random.Generator) -> IntArray:
    """Shuffle some items of a few consecutive layers, and take exact steps through these, forth and back, twice."""
    layers, items = part.shape
    made, width = part.copy(), int(random.integers(1, min(WIDEST, layers) + 1))
    first = int(random.integers(layers - width + 1))
    window = [*range(first, first + width)]
    for layer in window:
        chosen = random.choice(items, size=int(random.integers(min(2, items), max(3, items // 4))), replace=False)
        made[layer, chosen] = made[layer, random.permutation(chosen)]
    for layer in 2 * [*window, *reversed(window)]:
        made[layer] = assigned(layer_costs(full, made, layer), full.capacity)
    return made


def along(full: Full, guides: Sequence[FloatArray] | FloatArray, first: IntArray, start: int) -> IntArray:
    """Round approximate co-membership: from one layer outward, each next layer goes along its matrix to the last.

    Parameters
    ----------
    full
        The program.
    guides
        (items, items) for each pair of consecutive layers.
    first
        Parts of the items of layer ``start``.
    start
        Where the rounding begins.
    """
    layers, parts = len(full.weights) + 1, len(full.capacity)
    made = np.zeros((layers, full.weights.shape[1]), dtype=np.int64)
    made[start] = first
    real = full.real
    for layer, near, matrix in [
        *((layer, layer - 1, guides[layer - 1].T) for layer in range(start + 1, layers)),
        *((layer, layer + 1, guides[layer]) for layer in range(start - 1, -1, -1)),
    ]:
        pull = np.zeros((made.shape[1], parts))
        pull[:real] = matrix @ np.eye(parts)[made[near, :real]]
        made[layer] = assigned(np.minimum(full.cost[layer], 1e9) - pull, full.capacity)
    return made
