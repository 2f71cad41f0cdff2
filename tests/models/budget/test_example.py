"""The shipped budgets have the optimum that stands beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.problem import read_problem_of
from coinfer.planner.budget.make import plan
from coinfer.planner.budget.verify import verify

FOLDER = Path(__file__).parents[3] / "examples/problems/budget"


@pytest.mark.parametrize("engine", ["prices", "highs"])
@pytest.mark.parametrize("name", ["support_desk", "night_batch"])
def test_a_shipped_budget_has_its_stated_optimum(name: str, engine: str) -> None:
    """Prices and an integer program find the same value; the prices prove it."""
    problem = read_problem_of(FOLDER / f"{name}.json", BudgetProblem)
    known = json.loads((FOLDER / f"{name}.optimum.json").read_text())
    made = plan(problem, engine=engine)
    assert made.certificate.value == pytest.approx(known["value"], rel=1e-6)
    assert verify(problem, made).proven == (engine == "prices")
