"""The gate file (``coinfer/gate/1``): experts, how prompts become features, weights, and how good it was found."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.selection.gate.features import FeatureDescription, Featurizer, featurizer
from coinfer.models.selection.gate.fit import scores_of
from coinfer.models.selection.gate.loss import FloatArray
from coinfer.models.selection.gate.train import TrainedGate
from coinfer.models.selection.gate_report import GateReport
from coinfer.models.selection.validate import unique
from coinfer.records import ArrayReference, Document, Matrix, Record

FORMAT = "coinfer/gate/1"
MOST_INLINE_NUMBERS = 5_000
"""Largest gate, in numbers, that is written into the JSON file itself."""


class Layer(Record, frozen=True, kw_only=True):
    """One layer of a gate.

    Attributes
    ----------
    weights
        (inputs, outputs).
    biases
        (1, outputs).
    """

    weights: Matrix
    biases: Matrix

    def __post_init__(self) -> None:
        expected = (1, self.weights.shape[1])
        if self.biases.shape != expected:
            found = Plain(f"{self.biases.shape}")
            raise InputError("biases", expected=f"shape {expected}, as the weights have outputs", found=found)


class Gate(Document, frozen=True, kw_only=True):
    """A trained gate: a score for each expert from the text of a prompt, higher is better.

    Scores of one prompt may be compared with each other, not with those of another prompt.

    Attributes
    ----------
    experts
        Names, in the order of the scores.
    features
        How a prompt becomes numbers.
    layers
        One layer, or two with a rectifier between them.
    report
        How good it was found to be on prompts it had never met.
    problem
        Name of the problem whose quality matrix it was trained on.
    """

    file_format = FORMAT

    experts: tuple[str, ...]
    features: FeatureDescription
    layers: tuple[Layer, ...]
    report: GateReport
    problem: str

    def __post_init__(self) -> None:
        unique("experts", list(self.experts))
        if len(self.layers) not in (1, 2):
            raise InputError("layers", expected="one layer or two", found=len(self.layers))
        width = self.features.dimension
        for i, layer in enumerate(self.layers):
            if layer.weights.shape[0] != width:
                where, found = f"layers[{i}].weights", layer.weights.shape[0]
                raise InputError(where, expected=f"{width} rows, one for each number that comes in", found=found)
            width = layer.weights.shape[1]
        if width != len(self.experts):
            expected = f"{len(self.experts)} columns, one for each expert"
            raise InputError(f"layers[{len(self.layers) - 1}].weights", expected=expected, found=width)

    def scores(self, texts: Sequence[str], *, made: Featurizer | None = None) -> FloatArray:
        """Return the scores of prompts, (texts, experts).

        Parameters
        ----------
        texts
            Prompts.
        made
            The featurizer that the gate was trained with, where it is loaded already.

        Raises
        ------
        BackendMissing, InputError
            If the encoder is not installed, or is not the one of the training.
        """
        made = made if made is not None else featurizer(self.features)
        return self.scores_of_features(made.features(texts))

    def scores_of_features(self, features: NDArray[np.floating]) -> FloatArray:
        """Return the scores, (prompts, experts), of features, (prompts, dimension).

        Raises
        ------
        InputError
            If the features have another shape.
        """
        if features.ndim != 2 or features.shape[1] != self.features.dimension:
            expected = f"shape (prompts, {self.features.dimension})"
            raise InputError("features", expected=expected, found=Plain(f"{features.shape}"))
        return scores_of(tuple((layer.weights.array, layer.biases.array[0]) for layer in self.layers), features)


def gate_from(
    trained: TrainedGate, *, experts: Sequence[str], features: FeatureDescription, report: GateReport, problem: str
) -> Gate:
    """Return a trained gate as what goes in a file."""
    layers = tuple(Layer(weights=Matrix(weights), biases=Matrix(biases[None])) for weights, biases in trained.layers)
    return Gate(experts=tuple(experts), features=features, layers=layers, report=report, problem=problem)


def read_gate(path: str | os.PathLike[str]) -> Gate:
    """Read and check a gate file.

    Raises
    ------
    InputError
        With the file, the path inside it, what was expected and what was found; also when an array file beside it is
        not the one that was written with it.
    """
    return jsonfile.read(path, Gate, format_name=FORMAT)


def write_gate(path: str | os.PathLike[str], gate: Gate) -> Path | None:
    """Write a gate file; the weights of a large gate go to an ``.npz`` file beside it, which is returned."""
    file = Path(path)
    parts = {
        f"{name}_{i}": getattr(layer, name).array
        for i, layer in enumerate(gate.layers)
        for name in ("weights", "biases")
    }
    if sum(array.size for array in parts.values()) <= MOST_INLINE_NUMBERS:
        layers = tuple(Layer(weights=Matrix(x.weights.array), biases=Matrix(x.biases.array)) for x in gate.layers)
        jsonfile.write(file, msgspec.structs.replace(gate, layers=layers))
        return None
    beside = file.with_suffix(".weights.npz")
    with jsonfile.atomic(beside) as temporary:
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, **parts)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()

    def kept(name: str) -> Matrix:
        return Matrix(parts[name], source=ArrayReference(file=beside.name, array=name, sha256=digest))

    layers = tuple(Layer(weights=kept(f"weights_{i}"), biases=kept(f"biases_{i}")) for i in range(len(gate.layers)))
    jsonfile.write(file, msgspec.structs.replace(gate, layers=layers))
    return beside
