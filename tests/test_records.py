"""Matrices and the arrays beside a file: read-only, finite, checked by hash and size, never unpickled."""

from __future__ import annotations

import copy
import hashlib
import math
import pickle
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from coinfer import records
from coinfer.errors import InputError
from coinfer.records import ArrayReference, Matrix, Record, read_array, read_matrix

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TABLES = arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=FINITE)


class Point(Record, frozen=True, kw_only=True):
    """A record for these tests."""

    x: float


def reference_to(folder: Path, content: bytes, *, name: str = "q.npz", array: str = "q") -> ArrayReference:
    """Write ``content`` and return a reference to it whose hash is right."""
    (folder / name).write_bytes(content)
    return ArrayReference(file=name, array=array, sha256=hashlib.sha256(content).hexdigest())


def packed(**contents: Any) -> bytes:
    """Return the bytes of an ``.npz`` file."""
    stream = BytesIO()
    np.savez_compressed(stream, **contents)
    return stream.getvalue()


def refused(folder: Path, reference: ArrayReference) -> str:
    """Return the sentence with which the array is refused."""
    with pytest.raises(InputError) as caught:
        read_array(folder, reference)
    sentence = str(caught.value)
    assert sentence.startswith(reference.file or "expected")
    assert "\n" not in sentence
    return sentence


@given(table=TABLES)
def test_a_matrix_holds_its_values_through_file_and_pickle(
    tmp_path_factory: pytest.TempPathFactory, table: np.ndarray
) -> None:
    """Inline, from an array file, copied and pickled: always the same values and the same hash."""
    matrix = Matrix(table)
    reference = reference_to(tmp_path_factory.mktemp("npz"), packed(q=table))
    beside = Matrix(table, source=reference)
    assert read_matrix(table.tolist(), None) == matrix == beside
    assert hash(read_matrix(table.tolist(), None)) == hash(matrix)
    for again in (pickle.loads(pickle.dumps(beside)), copy.deepcopy(beside), copy.copy(beside)):
        assert again == beside
        assert again.source == reference


@given(table=TABLES)
def test_an_array_file_gives_back_its_array(tmp_path_factory: pytest.TempPathFactory, table: np.ndarray) -> None:
    """What was packed is what is read, bit by bit."""
    folder = tmp_path_factory.mktemp("npz")
    assert read_array(folder, reference_to(folder, packed(q=table))).tobytes() == table.tobytes()


def test_equal_matrices_have_equal_hashes() -> None:
    """Zero and minus zero are equal, so their hashes are; shape counts too."""
    assert Matrix([[0.0]]) == Matrix([[-0.0]])
    assert hash(Matrix([[0.0]])) == hash(Matrix([[-0.0]]))
    assert Matrix([[1.0, 2.0]]) != Matrix([[1.0], [2.0]])
    assert Matrix([[1.0]]) != [[1.0]]


def test_a_matrix_cannot_be_changed() -> None:
    """Neither its fields nor its numbers, nor through the array that it was made from."""
    values = np.array([[1.0, 2.0]])
    matrix = Matrix(values)
    values[0, 0] = 9.0
    assert matrix.array[0, 0] == 1.0
    for change in (
        lambda: matrix.array.__setitem__((0, 0), 9.0),
        lambda: matrix.array.setflags(write=True),
        lambda: setattr(matrix, "array", values),
        lambda: setattr(matrix, "source", None),
        lambda: delattr(matrix, "array"),
    ):
        with pytest.raises((ValueError, AttributeError)):
            change()
    assert matrix == Matrix([[1.0, 2.0]])
    assert matrix.shape == (1, 2)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ([[math.nan]], "[0][0]: expected a finite number; found nan"),
        ([[1.0, math.inf]], "[0][1]: expected a finite number; found inf"),
        ([[1.0], [1.0, 2.0]], "rows of one length"),
        ([["1.5"]], "a matrix of numbers"),
        ([[None]], "a matrix of numbers"),
        ([[1j]], "a matrix of numbers"),
        ([[10**400]], "a matrix of numbers"),
        (object(), "a matrix of numbers"),
        ([1.0], "1 dimension"),
        ([[[1.0]]], "3 dimension"),
        (1.0, "0 dimension"),
    ],
)
def test_what_is_no_finite_matrix_is_refused(values: object, part: str) -> None:
    """Constructors validate and never coerce: a text that looks like a number is no number."""
    with pytest.raises(InputError) as caught:
        Matrix(values)
    assert part in str(caught.value)
    assert not str(caught.value).startswith(":")


@pytest.mark.parametrize("values", [[[True]], [["1"]], [[None]], [1.0], "1", 3, None, {"file": "q.npz"}, {}])
def test_json_that_is_no_matrix_is_refused(values: object) -> None:
    """Only rows of numbers or a whole reference are a matrix."""
    with pytest.raises(InputError):
        read_matrix(values, Path())


def test_large_whole_numbers_are_numbers() -> None:
    """A whole number beyond 64 bits is still a finite number."""
    assert Matrix([[10**20, 1]]).array[0, 0] == 1e20


def test_a_reference_without_a_folder_is_refused() -> None:
    """A problem that came from no file has nothing beside it."""
    with pytest.raises(InputError, match="inline values"):
        read_matrix({"file": "q.npz", "array": "q", "sha256": "0"}, None)


def test_errors_in_an_array_file_name_the_file_and_the_place(tmp_path: Path) -> None:
    """The element that is not finite is found in the file, and the file is named without its folder."""
    reference = reference_to(tmp_path, packed(q=np.array([[0.0, np.nan]])))
    value = {"file": reference.file, "array": reference.array, "sha256": reference.sha256}
    with pytest.raises(InputError) as caught:
        read_matrix(value, tmp_path)
    assert str(caught.value.inside("quality")) == "quality: q.npz[0][1]: expected a finite number; found nan"


class Evil:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.mkdir, (self.folder,))


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    """In place of the archive, or inside it, a pickle is refused without running what is in it."""
    evil = Evil(tmp_path / "owned")
    for content in (pickle.dumps(evil), packed(q=np.array([evil], dtype=object))):
        assert "no pickle" in refused(tmp_path, reference_to(tmp_path, content))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("file", ["../q.npz", "a/../../q.npz", "/etc/passwd", "a/..", ".."])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, file: str) -> None:
    """Before anything is opened: even a right hash does not help."""
    inner = tmp_path / "inner"
    inner.mkdir()
    reference = reference_to(tmp_path, packed(q=np.ones((1, 1))))
    assert "a path below" in refused(inner, ArrayReference(file=file, array="q", sha256=reference.sha256))


@pytest.mark.parametrize(
    ("contents", "part"),
    [
        ({"other": np.ones((1, 1))}, "an array named 'q'"),
        ({"q": np.array([["text"]])}, "an array of numbers; found dtype <U4"),
        ({"q": np.array([[1j]])}, "an array of numbers"),
        ({"q": np.array(["2026-01-01"], dtype="datetime64[D]")}, "an array of numbers"),
    ],
)
def test_an_archive_without_the_numbers_is_refused(tmp_path: Path, contents: dict[str, Any], part: str) -> None:
    """The array must be there under its name and hold real numbers."""
    assert part in refused(tmp_path, reference_to(tmp_path, packed(**contents)))


def test_another_content_is_refused(tmp_path: Path) -> None:
    """One byte more, and the hash no longer fits."""
    reference = reference_to(tmp_path, packed(q=np.ones((1, 1))))
    with (tmp_path / "q.npz").open("ab") as stream:
        stream.write(b"\0")
    assert f"content with sha256 '{reference.sha256}'" in refused(tmp_path, reference)


@pytest.mark.parametrize("file", ["none.npz", ".", "", "a\0b.npz", "x" * 300])
def test_files_that_cannot_be_opened_are_refused(tmp_path: Path, file: str) -> None:
    """Missing, a folder, a null character, too long a name: a sentence each."""
    with pytest.raises(InputError, match="a readable file"):
        read_array(tmp_path, ArrayReference(file=file, array="q", sha256="0"))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unpacked size counts, not the size on disk."""
    monkeypatch.setattr(records, "MAX_ARRAY_BYTES", 10_000)
    content = packed(q=np.zeros((1, 1)), other=np.zeros((100, 100)))
    assert len(content) < 1_000
    assert "at most 10,000 bytes" in refused(tmp_path, reference_to(tmp_path, content))


def test_a_huge_file_is_refused_before_it_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file above the limit is refused by its size alone."""
    with (tmp_path / "q.npz").open("wb") as stream:
        stream.truncate(5 * 2**30)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("the file was read"))
    assert "5,368,709,120 bytes" in refused(tmp_path, ArrayReference(file="q.npz", array="q", sha256="0"))


def test_a_header_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    """A shape of terabytes in a file of bytes neither fills the memory nor gets past the checks."""
    stream = BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**8)}
    with zipfile.ZipFile(stream, "w") as archive:
        member = BytesIO()
        np.lib.format.write_array_header_1_0(member, header)
        archive.writestr("q.npy", member.getvalue() + b"\0" * 64)
    refused(tmp_path, reference_to(tmp_path, stream.getvalue()))


@given(place=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.none() | st.integers(0, 10_000))
def test_a_damaged_archive_never_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cut: int | None
) -> None:
    """With any byte changed or the end cut off, and the hash adjusted, an array or a sentence comes out."""
    content = bytearray(packed(q=np.arange(6.0).reshape(2, 3)))
    content[place % len(content)] = value
    folder = tmp_path_factory.mktemp("npz")
    damaged = bytes(content if cut is None else content[: cut % len(content)])
    sentence = "q.npz: none"
    try:
        assert read_array(folder, reference_to(folder, damaged)).dtype == np.float64
    except InputError as error:
        sentence = str(error)
    assert sentence.isprintable()
    assert sentence.startswith("q.npz: ")


def test_records_are_immutable_and_take_keywords_only() -> None:
    """A record is a fact: it cannot be changed, and its fields are named."""
    point = Point(x=1.0)
    with pytest.raises(AttributeError):
        point.x = 2.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        Point(1.0)  # type: ignore[call-arg,misc]
    assert point == Point(x=1.0)
    assert hash(point) == hash(Point(x=1.0))
