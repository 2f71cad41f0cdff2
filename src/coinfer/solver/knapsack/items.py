"""The options left after the bound, as items of a small exact search: whole-numbered costs, gains, losses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.changes import Changes, changes_with_copies, single_changes
from coinfer.solver.knapsack.fill import Filled
from coinfer.solver.knapsack.survivors import EPSILON, Survivors
from coinfer.solver.program import FloatArray, IntArray

MOST_BITS = 61
"""Whole numbers below 2 to this power add up without overflow."""
MOST_LOW_BITS = 40
"""Bits of exact costs that may be left over below the unit."""
NOTHING = 1e-9
"""Share of the gap that counts as no loss where items are put in order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """What the exact search goes through.

    Attributes
    ----------
    changes
        By item.
    first
        (items + 1,): where the changes of each item begin; the items in order of their key.
    key
        (items,): least loss of a choice that makes a change of this item or a later one.
    cost
        (changes,): in whole units, rounded down where ``exact`` is false.
    low
        (changes,): where that is so, what was rounded away, in units of ``2**low_bits`` to the unit.
    gain, loss
        (changes,): value gained; value lost against the bound.
    slack, slack_low
        Units of the budget that are left without any change, and the rest; rounded up where ``exact`` is false and
        ``low_bits`` is 0.
    low_bits
        0 where ``low`` says nothing.
    unit
        Size of the unit.
    exact
        Whether costs and slack are exact.
    waste
        What is left of the budget whatever is changed, beside ``slack``.
    grain
        Every sum of gains is a multiple of this; 0 where no such number is known.
    complete
        Whether every way to a better choice is among the items.
    loose
        Whether there may be ways among them that take more copies of a row than it has.
    """

    changes: Changes
    first: IntArray
    key: FloatArray
    cost: IntArray
    gain: FloatArray
    loss: FloatArray
    slack: int
    unit: float
    exact: bool
    waste: float
    grain: float
    complete: bool
    loose: bool = False
    low: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    slack_low: int = 0
    low_bits: int = 0


def items_of(filled: Filled, left: Survivors, gap: float, *, strict: bool = False) -> Items:
    """Return the items.

    Parameters
    ----------
    filled, left
        The plan, and the options that could be part of a better choice.
    gap
        Loss from which on nothing is better than what is known.
    strict
        Whether no choice may take more copies than there are, of rows with copies and several options left. This takes
        many more items; without it the few choices that do so have to be refused.
    """
    some = filled.copies is not None and len(left.row) > 0 and int(filled.copies[left.row].max()) > 1
    if some or filled.split is not None:
        changes, key, complete, loose = changes_with_copies(filled, left, gap, strict=strict)
    else:
        changes, complete, loose = single_changes(filled, left, gap), True, False
        key = np.full(int(changes.item.max(initial=-1)) + 1, np.inf)
        np.minimum.at(key, changes.item, _loss(changes, filled.price))
    sizes = np.bincount(changes.item, minlength=len(key))
    order, key = ordered(changes.item, key, (changes.end_cost - changes.start_cost) * changes.count, gap)
    changes = changes.pick(_ranges((np.cumsum(sizes) - sizes)[order], sizes[order]))
    cost = (changes.end_cost - changes.start_cost) * changes.count
    gain = (changes.end_value - changes.start_value) * changes.count
    unit, bits = _unit(np.concatenate([changes.start_cost, changes.end_cost]), cost, float(filled.slack))
    exact, low, slack_low = bits == 0, np.zeros(len(cost), dtype=np.int64), 0
    if bits == 0:
        whole, slack = np.round(cost / unit).astype(np.int64), int(filled.slack / Fraction(unit))
        slack -= slack % max(1, int(np.gcd.reduce(whole)))
    elif bits is not None:
        whole, low = _limbs(changes, unit, bits)
        slack, slack_low = divmod(int(filled.slack / Fraction(unit) * 2**bits), 2**bits)
    else:
        whole = np.floor(cost / unit - 1e-3).astype(np.int64)
        slack = math.ceil(float(filled.slack) / unit + 1e-3)
    return Items(
        changes=changes,
        first=np.concatenate([[0], np.cumsum(sizes[order])]),
        key=key,
        cost=whole,
        gain=gain,
        loss=_loss(changes, filled.price),
        slack=slack,
        unit=unit,
        exact=exact,
        waste=float(filled.slack - slack * Fraction(unit)) if exact else 0.0,
        grain=_grain(gain),
        complete=complete,
        loose=loose,
        low=low,
        slack_low=slack_low,
        low_bits=bits or 0,
    )


def ordered(item: IntArray, key: FloatArray, cost: FloatArray | IntArray, gap: float) -> tuple[IntArray, FloatArray]:
    """Return the items in the order of their keys, and those of what comes at each place or after it.

    Of those that lose nothing the longest come first: what the short ones still reach tells which sums are of no use.
    """
    longest = np.zeros(len(key))
    np.maximum.at(longest, item, np.abs(cost))
    order = np.lexsort((-longest, np.where(key <= NOTHING * gap, 0.0, key)))
    return order, np.minimum.accumulate(key[order][::-1])[::-1]


def rounding(items: Items, price: float) -> float:
    """Return at least the rounding error in the loss and the gain of any choice made of the items."""
    changes = items.changes
    if not len(changes.row):
        return 0.0
    value = np.maximum(np.abs(changes.start_value), np.abs(changes.end_value))
    cost = np.maximum(np.abs(changes.start_cost), np.abs(changes.end_cost))
    size = np.maximum.reduceat((value + price * cost) * changes.count, items.first[:-1])
    return 16.0 * EPSILON * float(size.sum())


def _loss(changes: Changes, price: float) -> FloatArray:
    gain = changes.end_value - changes.start_value
    cost = changes.end_cost - changes.start_cost
    loss: FloatArray = np.maximum(price * cost - gain, 0.0) * changes.count
    return loss


def _unit(costs: FloatArray, changes: FloatArray, slack: float) -> tuple[float, int | None]:
    """Return a unit of which all costs are multiples, where sums of them stay whole; else a small one.

    In between is the unit that leaves a few bits over, whose number is returned; ``None`` where they are too many.
    """
    reach = float(np.abs(changes).sum()) + abs(slack)
    if reach == 0.0:
        return 1.0, 0
    mantissa, exponent = np.frexp(costs[costs != 0.0])
    whole = (mantissa * 2.0**53).astype(np.int64)
    lowest = int((exponent - 53 + np.round(np.log2((whole & -whole).astype(np.float64)))).min(initial=1023))
    largest = math.frexp(float(np.abs(changes).max(initial=0.0)))[1]
    bits = math.frexp(reach)[1] - lowest - MOST_BITS + 1
    if bits <= 0 and largest - lowest <= 53 and lowest > -1000:
        return 2.0**lowest, 0
    bits = max(bits, 1)
    if bits <= MOST_LOW_BITS and lowest > -1000:
        return 2.0 ** (lowest + bits), bits
    return 2.0 ** (math.frexp(reach)[1] - 50), None


def _limbs(changes: Changes, unit: float, bits: int) -> tuple[IntArray, IntArray]:
    """Return the costs of changes exactly: whole units, and the rest in units that are ``2**bits`` times smaller."""
    whole, low = np.zeros(len(changes.row), dtype=np.int64), np.zeros(len(changes.row), dtype=np.int64)
    for cost, sign in ((changes.end_cost, 1), (changes.start_cost, -1)):
        upper = np.floor(cost / unit)
        whole += sign * changes.count * upper.astype(np.int64)
        low += sign * changes.count * ((cost / unit - upper) * 2.0**bits).astype(np.int64)
    return carried(whole, low, bits)


def carried(whole: IntArray, low: IntArray, bits: int) -> tuple[IntArray, IntArray]:
    """Return the same numbers with a rest of at least 0 and below one unit."""
    return whole + (low >> bits), low & ((1 << bits) - 1)


def _grain(gain: FloatArray) -> float:
    """Return the greatest number of which all gains are multiples, where they are whole numbers; otherwise 0."""
    if not len(gain) or float(np.abs(gain).max()) >= 2.0**40 or (gain != np.trunc(gain)).any():
        return 0.0
    return float(np.gcd.reduce(gain.astype(np.int64)))


def _ranges(start: IntArray, length: IntArray) -> IntArray:
    """Return the concatenated ranges ``start[i] ... start[i] + length[i] - 1``."""
    before = np.concatenate([[0], np.cumsum(length)[:-1]]) if len(length) else np.zeros(0, dtype=np.int64)
    return (np.repeat(start - before, length) + np.arange(int(length.sum()))).astype(np.int64)
