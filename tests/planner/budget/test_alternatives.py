"""What treating all prompts alike gives is proven, and complete."""

from __future__ import annotations

from itertools import combinations_with_replacement

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

from coinfer.errors import CertificateError, Infeasible
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.parts import Budget, Cost, Option, TableMenus
from coinfer.planner.budget.alternatives import comparisons, stated_bound
from coinfer.planner.budget.wording import gain
from coinfer.planner.make import plan
from coinfer.planner.verify import verify
from coinfer.records import Matrix
from coinfer.testing.budget import budget_problems, larger


def test_a_poor_comparison_is_refused() -> None:
    """A feasible choice that treats all prompts alike, but not the best one, does not stand as what they would get."""
    problem = larger()
    made = plan(problem)
    same = made.alternatives[0]
    block = formulate(problem).menus.block(0, problem.rows)
    mean_cost, mean_value = block.cost[0].mean(axis=0), block.value.mean(axis=0)
    cheapest = int(mean_cost.argmin())
    poor = msgspec.structs.replace(
        same,
        options=(problem.options[cheapest].name,),
        prompts=(problem.rows,),
        value=float(mean_value[cheapest] * problem.rows),
        spend=float(mean_cost[cheapest] * problem.rows),
    )
    assert poor.value is not None
    assert same.bound is not None
    assert poor.value < same.bound - 2.0
    touched_plan = msgspec.structs.replace(made, alternatives=(poor, *made.alternatives[1:]))
    with pytest.raises(CertificateError, match="not the best"):
        verify(problem, touched_plan)


@given(problem=budget_problems())
@settings(max_examples=60, deadline=None)
def test_no_way_of_treating_all_alike_beats_the_bound_of_the_comparison(problem: BudgetProblem) -> None:
    """Every mixture that keeps the limits is within the stated bound; without a bound there is none."""
    try:
        made = plan(problem)
    except Infeasible:
        return
    asked = comparisons(problem, made.certificate.value if problem.objective == "value" else -made.certificate.value)
    assert [each.what for each in asked] == [each.what for each in made.alternatives]
    for question, other in zip(asked, made.alternatives, strict=True):
        for mixture in combinations_with_replacement(range(len(problem.options)), min(problem.prompts, 7)):
            if problem.prompts > 7:
                break
            prompts = np.bincount(mixture, minlength=len(problem.options)).astype(np.float64)
            if not question.keeps_limits(prompts):
                continue
            assert other.bound is not None
            reached = stated_bound(problem, other.what, question.gained(prompts))
            sign = 1.0 if other.what == "same_budgets" and problem.objective == "value" else -1.0
            assert sign * reached <= sign * other.bound + 1e-9 * abs(other.bound) + 1e-12


def test_where_no_common_choice_keeps_the_limits_prices_say_so() -> None:
    """Budgets that hold only when prompts are told apart leave a comparison without a bound, shown by its prices."""
    menus = TableMenus(
        value=Matrix([[0.2, 0.9], [0.3, 0.9]]), cost=(Cost(resource="usd", amount=Matrix([[1, 9], [9, 1]])),)
    )
    options = (Option(name="one"), Option(name="other"))
    problem = BudgetProblem(name="apart", options=options, menus=menus, budgets=(Budget(resource="usd", limit=4),))
    made = plan(problem)
    verify(problem, made)
    same = made.alternatives[0]
    assert (same.bound, same.value, same.options) == (None, None, ())
    assert "break a limit" in str(gain(made, problem))
    easier = msgspec.structs.replace(problem, budgets=(Budget(resource="usd", limit=12),))
    other = plan(easier)
    claims = msgspec.structs.replace(other, alternatives=(same, *other.alternatives[1:]))
    with pytest.raises(CertificateError, match="no choice is possible"):
        verify(easier, claims)
