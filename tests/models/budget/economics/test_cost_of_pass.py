"""The cost of a right answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coinfer.errors import ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.economics.cost_of_pass import (
    FALLBACK,
    NOBODY,
    cost_of_pass,
    expected_cost_of_pass,
    gains_of_adding,
    pass_frontier,
    problem_costs,
)
from coinfer.models.budget.evaluate import evaluate
from coinfer.models.budget.parts import Cost, Option, Strata, TableMenus
from coinfer.records import Matrix
from coinfer.solver.program import FloatArray

COSTS = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.integers(1, 40))


def _problem() -> BudgetProblem:
    return BudgetProblem(
        name="retry",
        options=tuple(Option(name=name, model=name[0]) for name in ("a1", "a2", "b1")),
        menus=TableMenus(
            value=Matrix([[0.5, 0.8, 0.9], [0.0, 0.1, 0.4]]),
            cost=(Cost(resource="usd", amount=Matrix([[0.1, 0.4, 0.9]])),),
            available=Matrix([[1, 1, 1], [1, 1, 0]]),
        ),
        objective="cost_of_pass",
        minimise="usd",
        strata=Strata(prompts=Matrix([[3], [1]])),
    )


def test_never_right_is_infinite_and_not_measured_is_nan() -> None:
    """A chance of 0 has no finite cost, even where tries are free; what was not measured stays unknown."""
    found = cost_of_pass([[1.0, 0.0, 2.0], [np.nan, 1.0, 0.0]], [[0.5, 0.0, 0.0], [0.5, np.nan, 1.0]])
    assert found[0].tolist() == [2.0, math.inf, math.inf]
    assert np.isnan(found[1, :2]).all()
    assert found[1, 2] == 0.0


@pytest.mark.parametrize(("cost", "value"), [(-1.0, 0.5), (1.0, 1.5), (1.0, -0.5)])
def test_impossible_costs_and_chances_are_refused(cost: float, value: float) -> None:
    """A negative cost and a chance outside 0..1 are an error."""
    with pytest.raises(ProblemError):
        cost_of_pass(cost, value)


def test_expected_cost_is_infinite_up_to_one_success() -> None:
    """The mean of 1/p exists for alpha above 1 only, also where a try is free."""
    found = expected_cost_of_pass([2.0, 2.0, 0.0, 0.0], [1.0, 1.5, 0.5, 3.0], 1.0)
    assert found.tolist() == [math.inf, 6.0, math.inf, 0.0]


@given(COSTS, st.one_of(st.none(), st.integers(0, 40)))
def test_the_frontier_is_the_least_cost_and_its_holder_has_it(costs: FloatArray, fallback: int | None) -> None:
    """Each stratum pays what its holder costs, and nobody costs less."""
    found = pass_frontier(costs, fallback=fallback)
    for row, option in enumerate(found.option):
        own = fallback if option == FALLBACK else costs[row, option]
        assert found.cost[row] == own
    assert (found.cost <= costs.min(axis=1)).all()
    assert fallback is None or (found.cost <= fallback).all()


def test_where_nobody_is_right_there_is_no_mean() -> None:
    """Without an expert a stratum that nobody answers has no cost, and the mean is absent; its share is told."""
    costs = np.array([[2.0, np.inf], [np.inf, np.nan]])
    found = pass_frontier(costs, prompts=[3, 1])
    assert found.option.tolist() == [0, NOBODY]
    assert found.mean is None
    assert found.answered == 0.75
    assert pass_frontier(costs, prompts=[3, 1], fallback=[9.0, 10.0]).mean == 4.0
    assert pass_frontier(costs, prompts=[3, 0]).mean == 2.0


@given(COSTS, st.integers(0, 40))
def test_adding_an_option_never_costs(costs: FloatArray, fallback: int) -> None:
    """The gain is the frontier before less after: at least 0, and 0 for what is there already."""
    gains = gains_of_adding(costs, [0], fallback=fallback)
    assert gains[0] == 0.0
    before, after = (pass_frontier(part, fallback=fallback).mean for part in (costs[:, :1], costs))
    assert before is not None
    assert after is not None
    assert all(gain is not None and -1e-12 <= gain <= before - after + 1e-12 for gain in gains)


def test_a_gain_over_nothing_is_absent() -> None:
    """Where nobody answered before there is no number to gain on, and a gain is never infinite."""
    assert gains_of_adding(np.array([[1.0, np.inf]]), []) == (None, None)


def test_the_costs_of_a_problem_are_those_its_plans_are_judged_by() -> None:
    """The frontier of a problem is what its evaluation says of the same choice; absent options do not count."""
    problem = _problem()
    costs, prompts = problem_costs(problem, "usd")
    assert np.isnan(costs[1, 2])
    assert costs[1, 0] == np.inf
    found = pass_frontier(costs, prompts=prompts)
    taken = Matrix([[row, option, count] for row, (option, count) in enumerate(zip(found.option, [3, 1], strict=True))])
    judged = evaluate(problem, BudgetDecision(taken=taken))
    assert found.mean is not None
    assert judged.violations == ()
    assert -judged.objective == pytest.approx(found.mean * 4, rel=1e-12)
    with pytest.raises(ProblemError, match="a resource that the menus have: usd"):
        problem_costs(problem, "eur")
