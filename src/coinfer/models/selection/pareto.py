"""Non-dominated points, and the budgets to sweep for them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from coinfer.models.selection.data import Category, Expert, SelectionProblem
from coinfer.models.selection.explain import least_mean
from coinfer.models.selection.units import answerable, categories_in_use, units, unselectable

_SAFE = 1.0 + 1e-9  # keeps the cheapest routing inside the smallest budget, whatever the rounding of its sum


def non_dominated(points: Sequence[tuple[float, float, float]]) -> list[int]:
    """Return the indices of points that no other point beats; of equal points, all.

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
    no_worse = (table[:, None] <= table).all(axis=2)  # (points, points): the first is as good as the second
    beaten = (no_worse & ~no_worse.T).any(axis=0)
    return np.flatnonzero(~beaten).tolist()


def sweep_problems(problem: SelectionProblem, *, points: int) -> list[SelectionProblem]:
    """Return variants of ``problem`` over a grid of energy budgets and latency promises (epsilon constraints).

    Energy budgets run from the least that any routing needs to what the most expensive one takes, whatever the
    problem's own. Latency promises only tighten: in every category they run from its fastest expert up to the
    slowest that keeps the problem's own promise, all categories in step. Some variants may be infeasible.

    Parameters
    ----------
    problem
        Its gate, rule, memory and other limits are kept.
    points
        About how many variants; at least 1.

    References
    ----------
    Y. Haimes, L. Lasdon and D. Wismer, "On a bicriterion formulation of the problems of integrated system
    identification and system optimization", IEEE Trans. Systems, Man, and Cybernetics 1 (1971): epsilon constraints.
    """
    menu = [part for part in problem.experts if part.name not in problem.forbidden and not unselectable(problem, part)]
    energies = _energy_range(problem, menu)
    latencies = _latencies(problem, menu)
    steps = max((len(row) for row in latencies.values()), default=1)
    side = min(steps, max(1, round(points**0.5)) if energies else points)
    positions = np.linspace(0.0, 1.0, num=side) if side > 1 else np.ones(1)
    promises = list(dict.fromkeys(_promises(problem, latencies, float(position)) for position in positions))
    count = max(1, round(points / len(promises)))
    budgets = np.linspace(*energies, num=count).tolist() if energies and count > 1 else [energies and energies[1]]
    variants = []
    for categories in promises:
        for budget in dict.fromkeys(budgets):
            limits = problem.budgets if budget is None else msgspec.structs.replace(problem.budgets, energy_j=budget)
            variants.append(msgspec.structs.replace(problem, categories=categories, budgets=limits))
    return variants


def _latencies(problem: SelectionProblem, menu: list[Expert]) -> dict[str, list[float]]:
    """Return, by category in use, the rising latencies of the experts that may answer it."""
    found = {}
    # An ensemble of all waits for the aggregation of all: the range reaches from one expert to that.
    step = problem.aggregation_s_per_expert or 0.0
    for name in categories_in_use(problem):
        known = [part.total_latency_s(name) for part in menu if answerable(problem, part, name)]
        timed = sorted({latency for latency in known if latency is not None})
        if timed:
            found[name] = sorted({*(latency + step for latency in timed), timed[-1] + step * len(menu)})
    return found


def _promises(problem: SelectionProblem, latencies: dict[str, list[float]], position: float) -> tuple[Category, ...]:
    """Return the categories with the promises that stand at ``position``, 0 (fastest) to 1, of their ranges."""
    categories = []
    for category in problem.categories:
        row, own = latencies.get(category.name), category.latency_budget_s
        if row is not None:
            limit = row[round(position * (len(row) - 1))] * _SAFE
            own = limit if own is None else min(own, limit)
        categories.append(msgspec.structs.replace(category, latency_budget_s=own))
    return tuple(categories)


def _energy_range(problem: SelectionProblem, menu: list[Expert]) -> tuple[float, float] | None:
    """Return least and most mean energy per request of any routing; ``None`` where a figure is absent."""
    low = least_mean(problem, menu, "energy_j")
    known = all(part.energy_j and part.energy_j.keys() >= part.latency_s.keys() for part in problem.experts)
    if low is None or not known:
        return None
    parts = units(problem)
    high = 0.0
    for category, weight in zip(parts.category, parts.weight.tolist(), strict=True):
        able = [part for part in menu if answerable(problem, part, category)]
        high += weight * max((part.energy_j or {}).get(category, 0.0) for part in able)
    idle = sum(device.idle_power_w or 0.0 for device in problem.devices) / (problem.arrival_rate_per_s or np.inf)
    return low * _SAFE, (high + idle) * _SAFE
