"""The monotonic program of a selection problem says of every selection what the evaluation says of its decision."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

from coinfer.errors import ProblemError
from coinfer.models.selection.data import SCORED, Budgets, SelectionProblem
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.from_selection import decode_selection
from coinfer.models.selection.monotonic import monotonic_program, why_not_monotonic
from coinfer.records import Matrix
from coinfer.testing.monotonic import enumerated
from coinfer.testing.selection import selection_problems


def paid(problem: SelectionProblem) -> SelectionProblem:
    """Return the problem with idle power and load that count and, where energies are known, a budget of energy."""
    devices = tuple(
        msgspec.structs.replace(device, idle_power_w=0.3 + 0.4 * i, max_utilisation=0.125 * (1 + i))
        for i, device in enumerate(problem.devices)
    )
    known = all(expert.energy_j and set(expert.latency_s) <= set(expert.energy_j) for expert in problem.experts)
    budgets = msgspec.structs.replace(problem.budgets, energy_j=2.5) if known else problem.budgets
    return msgspec.structs.replace(problem, devices=devices, budgets=budgets, arrival_rate_per_s=0.5)


def says_the_same(problem: SelectionProblem) -> None:
    """Compare value and feasibility of every selection."""
    if why_not_monotonic(problem) is not None:
        return
    program = monotonic_program(problem)
    if (program.lower > program.upper).any():
        everything = decode_selection(problem, [expert.name for expert in problem.experts])
        assert evaluate(problem, everything).violations
        return
    found = enumerated(program)
    inside = {tuple(point): i for i, point in enumerate(found.points.tolist())}
    for point in itertools.product([0, 1], repeat=len(problem.experts)):
        i = inside.get(point)
        chosen = [expert.name for expert, on in zip(problem.experts, point, strict=True) if on]
        evaluation = evaluate(problem, decode_selection(problem, chosen))
        feasible = i is not None and bool(found.feasible[i])
        assert feasible == (not evaluation.violations)
        if i is not None and feasible:
            assert float(found.values[i]) == pytest.approx(evaluation.value, rel=1e-9, abs=1e-12)


@given(problem=selection_problems(gates=("oracle", "category", *SCORED), max_experts=4, max_prompts=4))
@settings(max_examples=150)
def test_the_program_says_what_the_evaluation_says(problem: SelectionProblem) -> None:
    """Every selection has the same value in both, and is feasible in both or in neither."""
    says_the_same(problem)


@given(problem=selection_problems(gates=SCORED, max_experts=4, max_prompts=4).map(paid))
@settings(max_examples=100)
def test_idle_power_is_paid_by_whatever_is_selected(problem: SelectionProblem) -> None:
    """With idle power, load and a budget of energy at once, both still agree on every selection."""
    says_the_same(problem)


def test_a_budget_of_nothing_bars_whoever_is_asked(small: SelectionProblem) -> None:
    """Under softmax an expert that costs anything is asked a little, however low its score: it may not be selected."""
    count = len(small.experts)
    scores = Matrix([[-600.0 * (n == 0) for n in range(count)] for _ in small.prompts])
    experts = tuple(
        msgspec.structs.replace(expert, price_usd=dict.fromkeys(expert.latency_s, 0.01 * (n == 1)))
        for n, expert in enumerate(small.experts)
    )
    low = msgspec.structs.replace(
        small,
        experts=experts,
        gate="softmax",
        gate_scores=Matrix(-40.0 * (np.arange(count) == 1) + 0.0 * scores.array),
        budgets=Budgets(price_usd=0.0),
        arrival_rate_per_s=None,
    )
    assert monotonic_program(low).upper.tolist() == [int(n != 1) for n in range(count)]
    assert monotonic_program(msgspec.structs.replace(low, gate="top_1")).upper[1] == 1
    with pytest.raises(ProblemError, match="differ by less than 500"):
        monotonic_program(msgspec.structs.replace(low, gate_scores=scores))
