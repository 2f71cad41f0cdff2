"""Budgets on the command line: plan, verify, export, report, and bad input in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coinfer.cli import main
from coinfer.models.budget.data import BudgetProblem
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.plan import read_plan_of

PROBLEM: dict[str, Any] = {
    "format": "coinfer/problem/1",
    "kind": "budget",
    "name": "support desk",
    "options": [
        {"name": "small x1", "strategy": "samples", "model": "small", "endpoint": "edge", "samples": 1},
        {"name": "small x8", "strategy": "samples", "model": "small", "endpoint": "edge", "samples": 8},
        {"name": "large x1", "strategy": "samples", "model": "large", "endpoint": "cloud", "samples": 1},
    ],
    "menus": {
        "form": "table",
        "value": [[0.8, 0.95, 0.92], [0.1, 0.4, 0.55]],
        "value_error": [[0.02, 0.01, 0.02], [0.02, 0.03, 0.03]],
        "cost": [
            {"resource": "usd", "amount": [[0.001, 0.008, 0.013]], "worst": [[0.002, 0.016, 0.026]]},
            {"resource": "s", "amount": [[1, 8, 3]]},
        ],
        "latency_s": [[1, 8, 3]],
    },
    "budgets": [{"resource": "usd", "limit": 0.2}],
    "strata": {"names": ["easy", "hard"], "prompts": [[20], [10]]},
    "information": {
        "source": "one_sample",
        "cost": [{"resource": "usd", "amount": 0.001}],
        "description": "the score of one answer",
    },
}


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "problem.json"
    path.write_text(json.dumps({**PROBLEM, **fields}))
    return path


def said_by(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_plan_says_what_it_used_and_gained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Value with proof, the information and its price, the same budgets without it, the interval, who gets what."""
    path, plan = written(tmp_path), tmp_path / "plan.json"
    assert run("plan", path, "-o", plan) == 0
    said = said_by(capsys)
    assert "30 prompts in 2 strata, 3 options: expected value" in said
    assert "proven optimal" in said
    assert (
        "Information used: one sample of each prompt – the score of one answer; $0.001000 for a prompt, charged" in said
    )
    assert "Treating all prompts alike would give" in said
    assert "Mean value expected on other samples" in said
    assert "easy small x1 (18), small x8 (2)" in said
    made = read_plan_of(plan, BudgetPlan)
    usd = made.spend[0]
    assert usd.limit == 0.2
    assert usd.information == 0.03
    assert usd.expected <= 0.2
    assert usd.worst is not None
    assert usd.worst > usd.expected

    assert run("verify", path, plan) == 0
    assert "Proven: expected value" in said_by(capsys)
    assert run("verify", path, plan, "--json") == 0
    assert json.loads(capsys.readouterr().out)["proven"] is True


def test_the_least_cost_for_a_floor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a floor the plan minimises the resource named, and says it as a cost."""
    path = written(tmp_path, objective="cost", minimise="usd", value_floor=0.7, budgets=[])
    assert run("plan", path, "-o", tmp_path / "plan.json") == 0
    said = said_by(capsys)
    assert "expected money $" in said
    assert "proven optimal" in said
    assert run("verify", path, tmp_path / "plan.json") == 0


def test_the_cost_of_a_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tried until right, easy prompts take the small model and hard ones whatever has the least cost over value."""
    path = written(tmp_path, objective="cost_of_pass", minimise="usd", budgets=[])
    assert run("plan", path, "-o", tmp_path / "plan.json") == 0
    said = said_by(capsys)
    assert "expected money until right" in said
    assert run("verify", path, tmp_path / "plan.json") == 0


def test_a_report_is_one_page_that_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page has the plan, the curve of value against spend, the prices, and loads nothing."""
    path, plan, page = written(tmp_path), tmp_path / "plan.json", tmp_path / "report.html"
    assert run("plan", path, "-o", plan) == 0
    assert run("report", path, plan, "-o", page) == 0
    text = page.read_text()
    for part in ("Value against spend", "Who gets what", "What is proven", "Information used", "<polyline"):
        assert part in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "script" not in text.replace("runs no script", "")
    capsys.readouterr()


def test_a_report_about_a_lie_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that does not hold gets no page."""
    path, plan = written(tmp_path), tmp_path / "plan.json"
    assert run("plan", path, "-o", plan) == 0
    data = json.loads(plan.read_text())
    data["certificate"]["value"] += 1.0
    plan.write_text(json.dumps(data))
    assert run("report", path, plan, "-o", tmp_path / "report.html") == 2
    assert not (tmp_path / "report.html").exists()
    capsys.readouterr()


def test_the_integer_program_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """MPS and LP files hold a variable for each stratum and option."""
    path = written(tmp_path)
    assert run("export", path, "--lp", tmp_path / "p.lp", "--mps", tmp_path / "p.mps") == 0
    assert "6 variables, 3 rows" in said_by(capsys)
    assert (tmp_path / "p.mps").read_text().startswith("NAME")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("plan", "P", "--front", "3"), "--front"),
        (("plan", "P", "--engine", "monotonic"), "one of auto, prices, highs"),
        (("verify", "P", "P"), "format"),
        (("export", "P"), "--mps FILE or --lp FILE"),
        (("export", "P", "--sglang", "x.json", "--plan", "P"), "--sglang"),
        (("replan", "P", "P"), "--outcomes"),
        (("replan", "P", "P", "--trace", "x"), "--trace"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    """Options of other kinds and files of other formats end with exit code 2 and one line on standard error."""
    path = written(tmp_path)
    code = run(*(path if argument == "P" else argument for argument in arguments))
    told = capsys.readouterr().err
    assert code == 2
    assert sentence in told
    assert told.count("\n") == 1


def test_infeasible_is_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Limits that clash end with exit code 3 and the limit's name."""
    path = written(tmp_path, budgets=[{"resource": "usd", "limit": 0.04}])
    assert run("plan", path) == 3
    assert "after the information is paid for" in capsys.readouterr().err


def test_a_plan_of_a_budget_needs_its_problem_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The menus are in the problem, so it must be named; requests of a selection are no outcomes."""
    path, plan, requests = written(tmp_path), tmp_path / "plan.json", tmp_path / "requests.jsonl"
    assert run("plan", path, "-o", plan) == 0
    requests.write_text('{"id": "1", "prompt": "2+2", "category": "easy"}\n')
    assert run("run", plan, requests) == 2
    assert "--problem" in capsys.readouterr().err
    assert run("run", plan, requests, "--problem", path) == 2
    assert "requests.jsonl" in capsys.readouterr().err


def test_the_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Problem and plan have JSON Schemas of their own."""
    for kind, record in (("budget", BudgetProblem), ("budget-plan", BudgetPlan)):
        assert run("schema", kind) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["title"] == record.__name__ if "title" in printed else printed["$defs"]
