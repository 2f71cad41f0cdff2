"""Strategies that improve on answers, tried and planned on bundled models, and run from the plan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from coinfer.cli import main
from coinfer.executor import sandbox
from coinfer.zoo import tasks

TRIED = (
    "revise (chains 2, length 2, select 0)",
    "div_se (approaches 2, given 1)",
    "idiv_se (approaches 2, given 0)",
    "draft_reflect_refine (depth 1)",
    "strategy_adviser (strategies 1, turns 1)",
    "cascade (samples 3, threshold 1, shown 1)",
)
PROGRAMS = "chain_and_program (chains 2, programs 1)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with endpoints of all roles, and requests that bring approaches."""
    small, large = (
        {"endpoint": {"backend": "transformers", "model": f"zoo:generalist-{size}"}} for size in ("tiny", "small")
    )
    roles = {"answer": small, "specialist": large, "adviser": small}
    (tmp_path / "endpoints.json").write_text(json.dumps({"format": "coinfer/endpoints/1", "roles": roles}))
    random = np.random.default_rng(1)
    rows = [
        {
            "id": f"{i}",
            "prompt": task.prompt,
            "category": "mul",
            "max_tokens": 9,
            "checker": "task",
            "extra": {"approaches": "by hand\nby parts"},
        }
        for i, task in enumerate(tasks.sample_tasks(random, count=3, categories=("mul",)))
    ]
    (tmp_path / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_each_is_tried_stands_on_the_menu_and_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trials give each option a value and a cost; cascades need none; a plan of one of them alone answers within it."""
    tried = [*TRIED, *(() if sandbox.available() else (PROGRAMS,))]
    ends, asked, problem, plan = (
        str(folder / name) for name in ("endpoints.json", "requests.jsonl", "problem.json", "plan.json")
    )
    pilot = ["pilot", asked, "--endpoints", ends, "--samples", "8", "-o", problem, "--json"]
    assert main([*pilot, *(word for name in tried for word in ("--try", name))]) == 0
    made = json.loads(capsys.readouterr().out)
    assert set(tried) <= set(made["options"])
    assert {f"cascade (samples {i}, threshold 1, shown 0)" for i in (2, 3, 5, 8)} <= set(made["options"])
    assert "cascade (samples 1, threshold 0.9, shown 0)" in made["options"]
    assert main([*pilot, "--strategies", "cascade", "--budget", "tokens=600"]) == 0
    assert main(["plan", problem, "-o", plan]) == 0
    capsys.readouterr()
    run = ["run", plan, asked, "--problem", problem, "--endpoints", ends, "--json"]
    assert main([*run, "--answers", str(folder / "answers.jsonl")]) == 0
    assert json.loads(capsys.readouterr().out)["answered"] == 3
