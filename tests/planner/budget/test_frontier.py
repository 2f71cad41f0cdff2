"""The drawn curves are plans that could be had."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.parts import Amount, Budget, Cost, Information, Option, Strata, TableMenus
from coinfer.planner.budget.frontier import frontier
from coinfer.planner.budget.make import plan
from coinfer.records import Matrix


def problem(seed: int, rows: int = 6, limit: float = 10.0, **fields: object) -> BudgetProblem:
    random = np.random.default_rng(seed)
    value = np.sort(random.integers(0, 100, size=(rows, 5)), axis=1) / 100.0
    cost = np.sort(random.integers(0, 500, size=(rows, 5)), axis=1) / 100.0
    given: dict[str, object] = {
        "name": "curve",
        "options": tuple(Option(name=f"option {i}") for i in range(5)),
        "menus": TableMenus(value=Matrix(value), cost=(Cost(resource="usd", amount=Matrix(cost)),)),
        "budgets": (Budget(resource="usd", limit=limit),),
        "strata": Strata(prompts=Matrix([[100.0]] * rows)),
    }
    return BudgetProblem(**{**given, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(5))
def test_each_point_is_the_best_plan_for_its_spend(seed: int) -> None:
    """With a point's spend as the limit the plan reaches the point's value, and hardly more."""
    found = frontier(problem(seed))
    assert found is not None
    for spend, value in list(zip(found.spend, found.value, strict=True))[1::6]:
        made = plan(problem(seed, limit=float(spend) * 600 * (1 + 1e-9)))
        assert made.mean_value == pytest.approx(value, abs=2e-3)
        assert made.mean_value >= value - 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_telling_prompts_apart_is_never_worse_when_it_is_free(seed: int) -> None:
    """The curve with strata lies on or above the hull of what all prompts alike would get."""
    found = frontier(problem(seed))
    assert found is not None
    assert (np.diff(found.spend) >= -1e-12).all()
    assert (np.diff(found.value) >= -1e-12).all()
    alike = np.interp(found.spend, found.alike_spend, found.alike_value)
    inside = (found.spend >= found.alike_spend[0]) & (found.spend <= found.alike_spend[-1])
    assert (found.value[inside] >= alike[inside] - 1e-9).all()
    assert (np.diff(found.alike_value) > 0.0).all()
    slopes = np.diff(found.alike_value) / np.diff(found.alike_spend)
    assert (np.diff(slopes) <= 1e-12).all()


def test_paid_information_moves_the_curve_to_the_right() -> None:
    """What finding out the strata costs is part of every point, and not of those that treat all alike."""
    known = Information(source="one_sample", cost=(Amount(resource="usd", amount=0.25),))
    free, paid = frontier(problem(0)), frontier(problem(0, information=known))
    assert free is not None
    assert paid is not None
    np.testing.assert_allclose(paid.spend, free.spend + 0.25)
    np.testing.assert_allclose(paid.alike_spend, free.alike_spend)


def test_many_strata_are_sampled() -> None:
    """Of more strata than can be drawn quickly, even runs are looked at, and the number is told."""
    found = frontier(problem(0, rows=30_000, strata=Strata()))
    assert found is not None
    assert found.sampled == 20_000


def test_there_is_no_curve_without_value() -> None:
    """The cost of a pass has no value to be drawn."""
    assert frontier(problem(0, objective="cost_of_pass", minimise="usd")) is None
