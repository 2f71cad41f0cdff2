"""The true optimum of a small selection problem, by looking at every selection."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from coinfer.models.exact import exact
from coinfer.models.selection.data import SCORED, Expert, SelectionProblem
from coinfer.models.selection.usage import figure
from coinfer.solver.program import FloatArray


def enumerate_optimum(problem: SelectionProblem) -> float | None:
    """Return the best mean value over all selections; ``None`` when no decision is feasible.

    Works on the problem, not on its program, so that a wrong formulation shows. For every subset of the experts that
    keeps the limits on the selection in exact arithmetic, the routing is a linear program over (category or prompt)
    and expert, or simply the best expert of each where no limit couples them. Under a gate that follows scores it is
    the gate's.
    """
    best = None
    for size in range(1, len(problem.experts) + 1):
        for subset in itertools.combinations(range(len(problem.experts)), size):
            if not _may_be_selected(problem, [problem.experts[n] for n in subset]):
                continue
            routing = _gate_routing if problem.gate in SCORED else _best_routing
            value = routing(problem, subset)
            if value is not None and (best is None or value > best):
                best = value
    return best


def _may_be_selected(problem: SelectionProblem, subset: list[Expert]) -> bool:
    """Check every limit that binds the selection itself."""
    names = {expert.name for expert in subset}
    groups = [expert.group for expert in subset if expert.group is not None]
    budgets = problem.budgets
    if not set(problem.required) <= names or set(problem.forbidden) & names or len(set(groups)) < len(groups):
        return False
    if budgets.experts is not None and len(subset) > budgets.experts:
        return False
    for device in problem.devices:
        held = sum(expert.memory_bytes or 0 for expert in subset if expert.device == device.name)
        if device.memory_bytes is not None and held > device.memory_bytes:
            return False
    if budgets.worst_case_energy_j is not None:
        for name in {prompt.category for prompt in problem.prompts}:
            joules = [figure(expert, "energy_j", name) for expert in subset]
            if None in joules or sum(j or 0 for j in joules) > exact(budgets.worst_case_energy_j):
                return False
    if problem.latency_rule == "selected":
        aggregation = exact(problem.aggregation_s_per_expert or 0.0) * len(subset)
        for category in problem.categories:
            seconds = [figure(expert, "latency_s", category.name, moved=True) for expert in subset]
            if category.latency_budget_s is not None and (
                None in seconds
                or max(s or Fraction(0) for s in seconds) + aggregation > exact(category.latency_budget_s)
            ):
                return False
    return True


def _best_routing(problem: SelectionProblem, subset: tuple[int, ...]) -> float | None:
    """Return the best mean value over ``subset`` by a linear program; ``None`` when no routing is feasible."""
    from scipy.optimize import linprog

    rows = _traffic(problem)
    pairs = [(r, n) for r, row in enumerate(rows) for n in subset if _may_answer(problem, n, row.category)]
    if {r for r, _ in pairs} != set(range(len(rows))):
        return None
    gain = np.array([rows[r].share * rows[r].value[n] for r, n in pairs])
    limits, sides = _coupling(problem, subset, rows, pairs)
    if not limits:
        best: dict[int, float] = {}
        for (r, _), amount in zip(pairs, gain.tolist(), strict=True):
            best[r] = max(amount, best.get(r, -np.inf))
        return sum(best.values())
    once = np.array([[float(r == row) for r, _ in pairs] for row in range(len(rows))])
    answer = linprog(-gain, np.array(limits), np.array(sides), once, np.ones(len(rows)), bounds=(0.0, 1.0))
    return float(gain @ answer.x) if answer.status == 0 else None


def _gate_routing(problem: SelectionProblem, subset: tuple[int, ...]) -> float | None:
    """Return the mean value that the scores of the gate give ``subset``; ``None`` when that breaks a limit."""
    rows = _traffic(problem)
    pairs: list[tuple[int, int]] = []
    shares: list[float] = []
    for r, row in enumerate(rows):
        able = [n for n in subset if _may_answer(problem, n, row.category)]
        if problem.gate_scores is None or not able:
            return None
        scores = problem.gate_scores.array[r].tolist()
        if problem.gate == "top_1":
            able = [max(able, key=lambda n: (scores[n], -n))]
        power = [math.exp(scores[n] - max(scores)) for n in able]
        pairs += [(r, n) for n in able]
        shares += [part / math.fsum(power) for part in power]
    limits, sides = _coupling(problem, subset, rows, pairs)
    for limit, side in zip(limits, sides, strict=True):
        if math.fsum(np.array(limit) * shares) > side + 1e-9 * max(1.0, abs(side)):
            return None
    return math.fsum(rows[r].share * rows[r].value[n] * part for (r, n), part in zip(pairs, shares, strict=True))


class _Row(NamedTuple):
    """What is routed as one: category, share of the traffic, quality and value by expert."""

    category: str
    share: float
    quality: FloatArray
    value: FloatArray


def _traffic(problem: SelectionProblem) -> list[_Row]:
    """Return a row of each prompt, or of each category under that gate."""
    total = sum(prompt.weight for prompt in problem.prompts)
    rows = [
        _Row(
            prompt.category,
            prompt.weight / total,
            problem.quality.array[i],
            np.array([_value(problem, i, n) for n in range(len(problem.experts))]),
        )
        for i, prompt in enumerate(problem.prompts)
    ]
    if problem.gate != "category":
        return rows
    merged = []
    for name in {prompt.category for prompt in problem.prompts}:
        members = [row for row in rows if row.category == name]
        share = sum(row.share for row in members)
        quality, value = (
            np.array([row.share * table for row, table in zip(members, tables, strict=True)]).sum(axis=0) / share
            for tables in ([row.quality for row in members], [row.value for row in members])
        )
        merged.append(_Row(name, share, quality, value))
    return merged


def _value(problem: SelectionProblem, i: int, n: int) -> float:
    """Return what an answer is worth, in plain floats; NaN where its figure is absent."""
    quality, category, expert = float(problem.quality.array[i, n]), problem.prompts[i].category, problem.experts[n]
    if problem.objective == "energy_j":
        return -(expert.energy_j or {}).get(category, math.nan)
    if problem.cost_of_pass is None:
        return quality
    record = problem.cost_of_pass
    runs = record.prior_successes + record.prior_failures + record.trials
    passed = record.prior_successes + record.trials * quality
    price, fallback = (expert.price_usd or {}).get(category, math.nan), record.fallback_price_usd[category]
    return -min(price * runs / passed, fallback) if passed > 0.0 else -fallback


def _may_answer(problem: SelectionProblem, n: int, category: str) -> bool:
    """Check promise and figures of one pair."""
    expert = problem.experts[n]
    promise = next(part.latency_budget_s for part in problem.categories if part.name == category)
    seconds = figure(expert, "latency_s", category, moved=True)
    device = next(part for part in problem.devices if part.name == expert.device)
    objective = {"quality": None, "cost_of_pass": "price_usd", "energy_j": "energy_j"}[problem.objective]
    if objective is not None and figure(expert, objective, category) is None:
        return False
    if seconds is None:
        loaded = device.max_utilisation is not None and problem.arrival_rate_per_s is not None
        needed = (("energy_j", problem.budgets.energy_j), ("price_usd", problem.budgets.price_usd))
        known = all(limit is None or figure(expert, field, category) is not None for field, limit in needed)
        return promise is None and known and not loaded
    return promise is None or problem.latency_rule == "selected" or seconds <= exact(promise)


def _coupling(
    problem: SelectionProblem,
    subset: tuple[int, ...],
    rows: list[_Row],
    pairs: list[tuple[int, int]],
) -> tuple[list[list[float]], list[float]]:
    """Return the limits on sums over the traffic: energy after idle power, money, utilisation, and the floor."""
    experts, budgets, rate = problem.experts, problem.budgets, problem.arrival_rate_per_s

    def per_pair(field: str) -> list[float]:
        tables: list[dict[str, float]] = [getattr(expert, field) or {} for expert in experts]
        return [rows[r].share * tables[n].get(rows[r].category, 0.0) for r, n in pairs]

    limits, sides = [], []
    if budgets.energy_j is not None:
        on = {experts[n].device for n in subset}
        watts = sum(device.idle_power_w or 0.0 for device in problem.devices if device.name in on)
        limits.append(per_pair("energy_j"))
        sides.append(budgets.energy_j - (watts / rate if rate is not None else 0.0))
    if budgets.price_usd is not None:
        limits.append(per_pair("price_usd"))
        sides.append(budgets.price_usd)
    if problem.quality_floor is not None:
        limits.append([-rows[r].share * float(rows[r].quality[n]) for r, n in pairs])
        sides.append(-problem.quality_floor)
    for device in problem.devices:
        if device.max_utilisation is not None and rate is not None:
            seconds = per_pair("latency_s")
            limits.append(
                [s * float(experts[n].device == device.name) for s, (_, n) in zip(seconds, pairs, strict=True)]
            )
            sides.append(device.max_utilisation / rate)
    return limits, sides
