"""Splits from the command line: plan, verify, export, and sentences for what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coinfer.cli import main

ROOT = Path(__file__).parents[2]
PROBLEM = ROOT / "examples" / "problems" / "split" / "edge_and_cloud.json"


@pytest.fixture
def planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return the plan of the example."""
    path = tmp_path / "plan.json"
    assert main(["plan", str(PROBLEM), "-o", str(path)]) == 0
    assert "proven optimal" in capsys.readouterr().out
    return path


def test_the_example_has_its_optimum_and_verifies(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The value is the one beside the problem, and the checker proves it without a solver."""
    stated = json.loads(PROBLEM.with_suffix(".optimum.json").read_text(encoding="utf-8"))
    assert main(["verify", str(PROBLEM), str(planned), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["proven"]
    assert checked["value"] == pytest.approx(stated["value"], rel=1e-9)


def test_it_is_written_for_every_engine(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Device map, arguments and table name each layer once; a device without a target is a sentence."""
    export = ["export", str(PROBLEM), "--plan", str(planned)]
    files = {name: tmp_path / f"{name}.json" for name in ("device-map", "llama-cpp", "layer-table")}
    named = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    targets = ["--target", "board=CUDA0", "--target", "desktop=10.0.0.2:50052"]
    assert main([*export, *named, *targets]) == 0
    found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in files.items()}
    assert sum(key.startswith("model.layers.") for key in found["device-map"]) == 32
    assert sum(found["layer-table"]["w"]) == 32
    shares = found["llama-cpp"]["arguments"][-1].split(",")
    assert sum(map(int, shares)) == 33
    capsys.readouterr()
    assert main([*export, "--llama-cpp", str(tmp_path / "none.json")]) == 2
    assert "a target for 'board'" in capsys.readouterr().err
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", str(PROBLEM), "--front", "4"],
        ["plan", str(PROBLEM), "--engine", "dynamic"],
        ["plan", str(PROBLEM), "--engine", "chain"],
        ["replan", str(PROBLEM), "plan.json"],
        ["export", str(PROBLEM), "--mps", "x.mps"],
        ["export", str(PROBLEM), "--device-map", "x.json"],
        ["export", str(PROBLEM), "--device-map", "x.json", "--plan", "plan.json", "--target", "board"],
    ],
)
def test_what_a_split_does_not_have_is_a_sentence(
    arguments: list[str], planned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options of other kinds, and incomplete ones, end with one line and exit code 2."""
    monkeypatch.chdir(planned.parent)
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_pages_and_runs_of_a_split_are_refused(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not there yet says so, and writes nothing."""
    assert main(["report", str(PROBLEM), str(planned), "-o", str(tmp_path / "page.html")]) == 2
    assert "found a split" in capsys.readouterr().err
    requests = tmp_path / "requests.jsonl"
    requests.write_text(json.dumps({"id": "a", "prompt": "2+2=", "category": "c", "max_tokens": 4}) + "\n")
    assert main(["run", str(planned), str(requests)]) == 2
    assert "found a split" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
