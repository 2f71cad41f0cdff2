"""Numbers far from 1: the same program in units in which floats are safe.

Values and costs are multiplied by powers of two, which is exact. Where numbers of one kind are so far apart that no
unit suits all of them, the small ones are moved to the next safe number: to the costly side for a choice that keeps
the budget whatever they were, to the other side for a bound.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.program import Block, FormulaMenus, MultipleChoiceKnapsack
from coinfer.solver.knapsack.scan import FETCHED, SAFE, Reader
from coinfer.solver.program import FloatArray

_FINEST = 2 * SAFE + 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Units of a program.

    Attributes
    ----------
    value, cost
        Exponents of the powers of two that values and costs are multiplied by.
    fits
        Whether all numbers other than 0 are safe then.
    """

    value: int
    cost: int
    fits: bool

    def program(self, program: MultipleChoiceKnapsack, *, hopeful: bool) -> MultipleChoiceKnapsack:
        """Return the program in these units; numbers that are too small for them are moved to the hopeful side."""
        menus, floor = program.menus, 2.0**-SAFE

        def formula(start: int, stop: int) -> Block:
            block = menus.block(start, stop)
            there = block.value > -np.inf
            value, cost = np.where(there, block.value, 0.0), np.where(there, block.cost, 0.0)
            value = _moved(value, np.ldexp(value, self.value), floor, up=hopeful)
            cost = _moved(cost, np.ldexp(cost, self.cost), floor, up=not hopeful)
            return Block(value=np.where(there, value, -np.inf), cost=cost, copies=block.copies)

        own = FormulaMenus(rows=menus.rows, options=menus.options, resources=1, formula=formula)
        return MultipleChoiceKnapsack(menus=own, budget=np.array([self.budget(float(program.budget[0]))]))

    def budget(self, budget: float) -> float:
        """Return the budget in units of cost: no sum of costs lies between it and the true one."""
        if math.isinf(budget) or budget == 0.0:
            return budget
        scaled = Fraction(budget) * Fraction(2) ** self.cost
        if abs(scaled) > 2 ** (SAFE + 200):
            return math.copysign(math.inf, budget)
        return float(Fraction(math.floor(scaled * 2**_FINEST), 2**_FINEST))

    def price(self, price: float) -> float:
        """Return the true price, or the nearest one within the range of floats."""
        try:
            return min(math.ldexp(price, self.cost - self.value), sys.float_info.max)
        except OverflowError:
            return sys.float_info.max

    def exactly(self, price: float) -> bool:
        """Tell whether the true price is a float."""
        back = Fraction(self.price(price)) * Fraction(2) ** (self.value - self.cost)
        return back == Fraction(price)

    def bound(self, bound: float) -> float:
        """Return a bound on the true value that is no less; ``inf`` beyond the range of floats."""
        if math.isinf(bound):
            return bound
        try:
            true = math.ldexp(bound, -self.value)
        except OverflowError:
            return math.copysign(math.inf, bound) if bound > 0.0 else -sys.float_info.max
        return true if Fraction(true) >= Fraction(bound) / Fraction(2) ** self.value else math.nextafter(true, math.inf)


def scales_of(reader: Reader) -> Scales:
    """Pass over all rows and return the units.

    Raises
    ------
    InputError, Stopped
        As :meth:`Reader.pieces`.
    """
    value, cost = [math.inf, 0.0], [math.inf, 0.0]
    for start in range(0, reader.menus.rows, FETCHED):
        reader.watch.look()
        piece = reader.at(start, min(start + FETCHED, reader.menus.rows))
        there = piece.value > -np.inf
        for seen, table in ((value, piece.value), (cost, piece.cost)):
            size = np.abs(table[there & (table != 0.0)])
            seen[0], seen[1] = min(seen[0], float(size.min(initial=math.inf))), max(seen[1], float(size.max(initial=0)))
    return Scales(value=_exponent(value[1]), cost=_exponent(cost[1]), fits=_near(*value) and _near(*cost))


def _exponent(largest: float) -> int:
    return -math.frexp(largest)[1]


def _near(least: float, most: float) -> bool:
    return most == 0.0 or math.frexp(most)[1] - math.frexp(least)[1] < SAFE - 2


def _moved(table: FloatArray, scaled: FloatArray, floor: float, *, up: bool) -> FloatArray:
    """Return the scaled table with what is between 0 and ``floor`` in size moved to the one or the other."""
    small = (np.abs(scaled) < floor) & (table != 0.0)
    if up:
        moved: FloatArray = np.where(small, np.where(table > 0.0, floor, 0.0), scaled)
    else:
        moved = np.where(small, np.where(table > 0.0, 0.0, -floor), scaled)
    return moved
