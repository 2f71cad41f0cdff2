"""New outcomes go into the figures they belong to, and the plan follows."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.errors import ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.parts import Amount, Arm, Budget, Cost, Option, PosteriorMenus, Strata, TableMenus
from coinfer.planner.budget.make import plan
from coinfer.planner.budget.replan import replan_budget
from coinfer.planner.budget.verify import verify
from coinfer.records import Matrix


def posterior() -> BudgetProblem:
    arms = tuple(
        Arm(name=name, per_sample=(Amount(resource="usd", amount=amount),)) for name, amount in (("a", 1.0), ("b", 3.0))
    )
    options = tuple(Option(name=f"{arm.name} x{k}", arm=arm.name, samples=k) for arm in arms for k in (1, 2, 4))
    return BudgetProblem(
        name="posterior",
        options=options,
        menus=PosteriorMenus(arms=arms, alpha=Matrix([[1, 1], [1, 1]]), beta=Matrix([[1, 3], [3, 1]])),
        budgets=(Budget(resource="usd", limit=40.0),),
        strata=Strata(names=("easy", "hard"), prompts=Matrix([[5], [5]])),
    )


def table(error: float | None = 0.1) -> BudgetProblem:
    errors = None if error is None else Matrix([[error, error], [error, 0.0]])
    menus = TableMenus(
        value=Matrix([[0.5, 0.8], [0.2, 0.4]]),
        value_error=errors,
        cost=(Cost(resource="usd", amount=Matrix([[1, 2]])),),
    )
    return BudgetProblem(
        name="table",
        options=(Option(name="a"), Option(name="b")),
        menus=menus,
        budgets=(Budget(resource="usd", limit=15.0),),
        strata=Strata(names=("easy", "hard"), prompts=Matrix([[5], [5]])),
    )


def outcomes(right: list[list[int]], drawn: list[list[int]], cost: float, labels: tuple[str, ...] = ()) -> Outcomes:
    names = tuple(f"prompt {i}" for i in range(len(right))) if labels else ("easy", "hard", "other")[: len(right)]
    samples = np.array(drawn)
    return Outcomes(
        prompts=names,
        arms=("a", "b"),
        successes=np.array(right),
        samples=samples,
        resources=("usd",),
        sample_cost=np.where(samples > 0, cost, np.nan)[None],
        labels=labels,
    )


def test_posteriors_count_right_and_wrong_samples() -> None:
    """Alpha grows by the right samples and beta by the wrong ones, in the stratum of the label."""
    problem = posterior()
    new = outcomes([[2, 0], [1, 0], [0, 4]], [[3, 0], [5, 0], [0, 4]], 1.0, labels=("easy", "easy", "hard"))
    made = replan_budget(problem, plan(problem), new)
    menus = made.problem.menus
    assert isinstance(menus, PosteriorMenus)
    assert menus.alpha.array.tolist() == [[4, 1], [1, 5]]
    assert menus.beta.array.tolist() == [[6, 3], [3, 1]]
    assert (made.counted, made.left_out) == (12, 0)
    assert verify(made.problem, made.plan).proven


def test_a_dearer_arm_is_planned_as_such() -> None:
    """The cost of a sample becomes the measured mean; an arm that was not sampled keeps its own."""
    problem = posterior()
    made = replan_budget(problem, plan(problem), outcomes([[2, 0], [1, 0]], [[2, 0], [2, 0]], 9.0))
    menus = made.problem.menus
    assert isinstance(menus, PosteriorMenus)
    assert [arm.per_sample[0].amount for arm in menus.arms] == [9.0, 3.0]
    assert made.stale
    assert made.previous.violations
    assert made.moved > 0


def test_a_table_weighs_new_samples_against_its_standard_error() -> None:
    """A value of 0.5 with error 0.1 is worth 25 samples; 25 right ones then make it 0.75; an error of 0 never moves."""
    problem = table()
    made = replan_budget(problem, plan(problem), outcomes([[25, 0], [0, 9]], [[25, 0], [0, 9]], 3.0))
    menus = made.problem.menus
    assert isinstance(menus, TableMenus)
    assert menus.value_error is not None
    np.testing.assert_allclose(menus.value.array, [[0.75, 0.8], [0.2, 0.4]])
    np.testing.assert_allclose(menus.value_error.array[0], [np.sqrt(0.75 * 0.25 / 50), 0.1])
    np.testing.assert_allclose(menus.cost[0].amount.array, [[2.0, 2.0], [1.0, 2.0]])
    verify(made.problem, made.plan)


def test_nothing_new_changes_nothing() -> None:
    """Outcomes that agree with the figures leave the plan as it is."""
    problem = table()
    made = replan_budget(problem, plan(problem), outcomes([[5, 8], [2, 4]], [[10, 10], [10, 10]], np.nan))
    assert not made.stale
    assert made.moved == 0


def test_outcomes_of_others_are_refused_or_left_out() -> None:
    """Prompts and arms that the problem does not have are counted as left out; nothing else at all is an error."""
    problem = posterior()
    old = plan(problem)
    made = replan_budget(problem, old, outcomes([[1, 0], [0, 0], [3, 3]], [[1, 0], [0, 0], [3, 3]], 1.0))
    assert (made.counted, made.left_out) == (1, 6)
    with pytest.raises(ProblemError, match="none of them"):
        replan_budget(problem, old, outcomes([[0, 0], [0, 0], [3, 3]], [[0, 0], [0, 0], [3, 3]], 1.0))


def test_a_table_without_errors_cannot_learn() -> None:
    """How much new samples count is not known without standard errors, and that is said."""
    problem = table(error=None)
    with pytest.raises(ProblemError, match="standard errors"):
        replan_budget(problem, plan(problem), outcomes([[1, 0], [0, 0]], [[1, 0], [0, 0]], 1.0))


def test_an_option_of_several_samples_learns_from_single_ones() -> None:
    """Five of ten samples right make the chance that any of two is right 7/9, counted once for each prompt."""
    menus = TableMenus(
        value=Matrix([[0.5, 0.5]]),
        value_error=Matrix([[0.5, 0.5]]),  # worth one observation
        cost=(Cost(resource="usd", amount=Matrix([[1.0, 2.0]])),),
    )
    problem = BudgetProblem(
        name="two samples",
        options=(
            Option(name="one", model="a", samples=1),
            Option(name="two", strategy="samples", model="a", samples=2),
        ),
        menus=menus,
        budgets=(Budget(resource="usd", limit=2.0),),
    )
    new = Outcomes(
        prompts=("0",),
        arms=("a",),
        successes=np.array([[5]]),
        samples=np.array([[10]]),
        resources=("usd",),
        sample_cost=np.array([[[3.0]]]),
    )
    made = replan_budget(problem, plan(problem), new)
    fresh = made.problem.menus
    assert isinstance(fresh, TableMenus)
    np.testing.assert_allclose(fresh.value.array, [[0.5, (0.5 + 7 / 9) / 2]])
    np.testing.assert_allclose(fresh.cost[0].amount.array, [[2.0, 4.0]])
    assert made.counted == 10
