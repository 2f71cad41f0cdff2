"""Records and the arrays that stand beside them: what files are made of."""

from __future__ import annotations

import hashlib
import zipfile
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain

MAX_ARRAY_BYTES = 4 * 2**30
MOST_SPELLED_OUT = 20_000
"""Numbers of a matrix that enter a hash one by one."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all that is read from or written to a file: immutable, keyword-only, unknown fields refused.

    A default of ``None`` or empty means *absent*; no field has a number as default where absence would be a lie.
    Constructors validate and never coerce. Subclasses repeat ``frozen=True, kw_only=True`` for the type checker.
    """


class Document(Record, frozen=True, kw_only=True):
    """A record that is a file of its own; its ``format`` field names kind and version and is always written."""

    file_format: ClassVar[str]


def meant(kind: Any, data: Any) -> Any:
    """Return the class of a union of tagged classes that ``data`` names, or ``kind`` itself."""
    for option in get_args(kind):
        config = getattr(option, "__struct_config__", None)
        if config is not None and isinstance(data, dict) and data.get(config.tag_field) == config.tag:
            return option
    return kind


class ArrayReference(Record, frozen=True, kw_only=True):
    """An array that lives in a file beside the JSON file.

    Attributes
    ----------
    file
        Path of the ``.npz`` file, relative to the JSON file's folder.
    array
        Name of the array inside it.
    sha256
        SHA-256 of the ``.npz`` file, in lower-case hexadecimal.
    """

    file: str
    array: str
    sha256: str


class Matrix:
    """A read-only float64 matrix, written inline or kept in an ``.npz`` file.

    Parameters
    ----------
    values
        Two-dimensional array-like of finite numbers.
    source
        Where the values were read from; ``None`` when they stand in the JSON file itself.

    Raises
    ------
    InputError
        If ``values`` is not a matrix of finite numbers.
    """

    __slots__ = ("array", "source")
    array: NDArray[np.float64]
    source: ArrayReference | None

    def __init__(self, values: object, *, source: ArrayReference | None = None) -> None:
        array = _numbers(values)
        if array.ndim != 2:
            raise InputError("", expected="a matrix (rows of numbers)", found=Plain(f"{array.ndim} dimension(s)"))
        finite = np.isfinite(array)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise InputError(f"[{row}][{column}]", expected="a finite number", found=float(array[row, column]))
        array.flags.writeable = False
        object.__setattr__(self, "array", array.view())  # a view of a read-only array cannot be made writeable
        object.__setattr__(self, "source", source)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Matrix is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Matrix is immutable: {name} cannot be deleted")

    def __reduce__(self) -> tuple[partial[Matrix], tuple[NDArray[np.float64]]]:
        return partial(Matrix, source=self.source), (self.array,)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.array.shape
        return rows, columns

    def content(self) -> object:
        """Return what stands for the numbers in a hash: rows, or beyond :data:`MOST_SPELLED_OUT` shape and SHA-256."""
        if self.array.size <= MOST_SPELLED_OUT:
            return self.array.tolist()
        numbers = np.ascontiguousarray(self.array + 0.0, dtype="<f8")  # -0.0 is 0.0
        return {"shape": list(self.shape), "sha256": hashlib.sha256(numbers.data).hexdigest()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matrix) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.shape, (self.array + 0.0).tobytes()))  # -0.0 equals 0.0 and so must hash like it

    def __repr__(self) -> str:
        return f"Matrix{self.shape}"


def _numbers(values: object) -> NDArray[np.float64]:
    """Return a copy of ``values`` as float64; texts and other objects are refused, not read as numbers."""
    expected = "a matrix of numbers with rows of one length"
    try:
        raw = np.asarray(values)
        if raw.dtype.kind in "fiub" or all(isinstance(value, int | float) for value in raw.flat):
            return raw.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("", expected=expected, found=values) from error
    raise InputError("", expected=expected, found=values)


def read_array(folder: Path, reference: ArrayReference) -> NDArray[np.float64]:
    """Load one array of an ``.npz`` file, without pickle, after checking its hash and size.

    Raises
    ------
    InputError
        If the file is missing, has another hash, is no ``.npz``, holds objects, or lacks the array.
    """
    path = folder / reference.file
    where = reference.file
    if Path(reference.file).is_absolute() or ".." in Path(reference.file).parts:
        raise InputError(where, expected="a path below the JSON file's folder", found=Plain("a path that leaves it"))
    try:
        _check_size(where, path.stat().st_size)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        found = Plain(getattr(error, "strerror", None) or str(error))
        raise InputError(where, expected="a readable file", found=found) from error
    if digest != reference.sha256:
        raise InputError(where, expected=f"content with sha256 {reference.sha256!r}", found=Plain(digest))
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(where, sum(entry.file_size for entry in archive.infolist()))
        with np.load(path, allow_pickle=False) as arrays:
            if reference.array not in arrays.files:
                raise InputError(where, expected=f"an array named {reference.array!r}", found=arrays.files)
            array = arrays[reference.array]
        if array.dtype.kind not in "fiub":
            raise InputError(where, expected="an array of numbers", found=Plain(f"dtype {array.dtype}"))
        _check_size(where, array.size * 8)
        return np.asarray(array, dtype=np.float64)
    except InputError:
        raise
    except Exception as error:  # a damaged archive raises whatever its codecs raise: zlib.error, MemoryError, ...
        expected = "an .npz file of plain numbers (no pickle)"
        raise InputError(where, expected=expected, found=Plain(str(error) or type(error).__name__)) from error


def _check_size(where: str, size: int) -> None:
    if size > MAX_ARRAY_BYTES:
        raise InputError(where, expected=f"at most {MAX_ARRAY_BYTES:,} bytes", found=Plain(f"{size:,} bytes"))


def read_matrix(value: Any, folder: Path | None) -> Matrix:
    """Return the matrix that a JSON value writes inline or refers to; files are looked up in ``folder``."""
    if isinstance(value, Matrix):
        return value
    if isinstance(value, dict):
        if value.keys() != {"file", "array", "sha256"} or not all(isinstance(text, str) for text in value.values()):
            raise InputError("", expected="rows of numbers, or an object of the texts file, array, sha256", found=value)
        reference = ArrayReference(**value)
        if folder is None:
            raise InputError("", expected="inline values, since there is no file to look beside", found=reference.file)
        try:
            return Matrix(read_array(folder, reference), source=reference)
        except InputError as error:
            inner = error.where if error.where.startswith(reference.file) else f"{reference.file}{error.where}"
            raise InputError(f": {inner}", expected=error.expected, found=error.found) from error
    if not isinstance(value, list | tuple) or not all(isinstance(row, list | tuple) for row in value):
        raise InputError("", expected="rows of numbers or a reference to an array", found=value)
    for i, row in enumerate(value):
        for j, number in enumerate(row):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise InputError(f"[{i}][{j}]", expected="a number", found=number)
    return Matrix(value)
