"""Value against spend: what more or less of a budget would bring, with prompts told apart and without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.formulate import charged, menu_block
from coinfer.solver.program import FloatArray

MOST_STRATA = 20_000
"""Strata that are looked at; of more, runs of :data:`RUN` at even distances."""
RUN = 500
POINTS = 48


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frontier:
    """Points of two curves, each per prompt and in rising order of spend.

    Attributes
    ----------
    resource
        Of the spend.
    spend, value
        (points,): with prompts told apart, at prices from high to low; information included.
    alike_spend, alike_value
        (corners,): the hull of the options that every stratum has, one option or a mixture of two for all prompts.
    alike_options
        Names of the options at the corners.
    sampled
        Strata that were looked at, where not all.
    """

    resource: str
    spend: FloatArray
    value: FloatArray
    alike_spend: FloatArray
    alike_value: FloatArray
    alike_options: tuple[str, ...]
    sampled: int | None


def frontier(problem: BudgetProblem, *, points: int = POINTS) -> Frontier | None:
    """Return the frontier of value against the first budget's resource, other limits aside.

    ``None`` where the objective is no value, no resource is limited, or no option is in every stratum.
    """
    if problem.objective == "cost_of_pass" or not problem.resources:
        return None
    resource = problem.budgets[0].resource if problem.budgets else problem.minimise or problem.resources[0]
    partly = problem.rows > MOST_STRATA
    starts = np.linspace(0, problem.rows - RUN, MOST_STRATA // RUN).astype(int).tolist() if partly else [0]
    blocks = [menu_block(problem, start, start + RUN if partly else problem.rows) for start in starts]
    index = problem.resources.index(resource)
    present = np.concatenate([block.present for block in blocks])
    value = np.where(present, np.concatenate([block.value for block in blocks]), -np.inf)
    cost = np.where(present, np.concatenate([block.cost[index] for block in blocks]), np.inf)
    weight = np.concatenate([block.copies for block in blocks]).astype(np.float64)
    weight /= weight.sum()
    common: NDArray[np.bool_] = np.atleast_1d(present.all(axis=0))
    if not common.any():
        return None
    alike = _hull(weight @ cost[:, common], weight @ value[:, common])
    names = [option.name for option, there in zip(problem.options, common, strict=True) if there]
    spends, values = _swept(value, cost, weight, points)
    return Frontier(
        resource=resource,
        spend=spends + charged(problem, resource) / problem.prompts,
        value=values,
        alike_spend=(weight @ cost[:, common])[alike],
        alike_value=(weight @ value[:, common])[alike],
        alike_options=tuple(names[i] for i in alike),
        sampled=len(value) if partly else None,
    )


def _swept(value: FloatArray, cost: FloatArray, weight: FloatArray, points: int) -> tuple[FloatArray, FloatArray]:
    """Return mean cost and mean value of the best choice at each of some prices, from high to low."""
    cheapest = np.where(np.isfinite(cost), cost, np.inf).argmin(axis=1)
    row = np.arange(len(value))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        slopes = (value - value[row, cheapest][:, None]) / (cost - cost[row, cheapest][:, None])
    slopes = slopes[np.isfinite(slopes) & (slopes > 0.0)]
    prices = np.array([0.0])
    if len(slopes):
        prices = np.unique([*np.quantile(slopes, np.linspace(0.0, 1.0, points - 2)), slopes.max() * 1.01, 0.0])
    spends, values = [], []
    for price in prices[::-1]:
        with np.errstate(invalid="ignore"):
            worth = np.where(np.isfinite(cost), value - price * cost, -np.inf)
        ties = worth >= worth.max(axis=1, keepdims=True) - 1e-15
        chosen = np.where(ties, cost, np.inf).argmin(axis=1)
        spends.append(weight @ cost[row, chosen])
        values.append(weight @ value[row, chosen])
    return np.array(spends), np.array(values)


def _hull(cost: FloatArray, value: FloatArray) -> list[int]:
    """Return the corners of the upper left hull, cheapest first."""
    corners: list[int] = []
    for i in np.lexsort((-value, cost)):
        if corners and value[i] <= value[corners[-1]]:
            continue
        while len(corners) > 1:
            a, b = corners[-2], corners[-1]
            if (value[b] - value[a]) * (cost[i] - cost[a]) > (value[i] - value[a]) * (cost[b] - cost[a]):
                break
            corners.pop()
        corners.append(int(i))
    return corners
