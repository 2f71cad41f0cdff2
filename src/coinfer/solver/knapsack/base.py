"""A choice for every row, its exact sums, and what changes to some rows make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.knapsack.exact import exact_product_sum
from coinfer.solver.knapsack.ragged import Ragged
from coinfer.solver.knapsack.sweep import Sweep
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Base:
    """The best options at some prices, and the options near to them.

    Attributes
    ----------
    prices
        (resources,).
    option
        (rows,): the choice.
    copies
        (rows,).
    value, cost
        Exact sums of the choice.
    near
        Rows with a second option; the first option of each row is the choice.
    loss
        (options,): of one copy of each option of ``near`` against the choice, at the prices; at least 0.
    """

    prices: FloatArray
    option: NDArray[np.int32]
    copies: IntArray
    value: Fraction
    cost: tuple[Fraction, ...]
    near: Ragged
    loss: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """A feasible choice.

    Attributes
    ----------
    value, cost
        Exact sums.
    base
        What it is a change of.
    counts
        Copies of each option of ``base.near``.
    """

    value: Fraction
    cost: tuple[Fraction, ...]
    base: Base
    counts: IntArray

    def taken(self) -> IntArray:
        """Return (row, option, copies) of every option taken, in order."""
        near, base = self.base.near, self.base
        rows = len(base.option)
        table = np.stack([np.arange(rows), base.option.astype(np.int64), base.copies], axis=1)
        changed = self.counts[near.first[:-1]] != near.copies
        if not changed.any():
            return table
        used = np.flatnonzero((self.counts > 0) & changed[near.row_of_option])
        new = np.stack([near.row[near.row_of_option[used]], near.option[used], self.counts[used]], axis=1)
        both = np.concatenate([np.delete(table, near.row[changed], axis=0), new])
        return both[np.lexsort((both[:, 1], both[:, 0]))]


def base_of(sweep: Sweep, prices: FloatArray, most: int) -> Base:
    """Return the choice at ``prices``, in or near the box of the pass, and at most ``most`` options near to it."""
    near = _headed(sweep.near, prices)
    option, value, cost = sweep.option.copy(), sweep.value.copy(), sweep.cost.copy()
    heads = near.first[:-1]
    option[near.row], value[near.row], cost[:, near.row] = near.option[heads], near.value[heads], near.cost[:, heads]
    copies = None if bool((sweep.copies == 1).all()) else sweep.copies
    near, loss = _limited(near, prices, most)
    return Base(
        prices=prices,
        option=option,
        copies=sweep.copies,
        value=exact_product_sum(value, copies),
        cost=tuple(exact_product_sum(own, copies) for own in cost),
        near=near,
        loss=loss,
    )


def choice_of(base: Base, counts: IntArray, budget: FloatArray) -> Choice | None:
    """Return the choice with its exact sums; ``None`` where it takes more than the budget."""
    near = base.near
    heads = near.first[:-1][near.row_of_option]
    moved = np.flatnonzero((counts > 0) & (heads != np.arange(len(counts))))
    own = heads[moved]
    copies = np.concatenate([counts[moved], counts[moved]])

    def change(numbers: FloatArray) -> Fraction:
        return exact_product_sum(np.concatenate([numbers[moved], -numbers[own]]), copies) if len(moved) else Fraction(0)

    cost = tuple(total + change(taken) for total, taken in zip(base.cost, near.cost, strict=True))
    if any(total > Fraction(most) for total, most in zip(cost, budget.tolist(), strict=True)):
        return None
    return Choice(value=base.value + change(near.value), cost=cost, base=base, counts=counts)


def _headed(near: Ragged, prices: FloatArray) -> Ragged:
    """Return the rows with the option first that is best at ``prices``."""
    places = near.best(prices)[1]
    heads = near.first[:-1]
    order = np.arange(len(near.option))
    order[heads], order[places] = places, heads
    return replace(near, option=near.option[order], value=near.value[order], cost=near.cost[:, order])


def _limited(near: Ragged, prices: FloatArray, most: int) -> tuple[Ragged, FloatArray]:
    """Return the options of least loss, and the losses."""
    loss = losses_of(near, prices)
    if len(loss) <= most:
        return near, loss
    stays = loss <= np.partition(loss, most)[most]
    stays[near.first[:-1]] = True
    near = chosen_of(near, stays)
    return near, losses_of(near, prices)


def losses_of(near: Ragged, prices: FloatArray) -> FloatArray:
    """Return what one copy of each option loses at ``prices`` against the first of its row, which is the best."""
    net = near.value - prices @ near.cost
    loss: FloatArray = np.maximum(np.repeat(net[near.first[:-1]], np.diff(near.first)) - net, 0.0)
    return loss


def chosen_of(near: Ragged, stays: NDArray[np.bool_]) -> Ragged:
    """Return the options for which ``stays`` is set, of rows with a second one; heads must stay."""
    left = np.add.reduceat(stays, near.first[:-1]) if len(near.row) else np.zeros(0, dtype=np.int64)
    free = left > 1
    kept = stays & np.repeat(free, np.diff(near.first))
    return replace(
        near,
        row=near.row[free],
        copies=near.copies[free],
        first=np.concatenate([[0], np.cumsum(left[free])]).astype(np.int64),
        option=near.option[kept],
        value=near.value[kept],
        cost=near.cost[:, kept],
    )
