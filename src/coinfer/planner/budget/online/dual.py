"""Prices at which a sample of menus takes what it may."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coinfer.solver.program import FloatArray, IntArray

ROUNDS = 8
"""Most passes over the resources; with one resource a single pass is enough."""
WIDEST = 1e20
"""Factor on a price beyond which no search goes: such a price takes the cheapest options, or the best."""
PRECISION = 1e-4
"""Relative width of the bracket around a price at which the search ends."""

LOWER = 1.0 - 3.0 * PRECISION
"""Prices lower by this factor take more than the allowance, where any do."""
GOLDEN = (5.0**0.5 - 1.0) / 2.0
"""Multiples of it, less their whole part, are spread evenly."""


def best_options(values: FloatArray, costs: FloatArray, prices: FloatArray) -> IntArray:
    """Return the option with the largest value - price * cost of each row.

    Parameters
    ----------
    values
        (rows, options); ``-inf`` for options that are not there.
    costs
        (resources, rows, options), finite.
    prices
        (resources,), value per unit; or (resources, rows), where each row has its own.
    """
    prices = prices[:, None, None] if prices.ndim == 1 else prices[:, :, None]
    net = values - prices[0] * costs[0] if len(prices) else values.copy()
    for resource in range(1, len(prices)):
        net -= prices[resource] * costs[resource]
    option: IntArray = net.argmax(axis=1)
    return option


def mean_costs(values: FloatArray, costs: FloatArray, prices: FloatArray) -> FloatArray:
    """Return what a row takes of each resource in the mean at these prices, (resources,)."""
    option = best_options(values, costs, prices)
    taken: FloatArray = np.take_along_axis(costs, option[None, :, None], axis=2)[:, :, 0].mean(axis=1)
    return taken


def prices_for(values: FloatArray, costs: FloatArray, allowance: FloatArray, start: FloatArray) -> FloatArray:
    """Return prices at which the rows take at most the allowance in the mean, and no less than they need not.

    One resource at a time is brought to its allowance, the others' prices held (the dual is convex, so that each step
    improves it), until none moves.

    Parameters
    ----------
    values, costs
        As in :func:`best_options`.
    allowance
        (resources,): mean amount that a row may take; ``inf`` for no limit.
    start
        (resources,): prices to search near.
    """
    prices = start.copy()
    for _ in range(ROUNDS if len(prices) > 1 else 1):
        before = prices.copy()
        for resource in range(len(prices)):
            prices[resource] = _one_price(values, costs, prices, resource, float(allowance[resource]))
        if np.all(np.abs(prices - before) <= 10.0 * PRECISION * np.maximum(prices, before)):
            break
    return prices


def lower_share(values: FloatArray, costs: FloatArray, allowance: FloatArray, prices: FloatArray) -> float:
    """Return the share of rows that may have prices lower by :data:`LOWER`, the others these, within the allowance.

    Where few kinds of rows come, what they take jumps at a price: all of a kind take an option, or none. The allowance
    lies between, and is met by giving the option to a part of them.
    """
    tight = prices > 0.0
    if not tight.any():
        return 0.0
    high, low = mean_costs(values, costs, prices)[tight], mean_costs(values, costs, LOWER * prices)[tight]
    more = low - high
    shares = np.where(more > 0.0, (allowance[tight] - high) / np.where(more > 0.0, more, 1.0), 1.0)
    return float(np.clip(shares.min(), 0.0, 1.0))


def mixed(prices: FloatArray, share: float, numbers: IntArray) -> FloatArray:
    """Return prices of prompts with these numbers, (resources, prompts): a share has the lower ones, evenly spread."""
    lower = (numbers * GOLDEN) % 1.0 < share
    return prices[:, None] * np.where(lower, LOWER, 1.0)


def _one_price(values: FloatArray, costs: FloatArray, prices: FloatArray, resource: int, allowance: float) -> float:
    """Return the price of one resource at which its allowance is just met."""
    if allowance == np.inf:
        return 0.0
    others = prices.copy()
    others[resource] = 0.0
    own = costs[resource]
    net = values.copy()
    for other in np.flatnonzero(others):
        net -= others[other] * costs[other]
    rows = np.arange(len(net))

    def spend(price: float) -> float:
        return float(own[rows, (net - price * own).argmax(axis=1)].mean())

    if spend(0.0) <= allowance:
        return 0.0
    low, high = _enclose(spend, allowance, _scale(values, own, float(prices[resource])))
    while high - low > PRECISION * high and high > low * (1.0 + PRECISION):
        middle = float(np.sqrt(low * high)) if low > 0.0 else 0.5 * high
        if spend(middle) > allowance:
            low = middle
        else:
            high = middle
        if high < 1e-300:
            break
    return high


def _scale(values: FloatArray, own: FloatArray, price: float) -> float:
    """Return a price to begin with: the one at hand where it is sane, else the mean of value over the mean of cost."""
    present = np.isfinite(values)
    cost = float(own[present].mean()) if present.any() else 0.0
    value = float(np.abs(values[present]).mean()) if present.any() else 0.0
    usual = value / cost if value > 0.0 and cost > 0.0 and value / cost < WIDEST else 1.0
    return price if usual / WIDEST < price < usual * WIDEST else usual


def _enclose(spend: Callable[[float], float], allowance: float, price: float) -> tuple[float, float]:
    """Return prices that take more and at most the allowance; where none takes so little, a very high one twice."""
    low = high = price
    factor = 1.05
    while spend(high) > allowance:
        low, high, factor = high, high * factor, min(factor**2, 64.0)
        if high > price * WIDEST:
            return high, high
    factor = 1.05
    while low == high or spend(low) <= allowance:
        low, factor = low / factor, min(factor**2, 64.0)
        if low < price / WIDEST:
            return 0.0, high
    return low, high
