"""The shape of the program, and changes of a problem that must change nothing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.models.selection.data import Budgets, SelectionProblem
from coinfer.models.selection.formulate import formulate
from coinfer.models.selection.units import units
from coinfer.records import Matrix
from coinfer.solver import mip
from coinfer.testing.selection import selection_problems

FEW = settings(max_examples=60, deadline=None, derandomize=True)
replace = msgspec.structs.replace


def optimum(problem: SelectionProblem) -> float | None:
    result = mip.solve(formulate(problem))
    return None if result.incumbent is None else -result.value


def same(one: float | None, other: float | None) -> bool:
    return one == other if one is None or other is None else abs(one - other) <= 1e-7


@given(problem=selection_problems(), index=st.integers(0, 5))
@FEW
def test_half_a_prompt_twice_is_the_prompt(problem: SelectionProblem, index: int) -> None:
    """A prompt in two halves changes no value, and makes no larger program: equal rows are one unit."""
    i = index % len(problem.prompts)
    half = replace(problem.prompts[i], weight=problem.prompts[i].weight / 2.0)
    doubled = replace(
        problem,
        prompts=(*problem.prompts[:i], half, *problem.prompts[i + 1 :], replace(half, name="twin")),
        quality=Matrix(np.vstack([problem.quality.array, problem.quality.array[i]])),
        gate_scores=None,
    )
    assert same(optimum(doubled), optimum(problem))
    assert formulate(doubled).variables == formulate(problem).variables


@given(problem=selection_problems(), data=st.data())
@FEW
def test_the_order_of_devices_and_categories_changes_nothing(problem: SelectionProblem, data: st.DataObject) -> None:
    """Devices and categories are known by name, not by place."""
    turned = replace(
        problem,
        devices=tuple(data.draw(st.permutations(problem.devices))),
        categories=tuple(data.draw(st.permutations(problem.categories))),
    )
    assert same(optimum(turned), optimum(problem))


@given(problem=selection_problems())
@FEW
def test_larger_devices_and_later_promises_never_hurt(problem: SelectionProblem) -> None:
    """Twice the memory, the utilisation and the time allowed: what was feasible stays so, at no less value."""
    looser = replace(
        problem,
        devices=tuple(
            replace(
                device,
                memory_bytes=None if device.memory_bytes is None else 2 * device.memory_bytes,
                max_utilisation=None if device.max_utilisation is None else min(1.0, 2.0 * device.max_utilisation),
            )
            for device in problem.devices
        ),
        categories=tuple(
            replace(part, latency_budget_s=None if part.latency_budget_s is None else 2.0 * part.latency_budget_s)
            for part in problem.categories
        ),
    )
    before, after = optimum(problem), optimum(looser)
    assert before is None or (after is not None and after >= before - 1e-7)


@given(problem=selection_problems())
@FEW
def test_the_oracle_is_no_worse_than_the_category_router(problem: SelectionProblem) -> None:
    """Whatever a router by category can do, a router by prompt can do too."""
    oracle, category = optimum(replace(problem, gate="oracle")), optimum(replace(problem, gate="category"))
    assert (oracle is None) == (category is None)
    assert oracle is None or category is None or oracle >= category - 1e-7


def test_the_families_of_the_program(small: SelectionProblem) -> None:
    """Each limit has its family of rows; pairs that break a promise have no variable."""
    program = formulate(small)
    assert {name: part.stop - part.start for name, part in program.variable_blocks.items()} == {
        "select": 3,
        "route": 2 + 2 * 3,  # ``big`` is too slow for the one prompt of ``chat``
        "device_on": 1,
    }
    assert {name: part.stop - part.start for name, part in program.row_blocks.items()} == {
        "assign": 3,
        "link": 8,
        "energy": 1,
        "price": 1,
        "worst_case_energy": 2,
        "experts": 1,
        "group": 1,
        "memory": 2,
        "utilisation": 1,
        "device_on": 2,
    }


def test_idle_power_has_no_variable_where_no_budget_counts_it(small: SelectionProblem) -> None:
    """Without an energy budget, or without a rate, idle power decides nothing."""
    for problem in (replace(small, budgets=Budgets()), replace(small, arrival_rate_per_s=None)):
        blocks = formulate(problem).variable_blocks
        assert blocks["device_on"].start == blocks["device_on"].stop


def test_the_rows_of_an_ensemble_cut_off_nothing_and_let_nothing_through(small: SelectionProblem) -> None:
    """For every subset, the rows hold exactly when the slowest expert plus the aggregation keeps every promise."""
    step = 0.4
    categories = tuple(
        replace(part, latency_budget_s=limit) for part, limit in zip(small.categories, (1.7, 3.2), strict=True)
    )
    problem = replace(
        small,
        categories=categories,
        latency_rule="selected",
        aggregation_s_per_expert=step,
        budgets=Budgets(),
        arrival_rate_per_s=None,
    )
    program = formulate(problem)
    rows = program.row_blocks["latency"]
    for bits in range(8):
        chosen = [n for n in range(3) if bits >> n & 1]
        point = np.zeros(program.variables)
        point[chosen] = 1.0
        kept = bool((program.activity(point)[rows] <= program.row_upper[rows] + 1e-12).all())
        kept &= bool((point <= program.upper).all())
        latency: list[list[float]] = [
            [problem.experts[n].total_latency_s(part.name) or 0.0 for n in chosen] for part in categories
        ]
        limits = [part.latency_budget_s or 0.0 for part in categories]
        truth = all(
            max(row, default=0.0) + step * len(chosen) <= limit for row, limit in zip(latency, limits, strict=True)
        )
        assert kept == (truth or not chosen)


def test_units_have_weights_that_sum_to_one(small: SelectionProblem) -> None:
    """Weights are shares, whatever their unit, huge ones included."""
    prompts = tuple(replace(prompt, weight=1e18) for prompt in small.prompts)
    parts = units(replace(small, prompts=prompts, gate="category"))
    assert parts.weight.sum() == pytest.approx(1.0)
    assert parts.category == ("chat", "code")
    assert parts.quality[1] == pytest.approx([0.25, 0.375, 0.925])


def test_a_promise_may_be_met_exactly(small: SelectionProblem) -> None:
    """A latency equal to the promise keeps it, also where floats would add up to a little more."""
    expert = replace(small.experts[0], latency_s={"chat": 0.1, "code": 0.1}, transmission_s=0.2)
    chat = replace(small.categories[0], latency_budget_s=0.3)
    problem = replace(small, experts=(expert, *small.experts[1:]), categories=(chat, small.categories[1]))
    blocks = formulate(problem).variable_blocks
    assert blocks["route"].stop - blocks["route"].start == 1 + 2 * 3


def test_equal_rows_of_two_categories_stay_apart(small: SelectionProblem) -> None:
    """Only prompts of one category are merged: promises and energies differ between categories."""
    problem = replace(small, quality=Matrix(np.ones((3, 3))))
    parts = units(problem)
    assert parts.category == ("chat", "code")
    assert parts.members == ((0,), (1, 2))
