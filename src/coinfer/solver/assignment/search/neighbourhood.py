r"""Large neighbourhoods: the items on a few parts are assigned anew, exactly, in all layers at once.

With the other parts fixed this is a shortest path through the layers: a state is one way to share the items of a layer
among the chosen parts, and a step costs what runs between them (the chain dynamic program over few parts). Where there
are too many ways, the states are those within an exchange of the present one. Items are taken in the order of
their parts, so the states are the same vectors in every layer, and the present one is the first.

Two parts at distance :math:`d` take vectors of signs: what a step costs is :math:`d\,(\sum w - s^T W t) / 2`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from coinfer.solver.assignment.search.state import Full, part_loads, place_costs
from coinfer.solver.program import FloatArray, IntArray

MOST_STATES = 100
"""States of a layer from which fewer exchanges, or fewer parts, are looked at: the time grows with their square."""
MOST_NUMBERS = 1_000_000
"""Numbers in one table of steps; larger ones are made layer by layer."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many parts are taken at once, and how many exchanges a layer may differ by; ``None``: any number."""

    parts: int
    exchanges: int | None


def sizes_of(capacity: IntArray) -> tuple[Size, ...]:
    """Return which neighbourhoods to search in turn, those with fewest states first.

    All ways to share the items of two to four parts, where they are few; else of two and three within an exchange.
    """
    largest = sorted(capacity[capacity > 0].tolist(), reverse=True)
    found = []
    for count in range(2, min(4, len(largest)) + 1):
        room = tuple(largest[:count])
        if ways(room) <= MOST_STATES:
            found.append((ways(room), Size(count, None)))
        elif count < 4 and len(states(room, 1)) <= MOST_STATES:
            found.append((len(states(room, 1)), Size(count, 1)))
    return tuple(size for _, size in sorted(found, key=lambda entry: entry[0]))


def ways(sizes: tuple[int, ...]) -> int:
    """Return how many ways there are to share items among parts of these sizes."""
    count, left = 1, sum(sizes)
    for size in sizes:
        for step in range(size):
            count = count * (left - step) // (step + 1)
        left -= size
    return count


@cache
def states(sizes: tuple[int, ...], exchanges: int | None) -> IntArray:
    """Return the labels of items shared among parts of these sizes, (ways, items): items in the order of parts first.

    With ``exchanges``, the ways that differ from it by at most so many exchanges of two items.
    """
    first = tuple(np.repeat(np.arange(len(sizes)), sizes).tolist())
    known = {first: None}
    newest = [first]
    left = sum(sizes) if exchanges is None else exchanges
    while newest and left > 0:
        last, newest, left = newest, [], left - 1
        for row in last:
            for i, j in combinations(range(len(row)), 2):
                if row[i] != row[j]:
                    other = (*row[:i], row[j], *row[i + 1 : j], row[i], *row[j + 1 :])
                    if other not in known:
                        known[other] = None
                        newest.append(other)
    return np.array(list(known), dtype=np.int64)


def reassigned(
    full: Full, part: IntArray, chosen: tuple[int, ...], exchanges: int | None = None
) -> tuple[IntArray, float]:
    """Share the items on the chosen parts anew, in the best way that breaks no cap further.

    Returns
    -------
    The assignment, and what it costs less than ``part``.
    """
    layers, parts = len(part), np.array(chosen)
    labels = states(tuple(int(full.capacity[g]) for g in chosen), exchanges)
    rank = np.full(len(full.capacity), len(chosen))
    rank[parts] = np.arange(len(chosen))
    members = np.argsort(rank[part], axis=1, kind="stable")[:, : labels.shape[1]]
    own = _own_costs(full, part, members, parts, labels)
    now = own[:, 0].copy()
    if full.capped:
        one_hot = (labels[:, :, None] == np.arange(len(chosen))).astype(np.float64)
        flat = one_hot.transpose(1, 0, 2).reshape(labels.shape[1], -1)
        load = (np.take_along_axis(full.loads, members, axis=1) @ flat).reshape(layers, len(labels), -1)
        own[(load > _limits(full, part)[:, None, None] * (1.0 + 1e-12)).any(axis=2)] = np.inf
    between = full.weights[np.arange(layers - 1)[:, None, None], members[:-1, :, None], members[1:, None, :]]
    best, back = own[0], np.zeros((layers, len(labels)), dtype=np.int64)
    for first in range(0, layers - 1, max(1, MOST_NUMBERS // len(labels) ** 2)):
        steps = _steps(between[first : first + max(1, MOST_NUMBERS // len(labels) ** 2)], full, parts, labels)
        for layer, step in enumerate(steps, start=first + 1):
            now[layer] += step[0, 0]
            reached = step + best[:, None]
            back[layer] = reached.argmin(axis=0)
            best = reached[back[layer], np.arange(len(labels))] + own[layer]
    way = int(best.argmin())
    gain = float(now.sum() - best[way])
    made = part.copy()
    if not gain > 0.0:
        return made, 0.0
    for layer in range(layers - 1, -1, -1):
        made[layer, members[layer]] = parts[labels[way]]
        way = int(back[layer, way])
    return made, gain


def _steps(between: FloatArray, full: Full, parts: IntArray, labels: IntArray) -> FloatArray:
    """Return what runs between the states of two layers, (pairs, ways, ways)."""
    if len(parts) == 2:
        half = float(full.distance[parts[0], parts[1]]) / 2.0
        signs = 1.0 - 2.0 * labels
        made = (-half * signs) @ (between @ signs.T) + half * between.sum(axis=(1, 2))[:, None, None]
        return np.asarray(made, dtype=np.float64)
    one_hot = (labels[:, :, None] == np.arange(len(parts))).astype(np.float64)
    vectors = one_hot.reshape(len(labels), -1)
    near = one_hot @ full.distance[np.ix_(parts, parts)]  # (ways, items, labels)
    pulled = between @ near.transpose(1, 0, 2).reshape(near.shape[1], -1)  # (pairs, items, ways * labels)
    pulled = pulled.reshape(len(between), near.shape[1], len(labels), len(parts))
    flat = pulled.transpose(0, 1, 3, 2).reshape(len(between), vectors.shape[1], len(labels))
    return np.asarray(vectors @ flat, dtype=np.float64)


def _own_costs(full: Full, part: IntArray, members: IntArray, parts: IntArray, labels: IntArray) -> FloatArray:
    """Return what each state costs because of places and of the items that stay, (layers, ways)."""
    if full.uniform and not full.cost.any():  # whoever stays is in another part, whatever a member does
        return np.zeros((len(part), len(labels)))
    table = place_costs(full, part)
    found = np.empty((len(part), len(labels)))
    for layer, here in enumerate(members):
        costs = table[layer, here][:, parts]
        for near, weights in (
            (layer - 1, full.weights[layer - 1].T if layer else None),
            (layer + 1, full.weights[layer] if layer < len(part) - 1 else None),
        ):
            if weights is not None:
                there = members[near]
                costs = costs - weights[np.ix_(here, there)] @ full.distance[part[near, there]][:, parts]
        found[layer] = costs[np.arange(len(here)), labels].sum(axis=1)
    return found


def _limits(full: Full, part: IntArray) -> FloatArray:
    """Return the most load of a part in each layer: its cap, or what it is now where the mean is capped."""
    if np.isfinite(full.imbalance_sum):
        return np.asarray(np.minimum(full.load_caps, part_loads(full, part).max(axis=1)), dtype=np.float64)
    return full.load_caps
