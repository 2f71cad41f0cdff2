"""A prompt program of a user, with passages of a user, from the pilot to answers, on a bundled model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from coinfer.cli import main
from coinfer.zoo import tasks

PROGRAM: dict[str, Any] = {
    "format": "coinfer/prompt-program/1",
    "name": "mine",
    "settings": {"samples": [1, 3]},
    "stages": [
        {"do": "search", "name": "found", "query": "{prompt}", "count": 2},
        {"do": "ask", "name": "draft", "template": "{prompt}", "samples": "samples"},
        {"do": "vote", "name": "final", "over": ["draft"]},
    ],
    "answer": "final",
}
ENDPOINTS: dict[str, Any] = {
    "format": "coinfer/endpoints/1",
    "roles": {"answer": {"endpoint": {"backend": "transformers", "model": "zoo:generalist-tiny"}}},
    "retriever": {"kind": "passages", "file": "passages.txt"},
}


def written(folder: Path, seed: int, count: int) -> str:
    """Write requests with their checkers."""
    random = np.random.default_rng(seed)
    rows = [
        {"id": f"{seed}-{i}", "prompt": task.prompt, "category": "mul", "max_tokens": 9, "checker": "task"}
        for i, task in enumerate(tasks.sample_tasks(random, count=count, categories=("mul",)))
    ]
    path = folder / f"requests-{seed}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with endpoints, passages and the program."""
    pytest.importorskip("bm25s")
    (tmp_path / "endpoints.json").write_text(json.dumps(ENDPOINTS))
    (tmp_path / "passages.txt").write_text("mul 3 4 is 12\n\nsort 3 1 is 1 3\n")
    (tmp_path / "mine.json").write_text(json.dumps(PROGRAM))
    return tmp_path


def piloted(folder: Path, *more: str) -> int:
    """Run a pilot of 4 requests, with fresh journals."""
    for old in folder.glob("*.pilot*"):
        old.unlink()
    arguments = ["pilot", written(folder, 1, 4), "--endpoints", str(folder / "endpoints.json"), "--samples", "2"]
    return main([*arguments, "-o", str(folder / "problem.json"), *more])


def test_a_program_goes_the_whole_way(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is tried, planned, verified and run with its searches; changed or not named, its plan is refused."""
    problem, plan, ends = (str(folder / name) for name in ("problem.json", "plan.json", "endpoints.json"))
    assert piloted(folder, "--strategies", "mine", "--program", str(folder / "mine.json")) == 0
    options = json.loads(Path(problem).read_text())["options"]
    assert [option["settings"] for option in options] == [{"samples": 1.0}, {"samples": 3.0}]
    (name,) = {option["strategy"] for option in options}
    assert name.startswith("mine@")
    assert main(["plan", problem, "-o", plan]) == 0
    assert main(["verify", problem, plan]) == 0
    log = folder / "run.journal"
    run = ["run", plan, written(folder, 2, 3), "--problem", problem, "--endpoints", ends, "--json"]
    run += ["--journal", str(log)]
    capsys.readouterr()
    assert main(run) == 2
    assert "expected a program that the file of endpoints names" in capsys.readouterr().err
    (folder / "endpoints.json").write_text(json.dumps({**ENDPOINTS, "programs": ["mine.json"]}))
    assert main(run) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["answered"] == 3
    roles = [json.loads(line).get("role") for line in log.read_text().splitlines()]
    assert roles.count("retriever") == 3
    (folder / "mine.json").write_text(json.dumps({**PROGRAM, "description": "another"}))
    assert main(run) == 2
    error = capsys.readouterr().err
    assert "the program as it is now" in error
    assert error.count("\n") == 1


def test_programs_in_the_file_of_endpoints_are_tried_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Single options and shipped programs too; what is not tried leaves the menu with the reason."""
    (folder / "endpoints.json").write_text(json.dumps({**ENDPOINTS, "programs": ["mine.json"]}))
    assert piloted(folder, "--strategies", "mine", "idp", "iep", "--try", "mine", "--try", "idp", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [name.partition("@")[0] for name in said["options"]] == ["mine", "mine", "idp"]
    assert all("nothing is known" in reason for name, reason in said["left_out"].items() if name.startswith("iep"))


def test_a_front_answers_by_a_program(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan of a program is served where the file of endpoints names it, and refused at the start where not."""
    pytest.importorskip("uvicorn")
    problem_path = folder / "problem.json"
    assert piloted(folder, "--strategies", "mine", "--program", str(folder / "mine.json")) == 0
    assert main(["plan", str(problem_path), "-o", str(folder / "plan.json")]) == 0
    command = ["serve", str(folder / "plan.json"), "--problem", str(problem_path), "--port", "0"]
    command += ["--endpoints", str(folder / "endpoints.json")]
    capsys.readouterr()
    assert main(command) == 2
    assert "a program that the file of endpoints names" in capsys.readouterr().err
    (folder / "endpoints.json").write_text(json.dumps({**ENDPOINTS, "programs": ["mine.json"]}))
    with subprocess.Popen([sys.executable, "-m", "coinfer", *command], stdout=subprocess.PIPE, text=True) as front:
        try:
            assert front.stdout is not None
            address = front.stdout.readline().partition(" at ")[2].partition(";")[0]
            body = {"model": "coinfer", "messages": [{"role": "user", "content": "mul 2 3"}], "max_tokens": 9}
            reply = httpx.post(f"{address}/chat/completions", json=body, timeout=30.0)
        finally:
            front.terminate()
    assert reply.status_code == 200
    assert reply.json()["choices"][0]["message"]["content"]
    roles = [json.loads(line).get("role") for line in (folder / "plan.served").read_text().splitlines()]
    assert roles.count("retriever") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stages": []}, "mine.json: stages"),
        ({"answer": "end"}, "mine.json: answer"),
        ({"format": "coinfer/prompt-program/2"}, "mine.json: format"),
    ],
)
def test_a_program_that_is_none_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], words: str
) -> None:
    """The file and the place are named, and nothing is asked or written."""
    (folder / "mine.json").write_text(json.dumps({**PROGRAM, **change}))
    assert piloted(folder, "--program", str(folder / "mine.json")) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (folder / "problem.json").exists()
    assert not list(folder.glob("*.pilot"))


def test_a_program_without_its_retriever_cannot_be_tried(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody searches, the pilot says so instead of a trial without passages."""
    (folder / "endpoints.json").write_text(json.dumps({k: v for k, v in ENDPOINTS.items() if k != "retriever"}))
    assert piloted(folder, "--program", str(folder / "mine.json")) == 2
    said = capsys.readouterr().err
    assert "program 'mine': expected what its stages need; found nobody serves the role 'retriever'" in said
