"""The checker that knows nothing of coinfer agrees with the plan, and refuses planted lies."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

PROBLEM: dict[str, Any] = {
    "format": "coinfer/problem/1",
    "kind": "budget",
    "name": "tenths",
    "options": [{"name": "one"}, {"name": "two", "endpoint": "cloud"}, {"name": "three", "endpoint": "cloud"}],
    "menus": {
        "form": "table",
        "value": [[0.1, 0.2, 0.7], [0.3, 0.6, 0.9]],
        "cost": [{"resource": "usd", "amount": [[0.1, 0.2, 0.3]]}],
        "available": [[1, 1, 0], [1, 1, 1]],
    },
    "strata": {"prompts": [[1], [2]]},
    "budgets": [{"resource": "usd", "limit": 0.9}, {"resource": "usd", "limit": 0.7, "endpoint": "cloud"}],
    "information": {"source": "label", "cost": [{"resource": "usd", "amount": 0.1}]},
}
"""After the labels 0.6 is left: 0.1 + 0.2 + 0.3, which is more than 0.6 in floats."""
PLAN: dict[str, Any] = {
    "decision": {"kind": "budget", "taken": [[0.0, 0.0, 1.0], [1.0, 1.0, 1.0], [1.0, 2.0, 1.0]]},
    "certificate": {"value": 1.6, "proof": {"kind": "prices", "prices": [3.0, 0.0]}},
}


def check(repository: Path, folder: Path, problem: dict[str, Any], plan: dict[str, Any]) -> tuple[int, str]:
    """Run the script as a reader would; return its exit code and all that it says."""
    names = []
    for name, content in (("problem.json", problem), ("plan.json", plan)):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
        names.append(str(folder / name))
    script = str(repository / "examples" / "check_budget_plan.py")
    done = subprocess.run([sys.executable, script, *names], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_true_plan_passes_in_decimals(repository: Path, tmp_path: Path) -> None:
    """A plan that spends its budget to the last tenth is within it, though floats would say it is not."""
    assert 0.1 + 0.2 + 0.3 > 0.6
    code, said = check(repository, tmp_path, PROBLEM, PLAN)
    assert code == 0, said
    figures = {line.split()[0]: Fraction(line.split()[1]) for line in said.splitlines()}
    assert figures == {"value": Fraction("1.6"), "spent": Fraction("0.5"), "bound": Fraction("1.6")}


@pytest.mark.parametrize(
    ("taken", "value", "says"),
    [
        ([[0, 0, 1], [1, 2, 2]], 1.9, "0.7 of 0.6 is spent"),
        ([[0, 2, 1], [1, 0, 2]], 1.3, "not exactly one option"),
        ([[0, 0, 1], [1, 1, 1]], 0.7, "not exactly one option"),
        ([[0, 0, 1], [1, 1, 0.5], [1, 2, 1.5]], 1.75, "a count that is none"),
        ([[0, 0, 1], [1, -1, 2]], 1.9, "a count that is none"),
        ([[0, 0, 1], [1, 1.5, 2]], 1.3, "a count that is none"),
    ],
)
def test_a_wrong_decision_is_refused(
    repository: Path, tmp_path: Path, taken: list[list[float]], value: float, says: str
) -> None:
    """Overspending, options that are absent and counts that do not add up are each named, if the value is right too."""
    plan = copy.deepcopy(PLAN)
    plan["decision"]["taken"] = taken
    plan["certificate"]["value"] = value
    code, said = check(repository, tmp_path, PROBLEM, plan)
    assert code == 1
    assert says in said


@pytest.mark.parametrize(("value", "prices", "says"), [(1.7, [3.0, 0.0], "it is 1.6"), (1.6, [3.0, -1.0], "nothing")])
def test_a_wrong_certificate_is_refused(
    repository: Path, tmp_path: Path, value: float, prices: list[float], says: str
) -> None:
    """A value that the decision does not have, and prices below 0, are each named."""
    plan = copy.deepcopy(PLAN)
    plan["certificate"] = {"value": value, "proof": {"kind": "prices", "prices": prices}}
    code, said = check(repository, tmp_path, PROBLEM, plan)
    assert code == 1
    assert says in said


def test_it_agrees_with_coinfer(repository: Path, tmp_path: Path) -> None:
    """A plan that coinfer writes passes, and the bound of its prices is the one that coinfer re-derives."""
    import coinfer
    from coinfer import jsonfile
    from coinfer.models.budget.formulate import formulate
    from coinfer.solver.certificate.knapsack import KnapsackProof, shown_by

    content = copy.deepcopy(PROBLEM)
    del content["menus"]["available"]
    path = tmp_path / "written.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    problem = coinfer.read_problem(path)
    plan = coinfer.plan(problem)
    jsonfile.write(tmp_path / "made.json", plan)
    made = json.loads((tmp_path / "made.json").read_text(encoding="utf-8"))
    code, said = check(repository, tmp_path, content, made)
    assert code == 0, said
    prices = KnapsackProof(prices=tuple(made["certificate"]["proof"]["prices"]))
    assert float(said.split("bound ")[1]) == shown_by(formulate(problem), prices).bound
