"""Write a record whose large matrices stand in an ``.npz`` file beside the JSON file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from coinfer import jsonfile
from coinfer.records import ArrayReference, Matrix, Record

MOST_INLINE_NUMBERS = 20_000
"""Numbers of one matrix that may stand in the JSON file itself."""

FORMATS = (
    ("uint8", 0.0, 255.0),
    ("int16", -32768.0, 32767.0),
    ("int32", -(2.0**31), 2.0**31 - 1.0),
    ("float32", -3e38, 3e38),
)
"""Number formats, smallest first, with the range of each."""


def write(path: str | os.PathLike[str], record: Any, *, most_inline: int = MOST_INLINE_NUMBERS) -> Path | None:
    """Write ``record`` as JSON; matrices with more than ``most_inline`` numbers go to ``NAME.npz`` beside it.

    The arrays are written first, so that the JSON file never names what is not there. An array is stored in the
    smallest number format that loses nothing.

    Returns
    -------
    Path or None
        The ``.npz`` file; ``None`` where all stands in the JSON file.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    file = Path(path)
    found: dict[str, Matrix] = {}
    _collect(record, "", found, most_inline)
    if not found:
        jsonfile.write(file, record)
        return None
    beside = file.with_suffix(".npz")
    with jsonfile.atomic(beside) as temporary:
        arrays = {name: _smallest(matrix.array) for name, matrix in found.items()}
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        with temporary.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    jsonfile.write(file, _referring(record, "", set(found), beside.name, digest))
    return beside


def _collect(value: Any, name: str, found: dict[str, Matrix], most: int) -> None:
    """Find every large matrix and name it after its place in the record."""
    if isinstance(value, Matrix):
        if value.array.size > most:
            found[name] = value
    elif isinstance(value, Record):
        for field in value.__struct_fields__:
            _collect(getattr(value, field), f"{name}.{field}" if name else field, found, most)
    elif isinstance(value, tuple | list):
        for i, item in enumerate(value):
            if not isinstance(item, Matrix | Record):
                return
            _collect(item, f"{name}.{i}", found, most)


def _referring(value: Any, name: str, found: set[str], file: str, digest: str) -> Any:
    """Return ``value`` with its large matrices named in the file instead of written out."""
    if isinstance(value, Matrix):
        if name not in found:
            return Matrix(value.array)
        return Matrix(value.array, source=ArrayReference(file=file, array=name, sha256=digest))
    if isinstance(value, Record):
        fields = value.__struct_fields__
        named = {field: (getattr(value, field), f"{name}.{field}" if name else field) for field in fields}
        changed = {field: _referring(item, at, found, file, digest) for field, (item, at) in named.items()}
        return msgspec.structs.replace(
            value, **{field: item for field, item in changed.items() if item is not named[field][0]}
        )
    if isinstance(value, tuple) and value and isinstance(value[0], Matrix | Record):
        return tuple(_referring(item, f"{name}.{i}", found, file, digest) for i, item in enumerate(value))
    return value


def _smallest(array: NDArray[np.float64]) -> NDArray[Any]:
    """Return the numbers in the smallest format that keeps every one of them."""
    for kind, least, most in FORMATS:
        if array.size and not least <= array.min() <= array.max() <= most:
            continue
        smaller = array.astype(kind)
        if np.array_equal(smaller.astype(np.float64), array):
            return smaller
    return array
