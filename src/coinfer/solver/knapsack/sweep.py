"""One pass at given prices: the bound, the best option of every row, and the options that come near to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.knapsack.pieces import Part, Pieces, Runs, rows_of
from coinfer.solver.knapsack.ragged import Ragged
from coinfer.solver.program import FloatArray, IntArray

EPSILON = 2.0**-53
MOST_NEAR = 1 << 20
"""Options kept beside the best ones; where more are near, the nearest."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """What a pass found.

    Attributes
    ----------
    prices
        At which it was made.
    bound
        At least the Lagrangian bound, rounding included.
    infeasible
        Whether the prices prove, rounding included, that no choice keeps the budgets.
    option
        (rows,): the best option of each row.
    value, cost
        (rows,) and (resources, rows): what one copy gains and takes by it.
    copies
        (rows,).
    near
        The rows with a second option in reach.
    reach
        Every option with a nearness below this is among ``near``. A nearness is the loss against the best option or,
        for a pass with ``widths``, the share of the box of prices in which that option cannot be best.
    """

    prices: FloatArray
    bound: float
    infeasible: bool
    option: NDArray[np.int32]
    value: FloatArray
    cost: FloatArray
    copies: IntArray
    near: Ragged
    reach: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wanted:
    """Which options to keep beside the best: those that are best somewhere in a box, or those of a small loss.

    Attributes
    ----------
    widths
        (resources,): how far the box reaches to either side; ``None``: by loss.
    reach
        Nearness from which on an option is left out; ``inf`` keeps all.
    most
        Options kept at most; the nearest.
    """

    widths: FloatArray | None
    reach: float
    most: int = MOST_NEAR


def sweep(
    pieces: Pieces, runs: Runs, budget: FloatArray, prices: FloatArray, wanted: Wanted, *, with_values: bool = True
) -> Sweep:
    """Pass over ``runs``; without values the options are compared as if all gained 0, which asks for feasibility.

    Raises
    ------
    InputError
        For menus that are not what they should be.
    Stopped
        Where a limit is hit.
    """
    rows, resources = rows_of(runs), len(budget)
    option, copies = np.empty(rows, dtype=np.int32), np.empty(rows, dtype=np.int64)
    value, cost = np.empty(rows), np.empty((resources, rows))
    kept: list[tuple[FloatArray, IntArray, IntArray, FloatArray, FloatArray]] = []
    sums, margins, count, reach = [], [], 0, wanted.reach
    for part in pieces.read(runs):
        values = part.value if with_values else np.where(part.value > -np.inf, 0.0, -np.inf)
        own = slice(part.start, part.start + len(values))
        net = _net(values, part.cost, prices)
        best_option = net.argmax(axis=1)
        line = np.arange(len(net))
        best = net[line, best_option]
        option[own], copies[own] = best_option, part.copies
        value[own], cost[:, own] = part.value[line, best_option], part.cost[:, line, best_option]
        sums.append(float((best * part.copies).sum()))
        margins.append(_margin(values[line, best_option], cost[:, own], values, part, prices))
        found = _near(part, net, (best, best_option), wanted.widths, reach)
        if len(found[0]):
            kept.append(found)
            count += len(found[0])
            if count > 2 * wanted.most:
                kept, reach = _nearest(kept, wanted.most)
                count = wanted.most
    if count > wanted.most:
        kept, reach = _nearest(kept, wanted.most)
    at_budget = prices * budget
    margin = math.fsum(margins) + 8.0 * EPSILON * float(np.abs(at_budget).sum()) + 1e-300
    parts = [*sums, *at_budget.tolist()]
    total = math.fsum(parts) if np.isfinite(parts).all() else math.inf  # beyond floats: these prices show nothing
    return Sweep(
        prices=prices,
        bound=math.nextafter(total + margin, math.inf),
        infeasible=not with_values and total + margin < 0.0,
        option=option,
        value=value,
        cost=cost,
        copies=copies,
        near=_ragged(kept, option, value, cost, copies),
        reach=reach,
    )


def _net(value: FloatArray, cost: FloatArray, prices: FloatArray) -> FloatArray:
    net = value.copy()
    for price, own in zip(prices.tolist(), cost, strict=True):
        if price != 0.0:
            net -= price * own
    return net


def _near(
    part: Part,
    net: FloatArray,
    best: tuple[FloatArray, IntArray],
    widths: FloatArray | None,
    reach: float,
) -> tuple[FloatArray, IntArray, IntArray, FloatArray, FloatArray]:
    """Return nearness, row, option, value and cost of the options that are near to the best of their row."""
    line = np.arange(len(net))
    loss = best[0][:, None] - net
    loss[line, best[1]] = np.inf
    if widths is None or reach == math.inf:
        at, own = np.nonzero(loss < reach)
        nearness = loss[at, own]
    else:
        play = np.zeros_like(loss)
        for width, cost in zip(widths.tolist(), part.cost, strict=True):
            away = cost - cost[line, best[1]][:, None]
            np.abs(away, out=away)
            away *= width
            play += away
        play *= reach
        at, own = np.nonzero(loss <= play)
        with np.errstate(divide="ignore", invalid="ignore"):
            nearness = reach * loss[at, own] / play[at, own]
        nearness[loss[at, own] == 0.0] = 0.0
    return nearness, at + part.start, own, part.value[at, own], part.cost[:, at, own]


def _margin(value: FloatArray, cost: FloatArray, values: FloatArray, part: Part, prices: FloatArray) -> float:
    """Return at least the rounding error in the sum over the rows of a part.

    Computing ``value - prices * cost`` of the option that is truly best errs by at most (resources + 2) unit roundoffs
    times the sum of the magnitudes of its terms. That option may be another one than the one taken, whose terms are
    larger; its priced costs are then bounded by those of the dearest one.
    """
    terms = np.abs(value) + prices @ np.abs(cost)
    largest = float(np.max(values, initial=0.0, where=np.isfinite(values)))
    lowest = float(np.min(values, initial=0.0, where=np.isfinite(values)))
    for price, own in zip(prices.tolist(), part.cost, strict=True):
        if price != 0.0:
            largest += price * max(float(own.max()), 0.0, -float(own.min()))
    spread = 2.0 * max(largest, -lowest)
    size = 8.0 * len(prices) + 8.0
    return size * EPSILON * float(part.copies.sum()) * spread + 64.0 * EPSILON * float(terms @ part.copies)


def _nearest(
    kept: list[tuple[FloatArray, IntArray, IntArray, FloatArray, FloatArray]], most: int
) -> tuple[list[tuple[FloatArray, IntArray, IntArray, FloatArray, FloatArray]], float]:
    """Keep the nearest; return them, in the order of rows, and the least nearness left out."""
    nearness, row, option, value, cost = _joined(kept)
    order = np.argpartition(nearness, most)
    at = np.sort(order[:most])
    return [(nearness[at], row[at], option[at], value[at], cost[:, at])], float(nearness[order[most]])


def _joined(
    kept: list[tuple[FloatArray, IntArray, IntArray, FloatArray, FloatArray]],
) -> tuple[FloatArray, IntArray, IntArray, FloatArray, FloatArray]:
    nearness, row, option, value, cost = zip(*kept, strict=True)
    return (
        np.concatenate(nearness),
        np.concatenate(row),
        np.concatenate(option),
        np.concatenate(value),
        np.concatenate(cost, axis=1),
    )


def _ragged(
    kept: list[tuple[FloatArray, IntArray, IntArray, FloatArray, FloatArray]],
    option: NDArray[np.int32],
    value: FloatArray,
    cost: FloatArray,
    copies: IntArray,
) -> Ragged:
    """Return the rows with near options, the best option of each first."""
    if kept:
        _, row, own, gain, taken = _joined(kept)
    else:
        row, own = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        gain, taken = np.zeros(0), np.zeros((len(cost), 0))
    free, counts = np.unique(row, return_counts=True)
    first = np.concatenate([[0], np.cumsum(counts + 1)]).astype(np.int64)
    heads = np.zeros(int(first[-1]), dtype=np.bool_)
    heads[first[:-1]] = True
    all_option, all_value = np.empty(len(heads), dtype=np.int64), np.empty(len(heads))
    all_cost = np.empty((len(cost), len(heads)))
    all_option[heads], all_option[~heads] = option[free], own
    all_value[heads], all_value[~heads] = value[free], gain
    all_cost[:, heads], all_cost[:, ~heads] = cost[:, free], taken
    rest = copies.astype(np.float64)
    rest[free] = 0.0
    return Ragged(
        row=free,
        copies=copies[free],
        first=first,
        option=all_option,
        value=all_value,
        cost=all_cost,
        fixed_value=float(value @ rest),
        fixed_cost=cost @ rest,
    )
