"""The linear majorants of each row's mean of a deployed gate over a box, as the checker of its leaves finds them.

What they are and why they hold is said in :mod:`coinfer.solver.monotonic.gated_bound`; the formulas are the same, the
code is another: rows by columns instead of columns by rows, and the largest mean by prefixes instead of Newton steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.monotonic.program import FloatArray, GatedMean, IntArray

BoolArray = NDArray[np.bool_]
Line = tuple[FloatArray, FloatArray]
"""A majorant ``base + slopes @ x``: base (rows,), slopes (rows, free columns)."""

REFERENCES = (0.0, 0.3)
"""Where the references of *split* stand, from the mean of the lower corner (0) to the largest over the box (1)."""
CHORD_ROWS = 2
"""Most linear rows that limit the open shares."""


class GateLines:
    """The majorants of one gate.

    Parameters
    ----------
    objective
        The gate.
    shares
        (rows, variables) its shares, each row relative to its largest.
    matrix, limits
        The linear rows.
    """

    def __init__(self, objective: GatedMean, shares: FloatArray, matrix: FloatArray, limits: FloatArray) -> None:
        self._objective, self._shares, self._matrix, self._limits = objective, shares, matrix, limits
        self._falling = np.argsort(-objective.values, axis=1, kind="stable")
        self._preferred = np.argsort(-objective.shares, axis=1, kind="stable")
        plain = (matrix >= 0.0).all(axis=1) & ((matrix > 0.0).sum(axis=1) * 2 > matrix.shape[1])
        self._chords = [int(i) for i in np.flatnonzero(plain)[:CHORD_ROWS]]
        self._densest = {i: self._by_density(matrix[i]) for i in self._chords}
        products = np.take_along_axis(shares * objective.values, self._falling, 1)
        self._fallen = np.take_along_axis(shares, self._falling, 1), products

    def over(self, lower: BoolArray, upper: BoolArray, free: IntArray) -> tuple[FloatArray, list[Line]]:
        """Return each row's largest mean over a box that serves every row, and the other majorants."""
        if self._objective.rule == "largest":
            return self._winning(lower, upper, free)
        return self._mixed(lower, upper, free)

    def _by_density(self, row: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the columns in descending share per coefficient of a linear row, and their shares so ordered."""
        with np.errstate(divide="ignore", invalid="ignore"):
            density = np.where(row > 0.0, self._shares / row, np.inf)
        order = np.argsort(-density, axis=1, kind="stable")
        return order, np.take_along_axis(self._shares, order, 1)

    def _mixed(self, lower: BoolArray, upper: BoolArray, free: IntArray) -> tuple[FloatArray, list[Line]]:
        """Return the largest mean of each row and the lines *chord* and *split* of the rule ``proportional``."""
        values, whole = self._objective.values, self._shares
        share = whole[:, lower].sum(axis=1)
        product = (whole[:, lower] * values[:, lower]).sum(axis=1)
        own, worth = whole[:, free], values[:, free]
        everything = share + own.sum(axis=1)
        held = share > 0.0
        at_lower = np.where(
            held, product / np.where(held, share, 1.0), (product + (own * worth).sum(axis=1)) / everything
        )
        best = self._best_prefix(upper & ~lower, share, product)
        most = everything
        for i in self._chords:
            most = np.minimum(most, share + self._knapsack(i, upper & ~lower, float(self._matrix[i] @ lower)))
        most = np.maximum(most, np.where(held, share, np.finfo(np.float64).tiny))
        lines = [(best + (product - best * share) / most, own * (worth - best[:, None]) / most[:, None])]
        for part in REFERENCES:
            reference = at_lower + part * (best - at_lower)
            surplus = own * (worth - reference[:, None])
            least = np.maximum(share[:, None] + own, np.finfo(np.float64).tiny)
            slopes = np.where(surplus > 0.0, surplus / least, surplus / most[:, None])
            lines.append((reference + np.minimum(product - reference * share, 0.0) / most, slopes))
        return best, lines

    def _best_prefix(self, free: BoolArray, share: FloatArray, product: FloatArray) -> FloatArray:
        """Return each row's largest mean over the box: some prefix of the free columns in descending value gives it."""
        inside = free[self._falling]
        shares = np.cumsum(self._fallen[0] * inside, axis=1) + share[:, None]
        products = np.cumsum(self._fallen[1] * inside, axis=1) + product[:, None]
        means = np.full(shares.shape, -np.inf)
        np.divide(products, shares, out=means, where=shares > 0.0)
        alone = np.full(share.shape, -np.inf)
        np.divide(product, share, out=alone, where=share > 0.0)
        best: FloatArray = np.maximum(means.max(axis=1, initial=-np.inf), alone)
        return best

    def _knapsack(self, i: int, free: BoolArray, used: float) -> FloatArray:
        """Return the most share that each row of the objective can add within linear row ``i``."""
        order, shares = self._densest[i]
        costs = np.where(free, self._matrix[i], 0.0)[order]
        left = np.maximum(self._limits[i] - used - (costs.cumsum(axis=1) - costs), 0.0)
        parts = np.ones(costs.shape)
        np.divide(left, costs, out=parts, where=costs > 0.0)
        np.minimum(parts, 1.0, out=parts)
        most: FloatArray = np.einsum("ij,ij,ij->i", shares, parts, free[order])
        return most

    def _winning(self, lower: BoolArray, upper: BoolArray, free: IntArray) -> tuple[FloatArray, list[Line]]:
        """Return the best value of each row and the lines *chord* and *split* of the rule ``largest``."""
        objective, order = self._objective, self._preferred
        rows, columns = objective.values.shape
        served = np.take_along_axis(objective.shares, order, 1) > 0.0
        worth = np.take_along_axis(objective.values, order, 1)
        held = served & lower[order]
        settled = np.where(held.any(axis=1), held.argmax(axis=1), columns)
        can_win = served & upper[order] & (np.arange(columns) < settled[:, None])
        each, first = np.arange(rows), can_win.argmax(axis=1)
        contested = can_win[each, first]
        at_lower = worth[each, np.where(settled < columns, np.minimum(settled, columns - 1), first)]
        best = np.maximum(at_lower, np.where(can_win, worth, -np.inf).max(axis=1))
        chord = np.zeros((rows, columns))
        leader = order[each, first]
        chord[each[contested], leader[contested]] = (worth[each, first] - best)[contested]
        lines = [(best, chord[:, free])]
        wins = np.zeros((rows, columns), dtype=np.bool_)
        np.put_along_axis(wins, order, can_win, axis=1)
        for part in REFERENCES:
            reference = at_lower + part * (best - at_lower)
            above = np.maximum(objective.values - reference[:, None], 0.0)
            lines.append((reference, np.where(wins, above, 0.0)[:, free]))
        return best, lines
