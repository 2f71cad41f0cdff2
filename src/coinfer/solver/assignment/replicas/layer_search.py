"""Local search over the copies of one layer: add, drop, and exchange a copy for another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.assignment.replicas.layer import LayerView
from coinfer.solver.program import FloatArray, IntArray

TRIES = 40
"""Most changes of one layer that are tried."""
CANDIDATES = 3
"""Changes tried, most promising first, before the layer counts as settled."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerLimits:
    """What the copies of one layer must keep.

    Attributes
    ----------
    cap
        Most load of a part.
    slots
        (parts,).
    extra
        Most second and further copies.
    allowed, required
        (items, parts), or ``None``.
    """

    cap: float
    slots: IntArray
    extra: int
    allowed: BoolArray | None
    required: BoolArray | None


def search_layer(
    view: LayerView, held: BoolArray, shares: FloatArray, limits: LayerLimits, *, tries: int | None = None
) -> tuple[BoolArray, FloatArray]:
    """Return copies and shares of the layer at least as good as ``held`` with its cheapest split.

    The cap comes first: a change that brings the heaviest part nearer to it is taken whatever it costs.
    """
    left = TRIES if tries is None else tries
    if left == 0:
        return held, shares
    found, cost = view.split(held, limits.cap)
    key = (found.excess, cost)
    while left > 0:
        taken = False
        for trial in _changes(view, held, found.prices, limits):
            left -= 1
            other, price = view.split(trial, limits.cap)
            if other.excess < key[0] * (1.0 - 1e-9) - 1e-12 or (
                other.excess <= key[0] * (1.0 + 1e-12) and price < key[1] - 1e-9 * max(1.0, abs(key[1]))
            ):
                held, found, key, taken = trial, other, (other.excess, price), True
                break
            if left <= 0:
                break
        if not taken:
            break
    return held, found.shares


def _changes(view: LayerView, held: BoolArray, prices: FloatArray, limits: LayerLimits) -> list[BoolArray]:
    """Return the most promising changes: an added copy, with an idle or the least useful other one dropped for it."""
    add, drop = view.gains(held, prices)
    if limits.allowed is not None:
        add = np.where(limits.allowed, add, -np.inf)
    lone = held.sum(axis=1) == 1
    kept = np.zeros_like(held) if limits.required is None else limits.required
    fixed = lone[:, None] | kept
    drop = np.where(held & ~fixed, drop, np.inf)

    made: list[tuple[float, BoolArray]] = []
    free = held.sum(axis=0) < limits.slots
    spare = int(held.sum()) - len(held) < limits.extra
    worst = np.unravel_index(np.argmin(drop), drop.shape)
    if drop[worst] < 0.0:
        made.append((-float(drop[worst]), _changed(held, None, worst)))
    best = np.argsort(-add, axis=0)[:CANDIDATES]
    for part in range(held.shape[1]):
        idlest = (np.argmin(drop[:, part]), part)
        for e in best[:, part]:
            gain, new = float(add[e, part]), (e, part)
            if not gain > 0.0:
                break
            if free[part] and spare:
                made.append((gain, _changed(held, new, None)))
            elif free[part]:
                made.append((gain - float(drop[worst]), _changed(held, new, worst)))
            elif e != idlest[0]:
                made.append((gain - float(drop[idlest]), _changed(held, new, idlest)))
    if view.arriving.any() or lone.all():  # elsewhere annealing exchanges items far faster
        made += _moves(view.alone(prices), held, held & lone[:, None] & ~kept, limits)
    ranked = sorted((entry for entry in made if entry[0] > 0.0), key=lambda entry: -entry[0])
    return [trial for _, trial in ranked[:CANDIDATES]]


def _moves(alone: FloatArray, held: BoolArray, single: BoolArray, limits: LayerLimits) -> list[tuple[float, BoolArray]]:
    """Return the most promising exchanges of two items with one copy each, and moves of one into a free slot."""
    item, part = np.nonzero(single)
    if not len(item):
        return []
    open_to = np.ones_like(held) if limits.allowed is None else limits.allowed
    cost = np.where(open_to, alone, np.inf)[item]  # (single items, parts)
    here = cost[np.arange(len(item)), part]
    made: list[tuple[float, BoolArray]] = []
    free = (held.sum(axis=0) < limits.slots) & (np.arange(held.shape[1]) != part[:, None])
    saved = here[:, None] - np.where(free, cost, np.inf)
    i, g = np.unravel_index(np.argmax(saved), saved.shape)
    made.append((float(saved[i, g]), _changed(held, (item[i], g), (item[i], part[i]))))
    there = cost[:, part]  # (i, j): item i where item j is
    both = np.where(part[:, None] != part, here[:, None] + here[None, :] - there - there.T, -np.inf)
    for flat in np.argsort(-both, axis=None)[: 2 * CANDIDATES : 2]:
        i, j = np.unravel_index(flat, both.shape)
        changed = _changed(held, (item[i], part[j]), (item[i], part[i]))
        made.append((float(both[i, j]), _changed(changed, (item[j], part[i]), (item[j], part[j]))))
    return made


def _changed(held: BoolArray, new: tuple[Any, ...] | None, old: tuple[Any, ...] | None) -> BoolArray:
    """Return the copies with one added and one dropped."""
    changed = held.copy()
    if new is not None:
        changed[new] = True
    if old is not None:
        changed[old] = False
    return changed
