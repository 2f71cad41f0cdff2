"""What an answer is worth under each objective, the floor of quality, and plans that follow them."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coinfer.models.selection.data import Budgets, CostOfPass, Objective, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.decode import decode
from coinfer.models.selection.evaluate import Evaluation, evaluate
from coinfer.models.selection.formulate import explain_infeasible, formulate
from coinfer.models.selection.units import answerable
from coinfer.models.selection.values import cost_of_pass, values
from coinfer.planner.bound import scale_of
from coinfer.solver import mip
from coinfer.testing.selection import enumerate_optimum, selection_problems

FALLBACK = CostOfPass(fallback_price_usd={"chat": 0.003, "code": 0.02}, trials=8)
OTHERS: tuple[Objective, ...] = ("cost_of_pass", "energy_j")


def changed(problem: SelectionProblem, **fields: Any) -> SelectionProblem:
    return msgspec.structs.replace(problem, **fields)


def best(problem: SelectionProblem) -> tuple[SelectionDecision, Evaluation]:
    point = mip.solve(formulate(problem)).incumbent
    assert point is not None
    decision = decode(problem, point)
    return decision, evaluate(problem, decision)


def free(problem: SelectionProblem, **fields: Any) -> SelectionProblem:
    """Return the small problem without promises and budgets."""
    categories = tuple(msgspec.structs.replace(part, latency_budget_s=None) for part in problem.categories)
    return changed(problem, categories=categories, budgets=Budgets(), arrival_rate_per_s=None, **fields)


def test_the_quality_is_its_own_value(small: SelectionProblem) -> None:
    """With objective quality nothing changes: the values are the matrix of the file."""
    assert np.array_equal(values(small), small.quality.array)


def test_values_of_a_problem_for_paper(small: SelectionProblem) -> None:
    """Energy counts as it stands; a pass costs price over posterior mean, and never more than the fallback."""
    assert values(free(small, objective="energy_j")).tolist() == [[-4.0, -12.0, -90.0]] + 2 * [[-8.0, -24.0, -160.0]]
    table = values(free(small, objective="cost_of_pass", cost_of_pass=FALLBACK))
    # (0.5 + 8 * 0.6) / 9 passes; mid takes 0.002 * 9 / 5.7 = 0.00316, so a person is cheaper.
    assert table[0].tolist() == pytest.approx([-0.001 * 9 / 5.3, -0.003, -0.003])
    assert table[1].tolist() == pytest.approx([-0.001 * 9 / 2.1, -0.002 * 9 / 3.7, -0.004 * 9 / 7.7])


def test_an_expert_that_never_passes_costs_the_fallback() -> None:
    """Without a prior, no pass in no run leaves all to the fallback, even where the attempt is free."""
    record = CostOfPass(fallback_price_usd={"c": 5.0}, trials=3, prior_successes=0.0, prior_failures=0.0)
    assert cost_of_pass(record, "c", 0.0, 0.0) == 5
    assert cost_of_pass(record, "c", 0.1, 0.0) == 5
    assert cost_of_pass(record, "c", 0.0, 1.0) == 0


@given(
    price=st.floats(0.0, 100.0),
    share=st.floats(0.0, 1.0),
    more=st.floats(0.0, 1.0),
    fallback=st.floats(0.0, 100.0),
    trials=st.integers(1, 100),
)
def test_a_pass_costs_no_more_when_more_runs_pass(
    price: float, share: float, more: float, fallback: float, trials: int
) -> None:
    """The cost is between the price of one attempt and the fallback, and falls with the share of passes."""
    record = CostOfPass(fallback_price_usd={"c": fallback}, trials=trials)
    cost = cost_of_pass(record, "c", price, share)
    assert min(price, fallback) <= float(cost) <= fallback
    assert cost_of_pass(record, "c", price, max(share, more)) <= cost


@given(problem=selection_problems())
@settings(max_examples=100)
def test_every_pair_that_may_answer_has_a_value(problem: SelectionProblem) -> None:
    """Figures are only absent where the expert may not answer, and the scale is that of the figures there are."""
    table = values(problem)
    for i, prompt in enumerate(problem.prompts):
        for n, expert in enumerate(problem.experts):
            if answerable(problem, expert, prompt.category):
                assert math.isfinite(table[i, n])
                assert abs(table[i, n]) <= scale_of(problem)
    assert math.isfinite(scale_of(problem))
    assert scale_of(problem) > 0.0


def naive(problem: SelectionProblem, decision: SelectionDecision) -> tuple[float, float]:
    """Return mean value and mean quality of the routes in plain floats."""
    total = sum(prompt.weight for prompt in problem.prompts)
    value = quality = 0.0
    for i, prompt in enumerate(problem.prompts):
        for route in decision.routes:
            if route.prompt == prompt.name or (route.prompt is None and route.category == prompt.category):
                n = [expert.name for expert in problem.experts].index(route.expert)
                expert, share = problem.experts[n], route.fraction * prompt.weight / total
                passed = float(problem.quality.array[i, n])
                quality += share * passed
                if problem.objective == "energy_j":
                    value -= share * (expert.energy_j or {})[prompt.category]
                elif problem.cost_of_pass is None:
                    value += share * passed
                else:
                    record = problem.cost_of_pass
                    runs = record.trials + record.prior_successes + record.prior_failures
                    chance = (record.prior_successes + record.trials * passed) / runs
                    attempt = (expert.price_usd or {})[prompt.category]
                    person = record.fallback_price_usd[prompt.category]
                    value -= share * (person if chance == 0.0 else min(attempt / chance, person))
    return value, quality


@given(problem=selection_problems())
@settings(max_examples=100)
def test_the_evaluation_agrees_with_a_naive_one(problem: SelectionProblem) -> None:
    """Value and quality are what a loop over prompts and routes finds."""
    point = mip.solve(formulate(problem)).incumbent
    assume(point is not None)
    assert point is not None
    decision = decode(problem, point)
    evaluation = evaluate(problem, decision)
    value, quality = naive(problem, decision)
    assert evaluation.value == pytest.approx(value, abs=1e-9)
    assert evaluation.mean_quality == pytest.approx(quality, abs=1e-9)
    assert problem.quality_floor is None or quality >= problem.quality_floor - 1e-8


@given(problem=selection_problems(objectives=OTHERS))
@settings(max_examples=60)
def test_a_floor_never_helps_and_is_kept(problem: SelectionProblem) -> None:
    """Without the floor the optimum is no worse; with a floor below every quality it is the same."""
    kept, lifted = enumerate_optimum(problem), enumerate_optimum(changed(problem, quality_floor=None))
    assert kept is None or (lifted is not None and lifted >= kept - 1e-7)
    idle = enumerate_optimum(changed(problem, quality_floor=-1.0))
    assert (idle is None) == (lifted is None)
    assert idle is None or idle == pytest.approx(lifted, abs=1e-6)


def test_least_energy_at_a_quality(small: SelectionProblem) -> None:
    """``tiny`` takes least; to reach 0.8, ``big`` answers where it gains most per joule, and no more than it must.

    All ``tiny``: 0.6 * 0.6 + 0.2 * 0.2 + 0.2 * 0.3 = 0.46 at 5.6 J. ``sort`` gains 0.7 for 152 J, ``parse`` 0.65 for
    152 J, ``hello`` 0.3 for 86 J: 0.14 + 0.13 for both of ``code``, and the last 0.07 of ``hello``.
    """
    problem = free(small, objective="energy_j", quality_floor=0.8)
    thrifty, _ = best(changed(problem, quality_floor=None))
    assert thrifty.selected == ("tiny",)
    decision, evaluation = best(problem)
    assert evaluation.violations == ()
    assert evaluation.mean_quality == pytest.approx(0.8, abs=1e-9)
    assert evaluation.value == pytest.approx(-(5.6 + 0.4 * 152 + 0.07 / 0.3 * 86), abs=1e-6)
    assert evaluation.energy_j == pytest.approx(-evaluation.value)
    floor = next(row for row in evaluation.usage if row.what == "quality_floor")
    assert floor.limit == 0.0
    assert floor.used == pytest.approx(0.0, abs=1e-9)
    assert decision.preference["code"][0] == "big"


def test_a_floor_out_of_reach_is_explained(small: SelectionProblem) -> None:
    """The best answer everywhere has 0.6 * 0.9 + 0.2 * 0.9 + 0.2 * 0.95 = 0.91: more cannot be asked."""
    problem = free(small, quality_floor=0.92)
    assert mip.solve(formulate(problem)).incumbent is None
    assert explain_infeasible(problem) == ("the best routing has a mean quality of 0.91, below the floor of 0.92",)
    assert explain_infeasible(changed(problem, quality_floor=0.91)) == ()


def test_a_plan_below_the_floor_is_flagged(small: SelectionProblem) -> None:
    """A decision for a lower floor breaks the higher one, by more than the tolerance and not by less."""
    decision, evaluation = best(free(small, objective="energy_j", quality_floor=0.5))
    assert evaluation.violations == ()
    for floor, broken in ((0.5 + 0.5e-9, False), (0.5 + 2e-9, True)):
        found = evaluate(free(small, objective="energy_j", quality_floor=floor), decision)
        assert bool(found.violations) is broken
    assert "below the floor of 0.500000002" in found.violations[0]


def test_a_cheap_expert_that_fails_is_no_bargain(small: SelectionProblem) -> None:
    """``tiny`` has the least price, but for ``sort`` it needs so many attempts that ``mid`` costs less per pass."""
    record = CostOfPass(fallback_price_usd={"chat": 1.0, "code": 1.0}, trials=1000)
    problem = free(small, objective="cost_of_pass", cost_of_pass=record)
    quality = small.quality.array.copy()
    quality[1] = [0.1, 0.4, 0.5]
    decision, evaluation = best(changed(problem, quality=type(small.quality)(quality)))
    by_prompt = {route.prompt: route.expert for route in decision.routes}
    assert by_prompt == {"hello": "tiny", "sort": "mid", "parse": "tiny"}
    assert evaluation.violations == ()
    assert evaluation.price_usd == pytest.approx(0.8 * 0.001 + 0.2 * 0.002)
