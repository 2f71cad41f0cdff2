"""A gate file holds all that routing needs, and one that was changed or does not fit together is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from coinfer import jsonfile
from coinfer.errors import InputError
from coinfer.models.selection.gate import (
    FeatureDescription,
    Gate,
    HashedWords,
    TrainingOptions,
    gate_from,
    read_gate,
    report_on,
    train_gate,
    write_gate,
)
from coinfer.models.selection.gate.document import MOST_INLINE_NUMBERS

pytest.importorskip("torch")
NAMES = ("a", "b", "c")


@pytest.fixture
def make_gate() -> Callable[..., Gate]:
    """Return a function that trains a gate of three experts on texts that name the right one."""

    def make(dimension: int = 16, hidden: int = 0) -> Gate:
        made = HashedWords(dimension)
        texts = [f"ask {NAMES[i % 3]} about {i}" for i in range(60)]
        quality = np.eye(3)[np.arange(60) % 3]
        trained = train_gate(made.features(texts), quality, options=TrainingOptions(steps=40, hidden=hidden))
        report = report_on(trained, NAMES)
        return gate_from(trained, experts=NAMES, features=made.description, report=report, problem="test")

    return make


@pytest.mark.parametrize(("dimension", "hidden"), [(16, 0), (16, 4), (2048, 0)])
def test_a_file_gives_back_the_same_gate(
    make_gate: Callable[..., Gate], tmp_path: Path, dimension: int, hidden: int
) -> None:
    """What was written is read as the same gate with the same scores; large weights stand in a file beside it."""
    gate, path = make_gate(dimension, hidden), tmp_path / "gate.json"
    beside = write_gate(path, gate)
    again = read_gate(path)

    assert again == gate
    assert (beside is not None) == (dimension * 3 > MOST_INLINE_NUMBERS)
    texts = ["ask a about 7", "ask b", ""]
    assert np.array_equal(again.scores(texts), gate.scores(texts))
    assert again.scores(texts).argmax(axis=1)[0] == 0
    assert json.loads(path.read_text())["format"] == "coinfer/gate/1"


def test_a_gate_that_was_read_can_be_written_elsewhere(make_gate: Callable[..., Gate], tmp_path: Path) -> None:
    """The copy does not refer to the array file of the original, whatever its size."""
    for dimension in (16, 2048):
        gate, folder = make_gate(dimension), tmp_path / f"copy {dimension}"
        write_gate(tmp_path / "gate.json", gate)
        folder.mkdir()
        write_gate(folder / "other.json", read_gate(tmp_path / "gate.json"))
        for path in tmp_path.glob("gate*"):
            path.unlink()
        assert read_gate(folder / "other.json") == gate


def test_changed_weights_are_refused(make_gate: Callable[..., Gate], tmp_path: Path) -> None:
    """An array file with other content than the gate was written with is named, with both hashes."""
    path = tmp_path / "gate.json"
    beside = write_gate(path, make_gate(2048))
    assert beside is not None
    np.savez(beside, weights_0=np.zeros((2048, 3)), biases_0=np.zeros((1, 3)))
    with pytest.raises(InputError, match=r"gate\.weights\.npz: expected content with sha256"):
        read_gate(path)


def _without_expert(data: dict[str, Any]) -> None:
    data["experts"].pop()


def _twice(data: dict[str, Any]) -> None:
    data["experts"][1] = "a"


def _other_features(data: dict[str, Any]) -> None:
    data["features"]["dimension"] = 17


def _short_row(data: dict[str, Any]) -> None:
    data["layers"][0]["weights"][3].pop()


def _biases(data: dict[str, Any]) -> None:
    data["layers"][0]["biases"] = [[0.0, 0.0]]


def _third_layer(data: dict[str, Any]) -> None:
    data["layers"] *= 3


def _format(data: dict[str, Any]) -> None:
    data["format"] = "coinfer/gate/2"


def _nothing_measured(data: dict[str, Any]) -> None:
    del data["report"]["heldout_regret"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_expert, r"layers\[0\]\.weights: expected 2 columns, one for each expert; found 3"),
        (_twice, "experts: expected names that differ; found 'a' 2 times"),
        (_other_features, r"layers\[0\]\.weights: expected 17 rows, one for each number that comes in; found 16"),
        (_short_row, r"layers\[0\]\.weights: expected a matrix of numbers with rows of one length"),
        (_biases, r"layers\[0\]\.biases: expected shape \(1, 3\), as the weights have outputs; found \(1, 2\)"),
        (_third_layer, "layers: expected one layer or two; found 3"),
        (_format, "format: expected 'coinfer/gate/1'; found 'coinfer/gate/2'"),
        (_nothing_measured, "report: expected a field `heldout_regret`; found none"),
    ],
)
def test_a_file_that_does_not_fit_together_is_a_sentence(
    make_gate: Callable[..., Gate], tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    """Whatever was changed by hand is named with its place."""
    path = tmp_path / "gate.json"
    write_gate(path, make_gate())
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=f"gate.json: {words}"):
        read_gate(path)


def test_features_of_another_dimension_are_refused(make_gate: Callable[..., Gate]) -> None:
    """A gate does not score what it was not trained on."""
    with pytest.raises(InputError, match=r"features: expected shape \(prompts, 16\); found \(2, 15\)"):
        make_gate().scores_of_features(np.zeros((2, 15)))


def test_layers_that_do_not_follow_each_other_are_refused(make_gate: Callable[..., Gate]) -> None:
    """The second layer takes in what the first gives out."""
    gate = make_gate(hidden=4)
    with pytest.raises(InputError, match=r"layers\[0\].weights: expected 16 rows"):
        msgspec.structs.replace(gate, layers=gate.layers[::-1])


def test_the_file_has_a_schema() -> None:
    """The format can be described for other programs, features and report included."""
    described = jsonfile.schema(Gate, format_name=Gate.file_format)
    assert {"Layer", "GateReport", "SubsetRegret", FeatureDescription.__name__} <= described["$defs"].keys()
