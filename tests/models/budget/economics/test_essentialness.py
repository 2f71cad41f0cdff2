"""What is lost without a group of models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import Infeasible, ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.economics.essentialness import (
    by_model,
    by_strategy,
    essentialness,
    pass_essentialness,
    without_options,
)
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.parts import Amount, Arm, Budget, Cost, Option, PosteriorMenus, Strata, TableMenus
from coinfer.records import Matrix
from coinfer.solver.knapsack.solve import solve
from coinfer.testing.budget import budget_problems

OPTIONS = (
    Option(name="nothing", strategy="none"),
    Option(name="a x 1", model="a", endpoint="edge"),
    Option(name="a x 4", model="a", endpoint="edge", strategy="samples"),
    Option(name="b x 1", model="b"),
)


def _problem(limit: float, **more: object) -> BudgetProblem:
    return BudgetProblem(
        name="desk",
        options=OPTIONS,
        menus=TableMenus(
            value=Matrix([[0.0, 0.5, 0.8, 0.9], [0.0, 0.1, 0.2, 0.6]]),
            cost=(Cost(resource="usd", amount=Matrix([[0.0, 1.0, 4.0, 6.0]])),),
            latency_s=Matrix([[0.0, 1.0, 1.0, 2.0]]),
            **more,  # type: ignore[arg-type]
        ),
        budgets=(Budget(resource="usd", limit=limit), Budget(resource="usd", limit=9.0, endpoint="edge")),
        strata=Strata(prompts=Matrix([[2], [2]])),
    )


def _optimum(problem: BudgetProblem) -> float | None:
    try:
        found = solve(formulate(problem))
    except Infeasible:
        return None
    return None if found.taken is None else found.value


def test_groups_are_the_options_of_a_model_or_a_strategy() -> None:
    """Options of no model are in no group of models; every option has a strategy."""
    assert by_model(OPTIONS) == {"a": (1, 2), "b": (3,)}
    assert by_strategy(OPTIONS) == {"none": (0,), "single": (1, 3), "samples": (2,)}


def test_losses_are_the_optima_with_and_without_each_group() -> None:
    """Small enough to know: with 14 dollars b serves two prompts, and a the others."""
    rows = essentialness(_problem(14.0), by_model(OPTIONS), _optimum)
    found = {row.group: row for row in rows}
    # with all: hard prompts by b (2 x .6, 12 dollars) and easy ones by a x 1 (2 x .5, 2 dollars)
    assert found["a"].best == pytest.approx(2.2)
    # without a: two of four prompts by b, the easy ones
    assert found["a"].without == pytest.approx(1.8)
    # without b, 9 dollars at the edge: a x 4 twice would take 8: .8 + .8, and one hard prompt by a x 1
    assert found["b"].without == pytest.approx(1.7)
    assert [row.group for row in rows] == ["b", "a"]
    assert found["b"].loss == pytest.approx(0.5)
    assert found["b"].essentialness == pytest.approx(0.5 / 2.2)


def test_a_group_without_which_nothing_is_left_has_no_loss() -> None:
    """Where no option is left, or a stratum has none, the row says so and comes first; no number is made up."""
    available = Matrix([[1, 1, 1, 1], [0, 1, 1, 0]])
    problem = _problem(99.0, available=available)
    rows = essentialness(problem, {"b": (3,), "a": (1, 2), "all": (0, 1, 2, 3)}, _optimum)
    assert [(row.group, row.without, row.loss) for row in rows[:2]] == [("a", None, None), ("all", None, None)]
    assert rows[2].loss is not None
    assert without_options(problem, [1, 2]) is None
    with pytest.raises(ProblemError):
        without_options(problem, [4])


def test_what_is_left_keeps_its_columns_and_its_quotas() -> None:
    """Every matrix loses the same columns; the quota of an endpoint that nobody uses any more goes."""
    left = without_options(_problem(5.0), [1, 2])
    assert left is not None
    assert [option.name for option in left.options] == ["nothing", "b x 1"]
    assert isinstance(left.menus, TableMenus)
    assert left.menus.value == Matrix([[0.0, 0.9], [0.0, 0.6]])
    assert left.menus.latency_s == Matrix([[0.0, 2.0]])
    assert [budget.endpoint for budget in left.budgets] == [None]


def test_posterior_menus_lose_options_too() -> None:
    """A posterior menu keeps its arms; only the options go."""
    arm = Arm(name="m", per_sample=(Amount(resource="usd", amount=1.0),))
    problem = BudgetProblem(
        name="posterior",
        options=tuple(Option(name=f"m x {k}", arm="m", model="m", samples=k) for k in (0, 1, 2)),
        menus=PosteriorMenus(arms=(arm,), alpha=Matrix([[1.0], [2.0]]), beta=Matrix([[1.0], [1.0]])),
        budgets=(Budget(resource="usd", limit=4.0),),
    )
    rows = essentialness(problem, {"twice": (2,), "once": (1,)}, _optimum)
    assert [(row.group, row.loss) for row in rows] == [
        ("twice", pytest.approx(1.0 / 6.0 + 2.0 / 3.0 - 2.0 / 3.0 + 1.0 / 6.0)),
        ("once", pytest.approx(0.0)),
    ]


@given(budget_problems(most_options=3), st.data())
def test_no_group_is_worth_less_than_nothing(problem: BudgetProblem, data: st.DataObject) -> None:
    """Removing options never gains: a value does not rise, a cost does not fall."""
    if len(problem.options) < 2 or problem.objective != "value":
        return
    removed = data.draw(st.integers(0, len(problem.options) - 1))
    (row,) = essentialness(problem, {"one": (removed,)}, _optimum)
    assert row.best is not None or row.without is None
    assert row.loss is None or row.loss >= -1e-9


def test_the_frontier_of_passes_rises_without_its_holder_only() -> None:
    """Essentialness is the loss over the cost without, in 0..1; who holds nothing is worth nothing."""
    costs = np.array([[1.0, 2.0, 8.0], [6.0, 3.0, 9.0]])
    rows = pass_essentialness(costs, {"first": (0,), "second": (1,), "third": (2,)}, fallback=7.0)
    found = {row.group: row for row in rows}
    assert found["first"].loss == pytest.approx(0.5)
    assert found["first"].essentialness == pytest.approx(0.5 / 2.5)
    assert found["second"].loss == pytest.approx(1.5)
    assert found["third"].loss == 0.0
    assert [row.group for row in rows] == ["second", "first", "third"]
    lone = pass_essentialness(costs, {"all": (0, 1, 2)})
    assert (lone[0].without, lone[0].loss) == (None, None)
