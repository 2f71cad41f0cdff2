"""Train a verifier from the journal of a pilot, and run strategies with it, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from coinfer.cli import main
from coinfer.zoo import tasks

ANSWER = {"endpoint": {"backend": "transformers", "model": "zoo:generalist-tiny"}}


def requests(folder: Path, name: str, count: int, split: tasks.Split) -> str:
    """Write requests to sort digits."""
    random = np.random.default_rng(len(name))
    drawn = tasks.sample_tasks(random, count=count, categories=("sort",), split=split, distinct=True)
    rows = [
        {"id": f"{name}/{i}", "prompt": task.prompt, "category": "sort", "max_tokens": 9, "checker": "task"}
        for i, task in enumerate(drawn)
    ]
    return lines(folder / f"{name}.jsonl", rows)


def lines(path: Path, rows: list[Any]) -> str:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def endpoints(folder: Path, name: str, **more: Any) -> str:
    """Write a file of endpoints."""
    path = folder / name
    path.write_text(json.dumps({"format": "coinfer/endpoints/1", "roles": {"answer": ANSWER, **more}}))
    return str(path)


def test_from_recorded_answers_to_a_run_with_a_verifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pilot's journal trains it; the next pilot measures its strategies, and a plan with one runs as it says."""
    problem, plan, made = (str(tmp_path / name) for name in ("problem.json", "plan.json", "verifier"))
    asked = requests(tmp_path, "train", 60, "train")
    assert (
        main(["pilot", asked, "--endpoints", endpoints(tmp_path, "plain.json"), "--samples", "6", "-o", problem]) == 0
    )
    capsys.readouterr()
    train = ["train-verifier", str(tmp_path / "train.pilot"), "--requests", asked, "--model", "zoo:generalist-small"]
    assert main([*train, "-o", made, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["answers"] == 60 * 7  # and a greedy one
    assert told["report"]["training_prompts"] + told["report"]["calibration_prompts"] == 48
    assert told["report"]["auc"]["low"] > 0.7
    price = {"prompt_usd": 1e-6, "output_usd": 1e-6}
    ends = endpoints(tmp_path, "reward.json", reward={"kind": "verifier", "verifier": made, "price": price})
    pilot = [
        "pilot",
        requests(tmp_path, "pilot", 10, "evaluation"),
        "--endpoints",
        ends,
        "--samples",
        "8",
        "-o",
        problem,
    ]
    names = ["single", "reward_best_of", "weighted_best_of", "verifier_vote"]
    assert main([*pilot, "--strategies", *names, "--budget", "tokens=2000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calls"] == 30  # samples, greedy ones, scores
    content = json.loads(Path(problem).read_text())
    assert {option.get("strategy", option["name"]) for option in content["options"]} == set(names)
    assert main(["plan", problem, "-o", plan]) == 0
    assert main(["verify", problem, plan]) == 0
    assert "usd" in [each["resource"] for each in content["menus"]["cost"]]
    capsys.readouterr()
    new = requests(tmp_path, "new", 12, "evaluation")
    assert main(["run", plan, new, "--problem", problem, "--endpoints", ends, "--json"]) == 0
    ran = json.loads(capsys.readouterr().out)
    assert ran["answered"] == 12
    assert ran["calls"] == 24  # samples and scores
    assert ran["usd"] > 0.0


def test_trained_from_lines_of_outcomes_it_tells_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a language model bytes are read; figures have intervals, and what to write in the endpoints is told."""
    rows = [
        {"prompt": f"Question {i}", "text": f"It is {word}.", "correct": float(word == "fine")}
        for i in range(20)
        for word in ("fine", "poor")
    ]
    made = tmp_path / "verifier"
    assert main(["train-verifier", lines(tmp_path / "o.jsonl", rows), "-o", str(made), "--epochs", "3"]) == 0
    said = capsys.readouterr().out
    assert "AUC, answers to one question" in said
    assert '"kind": "verifier"' in said
    assert (made / "verifier.json").is_file()


@pytest.mark.parametrize(
    ("rows", "change", "words"),
    [
        ([{"prompt": "q", "text": "a", "correct": 1.0}], [], "5 different questions"),
        ([{"prompt": f"{i}", "text": "a", "correct": 1.0} for i in range(9)], [], "right and wrong"),
        ([{"id": "x", "category": "c", "option": "single", "text": "a", "correct": 1.0}], [], "requests"),
        ([{"text": "a"}], [], "prompt"),
        ([], [], "right"),
        ([{"prompt": f"{i}", "text": f"{i % 2}", "correct": i % 2} for i in range(40)], ["--epochs", "0"], "epochs"),
        ([{"prompt": f"{i}", "text": "a", "correct": i % 2} for i in range(40)], ["--learning-rate", "nan"], "rate"),
        ([{"prompt": f"{i}", "text": "a", "correct": i % 2} for i in range(40)], ["--model", "zoo:none"], "zoo"),
        ([{"prompt": f"{i}", "text": "a", "correct": i % 2} for i in range(40)], ["--model", "/nowhere"], "loaded"),
    ],
)
def test_bad_input_is_one_sentence_and_no_verifier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[Any], change: list[str], words: str
) -> None:
    """Each mistake is named, with exit code 2."""
    made = tmp_path / "verifier"
    assert main(["train-verifier", lines(tmp_path / "o.jsonl", rows), "-o", str(made), *change]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not made.exists()


def test_a_role_whose_verifier_is_not_there_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is named."""
    ends = endpoints(tmp_path, "e.json", reward={"kind": "verifier", "verifier": str(tmp_path / "gone")})
    arguments = ["pilot", requests(tmp_path, "p", 1, "evaluation"), "--endpoints", ends, "-o", str(tmp_path / "o.json")]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "gone" in error
    assert error.count("\n") == 1
