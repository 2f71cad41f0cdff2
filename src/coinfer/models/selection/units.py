"""Routing units: what is routed as one, and which expert may answer it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.models.selection.data import Expert, SelectionProblem


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """Rows of the routing decision.

    Attributes
    ----------
    category
        Name of each unit's category, (units,).
    weight
        Share of the traffic, (units,), summing to 1.
    quality
        (units, experts): quality of each expert's answer.
    members
        Indices of the prompts of each unit.
    """

    category: tuple[str, ...]
    weight: NDArray[np.float64]
    quality: NDArray[np.float64]
    members: tuple[tuple[int, ...], ...]


def units(problem: SelectionProblem) -> Units:
    """Return what is routed as one.

    With gate ``category`` all prompts of a category, at their weighted mean quality. With gate ``oracle`` each prompt;
    prompts of one category with equal quality rows are merged, which loses nothing (an exact coreset).
    """
    groups: dict[object, list[int]] = {}
    for i, prompt in enumerate(problem.prompts):
        row = () if problem.gate == "category" else problem.quality.array[i].tobytes()
        groups.setdefault((prompt.category, row), []).append(i)
    weights = np.array([prompt.weight for prompt in problem.prompts])
    weight = np.array([weights[members].sum() for members in groups.values()])
    quality = np.stack(
        [np.average(problem.quality.array[members], axis=0, weights=weights[members]) for members in groups.values()]
    )
    if problem.gate == "oracle":  # the rows of a group are equal: take one, without the rounding of a mean
        quality = problem.quality.array[[members[0] for members in groups.values()]]
    return Units(
        category=tuple(problem.prompts[members[0]].category for members in groups.values()),
        weight=weight / weight.sum(),
        quality=quality,
        members=tuple(tuple(members) for members in groups.values()),
    )


def answerable(problem: SelectionProblem, expert: Expert, category: str) -> bool:
    """Return True when ``expert`` may answer ``category``: it was measured there and keeps the promise.

    Under the rule ``selected`` the promise binds the selection, not the route, so only a category with a promise
    asks for a measurement.
    """
    budget = next(part.latency_budget_s for part in problem.categories if part.name == category)
    latency = expert.total_latency_s(category)
    if latency is None:
        return budget is None and not _needs_figures(problem, expert, category)
    return problem.latency_rule == "selected" or budget is None or latency <= budget


def _needs_figures(problem: SelectionProblem, expert: Expert, category: str) -> bool:
    """Return True when a budget needs figures of this pair that are absent."""
    budgets = problem.budgets
    needs_energy = budgets.energy_j is not None or budgets.worst_case_energy_j is not None
    no_energy = category not in (expert.energy_j or {})
    no_price = category not in (expert.price_usd or {})
    device = next(part for part in problem.devices if part.name == expert.device)
    loaded = device.max_utilisation is not None and problem.arrival_rate_per_s is not None
    return (needs_energy and no_energy) or (budgets.price_usd is not None and no_price) or loaded


def categories_in_use(problem: SelectionProblem) -> tuple[str, ...]:
    """Return the categories that have prompts, in the order of the problem."""
    used = {prompt.category for prompt in problem.prompts}
    return tuple(category.name for category in problem.categories if category.name in used)
