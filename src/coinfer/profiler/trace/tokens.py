"""Tokens of a routing trace, in pieces that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain

IntArray = NDArray[np.int64]

MOST_EXPERTS = 4096
"""Experts of one layer, at most."""
NUMBERS_AT_ONCE = 4_000_000
"""Expert numbers that a reader holds at a time, where the size of a chunk is not given."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenChunk:
    """Tokens that follow each other in a trace.

    Attributes
    ----------
    experts
        (tokens, layers, top_k): experts that each token visits, best first; a number below 0 where it is not recorded.
    sequences
        (tokens,): name of the sequence (prompt, problem, request) of each token; ``None`` where the trace has no names.
    where
        Place of the first token, as in ``trace.npy: token``; its number follows.
    first
        Number of the first token or line.
    incomplete
        Tokens since the last chunk that the reader left out, since some of their layers are missing.
    """

    experts: IntArray
    sequences: NDArray[np.str_] | None
    where: str
    first: int
    incomplete: int = 0


class TokenTrace(Protocol):
    """A trace that can be read again and again.

    Attributes
    ----------
    layer_ids
        Numbers of the layers as the trace names them; ``None`` where it does not.
    """

    layer_ids: tuple[int, ...] | None

    def chunks(self, tokens: int | None) -> Iterator[TokenChunk]:
        """Yield all tokens in order, at most ``tokens`` at a time (``None``: as many as memory allows)."""
        ...


def tokens_at_once(tokens: int | None, numbers_of_token: int) -> int:
    """Return the size of a chunk in tokens: what is given, or what memory allows."""
    if tokens is not None and tokens < 1:
        raise InputError("tokens at once", expected="an integer, at least 1", found=tokens)
    return max(1, NUMBERS_AT_ONCE // max(1, numbers_of_token)) if tokens is None else tokens


def expert_array(values: Any, where: str) -> NDArray[Any]:
    """Return ``values`` as (tokens, layers, top_k); two dimensions are one expert for each token and layer.

    Raises
    ------
    InputError
        If the shape or the number format is another.
    """
    if values.dtype.kind not in "iu":
        raise InputError(where, expected="an array of whole numbers", found=Plain(f"dtype {values.dtype}"))
    if values.ndim not in (2, 3) or 0 in values.shape[1:]:
        expected = "shape (tokens, layers) or (tokens, layers, top_k)"
        raise InputError(where, expected=expected, found=Plain(str(values.shape)))
    array: NDArray[Any] = values[:, :, None] if values.ndim == 2 else values
    return array


def file_failure(path: Path, error: Exception, expected: str) -> InputError:
    """Return the sentence for a file that its library could not read."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(str(path), expected=expected, found=Plain(reason.splitlines()[0]))
