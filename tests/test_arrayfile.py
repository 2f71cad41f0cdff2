"""Several files are written together, or none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coinfer import arrayfile
from coinfer.errors import InputError
from coinfer.models.problem import read_problem
from coinfer.testing.budget import larger


def test_nothing_is_written_where_one_of_the_files_cannot_be(tmp_path: Path) -> None:
    """A second path in a folder that is not there, or that is a folder, leaves the first file as it was, arrays too."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "one.json").write_text("old")
    for other in (tmp_path / "nowhere" / "two.json", tmp_path / "folder"):
        with pytest.raises(InputError):
            arrayfile.write_all([(tmp_path / "one.json", larger()), (other, larger())], most_inline=10)
        assert (tmp_path / "one.json").read_text() == "old"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "one.json"]


def test_one_file_cannot_hold_two_records(tmp_path: Path) -> None:
    """Two outputs with one name, or an array file that is another output, are refused before anything is written."""
    for names in (("one.json", "one.json"), ("one.json", "one.npz"), ("one.json", "one.txt")):
        with pytest.raises(InputError, match="a file of its own"):
            arrayfile.write_all([(tmp_path / name, larger()) for name in names], most_inline=10)
    assert list(tmp_path.iterdir()) == []


def test_all_records_can_be_read_back(tmp_path: Path) -> None:
    """Each record has its own arrays beside it, and is read as it was."""
    records = [larger(seed=0), larger(seed=1)]
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    assert arrayfile.write_all(list(zip(paths, records, strict=True)), most_inline=10) == [
        tmp_path / "one.npz",
        tmp_path / "two.npz",
    ]
    for path, record in zip(paths, records, strict=True):
        assert read_problem(path) == record
    assert not np.array_equal(records[0].menus.value.array, records[1].menus.value.array)  # type: ignore[union-attr]
