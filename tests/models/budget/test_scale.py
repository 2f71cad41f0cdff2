"""Limits that are met to the last digit are kept, whatever stands beside them."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.evaluate import evaluate
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.parts import Budget, Cost, Option, Strata, TableMenus
from coinfer.models.budget.scale import ROUNDING, scale
from coinfer.planner.budget.make import plan
from coinfer.planner.budget.verify import verify
from coinfer.records import Matrix


def problem(cost: list[float], limit: float | None, prompts: int, **fields: object) -> BudgetProblem:
    value = fields.pop("value", [0.1 * (i + 1) for i in range(len(cost))])
    given: dict[str, object] = {
        "name": "met exactly",
        "options": tuple(Option(name=f"o{i}") for i in range(len(cost))),
        "menus": TableMenus(value=Matrix([value]), cost=(Cost(resource="usd", amount=Matrix([cost])),)),
        "budgets": () if limit is None else (Budget(resource="usd", limit=limit),),
        "strata": Strata(prompts=Matrix([[prompts]])),
    }
    return BudgetProblem(**{**given, **fields})  # type: ignore[arg-type]


def solved(given: BudgetProblem) -> float:
    made = plan(given)
    assert verify(given, made).proven
    assert evaluate(given, made.decision).violations == ()
    return made.certificate.value


@pytest.mark.parametrize("other", [0.7, 1e15, 0.123456789012345, 1.0 / 3.0])
def test_a_limit_met_by_decimals_is_kept_beside_any_number(other: float) -> None:
    """Three tenths fit in 0.3, although the sum of the floats is above it, whatever the other option takes."""
    assert solved(problem([0.1, other], 0.3, 3)) >= 0.3 - 1e-12


def test_the_cost_of_a_pass_meets_a_limit_exactly() -> None:
    """Five passes of 0.1 fit in 0.5 beside an option whose cost of a pass is no decimal."""
    given = problem([0.1, 0.7], 0.5, 5, value=[1.0, 0.3], objective="cost_of_pass", minimise="usd")
    assert solved(given) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("limit", [0.7999999999999999, 0.8, 0.8000000000000002, 1000000.2999999999])
def test_a_computed_limit_is_met_by_the_decimal_that_it_means(limit: float) -> None:
    """What is less than a part in 2e12 below a short decimal lets that decimal in, for planner and checker alike."""
    each = round(limit, 6) / 8
    assert solved(problem([each, 2.0 * each], limit, 8)) == pytest.approx(0.8, rel=1e-12)


def test_a_floor_that_was_computed_as_a_mean_is_met_by_its_decimals() -> None:
    """A floor of 11.54 / 3 is met by values that sum to 11.54."""
    given = problem(
        [3.0, 2.0, 9.0],
        None,
        3,
        value=[4.52, 2.5, 8.0],
        objective="cost",
        minimise="usd",
        value_floor=(4.52 + 4.52 + 2.5) / 3,
    )
    assert solved(given) == pytest.approx(8.0)


def test_written_limits_of_up_to_twelve_digits_stay_as_they_are() -> None:
    """Only limits of more digits are raised, and those of sheets that are no short decimals."""
    for limit in (0.3, 12345.6789, 999999999999.0, 1e-9):
        assert formulate(problem([0.1, 0.2], limit, 3)).budget.tolist() == [limit]
        raised = scale(formulate(problem([1.0 / 3.0, 0.2], limit, 3))).program.budget[0]
        assert limit < raised <= limit * (1.0 + 1.01 * ROUNDING)
    assert scale(formulate(problem([1.0, 2.0], 7.0, 3))).program.budget.tolist() == [7.0]
    assert np.isinf(scale(formulate(problem([1.0 / 3.0, 2.0], None, 3))).program.budget).all()
