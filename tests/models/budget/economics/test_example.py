"""The shipped example of the cost of a pass."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.economics.cost_of_pass import pass_frontier, problem_costs
from coinfer.models.budget.economics.essentialness import by_model, essentialness
from coinfer.models.budget.formulate import formulate
from coinfer.models.problem import read_problem_of
from coinfer.solver.knapsack.solve import solve


def _cost(problem: BudgetProblem) -> float | None:
    found = solve(formulate(problem))
    return None if found.taken is None else -found.value


def test_the_example_has_its_stated_optimum_and_its_frontier_without_limits(repository: Path) -> None:
    """Within its time the plan costs what stands beside it; without a limit every stratum has its cheapest option."""
    path = repository / "examples/problems/budget/retry_until_right.json"
    problem = read_problem_of(path, BudgetProblem)
    known = json.loads(path.with_suffix(".optimum.json").read_text(encoding="utf-8"))
    assert _cost(problem) == pytest.approx(known["value"], rel=1e-9)
    costs, prompts = problem_costs(problem, "usd")
    found = pass_frontier(costs, prompts=prompts)
    assert [problem.options[option].name for option in found.option] == ["draft", "draft", "tree search"]
    assert found.mean is not None
    free = msgspec.structs.replace(problem, budgets=())
    assert _cost(free) == pytest.approx(found.mean * problem.prompts)
    assert known["value"] > found.mean * problem.prompts
    rows = essentialness(problem, by_model(problem.options), _cost)
    found_of = {row.group: row for row in rows}
    assert found_of["large"].loss is not None
    assert found_of["large"].loss > 1000.0  # the long ones are then a person's, at 12 dollars each
    assert rows[0].group == "small"
    assert rows[0].without is None  # the others are too slow for the short ones: nothing keeps the time
