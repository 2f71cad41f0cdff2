r"""Bounds of a box from single gains, with a price on every linear row.

For a function with shrinking gains, any point :math:`x` of a box with lower corner :math:`l`, and prices
:math:`\lambda \ge 0` of the rows :math:`A x \le b`,

.. math:: f(x) \le f(l) + \lambda^\top (b - A l) + \sum_i (u_i - l_i)\, \max(0, g_i - \lambda^\top A_i),
   \qquad g_i = f(l + e_i) - f(l).

The best price of one row alone solves a fractional knapsack; several rows take a few steps of dual ascent, each of
them exact along one price.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.monotonic.program import ROUNDING, FloatArray

STEPS = 12
"""Most prices that are changed for one bound."""
WORTH = 1e-4
"""A step that lowers the bound by less than this share of what is left to gain ends the ascent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Priced:
    """A bound and its prices.

    Attributes
    ----------
    bound
        No feasible point of the box is worth more.
    prices
        (rows,) at least 0.
    reduced
        (items,) gain less the prices of what one step of the item takes.
    """

    bound: float
    prices: FloatArray
    reduced: FloatArray


def priced(
    base: float, gains: FloatArray, widths: FloatArray, matrix: FloatArray, room: FloatArray, target: float
) -> Priced:
    """Return a low bound of ``base`` plus gains under the rows.

    Parameters
    ----------
    base
        Value at the lower corner.
    gains, widths
        (items,) gain of one step, and steps that are possible.
    matrix, room
        (rows, items) and (rows,) what one step takes of each row, and what is left at the lower corner.
    target
        The ascent ends as soon as the bound is at most this.
    """
    tight = np.flatnonzero(np.maximum(matrix, 0.0) @ widths > room)  # the others hold anyway
    whole, matrix, room = len(room), matrix[tight], room[tight]
    prices = np.zeros(len(room))
    reduced = gains
    bound = base + float(np.maximum(reduced, 0.0) @ widths)
    for _ in range(STEPS if len(room) else 0):
        if bound <= target:
            break
        alone = reduced + prices[:, None] * matrix  # (rows, items): without the row's own price
        best, worth = _best_alone(alone, widths, matrix, room)
        shown = base + (float(prices @ room) - prices * room) + worth
        row = int(np.argmin(shown))
        if not bound - shown[row] > WORTH * max(bound - max(base, target), 0.0):
            break
        prices[row] = best[row]
        reduced = gains - prices @ matrix
        bound = float(shown[row])
    size = abs(base) + float(prices @ np.abs(room)) + float(np.abs(gains) @ widths)
    exact = base + float(prices @ room) + float(np.maximum(reduced, 0.0) @ widths)
    paid = np.zeros(whole)
    paid[tight] = prices
    return Priced(bound=exact + ROUNDING * size, prices=paid, reduced=reduced)


def _best_alone(
    alone: FloatArray, widths: FloatArray, matrix: FloatArray, room: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the best price of each row, the others fixed, and what room and items are then worth, both (rows,).

    The worth is convex and piecewise linear in the price; it turns where an item's reduced gain changes its sign.
    """
    taken = (alone > 0.0) | ((alone == 0.0) & (matrix < 0.0))
    slope = room - np.where(taken, matrix, 0.0) @ widths
    turns = np.divide(alone, matrix, out=np.full_like(alone, np.inf), where=matrix != 0.0)
    turns[~(turns > 0.0)] = np.inf
    order = np.argsort(turns, axis=1)
    turns = np.take_along_axis(turns, order, axis=1)
    rises = np.where(np.isfinite(turns), np.take_along_axis(np.abs(matrix) * widths, order, axis=1), 0.0)
    reached = slope[:, None] + np.cumsum(rises, axis=1) >= 0.0
    turn = turns[np.arange(len(room)), reached.argmax(axis=1)] if turns.shape[1] else np.zeros(len(room))
    best = np.where((slope < 0.0) & np.isfinite(turn), turn, 0.0)
    worth = best * room + np.maximum(alone - best[:, None] * matrix, 0.0) @ widths
    return best, worth
