"""The verb gate: from a problem and its texts to a gate file, and with it to a plan and a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coinfer.cli import main
from coinfer.models.problem import read_problem
from coinfer.models.selection.gate import read_gate
from coinfer.planner.plan import read_plan

pytest.importorskip("torch")

EXPERTS = ("poet", "clerk", "guest")
WORDS = ("rhyme", "sum", "name")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a problem whose prompts name their subject, its texts, and recorded outcomes."""
    random = np.random.default_rng(0)
    subject = random.integers(0, 3, size=90)
    right = np.array([[0.9, 0.2, 0.3], [0.2, 0.9, 0.3], [0.4, 0.3, 0.5]])[subject]
    prompts = [{"id": f"p{i}", "prompt": f"the {WORDS[k]} of {i}", "category": "chat"} for i, k in enumerate(subject)]
    problem: dict[str, Any] = {
        "format": "coinfer/problem/1",
        "kind": "selection",
        "name": "subjects",
        "devices": [{"name": "box"}],
        "categories": [{"name": "chat"}],
        "experts": [
            {
                "name": name,
                "device": "box",
                "latency_s": {"chat": 0.1},
                "endpoint": {"backend": "replay", "model": str(tmp_path / "outcomes.jsonl")},
            }
            for name in EXPERTS
        ],
        "prompts": [{"name": prompt["id"], "category": "chat"} for prompt in prompts],
        "quality": (random.random((90, 3)) < right).astype(float).tolist(),
        "budgets": {"experts": 2},
        "gate": "category",
    }
    new = [{"id": f"new {i}", "prompt": f"the {WORDS[i % 3]} of all", "category": "chat"} for i in range(6)]
    outcomes = [{"prompt": f"the {word} of all", "text": "x", "output_tokens": 1, "seconds": 0.1} for word in WORDS]
    for name, lines in (("texts", prompts), ("new", new), ("outcomes", outcomes)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "problem.json").write_text(json.dumps(problem))
    return tmp_path


def test_from_texts_to_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A gate is trained, its scores make a plan, and new prompts go where it sends them among the selected experts."""
    trained = ("gate", folder / "problem.json", "--texts", folder / "texts.jsonl", "-o", folder / "gate.json")
    assert run(*trained, "--problem-out", folder / "scored.json", "--steps", "150") == 0
    shown = capsys.readouterr().out
    assert "trained on 63 prompts, stopped by 13, judged on 14 it has never met" in shown
    assert "learned from" in shown
    assert "nats" in shown

    gate, scored = read_gate(folder / "gate.json"), read_problem(folder / "scored.json")
    assert gate.experts == EXPERTS
    assert scored.gate_scores is not None
    assert scored.gate_scores.shape == (90, 3)
    assert scored.quality == read_problem(folder / "problem.json").quality

    assert scored.gate_report == gate.report
    assert run("plan", folder / "scored.json", "-o", folder / "plan.json") == 0
    assert run("verify", folder / "scored.json", folder / "plan.json") == 0
    assert read_plan(folder / "plan.json").gate_report == gate.report
    for kind in ("softmax", "top_1"):
        deployed = folder / f"{kind}.json"
        deployed.write_text(json.dumps(json.loads((folder / "scored.json").read_text()) | {"gate": kind}))
        assert run("plan", deployed, "-o", folder / "deployed.json") == 0
        assert run("verify", deployed, folder / "deployed.json") == 0
        assert "is optimal" in capsys.readouterr().out
    capsys.readouterr()
    answers = folder / "answers.jsonl"
    asked = ("run", folder / "plan.json", folder / "new.jsonl", "--gate", folder / "gate.json", "--answers", answers)
    assert run(*asked) == 0
    selected = json.loads((folder / "plan.json").read_text())["decision"]["selected"]
    for line in map(json.loads, answers.read_text().splitlines()):
        scores = dict(zip(EXPERTS, gate.scores([f"the {WORDS[int(line['id'][-1]) % 3]} of all"])[0], strict=True))
        assert line["expert"] == max(selected, key=lambda name: scores[name])


def test_the_same_command_writes_the_same_gate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs write the same bytes, the report for machines among them; without masks the gate is another one."""
    reports, files = [], []
    for options in ((), (), ("--no-masks",)):
        path = folder / "gate.json"
        trained = ("gate", folder / "problem.json", "--texts", folder / "texts.jsonl", "-o", path, "--steps", "40")
        assert run(*trained, "--json", *options) == 0
        reports.append(json.loads(capsys.readouterr().out)["report"])
        files.append(path.read_bytes())
    assert reports[0] == reports[1] == json.loads(files[0])["report"]
    assert files[0] == files[1] != files[2]
    assert (reports[0]["masks"], reports[2]["masks"]) == (True, False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--texts", "new.jsonl"), "a request with id 'p0', since the problem has this prompt"),
        (("--texts", "absent.jsonl"), "a readable file"),
        (("-o", "problem.json"), "a file of its own for each input and output"),
        (("--steps", "0"), "steps: expected an integer, at least 1"),
        (("--subsets", "0"), "--subsets: expected an integer, at least 1"),
        (("--embedding", "absent-folder/model"), "an encoder that transformers loads"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_file(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[str, str],
    words: str,
) -> None:
    """Whatever is wrong is said before anything is trained or written."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = (folder / "problem.json").read_bytes()
    assert run("gate", "problem.json", "--texts", "texts.jsonl", "-o", "gate.json", *change) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not (folder / "gate.json").exists()
    assert (folder / "problem.json").read_bytes() == before
