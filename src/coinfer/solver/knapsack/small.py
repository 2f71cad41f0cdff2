"""Exact search of a small multiple-choice knapsack with one budget, in whole numbers of any size.

It closes what floats cannot: prices whose worths cancel, and costs whose sizes are so far apart that their sums have
more bits than a machine word. A choice is dropped where another costs no more and gains no less, or where it loses as
much against the bound as would take it below the best choice known.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from coinfer.solver.knapsack.program import Block, MultipleChoiceKnapsack, check_block
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.program import FloatArray, IntArray

MOST_CELLS = 4096
"""Options of all rows, beyond which this is not tried."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Best:
    """The best choice.

    Attributes
    ----------
    value, cost
        Exact sums.
    taken
        (entries, 3): row, option, copies, in order.
    """

    value: Fraction
    cost: Fraction
    taken: IntArray


class _Sum(NamedTuple):
    """A part of a choice: what it takes above the cheapest, gains and loses against the bound; how it came about."""

    cost: int
    value: int
    loss: int
    counts: tuple[int, ...]
    before: _Sum | None


class TooMany(Exception):  # noqa: N818
    """There are more sums than were allowed."""


class _Search:
    """One search: sums that cost at most ``room`` and lose less than ``gap``, where that is not ``None``."""

    def __init__(self, watch: Watch, most: int, room: int, gap: int | None) -> None:
        self.watch = watch
        self.left = most
        self.room = room
        self.gap = gap

    def joined(self, first: list[_Sum], second: list[_Sum], *, same_row: bool) -> list[_Sum]:
        """Return the undominated sums of one of each."""
        self.watch.look()
        every: list[_Sum] = []
        costs = [two.cost for two in second]
        for one in first:
            within = bisect_right(costs, self.room - one.cost)
            self.left -= within
            if self.left < 0:
                raise TooMany
            for two in second[:within]:
                loss = one.loss + two.loss
                if self.gap is None or loss < self.gap:
                    counts = _plus(one, two) if same_row else two.counts
                    before = one.before if same_row else one
                    every.append(_Sum(one.cost + two.cost, one.value + two.value, loss, counts, before))
        return _undominated(every)

    def power(self, menu: list[_Sum], copies: int) -> list[_Sum]:
        """Return the undominated sums of ``copies`` choices of a menu."""
        found: list[_Sum] | None = None
        while True:
            if copies & 1:
                found = menu if found is None else self.joined(found, menu, same_row=True)
            copies >>= 1
            if not copies:
                return found or []
            menu = self.joined(menu, menu, same_row=True)


def best_of_few(
    program: MultipleChoiceKnapsack, *, price: float, known: Fraction | None, watch: Watch, most: int
) -> Best | None:
    """Return the best choice; ``None`` where there is none better than ``known``.

    Parameters
    ----------
    program
        With one resource.
    price
        Any number of at least 0: what a choice loses against the bound at this price tells which are of no use.
    known
        Value of a choice that is known.
    most
        Sums that are looked at, at most.

    Raises
    ------
    TooMany
        Where these are not enough.
    Stopped
        Where a limit is hit.
    InputError
        For menus that are not what they should be.
    """
    block = program.menus.block(0, program.menus.rows)
    check_block(block, 0)
    budget = float(program.budget[0])
    if budget == -math.inf:
        return None
    present = block.value > -np.inf
    value_unit, cost_unit = _unit(block.value[present]), _unit(block.cost[0][present])
    worth = Fraction(price) * cost_unit / value_unit  # of one unit of cost, in units of value
    menus, copies = [], [int(count) for count in block.copies.tolist()]
    least = tops = 0
    for row, count in enumerate(copies):
        menu, own_least, top = _menu(block, row, (value_unit, cost_unit), worth)
        menus.append(menu)
        least, tops = least + count * own_least, tops + count * top
    room = sum(count * menu[-1].cost for count, menu in zip(copies, menus, strict=True))
    room = room if budget == math.inf else min(room, math.floor(Fraction(budget) / cost_unit) - least)
    gap: int | None = None
    if known is not None:
        gap = math.ceil(tops + worth.numerator * (least + room) - worth.denominator * known / value_unit)
    search = _Search(watch, most, room, gap)
    states = [_Sum(0, 0, 0, (), None)] if room >= 0 else []
    for menu, count in zip(menus, copies, strict=True):
        states = search.joined(states, search.power(menu, count), same_row=False)
    if not states or (known is not None and states[-1].value * value_unit <= known):
        return None
    best = states[-1]
    return Best(value=best.value * value_unit, cost=(best.cost + least) * cost_unit, taken=_taken(best, len(menus)))


def _menu(block: Block, row: int, units: tuple[Fraction, Fraction], worth: Fraction) -> tuple[list[_Sum], int, int]:
    """Return the options of a row that are not dominated, its least cost, and its greatest worth."""
    there = np.flatnonzero(block.value[row] > -np.inf).tolist()
    values = [_whole(block.value[row, option], units[0]) for option in there]
    costs = [_whole(block.cost[0, row, option], units[1]) for option in there]
    nets = [worth.denominator * value - worth.numerator * cost for value, cost in zip(values, costs, strict=True)]
    least, top = min(costs), max(nets)
    sums = [
        _Sum(cost - least, value, top - net, tuple(int(option == own) for own in range(block.value.shape[1])), None)
        for option, value, cost, net in zip(there, values, costs, nets, strict=True)
    ]
    return _undominated(sums), least, top


def _undominated(sums: list[_Sum]) -> list[_Sum]:
    """Return the sums by rising cost and value."""
    sums.sort(key=lambda own: (own.cost, -own.value))
    found: list[_Sum] = []
    for own in sums:
        if not found or own.value > found[-1].value:
            found.append(own)
    return found


def _plus(one: _Sum, two: _Sum) -> tuple[int, ...]:
    return tuple(map(int.__add__, one.counts, two.counts))


def _unit(numbers: FloatArray) -> Fraction:
    """Return a number of which all are multiples."""
    most = max((Fraction(number).denominator for number in numbers.tolist()), default=1)
    return Fraction(1, most)  # denominators of floats are powers of two


def _whole(number: float, unit: Fraction) -> int:
    return int(Fraction(float(number)) / unit)


def _taken(best: _Sum, rows: int) -> IntArray:
    chain: list[_Sum] = []
    state: _Sum | None = best
    while state is not None and len(chain) < rows:
        chain.append(state)
        state = state.before
    table = [
        (row, option, count)
        for row, own in enumerate(reversed(chain))
        for option, count in enumerate(own.counts)
        if count
    ]
    return np.array(table, dtype=np.int64)
