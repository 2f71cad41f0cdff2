"""Selection problems: the program, its decisions and their evaluation agree with brute force on the problem."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.models.selection.data import FORMAT, SelectionProblem
from coinfer.models.selection.decision import Route, SelectionDecision
from coinfer.models.selection.decode import decode, encode
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.formulate import explain_infeasible, formulate
from coinfer.records import Matrix
from coinfer.solver import mip
from coinfer.solver.result import Status
from coinfer.testing.selection import enumerate_optimum, selection_problems

PROBLEMS = selection_problems()


def solved(problem: SelectionProblem) -> tuple[float | None, SelectionDecision | None]:
    result = mip.solve(formulate(problem))
    if result.incumbent is None:
        assert result.status is Status.INFEASIBLE
        return None, None
    return -result.value, decode(problem, result.incumbent)


def changed(problem: SelectionProblem, **fields: Any) -> SelectionProblem:
    return msgspec.structs.replace(problem, **fields)


@given(problem=PROBLEMS)
@settings(max_examples=250)
def test_the_program_has_the_optimum_of_the_problem(problem: SelectionProblem) -> None:
    """What the engine finds in the program is what brute force finds in the problem, infeasibility included."""
    truth = enumerate_optimum(problem)
    value, decision = solved(problem)
    if truth is None:
        assert value is None
        return
    assert value == pytest.approx(truth, abs=1e-7)
    assert decision is not None
    evaluation = evaluate(problem, decision)
    assert evaluation.violations == ()
    assert evaluation.value == pytest.approx(truth, abs=1e-7)


@given(problem=PROBLEMS)
@settings(max_examples=100)
def test_a_decision_survives_its_way_through_the_program(problem: SelectionProblem) -> None:
    """Decoded and encoded again, the point is feasible in the program and has the same value."""
    value, decision = solved(problem)
    assume(decision is not None)
    assert decision is not None
    assert value is not None
    program = formulate(problem)
    point = encode(problem, decision)
    assert point is not None
    assert program.violation(point) <= 1e-6
    assert program.value(point) == pytest.approx(-value, abs=1e-7)


@given(problem=PROBLEMS)
@settings(max_examples=100)
def test_values_are_ordered_from_router_to_oracle(problem: SelectionProblem) -> None:
    """No router beats the perfect one, and the decision is never above it either."""
    _, decision = solved(problem)
    assume(decision is not None)
    assert decision is not None
    evaluation = evaluate(problem, decision)
    assert evaluation.category_value <= evaluation.oracle_value + 1e-12
    assert evaluation.value <= evaluation.oracle_value + 1e-9


@given(problem=PROBLEMS, field=st.sampled_from(["energy_j", "worst_case_energy_j", "price_usd", "experts"]))
@settings(max_examples=100)
def test_a_larger_budget_never_hurts(problem: SelectionProblem, field: str) -> None:
    """Take a limit away: what was feasible stays so, at no less value."""
    before, _ = solved(problem)
    after, _ = solved(changed(problem, budgets=msgspec.structs.replace(problem.budgets, **{field: None})))
    if before is not None:
        assert after is not None
        assert after >= before - 1e-9


@given(problem=PROBLEMS, data=st.data())
@settings(max_examples=80)
def test_the_order_of_experts_and_prompts_changes_nothing(problem: SelectionProblem, data: st.DataObject) -> None:
    """Relabelling is no decision: the optimum is the same."""
    rows = data.draw(st.permutations(range(len(problem.prompts))))
    columns = data.draw(st.permutations(range(len(problem.experts))))
    turned = changed(
        problem,
        prompts=tuple(problem.prompts[i] for i in rows),
        experts=tuple(problem.experts[i] for i in columns),
        quality=Matrix(problem.quality.array[np.ix_(rows, columns)]),
    )
    before, _ = solved(problem)
    after, _ = solved(turned)
    assert (before is None) == (after is None)
    if before is not None:
        assert after == pytest.approx(before, abs=1e-7)


@given(problem=PROBLEMS)
@settings(max_examples=60)
def test_weights_are_shares(problem: SelectionProblem) -> None:
    """Weights in another unit are the same traffic."""
    prompts = tuple(msgspec.structs.replace(prompt, weight=8.0 * prompt.weight) for prompt in problem.prompts)
    before, _ = solved(problem)
    after, _ = solved(changed(problem, prompts=prompts))
    assert after == (before if before is None else pytest.approx(before, abs=1e-7))


@given(problem=PROBLEMS)
@settings(max_examples=60)
def test_an_expert_that_was_not_chosen_may_be_forbidden(problem: SelectionProblem) -> None:
    """Taking away what the optimum does not use leaves the optimum."""
    value, decision = solved(problem)
    assume(decision is not None)
    assert decision is not None
    unused = tuple(expert.name for expert in problem.experts if expert.name not in decision.selected)
    after, _ = solved(changed(problem, forbidden=unused))
    assert after == pytest.approx(value, abs=1e-7)


@given(problem=PROBLEMS)
@settings(max_examples=80)
def test_a_problem_survives_its_file(problem: SelectionProblem) -> None:
    """Written and read again, a problem is the same, with the same hash."""
    data = jsonfile.parse(jsonfile.to_text(problem), where="problem")
    assert data.pop("format") == FORMAT
    again = jsonfile.convert(data, SelectionProblem, where="problem")
    assert again == problem
    assert jsonfile.sha256(again) == jsonfile.sha256(problem)


@given(problem=PROBLEMS)
@settings(max_examples=60)
def test_explanations_are_only_given_for_what_is_infeasible(problem: SelectionProblem) -> None:
    """A cause named for infeasibility is never named for a problem that has a solution."""
    value, _ = solved(problem)
    if value is not None:
        assert explain_infeasible(problem) == ()


@given(problem=PROBLEMS, data=st.data())
@settings(max_examples=200)
def test_a_tampered_decision_is_flagged_or_truly_worth_what_is_said(
    problem: SelectionProblem, data: st.DataObject
) -> None:
    """Change a decision at random: it breaks a limit, or its value is at most the optimum."""
    value, decision = solved(problem)
    assume(decision is not None)
    assert decision is not None
    assert value is not None
    names = [*(expert.name for expert in problem.experts), "nobody"]
    kind = data.draw(st.sampled_from(["selected", "route", "drop", "fraction", "preference"]))
    routes = list(decision.routes)
    k = data.draw(st.integers(0, len(routes) - 1))
    if kind == "selected":
        decision = msgspec.structs.replace(
            decision, selected=tuple(data.draw(st.lists(st.sampled_from(names), max_size=4)))
        )
    elif kind == "route":
        routes[k] = msgspec.structs.replace(routes[k], expert=data.draw(st.sampled_from(names)))
    elif kind == "drop":
        routes.pop(k)
    elif kind == "fraction":
        routes[k] = msgspec.structs.replace(routes[k], fraction=data.draw(st.floats(0.01, 1.0)))
    else:
        decision = msgspec.structs.replace(decision, preference={"c0": ("nobody",)})
    evaluation = evaluate(problem, msgspec.structs.replace(decision, routes=tuple(routes)))
    assert evaluation.violations or evaluation.value <= value + 1e-7


def test_every_figure_of_an_evaluation_is_what_a_hand_computes(small_problem: SelectionProblem) -> None:
    """On a problem small enough for paper, every figure is the one on the paper."""
    decision = SelectionDecision(
        selected=("big", "small"),
        routes=(
            Route(category="chat", expert="small", fraction=1.0),
            Route(category="code", expert="big", fraction=1.0),
        ),
        preference={"chat": ("big", "small"), "code": ("big",)},
    )
    found = evaluate(small_problem, decision)
    assert found.violations == ()
    assert found.value == pytest.approx(0.5 * 0.6 + 0.5 * 0.9)
    assert found.oracle_value == pytest.approx(0.5 * 0.8 + 0.5 * 0.9)
    assert found.category_value == pytest.approx(0.5 * 0.8 + 0.5 * 0.9)
    assert found.latency_s == {"chat": 0.5, "code": 2.0}
    assert found.mean_latency_s == pytest.approx(1.25)
    assert found.energy_j == pytest.approx(0.5 * 1.0 + 0.5 * 9.0)
    assert found.memory_bytes == {"box": 12.0}
    assert {(row.what, row.where, row.used, row.limit) for row in found.usage} == {
        ("energy_j", "all", 5.0, 6.0),
        ("memory_bytes", "box", 12.0, 16.0),
        ("latency_s", "code", 2.0, 2.5),
        ("assignment", "all", 0.0, 0.0),
    }


def test_a_frozen_dataclass_cannot_be_changed(small_problem: SelectionProblem) -> None:
    """Evaluations and problems are facts: nobody changes them after they were stated."""
    evaluation = evaluate(small_problem, SelectionDecision(selected=(), routes=(), preference={}))
    with pytest.raises(dataclasses.FrozenInstanceError):
        evaluation.value = 1.0  # type: ignore[misc]
    with pytest.raises(AttributeError):
        small_problem.name = "other"  # type: ignore[misc]
