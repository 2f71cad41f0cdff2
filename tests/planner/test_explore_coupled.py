"""Questions around an optimum where a limit couples the routing, and where an integer program is asked for."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings

from coinfer.errors import InputError, LimitReached, ProblemError
from coinfer.models.problem import Problem, read_problem
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.models.selection.monotonic import why_not_monotonic
from coinfer.planner.bound import scale_of
from coinfer.planner.explore import best
from coinfer.planner.explore.best import best_selections
from coinfer.planner.explore.budgets import Budget, budget_named
from coinfer.planner.explore.optimum import How, Solved, fixed, solve
from coinfer.planner.explore.sweep import sweep_budget
from coinfer.records import Matrix
from coinfer.solver.limits import Limits
from coinfer.testing.enumeration import enumerate_optimum
from coinfer.testing.selection import selection_problems

FILTERED = [HealthCheck.filter_too_much, HealthCheck.too_slow]
"""Many drawn problems are infeasible, or of another kind than a test asks for."""
EXAMPLES = Path(__file__).parents[2] / "examples" / "problems"
HIGHS = How(engine="highs")


def values_of(problem: Problem) -> dict[frozenset[str], float]:
    """Return the value of every feasible selection with its best routing, whatever couples that."""
    names = [expert.name for expert in problem.experts]
    found = {}
    for size in range(1, len(names) + 1):
        for chosen in itertools.combinations(names, size):
            kept = set(problem.required) <= set(chosen) and not set(problem.forbidden) & set(chosen)
            others = [name for name in names if name not in chosen]
            value = enumerate_optimum(fixed(problem, inside=chosen, outside=others)) if kept else None
            if value is not None:
                found[frozenset(chosen)] = value
    return found


@settings(max_examples=30, suppress_health_check=FILTERED)
@given(problem=selection_problems(max_experts=3, max_prompts=3))
def test_the_next_best_by_partition_are_those_of_enumeration(problem: Problem) -> None:
    """The integer program, solved part by part, ranks all selections as enumeration does, each once."""
    truth = values_of(problem)
    assume(truth)
    near = 1e-7 * scale_of(problem)
    ranking = best_selections(problem, count=100, how=HIGHS)
    assert ranking.complete
    assert ranking.bound is None
    assert {frozenset(item.selected) for item in ranking.selections} == set(truth)
    assert len(ranking.selections) == len(truth)
    for item in ranking.selections:
        assert item.value == pytest.approx(truth[frozenset(item.selected)], abs=near)
    two = best_selections(problem, count=2, how=HIGHS)
    ranked = sorted(truth.values(), reverse=True)
    assert [item.value for item in two.selections] == pytest.approx(ranked[:2], abs=near)
    if len(ranked) > 2:
        assert two.bound is not None
        assert two.bound >= ranked[2] - near


@settings(max_examples=20, suppress_health_check=FILTERED)
@given(problem=selection_problems(max_experts=3, max_prompts=3))
def test_both_engines_rank_alike(problem: Problem) -> None:
    """Where the selection decides the routing, one search and the integer program find the same values."""
    assume(why_not_monotonic(problem) is None and values_of(problem))
    one, other = (best_selections(problem, count=4, how=how) for how in (How(), HIGHS))
    near = 1e-7 * scale_of(problem)
    assert [item.value for item in one.selections] == pytest.approx([item.value for item in other.selections], abs=near)


@settings(max_examples=25, suppress_health_check=FILTERED)
@given(problem=selection_problems(max_experts=3, max_prompts=3))
def test_a_ranking_cut_short_by_nodes_claims_nothing_untrue(problem: Problem) -> None:
    """Nothing off a list that was cut short is worth more than its bound, where it states one."""
    truth = values_of(problem)
    assume(truth)
    for how in (How(limits=Limits(nodes=1)), How(engine="highs", limits=Limits(nodes=0), with_proof=False)):
        try:
            ranking = best_selections(problem, count=2, how=how)
        except LimitReached:
            continue
        listed = {frozenset(item.selected) for item in ranking.selections}
        left = max((value for chosen, value in truth.items() if chosen not in listed), default=-math.inf)
        near = 1e-7 * scale_of(problem)
        if ranking.complete or ranking.bound is not None:
            assert (-math.inf if ranking.bound is None else ranking.bound) >= left - near
        for item in ranking.selections:
            assert item.value <= truth[frozenset(item.selected)] + near


COUPLED = [("energy_j", [0.0, 1.2, 1.7, 4.0]), ("price_usd", [0.0, 0.012, 0.02, 0.1]), ("latency:c0", [0.1, 0.3, 1.0])]


@pytest.mark.parametrize(("name", "limits"), COUPLED)
@settings(max_examples=25, suppress_health_check=FILTERED)
@given(problem=selection_problems(max_experts=3, max_prompts=3, gates=("oracle", "category", "softmax", "top_1")))
def test_a_sweep_by_planning_is_each_budget_solved_by_itself(name: str, limits: list[float], problem: Problem) -> None:
    """Limits that couple the routing, and promises, are swept to the optimum of each problem, whatever the gate."""
    budget = budget_named(problem, name)
    try:
        points = sweep_budget(problem, budget, limits)
    except ProblemError:  # an expert without the figures that the budget needs
        return
    near = 1e-7 * scale_of(problem)
    assert [point.limit for point in points] == limits
    for point in points:
        truth = enumerate_optimum(budget.replaced(problem, point.limit))
        assert point.infeasible == (truth is None)
        if truth is not None:
            assert point.optimum is not None
            assert point.optimum.value == pytest.approx(truth, abs=near)
            assert point.optimum.proven
            assert point.used is None or point.used <= point.limit * (1.0 + 1e-8)


@settings(max_examples=20, suppress_health_check=FILTERED)
@given(problem=selection_problems(max_experts=3, max_prompts=3))
def test_worst_case_energy_is_swept_over_all_categories(problem: Problem) -> None:
    """The limit on worst-case energy holds in each category at once, at every point of a sweep."""
    budget, limits = Budget(kind="worst_case_energy_j"), [0.0, 2.0, 3.5, 7.0]
    try:
        points = sweep_budget(problem, budget, limits)
    except ProblemError:
        return
    near = 1e-7 * scale_of(problem)
    for point in points:
        truth = enumerate_optimum(budget.replaced(problem, point.limit))
        assert point.infeasible == (truth is None)
        assert (point.optimum is None) == (truth is None)
        if point.optimum is not None:
            assert point.optimum.value == pytest.approx(truth, abs=near)


def test_a_tighter_promise_may_be_better_under_a_gate_that_follows_scores() -> None:
    """A promise that keeps the poor expert from answering raises the value, and a sweep does not hide that."""
    problem = SelectionProblem(
        name="mixture",
        devices=(Device(name="here"),),
        categories=(Category(name="chat"),),
        experts=(
            Expert(name="quick", device="here", latency_s={"chat": 0.1}),
            Expert(name="poor", device="here", latency_s={"chat": 1.0}),
        ),
        prompts=(Prompt(name="p", category="chat"),),
        quality=Matrix([[0.9, 0.1]]),
        gate_scores=Matrix([[0.0, 0.0]]),
        budgets=Budgets(),
        gate="softmax",
        required=("quick", "poor"),
    )
    tight, loose = sweep_budget(problem, Budget(kind="latency", where="chat"), [0.5, 2.0])
    assert tight.optimum is not None
    assert loose.optimum is not None
    assert (tight.optimum.value, loose.optimum.value) == (pytest.approx(0.9), pytest.approx(0.5))
    assert tight.optimum.proven
    assert loose.optimum.proven


def test_parts_of_which_nothing_is_known_stay_in_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """When limits are hit in parts before anything is found there, the bound still covers what they may hold."""
    problem = read_problem(EXAMPLES / "two_experts_memory.json")
    truth = sorted(values_of(problem).values(), reverse=True)
    assert len(truth) > 1
    calls = itertools.count()

    def cut_short(part: Problem, how: How) -> Solved:
        if next(calls):
            raise LimitReached("the time limit was reached")
        return solve(part, how)

    monkeypatch.setattr(best, "solve", cut_short)
    ranking = best_selections(problem, count=3, how=HIGHS)
    assert len(ranking.selections) == 1
    assert not ranking.complete
    assert ranking.bound is not None
    assert ranking.bound >= truth[1]


@pytest.mark.parametrize("limits", [[], [math.inf], [math.nan]])
def test_a_sweep_of_no_limits_is_refused(limits: list[float]) -> None:
    """Without finite limits there is nothing to sweep."""
    problem = read_problem(EXAMPLES / "two_experts_memory.json")
    with pytest.raises(InputError, match="finite numbers"):
        sweep_budget(problem, Budget(kind="experts"), limits)
