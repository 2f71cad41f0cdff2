"""Routing traces that are NumPy arrays: ExFlow's ``.npy``, vLLM's ``routed_experts``, our own ``.npz``.

``.npy``
    Integers, (tokens, layers) with one expert each as ExFlow keeps them, or (tokens, layers, top_k). Mapped, not read.
``.npz``
    An array ``experts`` or ``routed_experts`` of one of these shapes, and optionally ``sequence`` (or
    ``problem_id``), (tokens,): the sequence of each token. Unpacked piece by piece. With ``prompt_routed_experts``
    beside ``routed_experts`` the archive is one response of vLLM, and both belong to one sequence.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.profiler.trace.tokens import TokenChunk, expert_array, file_failure, tokens_at_once

EXPERTS = ("experts", "prompt_routed_experts", "routed_experts")
SEQUENCES = ("sequence", "problem_id")


class NpyTrace:
    """An ``.npy`` file, mapped into memory."""

    layer_ids: tuple[int, ...] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # a damaged header raises whatever its parser raises
            raise file_failure(path, error, "an .npy file of plain numbers (no pickle)") from error
        if not isinstance(values, np.ndarray):
            raise InputError(str(path), expected="an .npy file", found=Plain("an archive of arrays"))
        self._experts = expert_array(values, str(path))

    def chunks(self, tokens: int | None) -> Iterator[TokenChunk]:
        """Yield the tokens in order."""
        _, layers, top_k = self._experts.shape
        step = tokens_at_once(tokens, layers * top_k)
        for first in range(0, len(self._experts), step):
            piece = _whole(self._experts[first : first + step])
            yield TokenChunk(experts=piece, sequences=None, where=f"{self.path}: token", first=first)


class NpzTrace:
    """An ``.npz`` archive, unpacked piece by piece."""

    layer_ids: tuple[int, ...] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
        except (OSError, zipfile.BadZipFile) as error:
            raise file_failure(path, error, "an .npz file") from error
        self._arrays = [name for name in EXPERTS if name in names]
        if not self._arrays or self._arrays[-1] == "prompt_routed_experts":
            found = Plain(", ".join(names) or "no array")
            raise InputError(str(path), expected="an array named 'experts' or 'routed_experts'", found=found)
        if "experts" in self._arrays:
            self._arrays = ["experts"]
        label = next((name for name in SEQUENCES if name in names), None)
        self._sequences = None if label is None else self._labels(label)
        if self._sequences is not None and len(self._arrays) > 1:
            raise InputError(str(path), expected="one sequence, since it is one response", found=Plain(f"{label!r}"))

    def _labels(self, name: str) -> NDArray[np.str_]:
        """Return the sequence of each token as text."""
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                labels = archive[name]
        except Exception as error:  # a damaged archive raises whatever its codecs raise
            raise file_failure(self.path, error, f"an array named {name!r} (no pickle)") from error
        if labels.ndim != 1 or labels.dtype.kind not in "iuUS":
            found = Plain(f"shape {labels.shape}, dtype {labels.dtype}")
            raise InputError(f"{self.path}: {name}", expected="one number or name for each token", found=found)
        text: NDArray[np.str_] = labels.astype(str)
        return text

    def chunks(self, tokens: int | None) -> Iterator[TokenChunk]:
        """Yield the tokens in order."""
        for name in self._arrays:
            first = 0
            for piece in _streamed(self.path, name, tokens):
                yield TokenChunk(
                    experts=piece,
                    sequences=self._names(first, len(piece)),
                    where=f"{self.path}: {name}: token",
                    first=first,
                )
                first += len(piece)
            if self._sequences is not None and first != len(self._sequences):
                raise self._uneven()

    def _names(self, first: int, count: int) -> NDArray[np.str_] | None:
        if len(self._arrays) > 1:
            return np.full(count, str(self.path))
        if self._sequences is not None and first + count > len(self._sequences):
            raise self._uneven()
        return None if self._sequences is None else self._sequences[first : first + count]

    def _uneven(self) -> InputError:
        found = Plain(f"{0 if self._sequences is None else len(self._sequences)} for another number of tokens")
        return InputError(str(self.path), expected="one sequence for each token", found=found)


def _streamed(path: Path, name: str, tokens: int | None) -> Iterator[NDArray[np.int64]]:
    """Yield an array of an archive in pieces of (tokens, layers, top_k)."""
    where = f"{path}: {name}"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
            shape, dtype = _header(stream, where)
            expert_array(np.empty((0, *shape[1:]), dtype=dtype), where)
            numbers = int(np.prod(shape[1:]))
            step = tokens_at_once(tokens, numbers)
            for first in range(0, shape[0], step):
                size = min(step, shape[0] - first) * numbers * dtype.itemsize
                content = stream.read(size)
                if len(content) != size:
                    raise InputError(where, expected=f"{shape[0]} tokens", found=Plain("fewer: the file is cut"))
                yield _whole(expert_array(np.frombuffer(content, dtype=dtype).reshape(-1, *shape[1:]), where))
    except InputError:
        raise
    except Exception as error:  # a damaged archive raises whatever its codecs raise
        raise file_failure(path, error, f"an array {name!r} of plain numbers (no pickle)") from error


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and number format from the head of an array."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, dtype = read(stream)
    if by_column and len(shape) > 1:
        raise InputError(where, expected="an array in row order", found=Plain("column order (Fortran)"))
    if len(shape) < 1 or dtype.hasobject:
        raise InputError(where, expected="an array of whole numbers", found=Plain(f"shape {shape}, dtype {dtype}"))
    return shape, dtype


def _whole(array: NDArray[Any]) -> NDArray[np.int64]:
    """Return the numbers as int64; those too large for it become too large to be experts."""
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:
        array = np.minimum(array, np.uint64(2**62))
    return array.astype(np.int64)
