"""Recorded outcomes on the command line: import, plan, replay, replan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from coinfer.cli import main
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.parts import PosteriorMenus, TableMenus
from coinfer.models.problem import read_problem_of


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    """Write a file of recorded samples: two arms, easy and hard prompts."""
    random = np.random.default_rng(0)
    path = tmp_path / "runs.jsonl"
    with path.open("w") as stream:
        for i in range(60):
            label = "easy" if i % 2 else "hard"
            for arm, usd, rates in (("small", 0.01, (0.1, 0.6)), ("large", 0.1, (0.4, 0.9))):
                for _ in range(10):
                    right = bool(random.random() < rates[label == "easy"])
                    row = {"prompt": f"q{i}", "arm": arm, "correct": right, "label": label, "usd": usd}
                    stream.write(json.dumps(row) + "\n")
    return path


def said_by(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_from_outcomes_to_a_plan_that_is_kept(
    tmp_path: Path, outcomes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Import by label, plan, replay under the cap, and replan with the same outcomes."""
    problem, plan = tmp_path / "problem.json", tmp_path / "plan.json"
    assert run("import", "outcomes", outcomes, "--samples", "1,2,4", "--budget", "usd=3", "-o", problem) == 0
    assert "60 prompts in 2 strata" in said_by(capsys)
    made = read_problem_of(problem, BudgetProblem)
    assert isinstance(made.menus, TableMenus)
    assert made.information is not None
    assert made.information.source == "label"
    assert run("plan", problem, "-o", plan) == 0
    assert run("verify", problem, plan) == 0
    capsys.readouterr()
    assert run("run", plan, outcomes, "--problem", problem, "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert done["spent"][0] <= done["caps"][0] == 3.0
    assert run("run", plan, outcomes, "--problem", problem) == 0
    assert "Hard caps" in said_by(capsys)
    again = tmp_path / "next.json"
    assert run("replan", problem, plan, "--outcomes", outcomes, "-o", again) == 0
    assert "Counted: 1200 samples" in said_by(capsys)
    assert again.exists()


@pytest.mark.parametrize(
    ("how", "source", "strata"),
    [("none", "none", 1), ("label", "label", 2), ("oracle", "oracle", 3), ("history:small", "history", 3)],
)
def test_what_tells_prompts_apart_is_in_the_problem(
    tmp_path: Path, outcomes: Path, capsys: pytest.CaptureFixture[str], how: str, source: str, strata: int
) -> None:
    """The source of the information, its cost and whether it is charged follow the option."""
    problem = tmp_path / "problem.json"
    bins = ("--bins", 3) if how not in ("none", "label") else ()
    assert run("import", "outcomes", outcomes, "--tell-apart", how, *bins, "-o", problem) == 0
    capsys.readouterr()
    made = read_problem_of(problem, BudgetProblem)
    assert made.information is not None
    assert made.information.source == source
    assert made.rows <= strata
    if source == "history":
        assert [each.resource for each in made.information.cost] == ["usd"]
        assert made.information.cost[0].amount == pytest.approx(0.1)
        assert made.information.charged
        assert all("small" not in option.name for option in made.options)


def test_a_history_that_was_paid_before_is_not_charged(
    tmp_path: Path, outcomes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --past the cost is stated and left out of the budgets."""
    problem = tmp_path / "problem.json"
    assert run("import", "outcomes", outcomes, "--tell-apart", "history:small", "--past", "-o", problem) == 0
    made = read_problem_of(problem, BudgetProblem)
    assert made.information is not None
    assert made.information.cost
    assert not made.information.charged
    capsys.readouterr()


def test_single_prompts_have_posteriors(tmp_path: Path, outcomes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prompts that come again are told apart by their own samples."""
    problem = tmp_path / "problem.json"
    arguments = ("--tell-apart", "prompt", "--stop-on-success", "--least", "usd", "--value-floor", 0.5)
    assert run("import", "outcomes", outcomes, *arguments, "-o", problem) == 0
    made = read_problem_of(problem, BudgetProblem)
    assert isinstance(made.menus, PosteriorMenus)
    assert made.rows == 60
    assert (made.objective, made.minimise, made.value_floor) == ("cost", "usd", 0.5)
    assert {option.strategy for option in made.options if option.samples} == {"stop_on_success"}
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--budget", "usd"), "--budget"),
        (("--budget", "joules=3"), "budgets[0].resource"),
        (("--budget", "usd=-3"), "limit"),
        (("--samples", "1,x"), "--samples"),
        (("--samples", "0"), "--samples"),
        (("--tell-apart", "magic"), "--tell-apart"),
        (("--tell-apart", "history:nobody"), "--tell-apart"),
        (("--tell-apart", "history:small,large"), "left to plan with"),
        (("--bins", "3"), "--bins"),
        (("--tell-apart", "oracle", "--bins", "0"), "--bins"),
        (("--least", "usd", "--per-pass", "usd"), "--per-pass"),
        (("--least", "usd"), "value_floor"),
        (("--devices", "4"), "--devices"),
        (("--outcome-format", "game24"), "runs.jsonl"),
    ],
)
def test_bad_options_are_one_sentence(
    tmp_path: Path, outcomes: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    """Exit code 2, one line on standard error, and no file."""
    problem = tmp_path / "problem.json"
    assert run("import", "outcomes", outcomes, *arguments, "-o", problem) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1
    assert not problem.exists()


def test_outcome_options_belong_to_outcomes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another format refuses them."""
    table = tmp_path / "quality.csv"
    table.write_text("prompt,a\nx,1\n")
    assert run("import", "csv", table, "--samples", "1", "-o", tmp_path / "p.json") == 2
    assert "--samples" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["", "{}", '{"prompt": "a"}', '{"prompt": "a", "arm": "b", "correct": 2}', "[1]", "\x00"]
)
def test_broken_rows_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    """A file that holds no outcomes is named with its line."""
    path = tmp_path / "broken.jsonl"
    path.write_text(line + "\n")
    assert run("import", "outcomes", path, "-o", tmp_path / "p.json") == 2
    told = capsys.readouterr().err
    assert "broken.jsonl" in told
    assert told.count("\n") == 1
