r"""Lagrangian prices of a facility location over a box: the bound that scales, by subgradient steps.

Relaxing that each row takes at most one column with prices :math:`\lambda_r \ge 0`, and the linear rows with prices
:math:`\mu_i \ge 0`, bounds every feasible point of the box by

.. math::

   \sum_r \lambda_r + \sum_i \mu_i b_i + \sum_n \Bigl(\sum_r (v_{rn} - \lambda_r)^+ - \sum_i \mu_i a_{in}\Bigr)^+ .

Its least value over all prices is the bound of the linear program of the p-median (Cornuejols, Fisher and Nemhauser,
"Location of bank accounts to optimize float", Management Science 23, 1977). The steps are Polyak's towards the
incumbent, with a deflected direction (Camerini, Fratta and Maffioli 1975); :math:`\mu` is set exactly, one row at a
time. Both the numpy version here and the compiled one in :mod:`coinfer.solver.monotonic.compiled` do the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coinfer.solver.monotonic.program import FloatArray, IntArray

DEFLECTION = 0.3
FIRST_STEP = 1.0
SHORTER = 0.6
SMALLEST_NORM = 1e-12
"""Of a direction, squared; its entries are counts, so less is rounding, and no direction at all."""
NOTABLE = 1e-3
"""A step counts as progress when it closes this share of the gap."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Priced:
    """The best prices found over a box.

    Attributes
    ----------
    bound
        No feasible point of the box is worth more.
    prices
        (rows,) prices of the assignment, at least what the open columns give.
    row_prices
        (linear rows,) at least 0.
    reduced
        (free columns,) profit of each free column at these prices, after the linear rows are paid.
    gains
        (free columns,) what each free column adds to the open ones.
    relaxed
        (free columns,) the relaxed choice, in [0, 1]; ``None`` where only prices are known.
    """

    bound: float
    prices: FloatArray
    row_prices: FloatArray
    reduced: FloatArray
    gains: FloatArray
    relaxed: FloatArray | None = None


Kernel = Callable[
    [FloatArray, IntArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, float, int, int], Priced
]
"""See :func:`price_box`."""


def price_box(
    values: FloatArray,
    free: IntArray,
    base: FloatArray,
    coefficients: FloatArray,
    capacities: FloatArray,
    prices: FloatArray,
    row_prices: FloatArray,
    target: float,
    steps: int,
    patience: int,
) -> Priced:
    """Improve prices until the bound is at most ``target`` or ``steps`` are spent.

    Rows that no free column can improve are left out of the steps: their price is what the open columns give.

    Parameters
    ----------
    values
        (columns, rows), at least 0.
    free
        Columns that are neither open nor closed, at least one.
    base
        (rows,) the largest value of an open column.
    coefficients, capacities
        (linear rows, free columns), and what the open columns leave of each limit.
    prices, row_prices
        (rows,) and (linear rows,): where to begin.
    target
        Value of the incumbent, finite.
    steps, patience
        Most steps, at least 1; steps without progress after which the step length shrinks.
    """
    above = values[free]
    active = np.flatnonzero(above.max(axis=0) > base)
    above = above[:, active]
    above -= base[active]
    np.maximum(above, 0.0, out=above)
    begin = np.maximum(prices[active] - base[active], 0.0)
    found = _ascend(above, coefficients, capacities, begin, row_prices, float(base.sum()), target, steps, patience)
    bound, raised, row_prices, reduced = found
    prices = base.copy()
    prices[active] += raised
    return Priced(bound=bound, prices=prices, row_prices=row_prices, reduced=reduced, gains=above.sum(axis=1))


def _ascend(
    values: FloatArray,
    coefficients: FloatArray,
    capacities: FloatArray,
    prices: FloatArray,
    row_prices: FloatArray,
    constant: float,
    target: float,
    steps: int,
    patience: int,
) -> tuple[float, FloatArray, FloatArray, FloatArray]:
    """Take the steps; return bound, prices, row prices and reduced profits of the best."""
    scratch = np.empty_like(values)
    row_prices = row_prices.copy()
    best: tuple[float, FloatArray, FloatArray, FloatArray] = (math.inf, prices, row_prices, np.zeros(len(values)))
    direction = np.zeros_like(prices)
    length, stalled = FIRST_STEP, 0
    for step in range(steps):
        total = float(prices.sum())
        np.maximum(values, prices, out=scratch)
        profits = scratch.sum(axis=1)
        profits -= total
        reduced, share = price_rows(profits, coefficients, capacities, row_prices)
        bound = constant + total + float(row_prices @ capacities) + float(np.maximum(reduced, 0.0).sum())
        if bound < best[0]:
            if bound < best[0] - NOTABLE * (best[0] - target) or step == 0:
                stalled = 0
            best = bound, prices, row_prices.copy(), reduced
        else:
            stalled += 1
        if best[0] <= target or step + 1 == steps:
            break
        if stalled >= patience:
            length, stalled = length * SHORTER, 0
        used = np.flatnonzero(share)
        slope = 1.0 - share[used] @ (values[used] > prices)
        slope[(slope > 0.0) & (prices <= 0.0)] = 0.0
        direction = slope + DEFLECTION * direction
        norm = float(direction @ direction)
        if norm <= SMALLEST_NORM:
            break
        prices = np.maximum(0.0, prices - length * (bound - target) / norm * direction)
    return best


def price_rows(
    profits: FloatArray, coefficients: FloatArray, capacities: FloatArray, row_prices: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Set each linear row's price, in place, to its best given the others; return reduced profits and the choice.

    With one row this is the fractional knapsack of Dantzig (1957), solved exactly.
    """
    reduced = profits - row_prices @ coefficients
    critical = []
    for row, capacity in enumerate(capacities):
        own = coefficients[row]
        reduced += row_prices[row] * own
        row_prices[row], column = _best_price(reduced, own, float(capacity))
        reduced -= row_prices[row] * own
        if column >= 0:
            reduced[column] = 0.0
            critical.append((row, column))
    share = (reduced > 0.0).astype(np.float64)
    for row, column in critical:
        if reduced[column] == 0.0 and coefficients[row, column] > 0.0:
            rest = capacities[row] - coefficients[row] @ share
            share[column] = min(1.0, max(0.0, rest / coefficients[row, column]))
    return reduced, share


def _best_price(reduced: FloatArray, own: FloatArray, capacity: float) -> tuple[float, int]:
    """Return the price at which the convex function of one row's price is least, and the column that sets it."""
    slope = capacity - float(own[(reduced > 0.0) | ((reduced == 0.0) & (own < 0.0))].sum())
    if slope >= 0.0:
        return 0.0, -1
    bends = np.flatnonzero(own * reduced > 0.0)
    ratios = reduced[bends] / own[bends]
    order = np.argsort(ratios)
    reached = slope + np.cumsum(np.abs(own[bends[order]]))
    position = min(int(np.searchsorted(reached, 0.0)), len(order) - 1)
    if position < 0:
        return 0.0, -1
    return float(ratios[order[position]]), int(bends[order[position]])
