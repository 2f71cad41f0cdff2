"""What the items that are still to come must at least lose to use up what is left of the budget, or to come back to it.

This is the linear relaxation over these items; it is what makes the bound of a state follow its distance from the
budget, where the price alone takes any distance for a whole number of steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coinfer.solver.knapsack.items import Items
from coinfer.solver.program import FloatArray, IntArray

SAFE = 1.0 - 1e-9
"""Factor by which bounds of the rest are weakened, far more than their rounding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rest:
    """Least loss at which the items from ``begin`` on, parts of them too, take or give back some cost: two curves.

    Attributes
    ----------
    over, over_loss
        Corners of the curve for budget that is left; what nothing takes loses the price.
    under, under_loss
        Corners of the curve for cost above the budget; beyond its end there is no way back.
    """

    over: FloatArray
    over_loss: FloatArray
    under: FloatArray
    under_loss: FloatArray

    def loss(self, left: FloatArray) -> FloatArray:
        """Return the least loss for every amount ``left``."""
        least = np.interp(left, self.over, self.over_loss)
        under = np.flatnonzero(left < 0.0)
        away = -left[under]
        least[under] = np.where(away <= self.under[-1], np.interp(away, self.under, self.under_loss), np.inf)
        return least


def rest_of(items: Items, price: float, begin: int, gap: float) -> Rest:
    """Return the curves of the changes, from item ``begin`` on, that lose less than ``gap``."""
    own = np.flatnonzero(items.loss[items.first[begin] :] < gap) + items.first[begin]
    cost, loss, item = items.cost[own] * items.unit, items.loss[own], items.changes.item[own]
    blur = 0.0 if items.exact else items.unit
    over, over_loss = _curve(item, cost + blur, loss, price)
    under, under_loss = _curve(item, blur - cost, loss, math.inf)
    further = over[-1] + items.slack * items.unit + float(np.abs(items.cost).sum()) * items.unit
    over_loss = np.append(over_loss, over_loss[-1] + price * SAFE * (further - over[-1]))
    return Rest(over=np.append(over, further), over_loss=over_loss, under=under * (1.0 + 1e-9), under_loss=under_loss)


def _curve(item: IntArray, cost: FloatArray, loss: FloatArray, most: float) -> tuple[FloatArray, FloatArray]:
    """Return the corners of the least loss by cost, where each item may go along its own convex hull from nothing."""
    some = np.flatnonzero(cost > 0.0)
    some = some[loss[some] < most * cost[some]]
    item, cost, loss = item[some], cost[some], loss[some]
    from_cost, from_loss = np.zeros(len(some)), np.zeros(len(some))
    lengths, ratios = [np.zeros(1)], [np.zeros(1)]
    while len(item):
        new = np.concatenate([[True], item[1:] != item[:-1]])
        begin, group = np.flatnonzero(new), np.cumsum(new) - 1
        ratio = (loss - from_loss) / (cost - from_cost)
        least = np.minimum.reduceat(ratio, begin)
        to = np.maximum.reduceat(np.where(ratio <= least[group], cost, -np.inf), begin)
        length = to - from_cost[begin]
        on = least < most
        lengths.append(length[on])
        ratios.append(least[on])
        keep = on[group] & (cost > to[group])
        from_loss = (from_loss[begin] + least * length)[group][keep]
        item, cost, loss, from_cost = item[keep], cost[keep], loss[keep], to[group][keep]
    ratio, length = np.maximum(np.concatenate(ratios), 0.0), np.concatenate(lengths)
    order = np.argsort(ratio, kind="stable")
    return np.cumsum(length[order]), np.cumsum(ratio[order] * length[order]) * SAFE
