"""Matrices that stand in an array file beside the problem are read as if inline, or refused in one sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coinfer import jsonfile
from coinfer.errors import InputError
from coinfer.models.problem import Problem
from coinfer.models.selection.data import SelectionProblem

Load = Callable[[Any], Problem]


class TestArrays:
    """Quality that stands in an ``.npz`` file."""

    @pytest.fixture
    def arrays(self, tmp_path: Path, small_json: dict[str, Any]) -> dict[str, Any]:
        """Move the quality of the small problem into an array file, and return its JSON."""
        np.savez(tmp_path / "quality.npz", quality=np.array(small_json["quality"]))
        digest = hashlib.sha256((tmp_path / "quality.npz").read_bytes()).hexdigest()
        return small_json | {"quality": {"file": "quality.npz", "array": "quality", "sha256": digest}}

    def test_reads_as_if_inline(self, arrays: dict[str, Any], load: Load, small: SelectionProblem) -> None:
        """The same numbers in a file make an equal problem, which is written with its reference again."""
        read = load(arrays)
        assert read == small
        assert jsonfile.to_builtins(read)["quality"] == arrays["quality"]

    def test_another_hash(self, arrays: dict[str, Any], load: Load) -> None:
        """A file with other content than its hash says is refused."""
        arrays["quality"]["sha256"] = "0" * 64
        with pytest.raises(InputError, match=r"quality\.npz: expected .*sha256 '0{64}'; found [0-9a-f]{64}"):
            load(arrays)

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"\x80\x04K\x01.", "expected an .npz file of plain numbers (no pickle)"),
            (b"PK\x03\x04 cut short", "expected an .npz file of plain numbers (no pickle)"),
        ],
    )
    def test_a_pickle_or_a_torn_file(
        self, arrays: dict[str, Any], load: Load, tmp_path: Path, content: bytes, sentence: str
    ) -> None:
        """A pickle under the name of an array file is never loaded."""
        (tmp_path / "quality.npz").write_bytes(content)
        arrays["quality"]["sha256"] = hashlib.sha256(content).hexdigest()
        with pytest.raises(InputError) as caught:
            load(arrays)
        assert sentence in str(caught.value)

    @pytest.mark.parametrize(
        ("array", "sentence"),
        [
            (np.array([{"a": 1}], dtype=object), "(no pickle)"),
            (np.array([["a"]]), "expected an array of numbers; found dtype <U1"),
            (np.zeros((2, 3)), "expected 3 rows (prompts) of 3 numbers (experts); found (2, 3)"),
            (np.zeros(3), "expected a matrix (rows of numbers); found 1 dimension(s)"),
            (np.full((3, 3), np.nan), "[0][0]: expected a finite number; found nan"),
        ],
        ids=["objects", "text", "shape", "vector", "nan"],
    )
    def test_arrays_of_another_kind(
        self, arrays: dict[str, Any], load: Load, tmp_path: Path, array: Any, sentence: str
    ) -> None:
        """Objects, text, wrong shapes and NaN are refused."""
        np.savez(tmp_path / "quality.npz", quality=array)
        arrays["quality"]["sha256"] = hashlib.sha256((tmp_path / "quality.npz").read_bytes()).hexdigest()
        with pytest.raises(InputError) as caught:
            load(arrays)
        assert sentence in str(caught.value)

    @pytest.mark.parametrize(
        ("field", "value", "sentence"),
        [
            ("array", "other", "expected an array named 'other'"),
            ("file", "none.npz", "expected a readable file"),
            ("file", "../quality.npz", "expected a path below the JSON file's folder"),
            ("file", "/quality.npz", "expected a path below the JSON file's folder"),
            ("size", 3, "quality: expected rows of numbers, or an object of the texts file, array, sha256"),
        ],
    )
    def test_wrong_references(self, arrays: dict[str, Any], load: Load, field: str, value: Any, sentence: str) -> None:
        """A reference to nothing, or to somewhere else, is refused."""
        arrays["quality"][field] = value
        with pytest.raises(InputError) as caught:
            load(arrays)
        assert sentence in str(caught.value)

    def test_scores_stand_in_a_file_too(self, arrays: dict[str, Any], load: Load, small: SelectionProblem) -> None:
        """The scores of a gate may be an array like the quality, in the same file or another."""
        read = load(arrays | {"gate": "softmax", "gate_scores": arrays["quality"]})
        assert read.gate_scores == small.quality
        assert jsonfile.to_builtins(read)["gate_scores"] == arrays["quality"]
