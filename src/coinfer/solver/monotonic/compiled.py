"""The price steps of :mod:`coinfer.solver.monotonic.prices`, compiled by numba: the same steps, several times faster.

Optional: ``pip install coinfer[fast]``. Importing this module imports numba; the first call compiles, and the result is
kept on disk where that is possible.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from coinfer.solver.monotonic.prices import DEFLECTION, FIRST_STEP, NOTABLE, SHORTER, SMALLEST_NORM, Priced
from coinfer.solver.monotonic.program import FloatArray, IntArray

# Sums may be taken in any order (that is what lets them run in vector registers); infinities are left alone.
_compiled = njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, nogil=True)


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
    """Improve prices as :func:`coinfer.solver.monotonic.prices.price_box` does."""
    above, active, gains = _residual(values, free, base)
    begin = np.maximum(prices[active] - base[active], 0.0)
    bound, raised, row_prices, reduced = _ascend(
        above, coefficients, capacities, begin, row_prices, float(base.sum()), target, steps, patience
    )
    prices = base.copy()
    prices[active] += raised
    return Priced(bound=bound, prices=prices, row_prices=row_prices, reduced=reduced, gains=gains)


@_compiled  # type: ignore[untyped-decorator]
def _residual(values: FloatArray, free: IntArray, base: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
    """Return what each free column adds to each row that any of them improves, those rows, and the sums."""
    count = values.shape[1]
    top = base.copy()
    for n in free:
        own = values[n]
        for r in range(count):
            top[r] = max(top[r], own[r])
    active = np.flatnonzero(top > base)
    above, gains = np.empty((len(free), len(active))), np.zeros(len(free))
    for i in range(len(free)):
        own, row, gain = values[free[i]], above[i], 0.0
        for k in range(len(active)):
            r = active[k]
            row[k] = max(own[r] - base[r], 0.0)
            gain += row[k]
        gains[i] = gain
    return above, active, gains


@_compiled  # type: ignore[untyped-decorator]
def _ascend(  # noqa: PLR0912
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
    columns, count = values.shape
    row_prices = row_prices.copy()
    profits, reduced, share = np.empty(columns), np.empty(columns), np.empty(columns)
    best, best_prices, best_row_prices, best_reduced = np.inf, prices, row_prices.copy(), np.zeros(columns)
    direction, slope = np.zeros(count), np.empty(count)
    length, stalled = FIRST_STEP, 0
    for step in range(steps):
        total = prices.sum()
        for n in range(columns):
            own = values[n]
            gathered = 0.0
            for r in range(count):
                gathered += max(own[r] - prices[r], 0.0)
            profits[n] = gathered
        _price_rows(profits, coefficients, capacities, row_prices, reduced, share)
        bound = constant + total
        for i in range(len(capacities)):
            bound += row_prices[i] * capacities[i]
        for n in range(columns):
            bound += max(reduced[n], 0.0)
        if bound < best:
            if step == 0 or bound < best - NOTABLE * (best - target):
                stalled = 0
            best, best_prices = bound, prices
            best_row_prices[:], best_reduced[:] = row_prices, reduced
        else:
            stalled += 1
        if best <= target or step + 1 == steps:
            break
        if stalled >= patience:
            length, stalled = length * SHORTER, 0
        slope[:] = 1.0
        for n in range(columns):
            if share[n] > 0.0:
                own, part = values[n], share[n]
                for r in range(count):
                    slope[r] -= part if own[r] > prices[r] else 0.0
        norm = 0.0
        for r in range(count):
            if slope[r] > 0.0 and prices[r] <= 0.0:
                slope[r] = 0.0
            direction[r] = slope[r] + DEFLECTION * direction[r]
            norm += direction[r] * direction[r]
        if norm <= SMALLEST_NORM:
            break
        prices = np.maximum(0.0, prices - length * (bound - target) / norm * direction)
    return best, best_prices, best_row_prices, best_reduced


@_compiled  # type: ignore[untyped-decorator]
def _price_rows(
    profits: FloatArray,
    coefficients: FloatArray,
    capacities: FloatArray,
    row_prices: FloatArray,
    reduced: FloatArray,
    share: FloatArray,
) -> None:
    """See :func:`coinfer.solver.monotonic.prices.price_rows`."""
    rows, columns = coefficients.shape
    reduced[:] = profits
    for i in range(rows):
        for n in range(columns):
            reduced[n] -= row_prices[i] * coefficients[i, n]
    critical = np.full(rows, -1)
    for i in range(rows):
        own = coefficients[i]
        for n in range(columns):
            reduced[n] += row_prices[i] * own[n]
        row_prices[i], critical[i] = _best_price(reduced, own, capacities[i])
        for n in range(columns):
            reduced[n] -= row_prices[i] * own[n]
        if critical[i] >= 0:
            reduced[critical[i]] = 0.0
    for n in range(columns):
        share[n] = 1.0 if reduced[n] > 0.0 else 0.0
    for i in range(rows):
        column = critical[i]
        if column >= 0 and reduced[column] == 0.0 and coefficients[i, column] > 0.0:
            rest = capacities[i]
            for n in range(columns):
                rest -= coefficients[i, n] * share[n]
            share[column] = min(1.0, max(0.0, rest / coefficients[i, column]))


@_compiled  # type: ignore[untyped-decorator]
def _best_price(reduced: FloatArray, own: FloatArray, capacity: float) -> tuple[float, int]:
    """See :func:`coinfer.solver.monotonic.prices._best_price`."""
    slope, bends = capacity, 0
    columns = len(own)
    ratios, where = np.empty(columns), np.empty(columns, dtype=np.int64)
    for n in range(columns):
        if reduced[n] > 0.0 or (reduced[n] == 0.0 and own[n] < 0.0):
            slope -= own[n]
        if own[n] * reduced[n] > 0.0:
            ratios[bends], where[bends] = reduced[n] / own[n], n
            bends += 1
    if slope >= 0.0 or bends == 0:
        return 0.0, -1
    order: IntArray = np.argsort(ratios[:bends])
    last = order[bends - 1]
    for k in order:
        slope += abs(own[where[k]])
        if slope >= 0.0:
            return ratios[k], where[k]
    return ratios[last], where[last]
