"""One pass over all rows: the choices at both ends of a bracket of prices, and the hull's steps between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.exact import exact_product_sum
from coinfer.solver.knapsack.hull import SmallInts, Steps, joined, walk
from coinfer.solver.knapsack.price import Bracket, Point, choose, tangent
from coinfer.solver.knapsack.scan import Piece, Reader, check_slopes
from coinfer.solver.program import FloatArray, IntArray

WIDER = 8.0
"""How much further a bracket reaches on the side on which it missed the budget."""
MOST_PASSES = 40
"""Passes after which the bracket is taken as it is; one is usual, two are rare."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ends:
    """The choices at the ends of a bracket.

    Attributes
    ----------
    bracket
        The prices.
    option, value, cost
        (rows,): the choice at the high price, and what one copy gains and takes by it.
    copies
        (rows,): ``None`` where every row has one copy.
    high_cost
        What all rows take at the high price, exactly.
    low
        What they gain and take at the low price.
    low_cost
        What they take at the low price, exactly.
    steps
        The hull's steps from the choices at the high price to those at the low one; ``None`` where they were too many.
    """

    bracket: Bracket
    option: SmallInts
    value: FloatArray
    cost: FloatArray
    copies: IntArray | None
    high_cost: Fraction
    low: Point
    low_cost: Fraction
    steps: Steps | None

    @property
    def high(self) -> Point:
        """What all rows gain and take at the high price."""
        copies = 1 if self.copies is None else self.copies
        return Point(price=self.bracket.high, value=float((self.value * copies).sum()), cost=float(self.high_cost))


def enclose(reader: Reader, first: Bracket, budget: float) -> Ends:
    """Pass over all rows until the bracket encloses the budget and its steps are few enough to be sorted.

    The bracket of the result takes at most the budget at its high price, unless even the cheapest options take more;
    and more than the budget at its low price, unless even the best options do not.
    """
    rows, options = reader.menus.rows, reader.menus.options
    most = max(rows, rows * options // 32, 4096)
    now = first
    for passed in range(MOST_PASSES):
        ends = both_ends(reader, now, most)
        above, below = ends.high_cost > Fraction(budget), ends.low_cost <= Fraction(budget)
        far = passed >= 4
        if above:
            if now.high == math.inf:
                return ends
            high = now.high + WIDER * max(now.high - now.low, 1e-3 * now.high)
            now = Bracket(low=now.high, high=math.inf if far or high == 0.0 else high)
        elif now.low == math.inf:  # the cheapest options, which a rounded sum had thought too dear
            now = Bracket(low=0.0, high=math.inf)
        elif below:
            if now.low == 0.0:
                best = ends if now.high == 0.0 else both_ends(reader, Bracket(low=0.0, high=0.0), most)
                if best.high_cost <= Fraction(budget):
                    return best
                if ends.steps is not None:  # the best options take more than the budget by less than rounding
                    return ends
            low = now.low - WIDER * max(now.high - now.low, 1e-3 * now.low)
            now = Bracket(low=0.0 if far or not low > 0.0 else low, high=now.low)
        elif ends.steps is not None:
            return ends
        else:
            narrower = _split(reader, ends.low, ends.high, budget)
            if narrower == now:
                break
            now = narrower
    return both_ends(reader, Bracket(low=0.0, high=math.inf), rows * options)  # encloses whatever there is


def both_ends(reader: Reader, bracket: Bracket, most: int) -> Ends:
    """Take one pass; at most ``most`` steps are kept.

    Raises
    ------
    InputError, OutOfRange, Stopped
        As :meth:`~coinfer.solver.knapsack.scan.Reader.pieces`.
    """
    rows = reader.menus.rows
    option, value, cost = np.empty(rows, dtype=np.int32), np.empty(rows), np.empty(rows)
    low_costs = np.empty(rows)
    copies: IntArray | None = None
    parts: list[Steps] | None = []
    low_value = low_cost = 0.0
    count = 0
    for piece in reader.pieces():
        high, low = choose(piece.value, piece.cost, bracket.high), choose(piece.value, piece.cost, bracket.low)
        here = slice(piece.start, piece.start + len(high))
        option[here] = high
        value[here], cost[here] = chosen(piece.value, high), chosen(piece.cost, high)
        top_value, top_cost = chosen(piece.value, low), chosen(piece.cost, low)
        low_value += float(top_value @ piece.copies)
        low_cost += float(top_cost @ piece.copies)
        low_costs[here] = top_cost
        if copies is None and int(piece.copies.max()) > 1:
            copies = np.ones(rows, dtype=np.int64)
        if copies is not None:
            copies[here] = piece.copies
        apart = np.flatnonzero((top_cost > cost[here]) & (top_value > value[here]))
        if parts is not None and len(apart):
            own = walk(piece.value[apart], piece.cost[apart], apart + piece.start, high[apart], low[apart])
            check_slopes(own.slope)
            parts.append(own)
            count += len(own.row)
            parts = parts if count <= most else None
    return Ends(
        bracket=bracket,
        option=option,
        value=value,
        cost=cost,
        copies=copies,
        high_cost=exact_product_sum(cost, copies),
        low=Point(price=bracket.low, value=low_value, cost=low_cost),
        low_cost=exact_product_sum(low_costs, copies),
        steps=None if parts is None else _sorted(parts),
    )


def chosen(table: FloatArray, option: IntArray) -> FloatArray:
    """Return the entry of each row's option."""
    entries: FloatArray = table[np.arange(len(table)), option]
    return entries


def _sorted(parts: list[Steps]) -> Steps:
    """Return the steps, steepest first; those of one row keep their order."""
    none, index = np.zeros((0, 1)), np.zeros(0, dtype=np.int64)
    steps = joined(parts or [walk(none, none, index, index, index)])
    return steps.pick(np.argsort(-steps.slope, kind="stable"))


def _split(reader: Reader, low: Point, high: Point, budget: float) -> Bracket:
    """Return the half of a bracket that holds the budget: it is split where both ends give the same bound."""
    price = tangent(low, high)
    if not low.price < price < high.price:
        return Bracket(low=low.price, high=high.price)
    cost = 0.0
    for piece in reader.pieces():
        cost += float(_cost_at(piece, price) @ piece.copies)
    return Bracket(low=low.price, high=price) if cost <= budget else Bracket(low=price, high=high.price)


def _cost_at(piece: Piece, price: float) -> FloatArray:
    return chosen(piece.cost, choose(piece.value, piece.cost, price))
