"""The verbs in a row on bundled models: each reads what the one before it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coinfer.cli import main

pytest.importorskip("torch", reason="the bundled models run in process")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of one small demo."""
    folder = tmp_path_factory.mktemp("demo")
    assert run("demo", "-o", folder, "--calibration", 24, "--requests", 24, "--json") == 0
    return folder


def test_the_demo_writes_every_file_of_the_loop(folder: Path) -> None:
    """Profile, problem, plan, journal, answers, measurements, the second round, and the page."""
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "profile.json",
        "problem.json",
        "plan.json",
        "calibration.jsonl",
        "run.journal",
        "run.jsonl",
        "answers.jsonl",
        "profile-2.json",
        "problem-2.json",
        "plan-2.json",
        "report.html",
    }
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert len([answer for answer in answers if "id" in answer]) >= 24


def test_the_demos_plans_verify(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both plans of the demo are proven, from their files alone."""
    for number in ("", "-2"):
        assert run("verify", folder / f"problem{number}.json", folder / f"plan{number}.json", "--json") == 0
        assert json.loads(capsys.readouterr().out)["proven"] is True


def test_a_second_run_resumes_and_asks_nothing_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same plan and requests over the same journal: everything is answered already."""
    requests = tmp_path / "requests.jsonl"
    line = {"id": "r0", "prompt": "s:3121=", "category": "sort", "max_tokens": 9, "checker": "task"}
    requests.write_text(json.dumps(line) + "\n")
    for resumed in (0, 1):
        assert run("run", folder / "plan.json", requests, "--problem", folder / "problem.json", "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["answered"], said["resumed"], said["failed"]) == (1, resumed, 0)


def test_replan_and_report_read_what_the_demo_wrote(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """New plan and page come out of the files, and the new plan verifies against the new problem."""
    plan, problem = tmp_path / "plan.json", tmp_path / "problem.json"
    rows = (folder / "calibration.jsonl", folder / "run.jsonl")
    arguments = ("--measurements", *rows, "-o", plan, "--output-problem", problem)
    assert run("replan", folder / "problem.json", folder / "plan.json", *arguments) == 0
    assert "The old plan" in capsys.readouterr().out
    assert run("verify", problem, plan) == 0
    page = tmp_path / "report.html"
    extra = ("--measurements", rows[1], "--profile", folder / "profile.json", "--previous", folder / "plan.json")
    assert run("report", problem, plan, "-o", page, "--front", 4, *extra) == 0
    assert "<svg" in page.read_text()


def test_profile_measures_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundled model is measured by name, and what no counter saw stays absent."""
    output = tmp_path / "profile.json"
    assert run("profile", "zoo:generalist-tiny", "--count", 6, "-o", output) == 0
    assert "generalist-tiny" in capsys.readouterr().out
    entries = json.loads(output.read_text())["entries"]
    assert {entry["quantity"] for entry in entries} >= {"request_s", "decode_s_per_token", "memory_bytes", "quality"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("zoo:nobody",), "nobody"),
        (("zoo:generalist-tiny", "--count", "0"), "at least 1"),
        (("--import", "llama-bench"), "FORMAT:FILE"),
        (("--import", "word:file"), "word"),
        (("x", "--backend", "openai", "--url", "http://127.0.0.1:9/v1"), "127.0.0.1:9"),
        (("x", "--backend", "openai"), "http:// or https://"),
        (("model.gguf", "--backend", "llamacpp"), "model.gguf"),
    ],
)
def test_a_profile_that_cannot_be_made_says_why(
    arguments: tuple[str, ...], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown models, formats and addresses get one sentence and exit code 2."""
    assert run("profile", *arguments) == 2
    said = capsys.readouterr().err
    assert part in said
    assert "Traceback" not in said
