"""From the point of a program to a decision."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coinfer.models.selection.data import Budgets, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.decode import decode, encode
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.formulate import formulate, variables_of
from coinfer.models.selection.units import units
from coinfer.solver import mip
from coinfer.testing.selection import selection_problems


def changed(problem: SelectionProblem, **fields: Any) -> SelectionProblem:
    return msgspec.structs.replace(problem, **fields)


def best(problem: SelectionProblem) -> tuple[SelectionDecision, np.ndarray[Any, np.dtype[np.float64]]]:
    point = mip.solve(formulate(problem)).incumbent
    assert point is not None
    return decode(problem, point), point


def test_the_small_problem_is_decided_as_on_paper(small: SelectionProblem) -> None:
    """``big`` misses the promise of ``chat``; joules for 60 on average let it answer part of the code.

    ``tiny`` answers ``chat``, 3/5 of the traffic, for 2.4 J; ``orin`` draws 10 W / 0.4 per second = 25 J per request
    while it is on. The 32.6 J left pay for 160 J x + 8 J (0.4 - x): x = 29.4 / 152 of all traffic goes to ``big``, all
    of it from the prompt where it gains most per joule (``sort``: 0.7 against 0.65 for ``parse``).
    """
    decision, _ = best(small)
    evaluation = evaluate(small, decision)
    assert decision.selected == ("tiny", "big")
    assert decision.preference == {"chat": ("tiny",), "code": ("big", "tiny")}
    to_big = (60.0 - 25.0 - 2.4 - 3.2) / 152.0
    value = 0.6 * 0.6 + 0.2 * 0.2 + 0.2 * 0.3 + to_big * 0.7
    assert evaluation.value == pytest.approx(value, abs=1e-9)
    assert evaluation.violations == ()
    assert {(r.prompt, r.expert): r.fraction for r in decision.routes} == pytest.approx(
        {
            ("hello", "tiny"): 1.0,
            ("sort", "big"): to_big / 0.2,
            ("sort", "tiny"): 1.0 - to_big / 0.2,
            ("parse", "tiny"): 1.0,
        },
        abs=1e-7,
    )


def test_idle_experts_are_left_out_but_required_ones_stay(small: SelectionProblem) -> None:
    """A selected expert without traffic is dropped, unless it is required."""
    free = changed(small, budgets=Budgets(), arrival_rate_per_s=None)
    parts = units(free)
    variables = variables_of(free, parts)
    point = np.zeros(formulate(free).variables)
    point[variables.select] = [1.0, 1.0, 0.0]
    for problem, selected in ((free, ("mid",)), (changed(free, required=("tiny",)), ("tiny", "mid"))):
        assert decode(problem, point).selected == selected


def test_uncoupled_prompts_are_never_split(small: SelectionProblem) -> None:
    """Without a budget on the mean, an engine's split between equals becomes one whole route, of the larger part."""
    free = changed(small, budgets=Budgets(), arrival_rate_per_s=None, quality=type(small.quality)(np.ones((3, 3))))
    variables = variables_of(free, units(free))
    point = np.zeros(formulate(free).variables)
    point[variables.select] = 1.0
    point[variables.route[variables.expert == 0]] = 0.4
    point[variables.route[variables.expert == 1]] = 0.6
    assert {(route.expert, route.fraction) for route in decode(free, point).routes} == {("mid", 1.0)}


@given(problem=selection_problems(), noise=st.sampled_from([1e-9, 1e-8, 3e-7, 9e-7]), seed=st.integers(0, 9))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_an_engines_noise_breaks_no_budget(problem: SelectionProblem, noise: float, seed: int) -> None:
    """Shares that are off by what engines allow themselves still become a decision that keeps every limit."""
    program = formulate(problem)
    result = mip.solve(program)
    assume(result.incumbent is not None)
    assert result.incumbent is not None
    generator = np.random.default_rng(seed)
    moved = result.incumbent + noise * generator.uniform(-1.0, 1.0, program.variables) * ~program.integer
    decision = decode(problem, np.clip(moved, 0.0, 1.0))
    evaluation = evaluate(problem, decision)
    assert evaluation.violations == ()
    assert evaluation.value == pytest.approx(-result.value, abs=2e-6)
    for prompt in problem.prompts:
        shares = [
            route.fraction
            for route in decision.routes
            if route.category == prompt.category and route.prompt in (None, prompt.name)
        ]
        assert abs(sum(shares) - 1.0) <= 1e-12


def test_a_split_over_budget_is_solved_anew(small: SelectionProblem) -> None:
    """Noise that pushes a mean over its budget is taken back, not passed on."""
    _, point = best(small)
    variables = variables_of(small, units(small))
    over = point.copy()
    to_big = variables.route[
        (variables.expert == 2) & (point[variables.route] > 0.01) & (point[variables.route] < 0.99)
    ]
    assert len(to_big) == 1
    over[to_big] += 1e-6
    evaluation = evaluate(small, decode(small, over))
    assert evaluation.violations == ()
    assert evaluation.energy_j is not None
    assert evaluation.energy_j <= 60.0 * (1.0 + 1e-9)


def test_an_old_decision_starts_a_changed_problem(small: SelectionProblem) -> None:
    """Names that still exist are mapped by name, whatever their place; a decision of strangers maps to nothing."""
    decision, point = best(small)
    turned = changed(
        small, experts=small.experts[::-1], quality=type(small.quality)(small.quality.array[:, ::-1].copy())
    )
    mapped = encode(turned, decision)
    assert mapped is not None
    assert formulate(turned).violation(mapped) <= 1e-7
    assert formulate(turned).value(mapped) == pytest.approx(formulate(small).value(point), abs=1e-9)
    stranger = msgspec.structs.replace(decision, selected=("nobody",))
    assert encode(small, stranger) is None


def test_a_point_without_routes_is_no_crash(small: SelectionProblem) -> None:
    """A point that routes nothing decodes, and the evaluation says what is missing."""
    decision = decode(small, np.zeros(formulate(small).variables))
    assert decision.selected == ()
    assert any("add up to 0, not to 1" in sentence for sentence in evaluate(small, decision).violations)


def test_an_uncoupled_prompt_goes_to_the_best_selected_expert(small: SelectionProblem) -> None:
    """Quality decides before the engine's share does: a point that routes to the worse of two is put right."""
    free = changed(small, budgets=Budgets(), arrival_rate_per_s=None)
    variables = variables_of(free, units(free))
    point = np.zeros(formulate(free).variables)
    point[variables.select[:2]] = 1.0
    point[variables.route[variables.expert == 0]] = 1.0
    assert {route.expert for route in decode(free, point).routes} == {"mid"}
