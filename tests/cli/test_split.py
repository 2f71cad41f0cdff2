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


NOTHING_TAKES_TIME = {
    "format": "coinfer/problem/1",
    "kind": "split",
    "name": "zero",
    "layers": [{"count": 2, "weights_bytes": {"q4": 1}, "kv_bytes_per_token": 0}],
    "hidden_size": 8,
    "devices": [{"name": "a", "memory_bytes": 10, "decode_s": {"q4": [0]}, "power_w": 1}],
    "codecs": [],
    "prompt_tokens": 1,
    "output_tokens": 1,
    "source": "a",
}


@pytest.mark.parametrize("objective", ["tpot", "bottleneck"])
def test_layers_that_take_no_time_are_planned_without_a_rate(objective: str, tmp_path: Path) -> None:
    """Where nothing is busy there is no rate: the figure is absent, and the plan is written and holds."""
    problem, plan = tmp_path / "problem.json", tmp_path / "plan.json"
    problem.write_text(json.dumps({**NOTHING_TAKES_TIME, "objective": objective}))
    assert main(["plan", str(problem), "-o", str(plan)]) == 0
    assert "tokens_per_s" not in json.loads(plan.read_text())["figures"]
    assert main(["verify", str(problem), str(plan)]) == 0


@pytest.mark.parametrize("number", [1e300, -1.0])
@pytest.mark.parametrize("field", ["decode_s", "power_w", "memory_bytes"])
def test_amounts_whose_products_are_no_numbers_are_refused(
    field: str, number: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Amounts beyond reason, and negative ones, are a sentence with their place, and nothing is written."""
    problem, plan = tmp_path / "problem.json", tmp_path / "plan.json"
    device = {**NOTHING_TAKES_TIME["devices"][0], field: {"q4": [number]} if field == "decode_s" else number}  # type: ignore[index, dict-item]
    problem.write_text(json.dumps({**NOTHING_TAKES_TIME, "devices": [device]}))
    assert main(["plan", str(problem), "-o", str(plan)]) == 2
    assert field in capsys.readouterr().err
    assert not plan.exists()
