"""``coinfer import`` and ``coinfer export``: foreign data in, a plan, and files for LiteLLM out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coinfer.cli import main

QUALITY = "prompt,category,small,large\np1,chat,0.4,0.9\np2,code,1,1\n"
EXPERTS = "name,latency_s,price_usd\nsmall,0.1,0.001\nlarge,0.4,0.01\n"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    quality, experts = tmp_path / "quality.csv", tmp_path / "experts.csv"
    quality.write_text(QUALITY)
    experts.write_text(EXPERTS)
    return quality, experts


def test_import_plan_and_export(tables: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table becomes a problem, the problem a plan, and the plan a configuration of LiteLLM."""
    problem, plan, folder = tmp_path / "problem.json", tmp_path / "plan.json", tmp_path / "litellm"
    assert run("import", "csv", *tables, "-o", problem, "--name", "two", "--price-budget", 0.006) == 0
    assert capsys.readouterr().out == (f"two: 2 experts, 2 prompts, 2 categories, 1 devices\nWritten to {problem}.\n")
    data = json.loads(problem.read_text())
    data["experts"][0]["endpoint"] = {"backend": "openai", "model": "s", "url": "http://localhost:1/v1"}
    problem.write_text(json.dumps(data))
    assert run("plan", problem, "-o", plan) == 0
    capsys.readouterr()
    assert run("export", problem, "--plan", plan, "--litellm", folder, "--lp", tmp_path / "p.lp") == 0
    said = capsys.readouterr().out
    assert "1 experts for LiteLLM: small" in said
    assert "'large' is not exported: it has no endpoint" in said
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "routing.json"]
    assert (tmp_path / "p.lp").exists()
    assert run("export", problem, "--plan", plan, "--litellm", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["experts"] == ["small"]


def test_json_says_the_same(tables: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For machines the summary is one object."""
    problem = tmp_path / "problem.json"
    assert run("import", "csv", tables[0], "-o", problem, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "written": [str(problem)],
        "experts": 2,
        "prompts": 2,
        "categories": 2,
        "devices": 1,
        "notes": ["latency, energy and price stay absent: no table of experts was given"],
    }


def test_the_leaderboard_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The options of ml-energy reach the reader."""
    task, problem = tmp_path / "task.json", tmp_path / "problem.json"
    row = {"model_id": "m", "gpu_model": "H100", "num_gpus": 2, "energy_per_request_joules": 5.0, "p99_itl_ms": 7.0}
    task.write_text(json.dumps({"configurations": [row, {**row, "num_gpus": 4}]}))
    options = ("--serve", "m", "--itl-s", 0.01, "--latency-statistic", "p99", "--gpus", "H100=3", "--levels", 1)
    assert run("import", "ml-energy", task, "-o", problem, *options) == 0
    assert "1 configurations left out: they need GPUs that --gpus does not give" in capsys.readouterr().out
    data = json.loads(problem.read_text())
    assert [expert["latency_s"] for expert in data["experts"]] == [{"m": 0.007}]
    assert data["objective"] == "energy_j"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("csv", "quality.csv", "-o", "quality.csv"), "--output: expected a file that is not imported itself"),
        (("csv", "quality.csv", "-o", "p.json", "--serve", "all"), "--serve: expected the format ml-energy with this"),
        (("csv", "quality.csv", "-o", "p.json", "--gpus", "H100=1"), "--gpus: expected the format ml-energy with this"),
        (("csv", "quality.csv", "-o", "p.json", "--latency-statistic", "p95"), "expected the format llmrouter or ml-"),
        (("csv", "absent.csv", "-o", "p.json"), "absent.csv: expected a readable file"),
        (("csv", "quality.csv", "-o", "absent/p.json"), "expected a path in a writable folder"),
        (("csv", "quality.csv", "-o", "p.json", "--experts-budget", "0"), "experts: expected an integer, at least 1"),
        (("csv", "quality.csv", "-o", "p.json", "--price-budget", "nan"), "price_usd: expected a finite number"),
        (
            ("csv", "quality.csv", "-o", "p.json", "--name", "\x1b[2J", "--device", ""),
            "name: expected a name; found ''",
        ),
        (("routerbench", "bench.pkl", "-o", "p.json"), "bench.pkl: expected a CSV file, since loading a pickle runs"),
        (("ml-energy", "quality.csv", "-o", "p.json"), "expected --serve MODELS or --quality FILE; found neither"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tables: tuple[Path, Path],
    arguments: tuple[str, ...],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bad arguments are exit code 2 and one line; nothing is written."""
    monkeypatch.chdir(tables[0].parent)
    assert run("import", *arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in tables[0].parent.iterdir()) == ["experts.csv", "quality.csv"]
    assert tables[0].read_text() == QUALITY


def test_export_needs_a_plan_for_litellm(tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """A plan without a folder, a folder without a plan, and nothing to write are each refused."""
    for options, sentence in (
        (("--plan", "p"), "--plan FILE and --litellm DIR together; found no --litellm"),
        (("--litellm", "d"), "--plan FILE and --litellm DIR together; found no --plan"),
        ((), "--mps FILE or --lp FILE, or --plan FILE and --litellm DIR; found none of them"),
    ):
        assert run("export", tables[0], *options) == 2
        assert sentence in capsys.readouterr().err


def test_the_python_example_of_the_document_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example imports and writes as it stands there."""
    text = (repository / "docs" / "imports.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(text.partition("## In Python")[2].partition("```python\n")[2].partition("```")[0], {})
    assert "latency, energy and price stay absent" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"quality.csv", "problem.json"}
