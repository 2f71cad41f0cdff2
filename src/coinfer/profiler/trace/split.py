"""Which tokens a plan is fitted to and which it is scored on: whole sequences, or contiguous stretches.

Tokens of one sequence resemble each other, so a random choice of tokens would put near copies of the scored tokens
among the fitted ones, and every score would be too good.

The part of a token is the number of its fold, from 0; the part after the last fold is held out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import floor

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.profiler.trace.tokens import IntArray


def check_split(heldout: float, folds: int) -> None:
    """Refuse a share outside 0..1 and fewer than one fold."""
    if not 0.0 <= heldout < 1.0:
        raise InputError("heldout", expected="a share of the tokens, at least 0 and below 1", found=heldout)
    if not 1 <= folds <= 100:
        raise InputError("folds", expected="an integer in 1..100", found=folds)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SequenceSplit:
    """A split by names: of every 1/share sequences, in the order in which they first appear, one is held out.

    Attributes
    ----------
    heldout
        Share of the sequences that are held out.
    folds
        Folds of the others, dealt in turn.
    """

    heldout: float
    folds: int
    _parts: dict[str, int] = field(default_factory=dict)
    _dealt: list[int] = field(default_factory=lambda: [0])

    def see(self, names: NDArray[np.str_]) -> None:
        """Give every new sequence its part."""
        found, first = np.unique(names, return_index=True)
        self._see_in_order(str(name) for name in found[np.argsort(first)])

    def _see_in_order(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._parts:
                continue
            rank = len(self._parts)
            if floor((rank + 1) * self.heldout + 1e-9) > floor(rank * self.heldout + 1e-9):
                self._parts[name] = self.folds
            else:
                self._parts[name] = self._dealt[0] % self.folds
                self._dealt[0] += 1

    @property
    def sequences(self) -> int:
        """Sequences seen."""
        return len(self._parts)

    def parts(self, names: NDArray[np.str_]) -> IntArray:
        """Return the part of each token, (tokens,)."""
        found, place = np.unique(names, return_inverse=True)
        return np.array([self._parts[str(name)] for name in found], dtype=np.int64)[place]


def stretch_parts(first: int, count: int, total: int, *, heldout: float, folds: int) -> IntArray:
    """Return the part of tokens ``first`` to ``first + count`` of ``total`` tokens without names, (count,).

    The last share is held out; what is before is cut into folds of equal length.
    """
    if first + count > total:
        raise InputError("", expected=f"{total} tokens, as when first read", found=Plain("more: the file has changed"))
    fitted = total - round(total * heldout)
    position = np.arange(first, first + count)
    part: IntArray = np.where(position < fitted, position * folds // max(1, fitted), folds)
    return part
