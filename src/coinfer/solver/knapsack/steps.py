"""The steps of a solve with several budgets: prices, choices, the proof that there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coinfer.solver.certificate.knapsack_lattice import MOST_CELLS
from coinfer.solver.knapsack.base import base_of
from coinfer.solver.knapsack.cuts import Box
from coinfer.solver.knapsack.dual import Least, least_bound
from coinfer.solver.knapsack.finish import finish
from coinfer.solver.knapsack.listed import any_listed
from coinfer.solver.knapsack.pieces import rows_of
from coinfer.solver.knapsack.plan import rounded_up
from coinfer.solver.knapsack.ragged import Ragged
from coinfer.solver.knapsack.repair import feasible_choice
from coinfer.solver.knapsack.run import LOCAL, Run
from coinfer.solver.knapsack.sweep import Sweep, Wanted, sweep
from coinfer.solver.program import FloatArray

SAMPLE = 4096
"""Rows of the sample at least; a 64th of all rows where that is more, up to four times as many."""
ALL_CELLS = 1 << 18
"""Options up to which the sample is all rows."""
SPREAD = 6.0
"""Standard errors, as it were, that the box of prices reaches to either side."""
RAISED = 4
"""How often the sample's box of prices is made 64 times as high, at most."""
STEEPER = 10
"""Passes at ever higher prices that look for any choice."""
RECENTRED = 8
"""Passes with a box at most; one is usual."""


def find_prices(run: Run) -> tuple[FloatArray, float]:
    """Return the prices of the least bound, from a sample and then from the options left near to them.

    Also a loss that about as many options stay below as a choice is made of.
    """
    sampled, share = _sample(run, with_values=True)
    gain, per_cost = _sizes(sampled)
    scale = gain * per_cost
    low, high = np.zeros(len(run.budget)), 8.0 * scale
    least = Least(prices=low, bound=np.inf)
    for _ in range(RAISED):
        least = least_bound(sampled, run.budget * share, Box(low=low, high=high), least.prices, run.watch)
        ends = least.prices >= high * (1.0 - 1e-6)
        if not ends.any():
            break
        high = np.where(ends, 64.0 * high, high)
    else:  # the bound seems to fall without end, which it does where no choice keeps the budgets
        settle_feasibility(run, 8.0 * scale)
        if run.infeasible is not None:
            return least.prices, np.inf
    if share == 1.0:
        return least.prices, np.inf
    error = SPREAD / np.sqrt(share * run.pieces.menus.rows)
    widths = error * (least.prices + 0.25 * scale)
    found, prices = recentre(run, least.prices, widths, Box(low=low, high=np.full(len(low), np.inf)))
    net = found.near.value - prices @ found.near.cost
    loss = np.repeat(found.near.best(prices)[0], np.diff(found.near.first)) - net
    most = LOCAL + len(found.near.row)
    return prices, float(np.partition(loss, most)[most]) if len(loss) > most else np.inf


def recentre(
    run: Run, prices: FloatArray, widths: FloatArray, outer: Box, *, with_values: bool = True
) -> tuple[Sweep, FloatArray]:
    """Pass over all rows with a box of prices until the least bound is inside of it; return the last pass and them."""
    for _ in range(RECENTRED):
        found = run.sweep(prices, Wanted(widths=widths, reach=1.0), with_values=with_values)
        widths = widths * min(found.reach, 1.0)
        box = Box(low=np.maximum(outer.low, prices - widths), high=np.minimum(outer.high, prices + widths))
        near = (
            found.near if with_values else replace(found.near, value=np.zeros(len(found.near.value)), fixed_value=0.0)
        )
        least = least_bound(near, run.budget, box, prices, run.watch)
        play = 1e-6 * widths
        ends = (least.prices <= box.low + play) & (box.low > outer.low)
        ends |= (least.prices >= box.high - play) & (box.high < outer.high)
        prices = least.prices
        if with_values:
            run.hint = prices
        if not ends.any() or found.infeasible:
            break
        widths = np.where(ends, 4.0, 1.0) * widths
    return found, prices


def _sample(run: Run, *, with_values: bool) -> tuple[Ragged, float]:
    """Return all options of a sample of the rows, and its share of the rows."""
    menus = run.pieces.menus
    whole = menus.rows * menus.options <= ALL_CELLS
    runs = run.pieces.whole if whole else run.pieces.sample(max(SAMPLE, min(menus.rows // 64, 4 * SAMPLE)))
    share = rows_of(runs) / menus.rows
    free, everything = np.zeros(len(run.budget)), Wanted(widths=None, reach=np.inf, most=menus.rows * menus.options)
    if share == 1.0:
        return run.sweep(free, everything, with_values=with_values).near, share
    return sweep(run.pieces, runs, run.budget * share, free, everything, with_values=with_values).near, share


def close_in(run: Run, prices: FloatArray, cap: float) -> str | None:
    """Make a choice near to ``prices`` and search the rest; return what kept the gap open."""
    found = run.sweep(prices, Wanted(widths=None, reach=cap, most=3 * LOCAL))
    base = base_of(found, prices, 3 * LOCAL)
    run.offer(feasible_choice(base_of(found, prices, LOCAL), run.budget, run.watch))
    if run.choice is None:
        run.offer(feasible_choice(base, run.budget, run.watch, pairs=False))
    if run.choice is None:
        direction = settle_feasibility(run, prices)
        if direction is not None and run.choice is None:
            decide(run, direction)
    if run.closed or run.infeasible is not None or run.ruled_out:
        return None
    return finish(run, base, found)


def decide(run: Run, direction: FloatArray) -> None:
    """List all choices that keep the budgets, where these are few: prices may not show that there is none."""
    cells = run.pieces.menus.rows * run.pieces.menus.options
    if cells > MOST_CELLS:
        return
    found = run.sweep(direction, Wanted(widths=None, reach=np.inf, most=cells))
    result = any_listed(base_of(found, direction, cells), run.budget)
    run.offer(result.choice)
    if result.done and run.choice is not None:
        run.core(rounded_up(run.choice.value))
        run.prove()
    run.ruled_out = result.done and run.choice is None


def settle_feasibility(run: Run, prices: FloatArray) -> FloatArray | None:
    """Look for prices that show that no choice keeps the budgets; where they find none, for a choice that does.

    Returns the prices that came nearest to it, ``None`` where they show it.

    No choice does if, at some prices, even the cheapest options cost more than the budgets (Farkas). One of the
    prices may be taken as fixed, in turn.
    """
    sampled, share = _sample(run, with_values=False)
    gain, high = _sizes(sampled)
    sampled = _without_values(sampled)
    outcomes = []
    for anchor in range(len(high)):
        box = Box(low=np.where(np.arange(len(high)) == anchor, high, 0.0), high=high)
        outcomes.append((least_bound(sampled, run.budget * share, box, box.low, run.watch), box))
    widths = SPREAD / np.sqrt(share * run.pieces.menus.rows) * high
    directions = []
    for least, box in sorted(outcomes, key=lambda pair: pair[0].bound):
        found, direction = recentre(run, least.prices, widths, box, with_values=False)
        if run.infeasible is None:
            run.sweep(direction, Wanted(widths=None, reach=0.0), with_values=False)
        if run.infeasible is not None:
            return None
        directions.append(direction)
    for step in range(STEEPER):
        steeper = prices + gain * 4.0 ** (step - 2) * directions[0]
        found = run.sweep(steeper, Wanted(widths=None, reach=np.inf, most=3 * LOCAL))
        run.offer(feasible_choice(base_of(found, steeper, 3 * LOCAL), run.budget, run.watch))
        if run.choice is not None:
            break
    return directions[0]


def _without_values(ragged: Ragged) -> Ragged:
    """Return the same costs with nothing to gain."""
    return replace(ragged, value=np.zeros(len(ragged.value)), fixed_value=0.0)


def _sizes(ragged: Ragged) -> tuple[float, FloatArray]:
    """Return the size of a usual gain, and for each resource one over the size of a usual cost."""
    if not len(ragged.option):
        return 1.0, np.ones(len(ragged.cost))
    heads = ragged.first[:-1][ragged.row_of_option]
    size = np.abs(ragged.cost - ragged.cost[:, heads]).mean(axis=1)
    gain = float(np.abs(ragged.value - ragged.value[heads]).mean())
    return max(gain, 1e-300), 1.0 / np.where(size > 0.0, size, 1.0)
