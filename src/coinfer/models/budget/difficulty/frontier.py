"""The plan at every budget at once: all steps of all hulls in the order of their slopes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coinfer.solver.knapsack.hull import walk
from coinfer.solver.program import FloatArray

_TIED = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frontier:
    """Value against spend as the budget grows; straight between its points, where a part of the prompts has changed.

    Attributes
    ----------
    spend, value
        (points,): means over the prompts; spend rises.
    """

    spend: FloatArray
    value: FloatArray

    def at(self, spend: FloatArray) -> FloatArray:
        """Return the value at each spend; beyond the last point it stays, before the first it is the first's."""
        values: FloatArray = np.interp(spend, self.spend, self.value)
        return values


def frontier(
    value: FloatArray,
    cost: FloatArray,
    prompts: FloatArray,
    *,
    true_value: FloatArray | None = None,
    true_cost: FloatArray | None = None,
) -> Frontier:
    """Return what the best plan (of the linear relaxation) is worth at every budget of one resource.

    Strata of equal slope move together, so that strata that the plan cannot tell apart are served alike.

    Parameters
    ----------
    value, cost
        (strata, options): what the plan is made by.
    prompts
        (strata,): in each; 0 leaves a stratum out.
    true_value, true_cost
        (strata, options): what it is scored by; absent: as planned.
    """
    here = np.flatnonzero(prompts > 0)
    value, cost, weight = value[here], cost[here], prompts[here] / prompts.sum()
    gains = value if true_value is None else true_value[here]
    takes = cost if true_cost is None else true_cost[here]
    line = np.arange(len(here))
    start = np.lexsort((-value, cost), axis=1)[:, 0]
    end = np.lexsort((cost, -value), axis=1)[:, 0]
    up = np.flatnonzero(value[line, end] > value[line, start])  # the others have nothing to climb
    steps = walk(value[up], cost[up], up, start[up], end[up])
    order = np.lexsort((-steps.slope,))
    row, left, taken = steps.row[order], steps.start[order], steps.end[order]
    slope = steps.slope[order]
    gain = np.cumsum(weight[row] * (gains[row, taken] - gains[row, left]))
    spent = np.cumsum(weight[row] * (takes[row, taken] - takes[row, left]))
    last = np.append(slope[1:] < slope[:-1] * (1.0 - _TIED), True)[: len(slope)]
    first_value, first_spend = float(weight @ gains[line, start]), float(weight @ takes[line, start])
    return Frontier(
        spend=np.append(first_spend, first_spend + spent[last]),
        value=np.append(first_value, first_value + gain[last]),
    )


def budget_ratio(budgets: FloatArray, plan: FloatArray, base: FloatArray, budget: float) -> float:
    """Return how many times the budget the base needs for the value that the plan has at ``budget``.

    Where measured values of the base are flat or dip, the spend nearest to ``budget`` counts, so that a plan compared
    with itself gives 1. ``inf`` where the base never gets there.

    Parameters
    ----------
    budgets, plan, base
        (points,): values of both on one rising grid of budgets that holds ``budget``.
    budget
        Where to compare.
    """
    target, own = float(np.interp(budget, budgets, plan)), float(np.interp(budget, budgets, base))
    if target >= own:
        after = budgets > budget
        return _reach(np.append(budget, budgets[after]), np.append(own, base[after]), target) / budget
    before = budgets < budget
    fallen = _reach(np.append(-budget, -budgets[before][::-1]), np.append(-own, -base[before][::-1]), -target)
    return max(0.0, -fallen / budget)


def _reach(grid: FloatArray, values: FloatArray, target: float) -> float:
    """Return the first place where the values, straight between grid points, reach the target; ``inf`` if nowhere."""
    reached = np.flatnonzero(values >= target)
    if not len(reached):
        return math.inf
    at = int(reached[0])
    if at == 0:
        return float(grid[0])
    share = (target - values[at - 1]) / (values[at] - values[at - 1])
    return float(grid[at - 1] + share * (grid[at] - grid[at - 1]))
