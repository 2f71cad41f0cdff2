"""Large neighbourhoods: the items on two or three parts are assigned anew, exactly, in all layers at once.

With the other parts fixed this is a shortest path through the layers: a state is one way to share the items of a layer
among the chosen parts, and a step costs what runs between them (the chain dynamic program over few parts).
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np

from coinfer.solver.assignment.search.state import Full, part_loads, place_costs
from coinfer.solver.program import FloatArray, IntArray

MOST_STATES = 400
"""States of a layer: the time of a neighbourhood grows with their square."""


@cache
def shares(sizes: tuple[int, ...]) -> IntArray:
    """Return every way to share items among parts of these sizes, (ways, items)."""
    total = sum(sizes)

    def rest(free: tuple[int, ...], label: int) -> list[dict[int, int]]:
        if label == len(sizes) - 1:
            return [dict.fromkeys(free, label)]
        found = []
        for chosen in combinations(free, sizes[label]):
            left = tuple(item for item in free if item not in chosen)
            found += [{**dict.fromkeys(chosen, label), **more} for more in rest(left, label + 1)]
        return found

    ways = [[way[item] for item in range(total)] for way in rest(tuple(range(total)), 0)]
    return np.array(ways, dtype=np.int64)


def ways(sizes: tuple[int, ...]) -> int:
    """Return how many ways there are to share items among parts of these sizes."""
    count, left = 1, sum(sizes)
    for size in sizes:
        for step in range(size):
            count = count * (left - step) // (step + 1)
        left -= size
    return count


def parts_at_once(full: Full) -> int:
    """Return of how many parts a neighbourhood may be; 0 where even two have too many states."""
    largest = sorted(full.capacity.tolist(), reverse=True)
    fitting = [count for count in (2, 3, 4) if count <= len(largest) and ways(tuple(largest[:count])) <= MOST_STATES]
    return max(fitting, default=0)


def reassigned(full: Full, part: IntArray, chosen: tuple[int, ...]) -> IntArray:
    """Return ``part`` with the items on the chosen parts shared anew, the best way that breaks no cap further."""
    layers = len(part)
    labels = shares(tuple(int(full.capacity[g]) for g in chosen))
    parts = np.array(chosen)
    members = np.array([np.flatnonzero(np.isin(row, parts)) for row in part])
    one_hot = np.stack([(labels == label).astype(np.float64) for label in range(len(chosen))])  # (labels, ways, items)
    inner = full.distance[np.ix_(parts, parts)]
    unary = _unary(full, part, members, parts)
    limits = _limits(full, part)
    best = np.zeros((layers, len(labels)))
    back = np.zeros((layers, len(labels)), dtype=np.int64)
    for layer in range(layers):
        own = np.einsum("kwi,ik->w", one_hot, unary[layer])
        if full.capped:
            load = np.einsum("kwi,i->wk", one_hot, full.loads[layer, members[layer]])
            own = np.where((load <= limits[layer] * (1.0 + 1e-12)).all(axis=1), own, np.inf)
        if layer == 0:
            best[0] = own
            continue
        weights = full.weights[layer - 1][np.ix_(members[layer - 1], members[layer])]
        step = np.zeros((len(labels), len(labels)))
        for a in range(len(chosen)):
            for b in range(len(chosen)):
                if inner[a, b] != 0.0:
                    step += inner[a, b] * (one_hot[a] @ weights @ one_hot[b].T)
        reached = best[layer - 1][:, None] + step
        back[layer] = reached.argmin(axis=0)
        best[layer] = reached.min(axis=0) + own
    made = part.copy()
    way = int(best[-1].argmin())
    if not np.isfinite(best[-1, way]):
        return made
    for layer in range(layers - 1, -1, -1):
        made[layer, members[layer]] = parts[labels[way]]
        way = int(back[layer, way])
    return made


def _unary(full: Full, part: IntArray, members: IntArray, parts: IntArray) -> list[FloatArray]:
    """Return what each member costs in each chosen part because of its place and of the items that stay."""
    if full.uniform and not full.cost.any():  # whoever stays is in another part, whatever a member does
        return [np.zeros((members.shape[1], len(parts)))] * len(part)
    outside = full.distance.copy()
    table = place_costs(full, part)
    found = []
    for layer, here in enumerate(members):
        costs = table[layer, here][:, parts].copy()
        for near, weights in (
            (layer - 1, full.weights[layer - 1].T if layer else None),
            (layer + 1, full.weights[layer] if layer < len(part) - 1 else None),
        ):
            if weights is not None:
                there = members[near]
                costs -= weights[np.ix_(here, there)] @ outside[part[near, there]][:, parts]
        found.append(costs)
    return found


def _limits(full: Full, part: IntArray) -> FloatArray:
    """Return the most load of a part in each layer: its cap, or what it is now where the mean is capped."""
    if np.isfinite(full.imbalance_sum):
        least: FloatArray = np.minimum(full.load_caps, part_loads(full, part).max(axis=1))
        return least
    return full.load_caps
