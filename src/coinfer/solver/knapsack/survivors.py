"""One pass at the final price: the bound, and the options whose loss is small enough to be in a better choice."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.fill import Filled
from coinfer.solver.knapsack.plan import rounded_up
from coinfer.solver.knapsack.scan import Piece, Reader
from coinfer.solver.program import FloatArray, IntArray

EPSILON = 2.0**-53


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survivors:
    """The bound, and the options left.

    Attributes
    ----------
    bound
        At least the sum over rows of ``copies * max(value - price * cost)`` plus price times budget, rounding included.
    row, option
        (left,): the options whose loss is below ``loss_cap``, other than the row's own choice; by row.
    value, cost
        (left,): of one copy.
    loss_cap
        Every option left out loses at least this much against the best of its row.
    margin
        How much of the bound is there for rounding.
    whole
        Whether every value is a whole number, so that the bound may be rounded down. (Only once no loss is to be taken
        from it.)
    blur
        How much more an option may have seemed to lose than it does, beside the margin.
    blur
        How much more an option may seem to lose than it does, beside the margin.
    """

    bound: float
    row: IntArray
    option: IntArray
    value: FloatArray
    cost: FloatArray
    loss_cap: float
    margin: float
    whole: bool
    blur: float = 0.0


def sharper(reader: Reader, filled: Filled, base: Fraction, left: Survivors) -> Survivors:
    """Take one more pass that counts every option from the row's own choice: where worths cancel, a better bound.

    Parameters
    ----------
    base
        Value of the choices at the price, with what is left of the budget, exactly.
    left
        What the first pass found; its losses may be off by its margin.
    """
    price, rest, off, largest = filled.price, 0.0, 0.0, 0.0
    for piece in reader.pieces():
        line = np.arange(len(piece.value))
        own = filled.option[piece.start : piece.start + len(line)]
        gain = piece.value - piece.value[line, own, None]
        priced = price * (piece.cost - piece.cost[line, own, None])
        there = gain > -np.inf
        error = np.where(there, 8.0 * EPSILON * (np.abs(gain) + np.abs(priced)), 0.0)
        most = gain - priced + error
        best = most.argmax(axis=1)
        rest += float(most[line, best] @ piece.copies)
        off += float(error[line, best] @ piece.copies)
        largest = max(largest, float(error.max()))
    margin = 2.0 * off + 1e-13 * rest + 8.0 * largest
    bound = rounded_up(base + Fraction(rest) + Fraction(margin))
    if bound >= left.bound:
        return left
    margin += 4.0 * EPSILON * abs(bound)
    return replace(left, bound=bound, margin=margin, loss_cap=left.loss_cap - 2.0 * left.margin, blur=left.margin)


def survivors(reader: Reader, filled: Filled, budget: float, loss_cap: float, most: int) -> Survivors:
    """Take the pass; where more than ``most`` options are left, those of least loss are kept and the cap falls.

    Parameters
    ----------
    filled
        The choice of each row, and the price.
    loss_cap
        Loss from which on an option is of no interest; below 0: none is.
    """
    price = filled.price
    sums, margins = [], []
    kept: list[_Found] = []
    count, cap, whole = 0, loss_cap, True
    share = 4 * most / (reader.menus.rows * reader.menus.options)
    for piece in reader.pieces():
        whole = whole and bool((np.trunc(piece.value) == piece.value).all())
        rows = len(piece.value) if cap > 0.0 or cap == loss_cap else math.ceil(share * len(piece.value))
        best, found = _near(piece, filled, cap if cap > 0.0 else loss_cap, rows)
        sums.append(float((best * piece.copies).sum()))
        margins.append(_margin(piece, price, best))
        if len(found.row):
            kept.append(found)
            count += len(found.row)
            if count > 2 * most:
                kept, cap = _least(kept, most)
                cap = cap if cap > 8.0 * EPSILON * float(np.abs(best).max()) else 0.0
                count = most
    if count > most:
        kept, last = _least(kept, most)
        cap = min(cap, last)
    at_budget = price * budget if price > 0.0 else 0.0
    margin = math.fsum([*margins, 4.0 * EPSILON * abs(at_budget)])
    bound = math.nextafter(math.fsum([*sums, at_budget, margin]), math.inf)
    all_found = _together(kept)
    return Survivors(
        bound=bound,
        whole=whole and abs(bound) < 2.0**53,
        row=all_found.row,
        option=all_found.option,
        value=all_found.value,
        cost=all_found.cost,
        loss_cap=cap,
        margin=margin,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """Options near to the best of their row, by row."""

    row: IntArray
    option: IntArray
    value: FloatArray
    cost: FloatArray
    loss: FloatArray

    def pick(self, which: IntArray) -> _Found:
        return _Found(**{name: getattr(self, name)[which] for name in self.__slots__})


def _together(parts: list[_Found]) -> _Found:
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
    parts = parts or [_Found(row=none, option=none, value=nothing, cost=nothing, loss=nothing)]
    return _Found(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in _Found.__slots__})


def _near(piece: Piece, filled: Filled, loss_cap: float, most: int) -> tuple[FloatArray, _Found]:
    """Return each row's best, and the options near to it, of at most ``most`` rows."""
    net = piece.cost * -filled.price
    net += piece.value
    line = np.arange(len(net))
    best: FloatArray = net.max(axis=1)
    net[line, filled.option[piece.start : piece.start + len(net)]] = -np.inf
    rows = np.flatnonzero(net.max(axis=1) > best - loss_cap) if loss_cap >= 0.0 else line[:0]
    if len(rows) > most:
        rows = rows[:: math.ceil(len(rows) / most)]
    loss = best[rows, None] - net[rows]
    at, own = np.nonzero(loss < loss_cap)
    rows = rows[at]
    return best, _Found(
        row=rows + piece.start,
        option=own,
        value=piece.value[rows, own],
        cost=piece.cost[rows, own],
        loss=loss[at, own],
    )


def _margin(piece: Piece, price: float, best: FloatArray) -> float:
    """Return at least the rounding error in the sum over the piece's rows.

    With c the cost and n = v - price c of the option that is truly best, computing n errs by at most the unit roundoff
    times (price |c| + |n|), where price |c| is at most v - n, or price times the least cost where c is below 0. The sum
    is taken pairwise in numpy from runs of at most 128, so no term goes through more than about 40 additions.
    """
    weight = float(piece.copies.sum())
    spread = max(float(piece.value.max()), 0.0, -price * float(piece.cost.min()))
    return 64.0 * EPSILON * (float(np.abs(best) @ piece.copies) + 1e-300) + 4.0 * EPSILON * weight * spread


def _least(kept: list[_Found], most: int) -> tuple[list[_Found], float]:
    """Keep the ``most`` options of least loss; return them, by row, and the least loss left out.

    Of equal losses those kept are spread over the rows.
    """
    found = _together(kept)
    last = float(np.partition(found.loss, most)[most])
    below, at = np.flatnonzero(found.loss < last), np.flatnonzero(found.loss == last)
    spread = at[np.linspace(0, len(at) - 1, most - len(below)).astype(np.int64)] if most > len(below) else at[:0]
    return [found.pick(np.sort(np.concatenate([below, spread])))], last
