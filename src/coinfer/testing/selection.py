"""Hypothesis strategies for selection problems, and their optimum by brute force on the problem itself."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from coinfer.models.selection.data import (
    Budgets,
    Category,
    Device,
    Expert,
    Prompt,
    SelectionProblem,
)
from coinfer.models.selection.units import answerable
from coinfer.records import Matrix

FEW = st.integers(1, 40).map(lambda tenths: tenths / 10)


@st.composite
def selection_problems(draw: st.DrawFn, *, max_experts: int = 4, max_prompts: int = 5) -> SelectionProblem:
    """Draw a selection problem that uses every kind of limit at times; many are infeasible, many have ties.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    max_experts, max_prompts
        Most experts and prompts, at least 1 each.
    """
    categories = tuple(
        Category(name=f"c{k}", latency_budget_s=draw(st.none() | FEW)) for k in range(draw(st.integers(1, 3)))
    )
    devices = tuple(
        Device(
            name=f"d{i}",
            memory_bytes=draw(st.none() | st.integers(0, 12)),
            idle_power_w=draw(st.none() | FEW),
            max_utilisation=draw(st.none() | st.sampled_from([0.2, 0.5, 1.0])),
        )
        for i in range(draw(st.integers(1, 2)))
    )
    with_energy, with_price = draw(st.booleans()), draw(st.booleans())
    names = [category.name for category in categories]
    experts = tuple(
        draw(experts_of(f"e{n}", devices, names, with_energy=with_energy, with_price=with_price))
        for n in range(draw(st.integers(1, max_experts)))
    )
    prompts = tuple(
        Prompt(name=f"p{i}", category=draw(st.sampled_from(names)), weight=draw(st.sampled_from([0.5, 1.0, 3.0])))
        for i in range(draw(st.integers(1, max_prompts)))
    )
    quality = [[draw(st.integers(0, 4)) / 4 for _ in experts] for _ in prompts]
    rule: Literal["routed", "selected"] = "routed" if draw(st.booleans()) else "selected"
    order = draw(st.permutations([expert.name for expert in experts]))
    fixed = draw(st.integers(0, 1))
    return SelectionProblem(
        name="drawn",
        devices=devices,
        categories=categories,
        experts=experts,
        prompts=prompts,
        quality=Matrix(quality),
        budgets=Budgets(
            energy_j=draw(st.none() | FEW) if with_energy else None,
            worst_case_energy_j=draw(st.none() | FEW) if with_energy else None,
            price_usd=draw(st.none() | FEW) if with_price else None,
            experts=draw(st.none() | st.integers(1, 3)),
        ),
        gate="oracle" if draw(st.booleans()) else "category",
        latency_rule=rule,
        aggregation_s_per_expert=draw(st.none() | st.sampled_from([0.1, 0.5])) if rule == "selected" else None,
        arrival_rate_per_s=draw(st.none() | st.sampled_from([0.1, 1.0])),
        required=tuple(order[:fixed]) if draw(st.booleans()) else (),
        forbidden=tuple(order[fixed : fixed + 1]) if draw(st.booleans()) else (),
    )


@st.composite
def experts_of(
    draw: st.DrawFn,
    name: str,
    devices: tuple[Device, ...],
    categories: list[str],
    *,
    with_energy: bool,
    with_price: bool,
) -> Expert:
    """Draw one expert; it may not have been measured in some category."""
    measured = [category for category in categories if draw(st.integers(0, 5)) > 0] or categories[:1]
    return Expert(
        name=name,
        device=draw(st.sampled_from(devices)).name,
        latency_s={category: draw(FEW) for category in measured},
        memory_bytes=draw(st.integers(0, 8)),
        transmission_s=draw(st.none() | st.sampled_from([0.1, 0.25])),
        energy_j={category: draw(FEW) for category in categories} if with_energy else None,
        energy_basis="measured" if with_energy else None,
        price_usd={category: draw(FEW) for category in categories} if with_price else None,
        group=draw(st.none() | st.just("g")),
    )


def enumerate_optimum(problem: SelectionProblem) -> float | None:
    """Return the best mean quality by brute force; ``None`` when nothing is feasible.

    Works on the problem, not on its program, so that a wrong formulation shows: every subset of the experts is
    checked against every limit in plain Python, and the routing inside it is a small linear program of its own.
    """
    best: float | None = None
    for size in range(len(problem.experts) + 1):
        for chosen in combinations(range(len(problem.experts)), size):
            if _selectable(problem, [problem.experts[n] for n in chosen]):
                value = _best_routing(problem, chosen)
                if value is not None and (best is None or value > best):
                    best = value
    return best


def _selectable(problem: SelectionProblem, experts: list[Expert]) -> bool:
    """Check every limit that depends on the selection alone."""
    names = {expert.name for expert in experts}
    if not set(problem.required) <= names or names & set(problem.forbidden):
        return False
    if problem.budgets.experts is not None and len(experts) > problem.budgets.experts:
        return False
    groups = [expert.group for expert in experts if expert.group is not None]
    if len(groups) != len(set(groups)):
        return False
    for device in problem.devices:
        held = sum(expert.memory_bytes or 0 for expert in experts if expert.device == device.name)
        if device.memory_bytes is not None and held > device.memory_bytes:
            return False
    for category in {prompt.category for prompt in problem.prompts}:
        joules = sum((expert.energy_j or {}).get(category, 0.0) for expert in experts)
        if problem.budgets.worst_case_energy_j is not None and joules > problem.budgets.worst_case_energy_j + 1e-9:
            return False
    return problem.latency_rule == "routed" or _all_in_time(problem, experts)


def _all_in_time(problem: SelectionProblem, experts: list[Expert]) -> bool:
    for category in problem.categories:
        for expert in experts if category.latency_budget_s is not None else ():
            latency = expert.total_latency_s(category.name)
            extra = (problem.aggregation_s_per_expert or 0.0) * len(experts)
            if latency is None or latency + extra > (category.latency_budget_s or 0.0) + 1e-9:
                return False
    return True


def _best_routing(problem: SelectionProblem, chosen: tuple[int, ...]) -> float | None:
    """Route optimally inside a selection: a linear program over (row, expert) shares."""
    from scipy.optimize import linprog

    total = sum(prompt.weight for prompt in problem.prompts)
    rows = list(range(len(problem.prompts)))
    if problem.gate == "category":
        rows = [[p.category for p in problem.prompts].index(c) for c in {p.category for p in problem.prompts}]
    leader = {problem.prompts[r].category: r for r in rows} if problem.gate == "category" else {}
    pairs = [
        (r, n) for r in rows for n in chosen if answerable(problem, problem.experts[n], problem.prompts[r].category)
    ]
    place = {pair: k for k, pair in enumerate(pairs)}
    cost, shares, joules, money = (
        np.zeros(len(pairs)),
        np.zeros((len(rows), len(pairs))),
        np.zeros(len(pairs)),
        np.zeros(len(pairs)),
    )
    busy = np.zeros((len(problem.devices), len(pairs)))
    devices = [device.name for device in problem.devices]
    for i, prompt in enumerate(problem.prompts):
        row, weight = leader.get(prompt.category, i), prompt.weight / total
        for n in chosen:
            if (row, n) in place:
                k, expert = place[row, n], problem.experts[n]
                cost[k] -= weight * problem.quality.array[i, n]
                joules[k] += weight * (expert.energy_j or {}).get(prompt.category, 0.0)
                money[k] += weight * (expert.price_usd or {}).get(prompt.category, 0.0)
                busy[devices.index(expert.device), k] += weight * expert.latency_s.get(prompt.category, 0.0)
    for (row, _), k in place.items():
        shares[rows.index(row), k] = 1.0
    limits, amounts = [], []
    rate = problem.arrival_rate_per_s
    if problem.budgets.energy_j is not None:
        on = {problem.experts[n].device for n in chosen}
        idle = sum(d.idle_power_w or 0.0 for d in problem.devices if d.name in on) / rate if rate else 0.0
        limits.append(problem.budgets.energy_j - idle)
        amounts.append(joules)
    if problem.budgets.price_usd is not None:
        limits.append(problem.budgets.price_usd)
        amounts.append(money)
    for d, device in enumerate(problem.devices):
        if device.max_utilisation is not None and rate is not None:
            limits.append(device.max_utilisation / rate)
            amounts.append(busy[d])
    if not pairs or (shares.sum(axis=1) == 0.0).any():
        return None
    found = linprog(
        cost, np.array(amounts) if amounts else None, limits or None, shares, np.ones(len(rows)), (0.0, 1.0)
    )
    return -float(found.fun) if found.status == 0 and found.fun is not None else None
