"""Non-dominated points, and the budgets to sweep for them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.units import answerable, categories_in_use, units


def non_dominated(points: Sequence[tuple[float, float, float]]) -> list[int]:
    """Return the indices of points that no other point beats.

    Parameters
    ----------
    points
        (quality, latency, energy) each: more quality, less of the others is better. A point is beaten when another
        is at least as good in all three and better in one.

    Examples
    --------
    >>> non_dominated([(0.9, 2.0, 5.0), (0.9, 2.0, 6.0), (0.5, 1.0, 1.0)])
    [0, 2]
    """
    table = np.array(points, dtype=np.float64).reshape(-1, 3) * [-1.0, 1.0, 1.0]
    kept = []
    for i, point in enumerate(table):
        no_worse = (table <= point).all(axis=1)
        better = (table < point).any(axis=1)
        if not (no_worse & better).any():
            kept.append(i)
    return kept


def sweep_problems(problem: SelectionProblem, *, points: int) -> list[SelectionProblem]:
    """Return variants of ``problem`` over a grid of energy budgets and latency promises (epsilon constraints).

    Energy budgets run from the least any routing needs to what the most expensive one takes; one promise for all
    categories runs over the latencies the experts have. The problem's own promises stay: the grid only tightens them.

    Parameters
    ----------
    points
        About how many variants; at least 1.
    """
    energies = _energy_range(problem)
    side = max(1, round(points**0.5)) if energies else points
    budgets = np.linspace(*energies, num=max(2, round(points / side))).tolist() if energies else [None]
    latencies = sorted(
        {
            latency
            for expert in problem.experts
            for category in categories_in_use(problem)
            if (latency := expert.total_latency_s(category)) is not None
        }
    )
    picked = sorted(
        {latencies[i] for i in np.linspace(0, len(latencies) - 1, num=side).round().astype(int)} if latencies else set()
    )
    variants = []
    for limit in picked or [None]:
        categories = tuple(
            msgspec.structs.replace(category, latency_budget_s=_tighter(category.latency_budget_s, limit))
            for category in problem.categories
        )
        for budget in budgets:
            changed = problem.budgets
            if budget is not None:
                changed = msgspec.structs.replace(changed, energy_j=budget)
            variants.append(msgspec.structs.replace(problem, categories=categories, budgets=changed))
    return variants


def _tighter(budget: float | None, limit: float | None) -> float | None:
    known = [number for number in (budget, limit) if number is not None]
    return min(known) if known else None


def _energy_range(problem: SelectionProblem) -> tuple[float, float] | None:
    """Return least and most mean energy per request of any routing; ``None`` where a figure is absent."""
    if not all(
        expert.energy_j is not None and expert.energy_j.keys() >= expert.latency_s.keys() for expert in problem.experts
    ):
        return None
    parts = units(problem)
    low = high = 0.0
    for category, weight in zip(parts.category, parts.weight.tolist(), strict=True):
        figures = [
            (expert.energy_j or {}).get(category) for expert in problem.experts if answerable(problem, expert, category)
        ]
        known = [figure for figure in figures if figure is not None]
        if not known:
            return None
        low += weight * min(known)
        high += weight * max(known)
    idle = sum(device.idle_power_w or 0.0 for device in problem.devices) / (problem.arrival_rate_per_s or np.inf)
    return low, high + idle
