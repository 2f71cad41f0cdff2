"""Write a record whose large matrices stand in an ``.npz`` file beside the JSON file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
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

    The arrays are in place first, so that the JSON file never names what is not there. An array is stored in the
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
    return write_all([(path, record)], most_inline=most_inline)[0]


def write_all(
    records: Sequence[tuple[str | os.PathLike[str], Any]], *, most_inline: int = MOST_INLINE_NUMBERS
) -> list[Path | None]:
    """Write several records as :func:`write` does, or none of them where one cannot be written.

    Raises
    ------
    InputError
        If a file cannot be written, or two records would have the same file.
    """
    files = [Path(path) for path, _ in records]
    found: list[dict[str, Matrix]] = [{} for _ in records]
    for (_, record), own in zip(records, found, strict=True):
        _collect(record, "", own, most_inline)
    beside = [file.with_suffix(".npz") if own else None for file, own in zip(files, found, strict=True)]
    taken = [file.resolve() for file in (*files, *beside) if file is not None]
    if len(set(taken)) < len(taken):
        twice = next(file for file in taken if taken.count(file) > 1)
        raise InputError(str(twice), expected="a file of its own for each output", found=Plain("one for two"))
    with ExitStack() as stack:  # what is entered last is in place first
        texts = [stack.enter_context(jsonfile.atomic(file)) for file in files]
        arrays = [None if file is None else stack.enter_context(jsonfile.atomic(file)) for file in beside]
        for (_, record), own, text, temporary, file in zip(records, found, texts, arrays, beside, strict=True):
            written = record
            if temporary is not None and file is not None:
                written = _referring(record, "", set(own), file.name, _save(temporary, own))
            text.write_text(jsonfile.to_text(written), encoding="utf-8")
    return beside


def _save(file: Path, found: dict[str, Matrix]) -> str:
    """Write arrays, and return the digest of the file."""
    with file.open("wb") as stream:
        np.savez_compressed(
            stream, allow_pickle=False, **{name: _smallest(matrix.array) for name, matrix in found.items()}
        )
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
