"""Acceleration files: what is wrong gives one sentence, what is right survives a round trip, the verb prints it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.cli import main
from coinfer.errors import InputError
from coinfer.models.acceleration import AccelerationDecision, AccelerationProblem, read_acceleration, read_decision

EXAMPLE = Path("examples/problems/acceleration/five_gpus.json")

SMALL: dict[str, Any] = {
    "format": "coinfer/acceleration/1",
    "name": "small",
    "models": [{"name": "m"}],
    "devices": [{"name": "d"}],
    "methods": [{"name": "a"}, {"name": "b"}],
    "tasks": [{"name": "t"}],
    "history": [{"model": "m", "device": "d", "method": "a", "task": "t", "energy_j": 1.5}],
    "objective": "energy_j",
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the small file with one value replaced."""
    data = json.loads(json.dumps(SMALL))
    place = data
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[int(last) if last.isdigit() else last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", "coinfer/problem/1", "expected 'coinfer/acceleration/1'"),
        ("models", [], "models: expected at least one entry"),
        ("methods.1.name", "a", "methods: expected names that differ"),
        ("methods.1.name", "", "expected a name"),
        ("history.0.device", "x", r"history\[0\].device: expected one of d"),
        ("history.0.energy_j", 0, "energy_j: expected a number above 0"),
        ("history.0.energy_j", None, "a row with a measured figure"),
        ("history.0.energy_j", "1", "energy_j: expected `float"),
        ("tasks.0.methods", ["c"], r"tasks\[0\].methods\[0\]: expected one of a, b"),
        ("tasks.0.limits", {"energy": 1}, "did you mean 'energy_j'"),
        ("tasks.0.requests", -1, "requests: expected a number above 0"),
        ("objective", "speed", "objective: expected one of"),
        ("budgets", {"energy_j": 0}, "budgets.energy_j: expected a number above 0"),
        ("level", 1.0, "level: expected a number between 0 and 1"),
        ("devices.0.bandwith_bytes_per_s", 1.0, "did you mean 'bandwidth_bytes_per_s'"),
        ("models.0.features", {"x": 1e300}, r"features.x: expected a number of size"),
    ],
)
def test_a_malformed_file_gives_one_sentence(
    path: str, value: object, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake is named with its place; the command line says it in one line and ends with 2."""
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(changed(path, value)))
    with pytest.raises(InputError, match=words):
        read_acceleration(file)
    assert main(["accelerate", str(file), "-o", str(tmp_path / "out.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=3), st.lists, max_leaves=4), st.data())
def test_no_value_breaks_the_reader(value: object, data: st.DataObject) -> None:
    """Whatever stands in a field, the file is read or refused with an input error."""
    path = data.draw(st.sampled_from(["models.0", "devices.0.name", "tasks.0.limits", "history.0.energy_j", "level"]))
    content = {key: part for key, part in changed(path, value).items() if key != "format"}
    with contextlib.suppress(InputError):
        jsonfile.convert(content, AccelerationProblem, where="f")


def test_too_many_ways_are_refused() -> None:
    """A file whose menu would fill the memory is refused before it is built."""
    many = [{"name": str(i)} for i in range(300)]
    data = {**SMALL, "devices": [{"name": "d"}, *many], "methods": [{"name": "a"}, *many]}
    with pytest.raises(InputError, match="at most 20,000 ways"):
        jsonfile.convert({k: v for k, v in data.items() if k != "format"}, AccelerationProblem, where="f")


def test_the_shipped_example_is_what_its_script_makes(repository: Path) -> None:
    """The example file is exactly what the script beside it builds."""
    path = repository / "examples" / "make_acceleration_problem.py"
    spec = importlib.util.spec_from_file_location("make_acceleration_problem", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.build() == read_acceleration(repository / EXAMPLE)


def test_the_verb_prints_and_writes_a_decision(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table names the choice and what to measure; the file written is read back equal and follows its schema."""
    out = tmp_path / "decision.json"
    assert main(["accelerate", str(repository / EXAMPLE), "--predictor", "roofline", "-o", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "What serves each task" in shown
    assert "What to measure next" in shown
    decision = read_decision(out)
    assert len(decision.choices) == 3
    assert decision.totals["runtime_s"] <= 2.6e5
    jsonschema.validate(
        json.loads(out.read_text()), jsonfile.schema(AccelerationDecision, format_name=AccelerationDecision.file_format)
    )
    assert main(["accelerate", str(repository / EXAMPLE), "--predictor", "roofline", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())


def test_a_file_without_an_answer_ends_with_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A budget that nothing keeps is told in one sentence, with the exit code for infeasible."""
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(changed("budgets", {"energy_j": 0.5})))
    assert main(["accelerate", str(file), "--predictor", "roofline"]) == 3
    assert "no choice keeps the budgets (energy_j 0.5)" in capsys.readouterr().err


def test_importing_the_package_does_not_load_scikit_learn() -> None:
    """Whoever only imports the package does not wait for scikit-learn, scipy or an engine."""
    code = "import coinfer.models.acceleration, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"sklearn", "scipy", "highspy", "ortools"}.isdisjoint(done.stdout.split())


def test_the_page_names_every_field(repository: Path) -> None:
    """Each field of the file has its place in the documentation."""
    text = (repository / "docs" / "acceleration.md").read_text(encoding="utf-8")
    from coinfer.models.acceleration.data import Device, Method, Model, Row, Task

    kinds = (AccelerationProblem, Device, Method, Model, Row, Task)
    fields = {name for kind in kinds for name in kind.__struct_fields__}
    assert not sorted(name for name in fields if f"`{name}`" not in text)
