"""Least Lagrangian bound over a box of prices.

A level method on cutting planes (Lemaréchal, Nemirovskii and Nesterov, New variants of bundle methods, 1995): each step
goes to the point nearest to the best prices at which all cuts are below a level between their least value and the best
bound. After a few steps the cuts leave only a small box in which a better point can lie; options that are best nowhere
in it are dropped. Once few are left, a linear program gives the prices to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coinfer.solver.knapsack.cuts import Box, Cuts
from coinfer.solver.knapsack.ragged import Ragged
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.program import FloatArray

LEVEL = 0.35
"""Where the level lies between the least value of the cuts (0) and the best bound (1)."""
STEPS = 8
"""Steps, and as many more for two resources each, before options are dropped."""
ROUNDS = 12
"""How often options are dropped, at most."""
FEW = 3000
"""Options for which the linear program is quick."""
PRECISION = 1e-10
"""Distance to the least bound, relative to the sizes that cancel in it, at which the method ends."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Least:
    """Where the bound is least.

    Attributes
    ----------
    prices
        (resources,).
    bound
        Bound there, as a float sum.
    """

    prices: FloatArray
    bound: float


def least_bound(ragged: Ragged, budget: FloatArray, box: Box, start: FloatArray, watch: Watch) -> Least:
    """Minimise the bound over ``box``, from ``start``; the best point so far where a limit is hit."""
    cuts = Cuts(gradients=np.empty((0, len(budget))))
    best = _touch(cuts, ragged, budget, np.clip(start, box.low, box.high))[0]
    for _ in range(ROUNDS):
        if watch.hit() is not None:
            return best
        if len(ragged.option) <= FEW:
            last = _by_linear_program(ragged, budget, box)
            found = best if last is None else _touch(cuts, ragged, budget, last)[0]
            return found if found.bound < best.bound else best
        best, done = _steps(cuts, ragged, budget, box, best, watch)
        box = cuts.extent(best.bound, box)
        before = len(ragged.option)
        ragged = narrowed(ragged, box)
        if done and len(ragged.option) > max(FEW, before // 2):
            break
    return best


def _touch(cuts: Cuts, ragged: Ragged, budget: FloatArray, point: FloatArray) -> tuple[Least, float]:
    """Add the cut at ``point``; return the bound there and the sum of the magnitudes in it."""
    gains, places = ragged.best(point)
    weights = ragged.copies.astype(np.float64)
    rest = budget - ragged.fixed_cost
    bound = ragged.fixed_value + float(gains @ weights) + float(point @ rest)
    size = abs(ragged.fixed_value) + float(np.abs(gains) @ weights) + float(point @ np.abs(rest))
    cuts.add(point, bound, rest - ragged.cost[:, places] @ weights)
    return Least(prices=point, bound=bound), size


def _steps(cuts: Cuts, ragged: Ragged, budget: FloatArray, box: Box, best: Least, watch: Watch) -> tuple[Least, bool]:
    """Take some steps of the level method; return the best point, and whether it is the least."""
    for _ in range(STEPS * (1 + len(budget) // 2)):
        found = cuts.least(box)
        if found is None or watch.hit() is not None:
            return best, True
        level = found[1] + LEVEL * (best.bound - found[1])
        point = cuts.nearest(best.prices, level, box)
        own, size = _touch(cuts, ragged, budget, found[0] if point is None else point)
        if own.bound < best.bound:
            best = own
        if best.bound - found[1] <= PRECISION * size:
            return best, True
    return best, False


def narrowed(ragged: Ragged, box: Box) -> Ragged:
    """Return the rows and options that can make a difference within ``box``."""
    centre, reach = 0.5 * (box.low + box.high), 0.5 * (box.high - box.low)
    best, places = ragged.best(centre)
    counts = np.diff(ragged.first)
    loss = np.repeat(best, counts) - (ragged.value - centre @ ragged.cost)
    play = np.zeros(len(loss))
    for width, cost in zip(reach.tolist(), ragged.cost, strict=True):
        play += width * np.abs(cost - np.repeat(cost[places], counts))
    stays = loss <= play * (1.0 + 1e-9)
    stays[places] = True
    left = np.add.reduceat(stays, ragged.first[:-1]) if len(ragged.row) else np.zeros(0, dtype=np.int64)
    free = left > 1
    settled = places[~free]
    weights = ragged.copies[~free].astype(np.float64)
    stays &= np.repeat(free, counts)
    return replace(
        ragged,
        row=ragged.row[free],
        copies=ragged.copies[free],
        first=np.concatenate([[0], np.cumsum(left[free])]).astype(np.int64),
        option=ragged.option[stays],
        value=ragged.value[stays],
        cost=ragged.cost[:, stays],
        fixed_value=ragged.fixed_value + float(ragged.value[settled] @ weights),
        fixed_cost=ragged.fixed_cost + ragged.cost[:, settled] @ weights,
    )


def _by_linear_program(ragged: Ragged, budget: FloatArray, box: Box) -> FloatArray | None:
    """Return the prices of the budgets in the linear relaxation, within ``box``; ``None``: not found.

    Prices within a box: more than the budget may be taken at the upper prices, and what is left over earns the lower.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    count, rows, resources = len(ragged.option), len(ragged.row), len(budget)
    weights = ragged.copies[ragged.row_of_option].astype(np.float64)
    gain, taken = ragged.value * weights, ragged.cost * weights
    sizes = np.maximum(np.abs(taken).sum(axis=1) / max(count, 1), 1e-300)
    worth = max(float(np.abs(gain).sum()) / max(count, 1), 1e-300)
    own = np.arange(resources)
    line, column, entry = zip(
        (ragged.row_of_option, np.arange(count), np.ones(count)),
        (rows + np.repeat(own, count), np.tile(np.arange(count), resources), (taken / sizes[:, None]).ravel()),
        (rows + own, count + own, np.ones(resources)),
        (rows + own, count + resources + own, -np.ones(resources)),
        strict=True,
    )
    places = np.concatenate(line), np.concatenate(column)
    matrix: Any = csr_array((np.concatenate(entry), places), shape=(rows + resources, count + 2 * resources))
    costs = np.concatenate([-gain, -box.low * sizes, box.high * sizes]) / worth
    limits = np.concatenate([np.ones(rows), (budget - ragged.fixed_cost) / sizes])
    if not (np.isfinite(costs).all() and np.isfinite(limits).all()):
        return None
    answer: Any = linprog(costs, A_eq=matrix, b_eq=limits, bounds=(0.0, None), method="highs")
    if answer.status != 0:
        return None
    prices: FloatArray = -answer.eqlin.marginals[rows:] * worth / sizes
    return np.clip(prices, box.low, box.high)
