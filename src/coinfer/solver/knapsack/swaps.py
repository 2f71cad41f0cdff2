"""Use up the slack by a few changes that fit it together: found by sorted sums, not by trying."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from coinfer.solver.knapsack.items import Items
from coinfer.solver.program import FloatArray, IntArray

WINDOW = 128
"""Changes on each side whose pairs are matched with those of the other side."""
ROUNDS = 4
"""Most rounds of four changes, for whole numbers: a choice that meets the bound is likely, and ends the solve."""
FINE_ROUNDS = 2
"""The same for other numbers: the first changes give nearly all, and a proof needs the exact search anyway."""
STARTS = 2
"""Pairs from which these rounds begin, and steps from which the steepest changes are taken."""
MOST_FITS = 32
"""Changes that are tried one by one in what is left."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """Sums of changes: total cost and gain, and the two changes (-1: none)."""

    cost: IntArray
    gain: FloatArray
    parts: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Places of changes, of different items, and what they gain and take together."""

    places: tuple[int, ...]
    gain: float
    cost: int


def improve(items: Items, room: float, known: float, enough: float, *, brief: bool = False) -> Swap:
    """Return the changes of greatest gain that were found within the slack.

    Parameters
    ----------
    items
        The changes.
    room
        Most that any choice can gain.
    known
        Gain of the best choice known.
    enough
        Distance from ``room`` at which to stop.
    brief
        Whether one round from where things stand is enough.
    """
    slack = items.slack - (0 if items.exact else 16)  # rounded costs may be too small by a unit each
    best = Swap(places=(), gain=0.0, cost=0)
    if not len(items.key):
        return best
    first = [
        Swap(places=(), gain=0.0, cost=0),
        *(_joined(items, best, [at]) for at in range(0 if brief else min(STARTS, len(items.cost)))),
    ]
    rounds = 1 if brief else ROUNDS if items.grain else FINE_ROUNDS
    for start in first:
        now = _steepest(items, slack, start)
        for number in range(rounds):
            best = now if now.cost <= slack and now.gain > best.gain else best
            if now.cost > slack or room - max(best.gain, known) <= enough:
                break
            now = _joined(items, now, _fours(items, slack - now.cost, now.places, room - now.gain, number))
    return best


def _joined(items: Items, swap: Swap, places: Iterable[int]) -> Swap:
    """Return the swap with further changes."""
    own = [*swap.places, *(int(place) for place in places)]
    return Swap(places=tuple(own), gain=float(items.gain[own].sum()), cost=int(items.cost[own].sum()))


def _steepest(items: Items, slack: int, swap: Swap) -> Swap:
    """Return the swap with changes of least loss per unit: back into the budget, and then up to it."""
    if swap.cost > slack:
        order, totals = _by_ratio(items, swap, -1)
        swap = _joined(items, swap, order[: int(np.searchsorted(totals, swap.cost - slack)) + 1])
    order, totals = _by_ratio(items, swap, 1)
    count = int(np.searchsorted(totals, slack - swap.cost, side="right"))
    swap, order = _joined(items, swap, order[:count]), order[count:]
    for _ in range(MOST_FITS):
        order = order[items.cost[order] <= slack - swap.cost]
        if not len(order):
            break
        swap, order = _joined(items, swap, order[:1]), order[1:]
    return swap


def _by_ratio(items: Items, swap: Swap, sign: int) -> tuple[IntArray, IntArray]:
    """Return changes that take (or, with -1, give back) cost, by loss per unit, one of an item; and running totals."""
    item = items.changes.item
    free = np.flatnonzero((items.cost * sign > 0) & ~np.isin(item, item[list(swap.places)]))
    free = free[items.gain[free] > 0.0] if sign > 0 else free
    order = free[np.argsort(items.loss[free] / np.abs(items.cost[free]), kind="stable")]
    order = order[np.sort(np.unique(item[order], return_index=True)[1])]
    return order, np.cumsum(np.abs(items.cost[order]))


def _fours(items: Items, slack: int, used: tuple[int, ...], gap: float, number: int) -> tuple[int, ...]:
    """Return the best of up to two changes of some items with up to two of others, none of them used yet."""
    near = slice(0, 4 * (ROUNDS + 2) * WINDOW)  # the items of least loss come first
    item = items.changes.item
    free = np.flatnonzero((items.loss[near] < gap) & ~np.isin(item[near], item[list(used)]))
    free = free[np.argsort(items.loss[free], kind="stable")]
    begin = number * WINDOW if (number + 2) * WINDOW <= len(free) else 0
    window = free[begin : begin + 2 * WINDOW]
    left, right = window[item[window] % 2 == 0], window[item[window] % 2 == 1]
    return _match(_sums(items, left), _sums(items, right), slack)


def _sums(items: Items, places: IntArray) -> _Sums:
    """Return nothing, every change, and every pair of changes of different items."""
    first, second = np.triu_indices(len(places), 1)
    item = items.changes.item[places]
    apart = item[first] != item[second]
    first, second = first[apart], second[apart]
    cost, gain, none = items.cost[places], items.gain[places], np.full(1, -1)
    return _Sums(
        cost=np.concatenate([[0], cost, cost[first] + cost[second]]),
        gain=np.concatenate([[0.0], gain, gain[first] + gain[second]]),
        parts=np.stack(
            [
                np.concatenate([none, places, places[first]]),
                np.concatenate([none, np.full(len(places), -1), places[second]]),
            ],
            axis=1,
        ),
    )


def _match(left: _Sums, right: _Sums, slack: int) -> tuple[int, ...]:
    """Return the places of the best sum of one of the left with one of the right; none where nothing gains."""
    order = np.argsort(right.cost, kind="stable")
    cost, gain = right.cost[order], right.gain[order]
    top = np.maximum.accumulate(gain)
    place = np.searchsorted(cost, slack - left.cost, side="right") - 1
    total = np.where(place >= 0, left.gain + top[place], -np.inf)
    at = int(total.argmax())
    if not total[at] > 0.0:
        return ()
    partner = order[int(np.searchsorted(top, top[place[at]]))]
    return tuple(part for part in (*left.parts[at].tolist(), *right.parts[partner].tolist()) if part >= 0)
