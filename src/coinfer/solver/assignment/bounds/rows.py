"""Multipliers of row sums: what an item has in common with all items of a layer, by number and by load."""

from __future__ import annotations

import numpy as np

from coinfer.records import Matrix
from coinfer.solver.program import FloatArray

STEP = 0.2
"""Step of a multiplier, in units of the penalty over the length of a row."""


class Rows:
    """Multipliers of the rows with coefficients ``factors`` (layers, items), at most ``limits`` (layers,).

    The rows are scaled so that their coefficients are 1 on average; :meth:`matrix` undoes it.
    """

    def __init__(self, factors: FloatArray, limits: FloatArray) -> None:
        self.mean = np.maximum(factors.mean(axis=1), 1e-300)
        self.factors = factors / self.mean[:, None]
        self.limits = limits / self.mean
        shape = factors.shape
        self.own: FloatArray = np.zeros(shape)
        self.after: FloatArray = np.zeros((shape[0] - 1, shape[1]))
        self.before: FloatArray = np.zeros_like(self.after)
        self.length = np.maximum((self.factors**2).sum(axis=1), 1e-300)

    def slope(self) -> tuple[FloatArray, FloatArray]:
        """Return what the multipliers take from the entries across layers, and within them."""
        factors = self.factors
        across = self.after[:, :, None] * factors[1:, None, :] + factors[:-1, :, None] * self.before[:, None, :]
        within = (self.own[:, :, None] * factors[:, None, :] + factors[:, :, None] * self.own[:, None, :]) / 2.0
        return across, within

    def move(self, entries: FloatArray, within: FloatArray, penalty: float) -> None:
        """Move the multipliers along the violation of their rows."""
        factors, limits, step = self.factors, self.limits, STEP * penalty / self.length
        own = np.einsum("lef,lf->le", within, factors) - limits[:, None]
        after = np.einsum("lef,lf->le", entries, factors[1:]) - limits[1:, None]
        before = np.einsum("lef,le->lf", entries, factors[:-1]) - limits[:-1, None]
        self.own = np.maximum(0.0, self.own + step[:, None] * own)
        self.after = np.maximum(0.0, self.after + step[1:, None] * after)
        self.before = np.maximum(0.0, self.before + step[:-1, None] * before)

    def matrix(self, scale: float) -> Matrix:
        """Return the multipliers in the unit of the weights, (3 * layers, items), rounded to single precision."""
        layers, items = self.own.shape
        made = np.zeros((layers, 3, items))
        made[:, 0] = self.own / self.mean[:, None]
        made[:-1, 1] = self.after / self.mean[1:, None]
        made[1:, 2] = self.before / self.mean[:-1, None]
        return Matrix((made / scale).astype(np.float32).astype(np.float64).reshape(3 * layers, items))
