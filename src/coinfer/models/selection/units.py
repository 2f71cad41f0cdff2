"""Routing units: what is routed as one, which expert may answer it, and which expert may be selected at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.models.exact import exact
from coinfer.models.selection.data import NEEDED, SCORED, Expert, SelectionProblem
from coinfer.models.selection.values import values
from coinfer.solver.program import FloatArray


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
    value
        (units, experts): what each expert's answer is worth to the objective; NaN where a figure it needs is absent.
    members
        Indices of the prompts of each unit.
    """

    category: tuple[str, ...]
    weight: FloatArray
    quality: FloatArray
    value: FloatArray
    members: tuple[tuple[int, ...], ...]


def units(problem: SelectionProblem) -> Units:
    """Return what is routed as one.

    With gate ``category`` all prompts of a category, at their weighted mean quality and value. With another gate each
    prompt; prompts of one category with equal rows of quality (and of scores, where the gate follows them) are
    merged, which loses nothing (an exact coreset: equal quality in one category is equal value).
    """
    tables = [] if problem.gate == "category" else [problem.quality.array]
    if problem.gate in SCORED and problem.gate_scores is not None:
        tables.append(problem.gate_scores.array)
    groups: dict[object, list[int]] = {}
    for i, prompt in enumerate(problem.prompts):
        groups.setdefault((prompt.category, *(table[i].tobytes() for table in tables)), []).append(i)
    weights = np.array([prompt.weight for prompt in problem.prompts])
    weights /= weights.max()  # so that no sum overflows
    weight = np.array([weights[members].sum() for members in groups.values()])
    quality, value = (
        # The rows of a group are equal but under gate category: take one, without the rounding of a mean.
        np.array([_means(problem, table, members) for members in groups.values()])
        if problem.gate == "category"
        else table[[members[0] for members in groups.values()]]
        for table in (problem.quality.array, values(problem))
    )
    return Units(
        category=tuple(problem.prompts[members[0]].category for members in groups.values()),
        weight=weight / weight.sum(),
        quality=quality,
        value=value,
        members=tuple(tuple(members) for members in groups.values()),
    )


def _means(problem: SelectionProblem, table: FloatArray, members: list[int]) -> list[float]:
    """Return the weighted mean of each expert's entries, rounded once: sums of floats can cancel to anything."""
    weights = [Fraction(problem.prompts[i].weight) for i in members]
    total = sum(weights, Fraction(0))
    means = []
    for n in range(len(problem.experts)):
        column = table[members, n]
        if np.isnan(column).any():  # a figure that is absent in this category
            means.append(math.nan)
            continue
        parts = (w * Fraction(number) for w, number in zip(weights, column.tolist(), strict=True))
        means.append(float(sum(parts, Fraction(0)) / total))
    return means


def answerable(problem: SelectionProblem, expert: Expert, category: str) -> bool:
    """Return True when ``expert`` may answer ``category``: it was measured there and keeps the promise.

    Under the rule ``selected`` the promise binds the selection, not the route. Where there is no promise, an absent
    latency is fine as long as neither a budget nor the objective needs the figures of this pair.
    """
    budget = next(part.latency_budget_s for part in problem.categories if part.name == category)
    latency = expert.total_latency_s(category)
    if latency is None:
        return budget is None and not _needs_figures(problem, expert, category)
    return problem.latency_rule == "selected" or budget is None or latency <= budget


def _needs_figures(problem: SelectionProblem, expert: Expert, category: str) -> bool:
    """Return True when a limit or the objective needs figures of this pair that are absent."""
    budgets = problem.budgets
    needed = NEEDED[problem.objective]
    no_energy = (budgets.energy_j is not None or needed == "energy_j") and category not in (expert.energy_j or {})
    no_price = (budgets.price_usd is not None or needed == "price_usd") and category not in (expert.price_usd or {})
    device = next(part for part in problem.devices if part.name == expert.device)
    loaded = device.max_utilisation is not None and problem.arrival_rate_per_s is not None
    return no_energy or no_price or loaded


def unselectable(problem: SelectionProblem, expert: Expert) -> str | None:
    """Say why ``expert`` can be in no selection, not even alone; ``None`` when it can.

    Covers what binds the selection and not the route: memory, worst-case energy, and under the rule ``selected`` the
    promises of all categories. The program fixes such experts to 0, which also keeps them out of its bound.
    """
    device = next(part for part in problem.devices if part.name == expert.device)
    if device.memory_bytes is not None and (expert.memory_bytes or 0) > device.memory_bytes:
        return f"{expert.name!r} needs {expert.memory_bytes} bytes of {device.name!r}, which has {device.memory_bytes}"
    worst_case = problem.budgets.worst_case_energy_j
    for name in categories_in_use(problem) if worst_case is not None else ():
        energy = (expert.energy_j or {}).get(name)
        if energy is None:
            return f"the energy of {expert.name!r} in {name!r} is absent, and worst-case energy is limited"
        if worst_case is not None and energy > worst_case:
            return f"{expert.name!r} takes {energy:g} J in {name!r}, over the worst-case energy of {worst_case:g} J"
    return _too_slow(problem, expert) if problem.latency_rule == "selected" else None


def _too_slow(problem: SelectionProblem, expert: Expert) -> str | None:
    """Say which promise a selection of ``expert`` alone would break."""
    for category in problem.categories:
        budget = category.latency_budget_s
        if budget is None:
            continue
        latency = expert.total_latency_s(category.name)
        if latency is None:
            return f"{expert.name!r} was not measured in {category.name!r}, where {budget:g} s are promised"
        alone = float(exact(latency) + exact(problem.aggregation_s_per_expert or 0.0))
        if alone > budget:
            return f"{expert.name!r} takes {alone:g} s in {category.name!r}, where {budget:g} s are promised"
    return None


def categories_in_use(problem: SelectionProblem) -> tuple[str, ...]:
    """Return the categories that have prompts, in the order of the problem."""
    used = {prompt.category for prompt in problem.prompts}
    return tuple(category.name for category in problem.categories if category.name in used)


def quality_scale(problem: SelectionProblem) -> float:
    """Return the largest of quality and floor in absolute value, or 1: what a shortfall is compared with."""
    largest = float(np.abs(problem.quality.array).max(initial=0.0))
    return max(largest, abs(problem.quality_floor or 0.0)) or 1.0
