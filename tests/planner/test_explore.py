"""Questions around an optimum, against enumeration of all selections."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings

from coinfer.cli import main
from coinfer.errors import Infeasible, InputError
from coinfer.models.problem import Problem, read_problem
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.from_selection import decode_selection
from coinfer.models.selection.monotonic import why_not_monotonic
from coinfer.planner.bound import scale_of
from coinfer.planner.explore.best import best_selections
from coinfer.planner.explore.budgets import Budget, budget_named, budgets_of
from coinfer.planner.explore.experts import essential, why_not
from coinfer.planner.explore.optimum import How, fixed, solve
from coinfer.planner.explore.sweep import sweep_budget
from coinfer.planner.explore.ties import tied_selections
from coinfer.planner.explore.worth import worth_of_budgets
from coinfer.testing.enumeration import enumerate_optimum
from coinfer.testing.selection import selection_problems

EXAMPLES = Path(__file__).parents[2] / "examples" / "problems"
FILTERED = [HealthCheck.filter_too_much, HealthCheck.too_slow]
GATES = ("oracle", "category", "softmax", "top_1")


def all_values(problem: Problem) -> list[float]:
    """Return the value of every feasible selection, best first; only where the selection decides the routing."""
    names = [expert.name for expert in problem.experts]
    found = []
    for size in range(1, len(names) + 1):
        for selected in itertools.combinations(names, size):
            evaluation = evaluate(problem, decode_selection(problem, selected))
            if not evaluation.violations:
                found.append(evaluation.value)
    return sorted(found, reverse=True)


@settings(max_examples=80, suppress_health_check=FILTERED)
@given(problem=selection_problems(gates=GATES, max_experts=4))
def test_the_best_selections_are_those_of_enumeration(problem: Problem) -> None:
    """The K best values, and those within a distance, are what enumerating all selections finds."""
    assume(why_not_monotonic(problem) is None)
    truth = all_values(problem)
    if not truth:
        with pytest.raises(Infeasible):
            best_selections(problem, count=3)
        return
    ranking = best_selections(problem, count=3)
    assert ranking.complete
    assert [item.value for item in ranking.selections] == pytest.approx(truth[:3], abs=1e-8 * scale_of(problem))
    near = 0.2 * scale_of(problem)
    found = best_selections(problem, count=10_000, within=near).selections
    assert len(found) == sum(value >= truth[0] - near - 1e-8 * scale_of(problem) for value in truth)


@settings(max_examples=40, suppress_health_check=FILTERED)
@given(problem=selection_problems(max_experts=4))
def test_forcing_in_and_taking_away_cost_what_enumeration_says(problem: Problem) -> None:
    """The best selection with an expert, and the one without it, are the optima of the problems that say so."""
    truth = enumerate_optimum(problem)
    assume(truth is not None)
    near = 1e-7 * scale_of(problem)
    solved = solve(problem, How())
    for expert in problem.experts:
        answer = why_not(problem, expert.name, solved=solved)
        with_it = enumerate_optimum(fixed(problem, inside=[expert.name]))
        if answer.selected:
            assert with_it == pytest.approx(truth, abs=near)
        elif answer.optimum is None:
            assert answer.reason
            assert with_it is None
        else:
            assert answer.optimum.value == pytest.approx(with_it, abs=near)
            assert answer.loss == pytest.approx(truth - with_it, abs=near)
        without = enumerate_optimum(fixed(problem, outside=[expert.name]))
        gone = essential(problem, [expert.name], solved=solved)
        assert (gone.optimum is None) == (without is None)
        if gone.optimum is not None and without is not None:
            assert gone.optimum.value == pytest.approx(without, abs=near)


@settings(max_examples=40, suppress_health_check=FILTERED)
@given(problem=selection_problems(gates=GATES, max_experts=4))
def test_a_sweep_is_each_budget_solved_by_itself(problem: Problem) -> None:
    """Every limit of a sweep has the optimum of its own problem, and under nested limits values never fall."""
    for budget in (Budget(kind="experts"), Budget(kind="memory", where=problem.devices[0].name)):
        if budget.kind == "memory" and any(expert.memory_bytes is None for expert in problem.experts):
            continue
        limits = [1.0, 2.0, 3.0] if budget.kind == "experts" else [0.0, 3.0, 6.0, 12.0]
        points = sweep_budget(problem, budget, limits)
        values = [-math.inf if point.optimum is None else point.optimum.value for point in points]
        near = 1e-7 * scale_of(problem)
        assert all(later >= first - near for first, later in itertools.pairwise(values))
        for point, value in zip(points, values, strict=True):
            truth = enumerate_optimum(budget.replaced(problem, point.limit))
            assert point.infeasible == (truth is None)
            if truth is not None:
                assert value == pytest.approx(truth, abs=near)
                assert point.optimum is not None
                assert point.optimum.proven


def test_more_of_a_budget_buys_what_planning_with_it_finds() -> None:
    """The worth of a budget is the difference of two optima, and a budget with slack buys nothing."""
    problem = read_problem(EXAMPLES / "jetson_rtx4090.json")
    base = solve(problem, How())
    for item in worth_of_budgets(problem, solved=base):
        budget = budget_named(problem, item.budget)
        for more in item.more:
            again = solve(budget.replaced(problem, item.limit + more.added), How())
            assert more.gain == pytest.approx(again.optimum.value - base.optimum.value, abs=1e-7)
            assert more.at_least is not None
            assert more.at_least <= more.gain + 1e-9
    assert {budget.name for budget in budgets_of(problem)} == {item.budget for item in worth_of_budgets(problem)}


def test_ties_shrink_with_more_prompts() -> None:
    """Selections that two prompts cannot tell apart are told apart when each prompt stands for a hundred alike ones."""
    import msgspec
    import numpy as np

    from coinfer.records import Matrix

    problem = read_problem(EXAMPLES / "deployed_gate_softmax.json")
    assert problem.gate_scores is not None
    few = tied_selections(problem)
    times = 100
    prompts = tuple(
        msgspec.structs.replace(prompt, name=f"{prompt.name}-{i}") for i in range(times) for prompt in problem.prompts
    )
    many = tied_selections(
        msgspec.structs.replace(
            problem,
            prompts=prompts,
            quality=Matrix(np.tile(problem.quality.array, (times, 1))),
            gate_scores=Matrix(np.tile(problem.gate_scores.array, (times, 1))),
        )
    )
    assert many.best.selected == few.best.selected
    assert len(many.tied) < len(few.tied)
    assert set(many.sure) >= set(few.sure)
    assert few.contains[few.best.selected[0]] >= 1


def test_the_verb_answers_all_questions_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Every question prints its answer, and the same as one object for machines."""
    path = str(EXAMPLES / "cost_of_pass.json")
    asked = ["explore", path, "--best", "2", "--tied", "--worth", "--why-not", "large", "--essential", "coder"]
    asked += ["--sweep", "experts:1:3:3"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    for words in ("Best selections", "tied with the best", "So much more".lower(), "With large", "Essentialness"):
        assert words in said
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"best", "tied", "sweep", "worth", "why_not", "essential"}
    share = found["essential"][0]["essentialness"]
    best, without = found["best"]["selections"][0]["value"], found["essential"][0]["optimum"]["value"]
    assert share == pytest.approx(1.0 - best / without)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "expected a question"),
        (["--best", "0"], "a number from 1"),
        (["--within", "-1"], "at least 0"),
        (["--sweep", "experts"], "BUDGET:FROM:TO:N"),
        (["--sweep", "joy:1:2:2"], "joy"),
        (["--sweep", "experts:3:1:2"], "limits of at least 0 that rise"),
        (["--why-not", "nobody"], "nobody"),
        (["--essential", "nobody"], "nobody"),
    ],
)
def test_bad_questions_are_one_sentence(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be asked is refused with exit code 2 and a sentence that says what was expected."""
    assert main(["explore", str(EXAMPLES / "cost_of_pass.json"), *options]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told


def test_an_empty_group_is_refused() -> None:
    """Taking nobody away is no question."""
    with pytest.raises(InputError, match="at least one expert"):
        essential(read_problem(EXAMPLES / "cost_of_pass.json"), [])
