"""Pilot, plan, verify and run strategies on a bundled model, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from coinfer.cli import main
from coinfer.zoo import tasks

ENDPOINTS = {
    "format": "coinfer/endpoints/1",
    "roles": {
        "answer": {
            "endpoint": {"backend": "transformers", "model": "zoo:generalist-tiny"},
            "price": {"output_usd": 1e-6},
        }
    },
}


def written(folder: Path, seed: int, count: int) -> Path:
    """Write requests with their checkers."""
    random = np.random.default_rng(seed)
    rows = [
        {
            "id": f"{seed}-{category}-{i}",
            "prompt": task.prompt,
            "category": category,
            "max_tokens": 9,
            "checker": "task",
        }
        for category in ("mul", "sort")
        for i, task in enumerate(tasks.sample_tasks(random, count=count, categories=(category,)))
    ]
    path = folder / f"requests-{seed}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the endpoints."""
    (tmp_path / "endpoints.json").write_text(json.dumps(ENDPOINTS))
    return tmp_path


def test_the_whole_way_from_a_pilot_to_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pilot becomes a problem, its plan verifies and runs; run again, nothing is asked twice."""
    problem, plan, ends = (str(folder / name) for name in ("problem.json", "plan.json", "endpoints.json"))
    pilot = ["pilot", str(written(folder, 1, 6)), "--endpoints", ends, "--samples", "4", "-o", problem]
    assert main([*pilot, "--prompts", "mul=20", "sort=20", "--budget", "tokens=2000"]) == 0
    said = capsys.readouterr().out
    assert "12 requests sampled" in said.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "left out, nobody serves the role 'reward': reward_best_of (15)" in said
    named = {option.get("strategy", option["name"]) for option in json.loads(Path(problem).read_text())["options"]}
    assert {"single", "perplexity_selection", "perplexity_consistency", "one_sample_gate"} <= named
    assert main(["plan", problem, "-o", plan]) == 0
    assert main(["verify", problem, plan]) == 0
    capsys.readouterr()
    run = ["run", plan, str(written(folder, 2, 5)), "--problem", problem, "--endpoints", ends, "--json"]
    assert main([*run, "--answers", str(folder / "answers.jsonl")]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["answered"] == 10
    assert first["resumed_calls"] == 0
    assert 0 < first["output_tokens"] <= 2000 * 10 / 40 * 1.5
    assert first["usd"] == pytest.approx(first["output_tokens"] * 1e-6)
    rows = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert first["accuracy"] == pytest.approx(np.mean([row["correct"] for row in rows]))
    assert main(run) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["resumed_calls"] == first["calls"] == again["calls"]
    assert again["accuracy"] == first["accuracy"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--samples", "0"], "--samples"),
        (["--budget", "joules=5"], "--budget"),
        (["--budget", "tokens=many"], "--budget"),
        (["--budget", "tokens=1", "tokens=2"], "each name once"),
        (["--prompts", "mul=1.5"], "--prompts"),
        (["--prompts", "other=3"], "--prompts"),
        (["--strategies", "telepathy"], "strategy"),
        (["--endpoints", "nowhere.json"], "nowhere.json"),
        (["--max-output-tokens", "-1"], "tokens"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str], change: list[str], words: str
) -> None:
    """Each mistake is named, with exit code 2, and no problem is written."""
    arguments = ["pilot", str(written(folder, 1, 1)), "--endpoints", str(folder / "endpoints.json")]
    assert main([*arguments, "-o", str(folder / "problem.json"), *change]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (folder / "problem.json").exists()


def test_a_plan_of_another_kind_has_no_endpoints_of_roles(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no budget plan, or a role file that is none, is refused in a sentence."""
    bad = folder / "bad.json"
    bad.write_text(json.dumps({"format": "coinfer/endpoints/1", "roles": {}}))
    arguments = ["pilot", str(written(folder, 1, 1)), "--endpoints", str(bad), "-o", str(folder / "problem.json")]
    assert main(arguments) == 2
    assert "roles" in capsys.readouterr().err


def test_a_run_that_answers_nothing_says_why_and_is_no_success(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a cap that no call fits, text and JSON name the cap, the answers file is whole, and the code is 4."""
    problem, plan, ends = (str(folder / name) for name in ("problem.json", "plan.json", "endpoints.json"))
    requests = str(written(folder, 1, 6))
    assert main(["pilot", requests, "--endpoints", ends, "--samples", "4", "-o", problem]) == 0
    assert main(["plan", problem, "-o", plan]) == 0
    capsys.readouterr()
    new = str(written(folder, 2, 3))
    run = ["run", plan, new, "--problem", problem, "--endpoints", ends, "--max-output-tokens", "1"]
    answers = folder / "answers.jsonl"
    assert main([*run, "--answers", str(answers)]) == 4
    said = capsys.readouterr()
    assert "6 without an answer: a cap of the run leaves no room" in said.out
    assert "not one request was answered: a cap of the run" in said.err
    assert [json.loads(line).get("text") for line in answers.read_text().splitlines()] == [None] * 6
    assert main([*run, "--journal", str(folder / "other"), "--json"]) == 4
    assert sum(json.loads(capsys.readouterr().out)["reasons"].values()) == 6


@pytest.mark.parametrize("option", ["--output", "--journal"])
@pytest.mark.parametrize("place", ["", "nowhere/file", "endpoints.json/file"])
def test_no_call_is_made_for_a_file_that_cannot_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str, place: str
) -> None:
    """A folder, or a path in no folder, is refused before the first call, and nothing is left behind."""
    before = {path.name for path in folder.iterdir()}
    pilot = ["pilot", str(written(folder, 1, 6)), "--endpoints", str(folder / "endpoints.json")]
    other = ["--output", str(folder / "problem.json")] if option == "--journal" else []
    assert main([*pilot, option, str(folder / place), *other]) == 2
    assert str(folder) in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == before | {"requests-1.jsonl"}


@pytest.mark.parametrize("number", ["0", "1.5", "1e30", "nan", "inf", "-3"])
def test_prompts_are_counted_before_the_pilot(folder: Path, capsys: pytest.CaptureFixture[str], number: str) -> None:
    """A number of prompts that is none, or that no problem file can hold, is refused before the first call."""
    pilot = ["pilot", str(written(folder, 1, 6)), "--endpoints", str(folder / "endpoints.json")]
    assert main([*pilot, "--prompts", f"mul={number}", "-o", str(folder / "problem.json")]) == 2
    assert "--prompts" in capsys.readouterr().err
    assert not list(folder.glob("*.pilot"))


@pytest.mark.parametrize("verb", ["pilot", "run", "serve", "profile", "demo", "plan"])
def test_a_seed_that_is_none_is_a_sentence(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    """Negative, huge and odd seeds are refused by every verb that has one."""
    for seed in ("-1", "1.5", "9" * 30, "x", ""):
        with pytest.raises(SystemExit) as stopped:
            main([verb, f"--seed={seed}"])
        assert stopped.value.code == 2
        assert "--seed: expected an integer in 0..2^63 - 1" in capsys.readouterr().err
