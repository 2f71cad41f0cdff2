"""Choices near to the bound, listed one and all: exact for few rows, however many copies these stand for."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.solver.certificate.knapsack_lattice import MOST_CELLS, Best, best_left
from coinfer.solver.certificate.knapsack_open import OpenRow
from coinfer.solver.knapsack.base import Base, Choice, choice_of
from coinfer.solver.program import FloatArray

Costs = list[tuple[Fraction, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What the list shows.

    Attributes
    ----------
    done
        Whether all choices were gone through that fall short by no more than was asked for.
    choice
        The best of them, ``None`` where there is none.
    """

    done: bool
    choice: Choice | None


def listed(base: Base, budget: FloatArray, bound: float, shortfall: float) -> Listed:
    """Return the best choice of the options near that gains more than ``bound - shortfall``."""
    if not np.isfinite(base.prices).all():  # beyond floats: they order nothing
        return Listed(done=False, choice=None)
    table = _Table(base, budget, with_values=True)
    return table.best(above=Fraction(bound) - Fraction(shortfall) - table.value)


def any_listed(base: Base, budget: FloatArray) -> Listed:
    """Return the best of all choices that keep the budgets, where ``base`` is the cheapest at its prices."""
    if not np.isfinite(base.prices).all():
        return Listed(done=False, choice=None)
    table = _Table(base, budget, with_values=False)
    return table.best(above=None)


class _Table:
    """The options near in exact arithmetic, against the best of their row."""

    def __init__(self, base: Base, budget: FloatArray, *, with_values: bool) -> None:
        self.base, self.budget = base, budget
        near = base.near
        self.prices = tuple(Fraction(price) for price in base.prices.tolist())
        self.left: list[Fraction | None] = [
            Fraction(limit) - taken for limit, taken in zip(budget.tolist(), base.cost, strict=True)
        ]
        self.value = base.value
        self.rows: list[OpenRow] = []
        self.first: list[int] = []
        for start, stop, copies in zip(near.first[:-1], near.first[1:], near.copies.tolist(), strict=True):
            value = [Fraction(own) for own in near.value[start:stop].tolist()]
            cost: Costs = [tuple(Fraction(float(own)) for own in costs) for costs in near.cost[:, start:stop].T]
            worth = value if with_values else [Fraction(0)] * len(value)
            net = [self._net(own, costs) for own, costs in zip(worth, cost, strict=True)]
            best = net.index(max(net))  # in floats another one may have looked the best
            self.value += copies * (value[best] - value[0])
            self.left = [
                None if room is None else room - copies * (own - head)
                for room, own, head in zip(self.left, cost[best], cost[0], strict=True)
            ]
            self.first.append(int(start) + best)
            self.rows.append(
                OpenRow(
                    copies=copies,
                    loss=[net[best] - own for own in net],
                    gain=[own - value[best] for own in value],
                    cost=[[own - other for own, other in zip(costs, cost[best], strict=True)] for costs in cost],
                )
            )

    def _net(self, value: Fraction, costs: tuple[Fraction, ...]) -> Fraction:
        return value - sum((price * own for price, own in zip(self.prices, costs, strict=True)), Fraction(0))

    def best(self, above: Fraction | None) -> Listed:
        """Go through the choices; ``above``: the least that one gains, ``None`` where the prices are of costs alone."""
        unspent = sum((price * (room or 0) for price, room in zip(self.prices, self.left, strict=True)), Fraction(0))
        if above is None:
            allowed = unspent
            above = -1 - sum((row.copies * max(map(abs, row.gain)) for row in self.rows), Fraction(0))
        else:
            allowed = unspent - above
        if allowed < 0:
            return Listed(done=True, choice=None)
        done, best = best_left(self.rows, self.left, self.prices, allowed, above)
        return Listed(done=done, choice=None if best is None else self._choice(best))

    def _choice(self, best: Best) -> Choice | None:
        near = self.base.near
        counts = np.zeros(len(near.option), dtype=np.int64)
        counts[self.first] = near.copies
        for cell, count in best.counts:
            counts[near.first[cell.row] + cell.place] += count
            counts[self.first[cell.row]] -= count
        return choice_of(self.base, counts, self.budget)


def fits(base: Base) -> bool:
    """Tell whether there are few enough options near for a list."""
    return len(base.near.option) - len(base.near.row) <= MOST_CELLS
