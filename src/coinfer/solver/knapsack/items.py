"""The options left after the bound, as items of a small exact search: whole-numbered costs, gains, losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.fill import Filled, Move
from coinfer.solver.knapsack.survivors import EPSILON, Survivors
from coinfer.solver.program import FloatArray, IntArray

MOST_BITS = 61
"""Whole numbers below 2 to this power add up without overflow."""
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
        (items,): least loss of a choice that makes a change of this item.
    cost
        (changes,): in whole units, rounded down where ``exact`` is false.
    gain, loss
        (changes,): value gained; value lost against the bound.
    slack
        Units of the budget that are left without any change, rounded up where ``exact`` is false.
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


def items_of(filled: Filled, left: Survivors, room: float) -> Items:
    """Return the items; ``room`` is the loss from which on nothing is better than what is known."""
    some = filled.copies is not None and len(left.row) > 0 and int(filled.copies[left.row].max()) > 1
    if some or filled.split is not None:
        changes, key, complete = _with_copies(filled, left, room)
    else:
        changes, complete = _single(filled, left), True
        key = np.minimum.reduceat(_loss(changes, filled.price), _starts(changes.item)) if len(left.row) else np.zeros(0)
    sizes = np.bincount(changes.item, minlength=len(key))
    order = np.argsort(key, kind="stable")
    changes = changes.pick(_ranges((np.cumsum(sizes) - sizes)[order], sizes[order]))
    cost = (changes.end_cost - changes.start_cost) * changes.count
    gain = (changes.end_value - changes.start_value) * changes.count
    unit, exact = _unit(np.concatenate([changes.start_cost, changes.end_cost]), cost, float(filled.slack))
    if exact:
        whole, slack = np.round(cost / unit).astype(np.int64), int(filled.slack / Fraction(unit))
        slack -= slack % max(1, int(np.gcd.reduce(whole)))
    else:
        whole = np.floor(cost / unit - 1e-3).astype(np.int64)
        slack = math.ceil(float(filled.slack) / unit + 1e-3)
    return Items(
        changes=changes,
        first=np.concatenate([[0], np.cumsum(sizes[order])]),
        key=key[order],
        cost=whole,
        gain=gain,
        loss=_loss(changes, filled.price),
        slack=slack,
        unit=unit,
        exact=exact,
        waste=float(filled.slack - slack * Fraction(unit)) if exact else 0.0,
        grain=_grain(gain),
        complete=complete,
    )


def rounding(items: Items, price: float) -> float:
    """Return at least the rounding error in the loss and the gain of any choice made of the items."""
    changes = items.changes
    if not len(changes.row):
        return 0.0
    value = float(np.maximum(np.abs(changes.start_value), np.abs(changes.end_value)).max())
    cost = float(np.maximum(np.abs(changes.start_cost), np.abs(changes.end_cost)).max())
    return 16.0 * EPSILON * len(items.key) * int(changes.count.max()) * (value + price * cost)


def _loss(changes: Changes, price: float) -> FloatArray:
    gain = changes.end_value - changes.start_value
    cost = changes.end_cost - changes.start_cost
    loss: FloatArray = np.maximum(price * cost - gain, 0.0) * changes.count
    return loss


def _starts(item: IntArray) -> IntArray:
    """Return where each item begins."""
    return np.flatnonzero(np.concatenate([[True], item[1:] != item[:-1]]))


def _single(filled: Filled, left: Survivors) -> Changes:
    """Return the changes where every row has one copy: a row is an item."""
    row = left.row
    new = np.concatenate([[True], row[1:] != row[:-1]])[: len(row)]
    return Changes(
        item=np.cumsum(new) - 1,
        row=row,
        start=filled.option[row].astype(np.int64),
        end=left.option,
        count=np.ones(len(row), dtype=np.int64),
        start_value=filled.value[row],
        start_cost=filled.cost[row],
        end_value=left.value,
        end_cost=left.cost,
    )


_Option = tuple[int, float, float]


def _with_copies(filled: Filled, left: Survivors, room: float) -> tuple[Changes, FloatArray, bool]:
    """Return the changes, the key of every item, and whether they are complete, where rows have copies."""
    keys: list[float] = []
    table: list[tuple[float, ...]] = []
    complete = True
    for row, start, most, ends in _units(filled, left):
        losses = [max(0.0, filled.price * (cost - start[2]) - (value - start[1])) for _, value, cost in ends]
        least = min(losses)
        if least >= room:
            continue
        useful = most if least <= 0.0 else min(most, int(room / least) + 1)
        if len(ends) == 1:  # any number of copies as a sum of bundles
            bundles = [1 << bit for bit in range(useful.bit_length() - 1)]
            bundles += [useful - sum(bundles)]
        else:
            complete = complete and useful <= MOST_REPEATS
            bundles = [1] * min(useful, MOST_REPEATS)
        for place, bundle in enumerate(bundles):
            number = len(keys)
            keys.append(least * (bundle if len(ends) == 1 else place + 1))
            table += [(number, row, start[0], end, bundle, *start[1:], value, cost) for end, value, cost in ends]
    columns = np.array(table, dtype=np.float64).reshape(len(table), 9).T
    whole = [column.astype(np.int64) for column in columns[:5]]
    return Changes(**dict(zip(Changes.__slots__, [*whole, *columns[5:]], strict=True))), np.array(keys), complete


def _units(filled: Filled, left: Survivors) -> list[tuple[int, _Option, int, list[_Option]]]:
    """Return row, (option, value, cost) of copies that stand alike, their number, and what they could change to."""
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
        count, others = filled.count(row), options
        if split is not None and split.row == row:
            further = (split.end, float(Fraction(start[1]) + split.gain), float(Fraction(start[2]) + split.cost))
            others = [option for option in options if option[0] != split.end]
            units.append((row, further, split.count, [*others, start]))
            others, count = [*others, further], count - split.count
        if count:
            units.append((row, start, count, others))
    return units


def _unit(costs: FloatArray, changes: FloatArray, slack: float) -> tuple[float, bool]:
    """Return a unit of which all costs are multiples, where sums of them stay whole; else a small one."""
    reach = float(np.abs(changes).sum()) + abs(slack)
    if reach == 0.0:
        return 1.0, True
    mantissa, exponent = np.frexp(costs[costs != 0.0])
    whole = (mantissa * 2.0**53).astype(np.int64)
    lowest = int((exponent - 53 + np.round(np.log2((whole & -whole).astype(np.float64)))).min(initial=1023))
    largest = math.frexp(float(np.abs(changes).max(initial=0.0)))[1]
    if math.frexp(reach)[1] - lowest < MOST_BITS and largest - lowest <= 53 and lowest > -1000:
        return 2.0**lowest, True
    return 2.0 ** (math.frexp(reach)[1] - 50), False


def _grain(gain: FloatArray) -> float:
    """Return the greatest number of which all gains are multiples, where they are whole numbers; otherwise 0."""
    if not len(gain) or float(np.abs(gain).max()) >= 2.0**40 or (gain != np.trunc(gain)).any():
        return 0.0
    return float(np.gcd.reduce(gain.astype(np.int64)))


def _ranges(start: IntArray, length: IntArray) -> IntArray:
    """Return the concatenated ranges ``start[i] ... start[i] + length[i] - 1``."""
    before = np.concatenate([[0], np.cumsum(length)[:-1]]) if len(length) else np.zeros(0, dtype=np.int64)
    return (np.repeat(start - before, length) + np.arange(int(length.sum()))).astype(np.int64)
