"""Routing unseen prompts by the prices of a plan."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.parts import Amount, Arm, Budget, Cost, Option, PosteriorMenus, Strata, TableMenus
from coinfer.planner.budget.online.router import ShareRouter, route
from coinfer.records import Matrix


def problem() -> BudgetProblem:
    """Two options, one budget, a stratum of ten prompts."""
    return BudgetProblem(
        name="two",
        options=(Option(name="cheap", arm="a", samples=1), Option(name="dear", arm="a", samples=4)),
        menus=TableMenus(value=Matrix([[0.4, 0.8]]), cost=(Cost(resource="usd", amount=Matrix([[1.0, 4.0]])),)),
        budgets=(Budget(resource="usd", limit=19.0),),
        strata=Strata(prompts=Matrix([[10.0]])),
    )


def test_price_decides() -> None:
    """A prompt takes the dear option exactly where its further value is worth its further cost."""
    menus = TableMenus(
        value=Matrix([[0.4, 0.8], [0.4, 0.6]]), cost=(Cost(resource="usd", amount=Matrix([[1.0, 4.0]])),)
    )
    assert route(problem(), np.array([0.1]), menus).tolist() == [1, 0]
    with pytest.raises(InputError):
        route(problem(), np.array([0.1, 0.2]), menus)


def test_posterior_of_a_prompt_decides() -> None:
    """After failures a prompt's own posterior makes it too dear to go on with."""
    menus = PosteriorMenus(
        arms=(Arm(name="a", per_sample=(Amount(resource="usd", amount=1.0),)),),
        alpha=Matrix([[1.0], [1.0]]),
        beta=Matrix([[1.0], [30.0]]),
    )
    assert route(problem(), np.array([0.08]), menus).tolist() == [1, 0]


def test_shares_of_a_stratum_are_kept() -> None:
    """Prompts of a split stratum get the options in proportion, at every moment within one prompt."""
    router = ShareRouter(problem(), BudgetDecision(taken=Matrix([[0, 0, 7], [0, 1, 3]])))
    chosen = np.array([router.choose(0) for _ in range(200)])
    for count in range(1, 201):
        assert abs((chosen[:count] == 1).sum() - 0.3 * count) <= 1.0
    with pytest.raises(InputError):
        router.choose(1)
