"""Trials of whole sessions in a pilot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from coinfer.cli import main
from coinfer.zoo import tasks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with endpoints of three agents, and requests."""
    model = {"endpoint": {"backend": "transformers", "model": "zoo:generalist-tiny"}, "price": {"output_usd": 1e-6}}
    other = {"endpoint": {"backend": "transformers", "model": "zoo:generalist-small"}}
    roles = {"answer": model, "agent 1": model, "agent 2": other, "judge": model}
    (tmp_path / "endpoints.json").write_text(json.dumps({"format": "coinfer/endpoints/1", "roles": roles}))
    random = np.random.default_rng(1)
    rows = [
        {"id": f"{category}{i}", "prompt": task.prompt, "category": category, "max_tokens": 9, "checker": "task"}
        for category in ("mul", "sort")
        for i, task in enumerate(tasks.sample_tasks(random, count=3, categories=(category,)))
    ]
    (tmp_path / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def pilot(folder: Path, *more: str) -> int:
    """Run a pilot."""
    given = ["pilot", str(folder / "requests.jsonl"), "--endpoints", str(folder / "endpoints.json"), "--json"]
    return main([*given, "--samples", "2", "-o", str(folder / "problem.json"), *more])


DISCUSSION = "discussion (agents 2, rounds 1, paradigm 1)"


def test_tried_options_are_on_the_menu_with_what_they_took(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without trials discussions leave the menu; tried ones stand there, and what the trials took is charged."""
    assert pilot(folder) == 0
    plain = json.loads(capsys.readouterr().out)
    assert not any(name.startswith("discussion") for name in plain["options"])
    assert sum(name.startswith("top_two_vote (voters 2") for name in plain["options"]) == 1
    assert pilot(folder, "--try", DISCUSSION, "--try", "judged_best_of") == 0
    made = json.loads(capsys.readouterr().out)
    assert [name for name in made["options"] if name.startswith("discussion")] == [DISCUSSION]
    assert sum(name.startswith("judged_best_of") for name in made["options"]) == 3
    assert made["calls"] > plain["calls"]
    problem = json.loads((folder / "problem.json").read_text())
    place = made["options"].index(DISCUSSION)
    assert all(0.0 <= row[place] <= 1.0 for row in problem["menus"]["value"])
    completions = next(each for each in problem["menus"]["cost"] if each["resource"] == "completions")
    assert all(2.0 <= row[place] <= 4.0 for row in completions["amount"])
    charged = {each["resource"]: each["amount"] for each in problem["information"]["cost"]}
    assert charged["tokens"] * 6 == pytest.approx(made["output_tokens"])
    assert main(["plan", str(folder / "problem.json"), "-o", str(folder / "plan.json")]) == 0
    capsys.readouterr()
    assert pilot(folder, "--try", DISCUSSION, "--try", "judged_best_of") == 0
    assert json.loads(capsys.readouterr().out)["options"] == made["options"]


def test_graphs_are_chosen_from_measured_gains(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Agents who were wrong read each other; the menu then holds graphs by their edges, measured as sessions."""
    assert pilot(folder, "--try", "graph_discussion") == 0
    made = json.loads(capsys.readouterr().out)
    graphs = [name for name in made["options"] if name.startswith("graph_discussion")]
    assert graphs
    assert (folder / "requests.pilot.trials.pairs").exists()
    problem = json.loads((folder / "problem.json").read_text())
    for name in graphs:
        values = [row[made["options"].index(name)] for row in problem["menus"]["value"]]
        assert all(value * 3 == pytest.approx(round(value * 3)) for value in values)  # shares of three requests


def test_trials_keep_the_caps_of_the_pilot(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cap that the samples nearly use up cuts the trials: the option leaves the menu, and the cap is kept."""
    assert pilot(folder) == 0
    calls = json.loads(capsys.readouterr().out)["calls"]
    assert pilot(folder, "--try", DISCUSSION, "--max-requests", str(calls + 3)) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["calls"] <= calls + 3
    assert DISCUSSION not in made["options"]


def test_what_cannot_be_tried_is_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name of no strategy, and one whose roles nobody serves."""
    for name in ("telepathy", "debate_reflection", "reconcile (agents 9)"):
        assert pilot(folder, "--try", name) == 2
        assert "--try" in capsys.readouterr().err
