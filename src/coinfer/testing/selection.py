"""Hypothesis strategies of selection problems, and their true optimum by enumeration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

from hypothesis import strategies as st

from coinfer.models.selection.data import (
    NEEDED,
    SCORED,
    Budgets,
    Category,
    CostOfPass,
    Device,
    Expert,
    Gate,
    Objective,
    Prompt,
    SelectionProblem,
)
from coinfer.records import Matrix
from coinfer.testing.enumeration import enumerate_optimum

__all__ = ["enumerate_optimum", "selection_problems"]

# Coarse grids: ties, budgets that are met exactly and infeasible problems then come up by themselves.
_LATENCIES = st.sampled_from([0.1, 0.2, 0.3, 0.5, 1.0])
_ENERGIES = st.sampled_from([0.0, 1.0, 1.5, 2.0, 5.0])
_T = TypeVar("_T")
_PRICES = st.sampled_from([0.0, 0.01, 0.02, 0.1])
_SCORES = st.sampled_from([-1.0, 0.0, 0.5, 2.0])
_QUALITIES = st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.9, 1.0])


@st.composite
def selection_problems(
    draw: st.DrawFn,
    *,
    max_experts: int = 5,
    max_prompts: int = 6,
    max_devices: int = 3,
    max_categories: int = 3,
    gates: Sequence[Gate] = ("oracle", "category"),
    objectives: Sequence[Objective] = ("quality", "cost_of_pass", "energy_j"),
) -> SelectionProblem:
    """Draw a selection problem with any of its options, feasible or not.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    max_experts, max_prompts, max_devices, max_categories
        Largest sizes, at least 1 each. :func:`enumerate_optimum` looks at 2 to the power of the experts.
    gates, objectives
        What gate and objective are drawn from; by default the gates that an integer program can state.
    """
    objective, gate = draw(st.sampled_from(objectives)), draw(st.sampled_from(gates))
    devices = tuple(draw(_devices(f"d{i}")) for i in range(draw(st.integers(1, max_devices))))
    rule: Literal["routed", "selected"] = draw(st.sampled_from(["routed", "selected"]))
    categories = tuple(
        Category(name=f"c{i}", latency_budget_s=draw(_sometimes(_LATENCIES)))
        for i in range(draw(st.integers(1, max_categories)))
    )
    budgets = draw(_budgets())
    names = [category.name for category in categories]
    limits = {device.name: device.memory_bytes for device in devices}
    needed = _needed(objective, budgets)
    experts = tuple(draw(_experts(f"e{n}", names, limits, needed)) for n in range(draw(st.integers(1, max_experts))))
    prompts = tuple(
        Prompt(name=f"p{i}", category=draw(st.sampled_from(names)), weight=draw(st.sampled_from([0.5, 1.0, 3.0])))
        for i in range(draw(st.integers(1, max_prompts)))
    )
    quality, scores = (
        st.lists(
            st.lists(entries, min_size=len(experts), max_size=len(experts)),
            min_size=len(prompts),
            max_size=len(prompts),
        )
        for entries in (_QUALITIES, _SCORES)
    )
    marks = draw(st.lists(st.sampled_from([*[""] * 8, "required", "forbidden"]), max_size=len(experts)))
    return SelectionProblem(
        name="drawn",
        devices=devices,
        categories=categories,
        experts=experts,
        prompts=prompts,
        quality=Matrix(draw(quality)),
        budgets=budgets,
        gate=gate,
        gate_scores=draw(st.builds(Matrix, scores) if gate in SCORED else _sometimes(st.builds(Matrix, scores))),
        objective=objective,
        cost_of_pass=draw(_costs(names)) if objective == "cost_of_pass" else None,
        quality_floor=draw(_sometimes(st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.8]))),
        latency_rule=rule,
        aggregation_s_per_expert=draw(st.sampled_from([None, 0.0, 0.1])) if rule == "selected" else None,
        arrival_rate_per_s=draw(st.sampled_from([None, 0.5, 1.0])),
        required=tuple(f"e{n}" for n, mark in enumerate(marks) if mark == "required"),
        forbidden=tuple(f"e{n}" for n, mark in enumerate(marks) if mark == "forbidden"),
    )


def _sometimes(numbers: st.SearchStrategy[_T]) -> st.SearchStrategy[_T | None]:
    """Draw a number in a quarter of the cases: with every limit at once, nothing would be feasible."""
    return st.integers(0, 3).flatmap(lambda die: numbers if die == 3 else st.none())


def _devices(name: str) -> st.SearchStrategy[Device]:
    return st.builds(
        Device,
        name=st.just(name),
        memory_bytes=_sometimes(st.integers(0, 12)),
        idle_power_w=_sometimes(st.sampled_from([0.0, 0.1, 0.3, 1.0])),
        max_utilisation=_sometimes(st.sampled_from([0.1, 0.3, 1.0])),
    )


def _budgets() -> st.SearchStrategy[Budgets]:
    return st.builds(
        Budgets,
        energy_j=_sometimes(st.sampled_from([0.0, 1.2, 1.7, 2.0, 4.0])),
        worst_case_energy_j=_sometimes(st.sampled_from([0.0, 3.0, 7.0])),
        price_usd=_sometimes(st.sampled_from([0.0, 0.012, 0.015, 0.05])),
        experts=_sometimes(st.integers(1, 3)),
    )


def _costs(categories: list[str]) -> st.SearchStrategy[CostOfPass]:
    return st.builds(
        CostOfPass,
        fallback_price_usd=st.fixed_dictionaries({name: st.sampled_from([0.0, 0.03, 1.0]) for name in categories}),
        trials=st.sampled_from([1, 8]),
        prior_successes=st.sampled_from([0.0, 0.5]),
        prior_failures=st.sampled_from([0.0, 0.5, 1.0]),
    )


def _needed(objective: Objective, budgets: Budgets) -> set[str]:
    """Return the figures that no expert may lack where it was measured."""
    needed = {"price_usd"} if budgets.price_usd is not None else set()
    if budgets.energy_j is not None or budgets.worst_case_energy_j is not None:
        needed.add("energy_j")
    return needed | {field for field in (NEEDED[objective],) if field is not None}


@st.composite
def _experts(
    draw: st.DrawFn, name: str, categories: list[str], memory: dict[str, int | None], needed: set[str]
) -> Expert:
    """Draw an expert whose figures may be absent wherever no limit needs them."""
    device = draw(st.sampled_from(sorted(memory)))
    absent = draw(_sometimes(st.sampled_from(categories)))
    measured = [category for category in categories if category != absent]
    size: st.SearchStrategy[int | None] = st.integers(0, 6)

    def table(field: str, numbers: st.SearchStrategy[float]) -> dict[str, float] | None:
        if field not in needed and bool(draw(st.booleans())):
            return None
        everywhere = bool(draw(st.booleans())) or not measured
        return {category: draw(numbers) for category in (categories if everywhere else measured)}

    energy = table("energy_j", _ENERGIES)
    return Expert(
        name=name,
        device=device,
        latency_s={category: draw(_LATENCIES) for category in measured},
        memory_bytes=draw(size if memory[device] is not None else st.one_of(st.none(), size)),
        transmission_s=draw(st.sampled_from([None, None, 0.0, 0.2])),
        energy_j=energy,
        energy_basis=None if energy is None else "declared",
        price_usd=table("price_usd", _PRICES),
        group=draw(st.sampled_from([None, None, "g"])),
    )
