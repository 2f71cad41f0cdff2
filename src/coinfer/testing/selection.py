"""Hypothesis strategies of selection problems, and their true optimum by enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal, TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinfer.models.exact import exact
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.models.selection.usage import figure
from coinfer.records import Matrix

# Coarse grids: ties, budgets that are met exactly and infeasible problems then come up by themselves.
_LATENCIES = st.sampled_from([0.1, 0.2, 0.3, 0.5, 1.0])
_ENERGIES = st.sampled_from([0.0, 1.0, 1.5, 2.0, 5.0])
_T = TypeVar("_T")
_PRICES = st.sampled_from([0.0, 0.01, 0.02, 0.1])
_QUALITIES = st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.9, 1.0])


@st.composite
def selection_problems(
    draw: st.DrawFn,
    *,
    max_experts: int = 5,
    max_prompts: int = 6,
    max_devices: int = 3,
    max_categories: int = 3,
) -> SelectionProblem:
    """Draw a selection problem with any of its options, feasible or not.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    max_experts, max_prompts, max_devices, max_categories
        Largest sizes, at least 1 each. :func:`enumerate_optimum` looks at 2 to the power of the experts.
    """
    devices = tuple(
        Device(
            name=f"d{i}",
            memory_bytes=draw(_sometimes(st.integers(0, 12))),
            idle_power_w=draw(_sometimes(st.sampled_from([0.0, 0.1, 0.3, 1.0]))),
            max_utilisation=draw(_sometimes(st.sampled_from([0.1, 0.3, 1.0]))),
        )
        for i in range(draw(st.integers(1, max_devices)))
    )
    rule: Literal["routed", "selected"] = draw(st.sampled_from(["routed", "selected"]))
    categories = tuple(
        Category(name=f"c{i}", latency_budget_s=draw(_sometimes(_LATENCIES)))
        for i in range(draw(st.integers(1, max_categories)))
    )
    budgets = draw(_budgets())
    names = [category.name for category in categories]
    limits = {device.name: device.memory_bytes for device in devices}
    experts = tuple(draw(_experts(f"e{n}", names, limits, budgets)) for n in range(draw(st.integers(1, max_experts))))
    prompts = tuple(
        Prompt(name=f"p{i}", category=draw(st.sampled_from(names)), weight=draw(st.sampled_from([0.5, 1.0, 3.0])))
        for i in range(draw(st.integers(1, max_prompts)))
    )
    row = st.lists(_QUALITIES, min_size=len(experts), max_size=len(experts))
    marks = draw(st.lists(st.sampled_from([*[""] * 8, "required", "forbidden"]), max_size=len(experts)))
    return SelectionProblem(
        name="drawn",
        devices=devices,
        categories=categories,
        experts=experts,
        prompts=prompts,
        quality=Matrix([draw(row) for _ in prompts]),
        budgets=budgets,
        gate=draw(st.sampled_from(["oracle", "category"])),
        latency_rule=rule,
        aggregation_s_per_expert=draw(st.sampled_from([None, 0.0, 0.1])) if rule == "selected" else None,
        arrival_rate_per_s=draw(st.sampled_from([None, 0.5, 1.0])),
        required=tuple(f"e{n}" for n, mark in enumerate(marks) if mark == "required"),
        forbidden=tuple(f"e{n}" for n, mark in enumerate(marks) if mark == "forbidden"),
    )


def _sometimes(numbers: st.SearchStrategy[_T]) -> st.SearchStrategy[_T | None]:
    """Draw a number in a quarter of the cases: with every limit at once, nothing would be feasible."""
    return st.integers(0, 3).flatmap(lambda die: numbers if die == 3 else st.none())


def _budgets() -> st.SearchStrategy[Budgets]:
    return st.builds(
        Budgets,
        energy_j=_sometimes(st.sampled_from([0.0, 1.2, 1.7, 2.0, 4.0])),
        worst_case_energy_j=_sometimes(st.sampled_from([0.0, 3.0, 7.0])),
        price_usd=_sometimes(st.sampled_from([0.0, 0.012, 0.015, 0.05])),
        experts=_sometimes(st.integers(1, 3)),
    )


@st.composite
def _experts(
    draw: st.DrawFn, name: str, categories: list[str], memory: dict[str, int | None], budgets: Budgets
) -> Expert:
    """Draw an expert whose figures may be absent wherever no limit needs them."""
    device = draw(st.sampled_from(sorted(memory)))
    absent = draw(_sometimes(st.sampled_from(categories)))
    measured = [category for category in categories if category != absent]
    size: st.SearchStrategy[int | None] = st.integers(0, 6)

    def table(numbers: st.SearchStrategy[float], *, needed: bool) -> dict[str, float] | None:
        if not needed and bool(draw(st.booleans())):
            return None
        everywhere = bool(draw(st.booleans())) or not measured
        return {category: draw(numbers) for category in (categories if everywhere else measured)}

    energy = table(_ENERGIES, needed=budgets.energy_j is not None or budgets.worst_case_energy_j is not None)
    return Expert(
        name=name,
        device=device,
        latency_s={category: draw(_LATENCIES) for category in measured},
        memory_bytes=draw(size if memory[device] is not None else st.one_of(st.none(), size)),
        transmission_s=draw(st.sampled_from([None, None, 0.0, 0.2])),
        energy_j=energy,
        energy_basis=None if energy is None else "declared",
        price_usd=table(_PRICES, needed=budgets.price_usd is not None),
        group=draw(st.sampled_from([None, None, "g"])),
    )


def enumerate_optimum(problem: SelectionProblem) -> float | None:
    """Return the best mean quality over all selections; ``None`` when no decision is feasible.

    Works on the problem, not on its program, so that a wrong formulation shows. For every subset of the experts that
    keeps the limits on the selection in exact arithmetic, the routing is a linear program over (category or prompt)
    and expert, or simply the best expert of each where no limit couples them.
    """
    best = None
    for size in range(1, len(problem.experts) + 1):
        for subset in itertools.combinations(range(len(problem.experts)), size):
            if not _may_be_selected(problem, [problem.experts[n] for n in subset]):
                continue
            value = _best_routing(problem, subset)
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
    """Return the best mean quality over ``subset`` by a linear program; ``None`` when no routing is feasible."""
    from scipy.optimize import linprog

    rows = list(_traffic(problem))
    pairs = [(r, n) for r, (category, _, _) in enumerate(rows) for n in subset if _may_answer(problem, n, category)]
    if {r for r, _ in pairs} != set(range(len(rows))):
        return None
    weight = np.array([rows[r][1] for r, _ in pairs])
    gain = np.array([rows[r][2][n] for r, n in pairs]) * weight
    limits, sides = _coupling(problem, subset, rows, pairs)
    if not limits:
        best: dict[int, float] = {}
        for (r, _), amount in zip(pairs, gain.tolist(), strict=True):
            best[r] = max(amount, best.get(r, amount))
        return sum(best.values())
    once = np.array([[float(r == row) for r, _ in pairs] for row in range(len(rows))])
    answer = linprog(-gain, np.array(limits), np.array(sides), once, np.ones(len(rows)), bounds=(0.0, 1.0))
    return float(gain @ answer.x) if answer.status == 0 else None


def _traffic(problem: SelectionProblem) -> Iterator[tuple[str, float, NDArray[np.float64]]]:
    """Yield (category, share, quality by expert) of each prompt, or of each category under that gate."""
    total = sum(prompt.weight for prompt in problem.prompts)
    if problem.gate == "oracle":
        for i, prompt in enumerate(problem.prompts):
            yield prompt.category, prompt.weight / total, problem.quality.array[i]
        return
    for name in {prompt.category for prompt in problem.prompts}:
        members = [i for i, prompt in enumerate(problem.prompts) if prompt.category == name]
        share = sum(problem.prompts[i].weight for i in members)
        mean = sum(problem.prompts[i].weight * problem.quality.array[i] for i in members) / share
        yield name, share / total, np.asarray(mean)


def _may_answer(problem: SelectionProblem, n: int, category: str) -> bool:
    """Check promise and figures of one pair."""
    expert = problem.experts[n]
    promise = next(part.latency_budget_s for part in problem.categories if part.name == category)
    seconds = figure(expert, "latency_s", category, moved=True)
    device = next(part for part in problem.devices if part.name == expert.device)
    if seconds is None:
        loaded = device.max_utilisation is not None and problem.arrival_rate_per_s is not None
        needed = (("energy_j", problem.budgets.energy_j), ("price_usd", problem.budgets.price_usd))
        known = all(limit is None or figure(expert, field, category) is not None for field, limit in needed)
        return promise is None and known and not loaded
    return promise is None or problem.latency_rule == "selected" or seconds <= exact(promise)


def _coupling(
    problem: SelectionProblem,
    subset: tuple[int, ...],
    rows: list[tuple[str, float, NDArray[np.float64]]],
    pairs: list[tuple[int, int]],
) -> tuple[list[list[float]], list[float]]:
    """Return the limits on sums over the traffic: mean energy after idle power, money, and utilisation."""
    experts, budgets, rate = problem.experts, problem.budgets, problem.arrival_rate_per_s

    def per_pair(field: str) -> list[float]:
        tables: list[dict[str, float]] = [getattr(expert, field) or {} for expert in experts]
        return [rows[r][1] * tables[n].get(rows[r][0], 0.0) for r, n in pairs]

    limits, sides = [], []
    if budgets.energy_j is not None:
        on = {experts[n].device for n in subset}
        watts = sum(device.idle_power_w or 0.0 for device in problem.devices if device.name in on)
        limits.append(per_pair("energy_j"))
        sides.append(budgets.energy_j - (watts / rate if rate is not None else 0.0))
    if budgets.price_usd is not None:
        limits.append(per_pair("price_usd"))
        sides.append(budgets.price_usd)
    for device in problem.devices:
        if device.max_utilisation is not None and rate is not None:
            seconds = per_pair("latency_s")
            limits.append(
                [s * float(experts[n].device == device.name) for s, (_, n) in zip(seconds, pairs, strict=True)]
            )
            sides.append(device.max_utilisation / rate)
    return limits, sides
