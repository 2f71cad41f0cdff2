"""A budget problem that means nothing is refused with one sentence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from coinfer import arrayfile, jsonfile
from coinfer.errors import InputError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.problem import read_problem
from coinfer.testing.budget import budget_problems, posterior_problems

PLAIN: dict[str, Any] = {
    "format": "coinfer/problem/1",
    "kind": "budget",
    "name": "two strata",
    "options": [{"name": "one", "endpoint": "edge"}, {"name": "many", "endpoint": "cloud"}],
    "menus": {
        "form": "table",
        "value": [[0.5, 0.9], [0.1, 0.3]],
        "cost": [{"resource": "usd", "amount": [[1, 10]]}],
        "latency_s": [[1, 5]],
    },
    "budgets": [{"resource": "usd", "limit": 100}],
    "strata": {"names": ["easy", "hard"], "prompts": [[6], [4]]},
}
POSTERIOR = {
    "form": "posterior",
    "arms": [{"name": "small", "per_sample": [{"resource": "usd", "amount": 1}]}],
    "alpha": [[1.0], [0.5]],
    "beta": [[1.0], [9.5]],
}
SAMPLED = [{"name": "a", "arm": "small", "samples": 1}, {"name": "b", "arm": "small", "samples": 4}]


def changed(**fields: Any) -> dict[str, Any]:
    return json.loads(json.dumps({**PLAIN, **fields}))


def menus(**fields: Any) -> dict[str, Any]:
    return {**PLAIN["menus"], **fields}


def read(tmp_path: Path, content: dict[str, Any]) -> Any:
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(content))
    return read_problem(path)


@given(problem=budget_problems())
@settings(max_examples=60)
def test_a_problem_survives_its_file(problem: BudgetProblem) -> None:
    """Writing a problem as JSON and reading it back gives the same problem."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.json"
        jsonfile.write(path, problem)
        assert read_problem(path) == problem


@given(problem=posterior_problems())
@settings(max_examples=30)
def test_posterior_menus_survive_their_file(problem: BudgetProblem) -> None:
    """Writing a problem of posteriors as JSON and reading it back gives the same problem."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.json"
        jsonfile.write(path, problem)
        assert read_problem(path) == problem


def test_large_menus_stand_beside_the_file(tmp_path: Path) -> None:
    """A problem whose matrices are in an .npz file is the one that was written."""
    problem = read(tmp_path, PLAIN)
    beside = arrayfile.write(tmp_path / "large.json", problem, most_inline=3)
    assert beside is not None
    assert read_problem(tmp_path / "large.json") == problem


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"name": " "}, "name"),
        ({"options": []}, "options"),
        ({"options": [{"name": "one"}, {"name": "one"}]}, "options[1].name"),
        ({"options": [{"name": "one"}]}, "menus.value"),
        ({"options": [{"name": "one", "samples": -1}, {"name": "b"}]}, "options[0].samples"),
        ({"menus": menus(value=[[0.5, -0.1], [0, 0]])}, "menus.value[0][1]"),
        ({"menus": menus(value=[])}, "menus.value"),
        ({"menus": menus(cost=[{"resource": "usd", "amount": [[1, -1]]}])}, "menus.cost[0].amount[0][1]"),
        ({"menus": menus(cost=[{"resource": "usd", "amount": [[1]]}])}, "menus.cost[0].amount"),
        ({"menus": menus(cost=[{"resource": "usd", "amount": [[1, 2]], "worst": [[1, 1]]}])}, "menus.cost[0].worst"),
        ({"menus": menus(available=[[0, 0], [1, 1]])}, "menus.available[0]"),
        ({"menus": menus(available=[[0.5, 1], [1, 1]])}, "menus.available"),
        ({"menus": menus(value_error=[[0.1, 0.1]])}, "menus.value_error"),
        ({"menus": POSTERIOR}, "options[0].arm"),
        ({"options": [{"name": "a", "arm": "small"}], "menus": POSTERIOR}, "options[0].samples"),
        ({"options": SAMPLED, "menus": {**POSTERIOR, "alpha": [[0], [1]]}}, "menus.alpha[0][0]"),
        ({"options": SAMPLED, "menus": {**POSTERIOR, "beta": [[1]]}}, "menus.beta"),
        ({"budgets": [{"resource": "joules", "limit": 1}]}, "budgets[0].resource"),
        ({"budgets": [{"resource": "usd", "limit": -1}]}, "budgets[0].limit"),
        ({"budgets": [{"resource": "usd", "limit": 1, "endpoint": "moon"}]}, "budgets[0].endpoint"),
        ({"budgets": [{"resource": "usd", "limit": 1}] * 2}, "budgets[1]"),
        ({"objective": "cost"}, "minimise"),
        ({"objective": "cost", "minimise": "usd"}, "value_floor"),
        ({"objective": "cost_of_pass", "minimise": "usd", "value_floor": 0.5}, "value_floor"),
        ({"objective": "cost_of_pass", "minimise": "usd", "menus": menus(value=[[2, 1], [1, 1]])}, "menus.value[0][0]"),
        ({"minimise": "usd"}, "minimise"),
        ({"value_floor": -1}, "value_floor"),
        ({"strata": {"names": ["easy"]}}, "strata.names"),
        ({"strata": {"names": ["easy", "easy"]}}, "strata.names[1]"),
        ({"strata": {"prompts": [[1], [0]]}}, "strata.prompts[1][0]"),
        ({"strata": {"prompts": [[1], [1.5]]}}, "strata.prompts[1][0]"),
        ({"strata": {"prompts": [[1]]}}, "strata.prompts"),
        ({"strata": {"latency_class": [[0], [0]]}}, "strata.latency_class[0][0]"),
        ({"information": {"source": "oracle", "cost": [{"resource": "usd", "amount": 1}]}}, "information.cost"),
        ({"information": {"source": "guess"}}, "information.source"),
        ({"latency_classes": [{"name": "quick", "limit_s": 0}]}, "latency_classes[0].limit_s"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, fields: dict[str, Any], where: str) -> None:
    """Each broken rule names its place in the file and says what was expected."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, changed(**fields))
    assert caught.value.where.endswith(where)
    assert "expected" in str(caught.value)


def test_latency_classes_need_latencies(tmp_path: Path) -> None:
    """A stratum with a latency class cannot be planned where the menus give no latency."""
    slow = menus()
    del slow["latency_s"]
    classes = [{"name": "quick", "limit_s": 2}]
    with pytest.raises(InputError, match="latencies in the menus"):
        read(tmp_path, changed(menus=slow, latency_classes=classes, strata={"latency_class": [[0], [-1]]}))
