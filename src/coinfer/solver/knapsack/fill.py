"""The plan by slopes: steps along the hulls, steepest first, until the budget is taken."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.ends import Ends
from coinfer.solver.knapsack.exact import exact_product_sum
from coinfer.solver.knapsack.hull import SmallInts, Steps
from coinfer.solver.program import FloatArray, IntArray

MOST_FITS = 64
"""Later steps that are tried one by one in what is left of the budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Copies of a row that change from one option to another, and what one of them gains and takes by it, exactly."""

    row: int
    start: int
    end: int
    count: int
    gain: Fraction
    cost: Fraction


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filled:
    """A choice for every row, and the price at which it was cut off.

    Attributes
    ----------
    price
        Slope of the step at which the budget was used up; 0 where it never was.
    option, value, cost
        (rows,): the choice, and what one copy gains and takes by it.
    copies
        (rows,): ``None`` for one of each.
    split
        Copies of the last row that are one step further than ``option`` says; ``None`` without.
    slack
        What the choices, with the split, leave of the budget, exactly; at least 0.
    fits
        Further steps that fit into the slack.
    """

    price: float
    option: SmallInts
    value: FloatArray
    cost: FloatArray
    copies: IntArray | None
    split: Move | None
    slack: Fraction
    fits: tuple[Move, ...]

    def count(self, row: int) -> int:
        """Return the copies of a row."""
        return 1 if self.copies is None else int(self.copies[row])


def fill(ends: Ends, budget: float) -> Filled:
    """Take the steepest steps as long as the budget lasts.

    ``ends`` has its steps, and takes at most the budget at its high price.
    """
    steps = ends.steps
    assert steps is not None  # noqa: S101
    copies = np.ones(len(steps.row)) if ends.copies is None else ends.copies[steps.row].astype(np.float64)
    totals = np.cumsum(steps.cost * copies)
    count = int(np.searchsorted(totals, float(Fraction(budget) - ends.high_cost), side="right"))
    while True:
        option, value, cost = ends.option.copy(), ends.value.copy(), ends.cost.copy()
        rows = steps.row[:count]
        option[rows], value[rows], cost[rows] = steps.end[:count], steps.end_value[:count], steps.end_cost[:count]
        slack = Fraction(budget) - exact_product_sum(cost, ends.copies)
        if slack >= 0 or count == 0:
            break
        count -= 1  # rounding in the running totals took one step too many
    split = None
    if count < len(steps.row) and copies[count] > 1:
        split = _step(ends, steps, count, (value, cost), slack)
        slack -= 0 if split is None else split.count * split.cost
    plain = Filled(
        price=float(steps.slope[count]) if count < len(steps.row) else ends.bracket.low,
        option=option,
        value=value,
        cost=cost,
        copies=ends.copies,
        split=split,
        slack=slack,
        fits=(),
    )
    return plain if split is not None else _with_fits(ends, steps, count, plain)


def _step(ends: Ends, steps: Steps, place: int, now: tuple[FloatArray, FloatArray], slack: Fraction) -> Move | None:
    """Return as many copies of one step as fit, ``None`` where not even one does."""
    row = int(steps.row[place])
    cost = Fraction(float(steps.end_cost[place])) - Fraction(float(now[1][row]))
    gain = Fraction(float(steps.end_value[place])) - Fraction(float(now[0][row]))
    most = 1 if ends.copies is None else int(ends.copies[row])
    count = most if cost <= 0 else min(most, int(slack / cost))
    if count < 1:
        return None
    return Move(row=row, start=int(steps.start[place]), end=int(steps.end[place]), count=count, gain=gain, cost=cost)


def _with_fits(ends: Ends, steps: Steps, count: int, plain: Filled) -> Filled:
    """Add the first later steps that still fit, of rows that stand where the step begins."""
    later = np.arange(count, len(steps.row))
    later = later[plain.option[steps.row[later]] == steps.start[later]]
    slack, fits = plain.slack, []
    for _ in range(MOST_FITS):
        later = later[steps.cost[later] <= float(slack)]
        if not len(later):
            break
        move = _step(ends, steps, int(later[0]), (plain.value, plain.cost), slack)
        later = later[1:]
        if move is not None:
            fits.append(move)
            slack -= move.count * move.cost
    return Filled(
        price=plain.price,
        option=plain.option,
        value=plain.value,
        cost=plain.cost,
        copies=plain.copies,
        split=None,
        slack=plain.slack,
        fits=tuple(fits),
    )
