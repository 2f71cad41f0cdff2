r"""2-partition inequalities in force, with their multipliers: how they pull at the consensus, and how they move.

For disjoint sets :math:`S, T` of items of two consecutive layers, no more than :math:`\min(|S|, |T|)` is reached by
:math:`x(S, T) - x(S) - x(T)`, where :math:`x(S)` counts every two items of :math:`S` once. The multipliers follow the
proximal method of multipliers: an entry that is in :math:`r` inequalities is damped by the sum of their steps times
their sizes, which is at least the largest eigenvalue of their common quadratic term, so that any step is stable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coinfer.records import Matrix
from coinfer.solver.program import FloatArray, IntArray

STEP = 0.1
"""Step of a multiplier, in units of the penalty over the number of entries of its inequality."""


class Cut(NamedTuple):
    """A 2-partition inequality: a pair of layers, and two sets of items, those of the second layer from ``items``."""

    pair: int
    some: tuple[int, ...]
    others: tuple[int, ...]


class PricedCuts:
    """Inequalities and their multipliers.

    Attributes
    ----------
    cuts
        Inequalities in force, and ``prices`` their multipliers.
    damping
        By how much entries across and within layers are held back, in units of the penalty.
    """

    def __init__(self, pairs: int, items: int, cuts: Sequence[Cut] = (), prices: FloatArray | None = None) -> None:
        self.pairs, self.items, self.cuts = pairs, items, list(cuts)
        self.prices: FloatArray = np.zeros(len(self.cuts)) if prices is None else prices
        self._place, self._sign, self._row = _table(self.cuts, 2 * items)
        self._most = np.array([min(len(cut.some), len(cut.others)) for cut in self.cuts], dtype=np.float64)
        self._steps = STEP / np.maximum(1.0, np.bincount(self._row, minlength=len(self.cuts)))
        self.damping = self._spread(np.full(len(self._row), STEP))

    def slope(self, blocks: FloatArray, penalty: float) -> tuple[FloatArray, FloatArray]:
        """Return what the prices, moved along the violation of ``blocks``, take from entries across and within."""
        return self._spread(self._moved(blocks, penalty)[self._row] * self._sign)

    def move(self, blocks: FloatArray, penalty: float) -> None:
        """Move the prices along the violation of ``blocks``."""
        self.prices = self._moved(blocks, penalty)

    def matrix(self, scale: float) -> Matrix | None:
        """Return the inequalities with a price in the unit of the weights, rounded to single precision, or ``None``."""
        prices = (self.prices / scale).astype(np.float32).astype(np.float64)
        chosen = [(cut, price) for cut, price in zip(self.cuts, prices.tolist(), strict=True) if price > 0.0]
        if not chosen:
            return None
        rows = np.full((len(chosen), 3 + max(len(cut.some) + len(cut.others) for cut, _ in chosen)), -1.0)
        for row, (cut, price) in zip(rows, chosen, strict=True):
            row[:3] = cut.pair, price, len(cut.some)
            row[3 : 3 + len(cut.some) + len(cut.others)] = *cut.some, *cut.others
        return Matrix(rows)

    def _moved(self, blocks: FloatArray, penalty: float) -> FloatArray:
        found = np.bincount(self._row, self._sign * blocks.reshape(-1)[self._place], minlength=len(self.cuts))
        moved: FloatArray = np.maximum(0.0, self.prices + penalty * self._steps * (found - self._most))
        return moved

    def _spread(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return numbers of the entries of inequalities as sums across layers, and as symmetric halves within."""
        half, size = self.items, 2 * self.items
        sums: FloatArray = np.bincount(self._place, values, minlength=self.pairs * size * size).astype(np.float64)
        table = sums.reshape(self.pairs, size, size)
        within = np.zeros((self.pairs + 1, half, half))
        within[:-1] += table[:, :half, :half]
        within[1:] += table[:, half:, half:]
        return table[:, :half, half:], (within + within.transpose(0, 2, 1)) / 2.0


def _table(cuts: Sequence[Cut], size: int) -> tuple[IntArray, FloatArray, IntArray]:
    """Return the entries of the inequalities as flat lists: place in the blocks, above the diagonal; sign; row."""
    places: list[IntArray] = []
    signs: list[FloatArray] = []
    lengths: list[int] = []
    for cut in cuts:
        items = np.array(cut.some + cut.others)
        side = np.arange(len(items)) < len(cut.some)
        one, other = np.triu_indices(len(items), 1)
        low, high = np.minimum(items[one], items[other]), np.maximum(items[one], items[other])
        places.append((cut.pair * size + low) * size + high)
        signs.append(np.where(side[one] != side[other], 1.0, -1.0))
        lengths.append(len(one))
    if not cuts:
        return np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64)
    return np.concatenate(places), np.concatenate(signs), np.repeat(np.arange(len(cuts)), lengths)
