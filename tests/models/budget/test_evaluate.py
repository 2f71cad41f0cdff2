"""A decision that is none is refused, and one that breaks a limit is told so."""

from __future__ import annotations

import pytest

from coinfer.errors import ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.evaluate import evaluate
from coinfer.models.budget.parts import Amount, Budget, Cost, Information, LatencyClass, Option, Strata, TableMenus
from coinfer.records import Matrix


def problem(**fields: object) -> BudgetProblem:
    given: dict[str, object] = {
        "name": "two strata",
        "options": (Option(name="one", endpoint="edge"), Option(name="many", endpoint="cloud")),
        "menus": TableMenus(
            value=Matrix([[0.5, 0.9], [0.1, 0.3]]),
            cost=(Cost(resource="usd", amount=Matrix([[1, 10]]), worst=Matrix([[2, 10]])),),
            latency_s=Matrix([[1, 5]]),
        ),
        "budgets": (Budget(resource="usd", limit=60.0),),
        "strata": Strata(names=("easy", "hard"), prompts=Matrix([[6], [4]])),
    }
    return BudgetProblem(**{**given, **fields})  # type: ignore[arg-type]


def decision(*rows: tuple[int, int, int]) -> BudgetDecision:
    return BudgetDecision(taken=Matrix(rows))


GOOD = decision((0, 0, 6), (1, 0, 1), (1, 1, 3))


def test_value_spend_and_worst_case_add_up() -> None:
    """Sums over prompts: value, spend, its worst case, and the parts of each option."""
    found = evaluate(problem(), GOOD)
    assert found.value == found.objective == pytest.approx(3.0 + 0.1 + 0.9)
    assert found.spend == (37.0,)
    assert found.worst == (44.0,)
    assert found.prompts_by_option == (7, 3)
    assert found.spend_by_option == ((7.0,), (30.0,))
    assert found.violations == ()


def test_information_is_charged_unless_it_is_said_not_to_be() -> None:
    """What finding out the strata costs counts against the budget, for every prompt."""
    known = Information(source="one_sample", cost=(Amount(resource="usd", amount=2.5),))
    found = evaluate(problem(information=known), GOOD)
    assert found.spend == (62.0,)
    assert "62 is more than the limit 60" in found.violations[0]
    free = Information(source="one_sample", cost=known.cost, charged=False)
    assert evaluate(problem(information=free), GOOD).spend == (37.0,)


def test_a_quota_counts_its_endpoint_alone() -> None:
    """A budget with an endpoint counts only the options there."""
    limited = problem(budgets=(Budget(resource="usd", limit=29.0, endpoint="cloud"),))
    found = evaluate(limited, GOOD)
    assert found.quota == (30.0,)
    assert "at endpoint 'cloud'" in found.violations[0]


def test_an_option_too_slow_for_its_class_is_a_violation() -> None:
    """Prompts with a latency class do not get an option that takes longer."""
    timed = problem(
        strata=Strata(names=("easy", "hard"), prompts=Matrix([[6], [4]]), latency_class=Matrix([[-1], [0]])),
        latency_classes=(LatencyClass(name="quick", limit_s=2.0),),
    )
    assert "'many' is not on the menu of stratum 'hard'" in evaluate(timed, GOOD).violations[0]
    assert evaluate(timed, decision((0, 0, 6), (1, 0, 4))).violations == ()


def test_a_floor_that_is_missed_is_a_violation() -> None:
    """A mean value below the floor is told."""
    assert "less than the floor 0.5" in evaluate(problem(value_floor=0.5), GOOD).violations[0]


def test_cost_of_pass_counts_every_try() -> None:
    """Where prompts are tried until right, a rate of a tenth takes ten tries."""
    found = evaluate(problem(objective="cost_of_pass", minimise="usd", budgets=()), decision((0, 0, 6), (1, 0, 4)))
    assert found.objective == pytest.approx(-(6 * 2 + 4 * 10))
    assert found.value == 10.0
    assert found.worst == (None,)


@pytest.mark.parametrize(
    "rows",
    [
        ((0, 0, 6), (1, 0, 3)),
        ((0, 0, 6), (1, 0, 4), (1, 1, 1)),
        ((0, 0, 6), (1, 2, 4)),
        ((0, 0, 6), (2, 0, 4)),
        ((0, 0, 6), (1, 0, 0), (1, 1, 4)),
        ((1, 0, 4), (0, 0, 6)),
        ((0, 0, 3), (0, 0, 3), (1, 0, 4)),
        ((0, 0, 6.5), (1, 0, 3.5)),
        ((0, -1, 6), (1, 0, 4)),
    ],
)
def test_what_is_no_decision_is_refused(rows: tuple[tuple[int, int, int], ...]) -> None:
    """Numbers that are no stratum, option or count, pairs out of order, and counts that do not add up are refused."""
    with pytest.raises(ProblemError, match=r"decision\.taken"):
        evaluate(problem(), decision(*rows))
