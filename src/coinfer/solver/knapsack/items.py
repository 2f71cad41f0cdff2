"""The options left after the bound, as items of a small exact search: whole-numbered costs, gains, losses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.fill import Filled, Move
from coinfer.solver.knapsack.survivors import EPSILON, Survivors
from coinfer.solver.program import FloatArray, IntArray

MOST_BITS = 61
"""Whole numbers below 2 to this power add up without overflow."""
MOST_LOW_BITS = 40
"""Bits of exact costs that may be left over below the unit."""
NOTHING = 1e-9
"""Share of the gap that counts as no loss where items are put in order."""
MOST_REPEATS = 256
"""Copies of one row with several options left that are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changes:
    """Changes of option that could be part of a better choice; one entry each.

    Attributes
    ----------
    item
        Of every item one change may be made, or none; rising.
    row, start, end, count
        ``count`` copies of ``row`` go from option ``start`` to ``end``.
    start_value, start_cost, end_value, end_cost
        Of one copy.
    """

    item: IntArray
    row: IntArray
    start: IntArray
    end: IntArray
    count: IntArray
    start_value: FloatArray
    start_cost: FloatArray
    end_value: FloatArray
    end_cost: FloatArray

    def pick(self, which: IntArray) -> Changes:
        """Return the changes at the places ``which``."""
        return Changes(**{name: getattr(self, name)[which] for name in self.__slots__})

    def move(self, place: int) -> Move:
        """Return one change, with exact numbers."""
        start_value, end_value = Fraction(float(self.start_value[place])), Fraction(float(self.end_value[place]))
        start_cost, end_cost = Fraction(float(self.start_cost[place])), Fraction(float(self.end_cost[place]))
        return Move(
            row=int(self.row[place]),
            start=int(self.start[place]),
            end=int(self.end[place]),
            count=int(self.count[place]),
            gain=end_value - start_value,
            cost=end_cost - start_cost,
        )


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
        changes, key, complete, loose = _with_copies(filled, left, gap, strict=strict)
    else:
        changes, complete, loose = _single(filled, left, gap), True, False
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


def ordered(item: IntArray, key: FloatArray, cost: FloatArray, gap: float) -> tuple[IntArray, FloatArray]:
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


def _single(filled: Filled, left: Survivors, gap: float) -> Changes:
    """Return the changes that lose less than ``gap`` where every row has one copy: a row is an item."""
    row = left.row
    gain, cost = left.value - filled.value[row], left.cost - filled.cost[row]
    near = np.flatnonzero(filled.price * cost - gain < gap)
    row = row[near]
    new = np.concatenate([[True], row[1:] != row[:-1]])[: len(row)]
    return Changes(
        item=np.cumsum(new) - 1,
        row=row,
        start=filled.option[row].astype(np.int64),
        end=left.option[near],
        count=np.ones(len(row), dtype=np.int64),
        start_value=filled.value[row],
        start_cost=filled.cost[row],
        end_value=left.value[near],
        end_cost=left.cost[near],
    )


_Option = tuple[int, float, float]


def _with_copies(
    filled: Filled, left: Survivors, gap: float, *, strict: bool
) -> tuple[Changes, FloatArray, bool, bool]:
    """Return the changes, the key of every item, and whether they are complete and loose, where rows have copies."""
    keys: list[float] = []
    table: list[tuple[float, ...]] = []
    complete, loose = True, not strict and filled.split is not None
    for row, start, most, options in _units(filled, left, strict=strict):
        losses = [max(0.0, filled.price * (cost - start[2]) - (value - start[1])) for _, value, cost in options]
        near = [(loss, end) for loss, end in zip(losses, options, strict=True) if loss < gap]
        counts = [most if loss <= 0.0 else min(most, int(gap / loss) + 1) for loss, _ in near]
        if strict and sum(counts) > most and len(near) > 1:  # every copy chooses for itself
            useful = max(counts)
            complete = complete and useful <= MOST_REPEATS
            least = min(loss for loss, _ in near)
            for place in range(min(useful, MOST_REPEATS)):
                table += [(len(keys), row, start[0], end[0], 1, *start[1:], *end[1:]) for _, end in near]
                keys.append(least * (place + 1))
            continue
        loose = loose or sum(counts) > most
        for (loss, end), count in zip(near, counts, strict=True):  # any number of copies as a sum of bundles
            bundles = [1 << bit for bit in range(count.bit_length() - 1)]
            for bundle in [*bundles, count - sum(bundles)]:
                table.append((len(keys), row, start[0], end[0], bundle, *start[1:], *end[1:]))
                keys.append(loss * bundle)
    columns = np.array(table, dtype=np.float64).reshape(len(table), 9).T
    whole = [column.astype(np.int64) for column in columns[:5]]
    changes = Changes(**dict(zip(Changes.__slots__, [*whole, *columns[5:]], strict=True)))
    return changes, np.array(keys), complete, loose


def _units(filled: Filled, left: Survivors, *, strict: bool) -> list[tuple[int, _Option, int, list[_Option]]]:
    """Return row, (option, value, cost) of copies that stand alike, their number, and what they could change to.

    Where a row is split between two options, ``strict`` says that copies of both may change to any other. Without it
    those of the second only go back to the first, which then may give away more copies than it has.
    """
    ends: dict[int, list[_Option]] = {}
    columns = (left.row, left.option, left.value, left.cost)
    for row, option, value, cost in zip(*(column.tolist() for column in columns), strict=True):
        ends.setdefault(row, []).append((option, value, cost))
    split = filled.split
    if split is not None:
        ends.setdefault(split.row, [])
    units: list[tuple[int, _Option, int, list[_Option]]] = []
    for row, options in ends.items():
        start = (int(filled.option[row]), float(filled.value[row]), float(filled.cost[row]))
        count = filled.count(row)
        if split is None or split.row != row:
            units.append((row, start, count, options))
            continue
        further = (split.end, float(Fraction(start[1]) + split.gain), float(Fraction(start[2]) + split.cost))
        others = [option for option in options if option[0] != split.end]
        units.append((row, further, split.count, [*others, start] if strict else [start]))
        units.append((row, start, count - split.count, [*others, further] if strict else [further]))
        units.append((row, start, 0 if strict else count, others))
    return [unit for unit in units if unit[2] and unit[3]]


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
