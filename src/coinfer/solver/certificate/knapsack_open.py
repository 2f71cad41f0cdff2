"""The options that prices leave open: those that lose less against the best of their row than a gap allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from operator import mul

import numpy as np

from coinfer.solver.certificate.knapsack_exact import (
    WholeBlock,
    decimal,
    float_sum,
    weighted_sum,
    whole_block,
    whole_costs,
    worths,
)
from coinfer.solver.knapsack.program import Block, MultipleChoiceKnapsack

BLOCK_ROWS = 2**14
MOST_OPTIONS = 200_000
"""Options that the prices may leave open at most."""
UNIT = 2.0**-53


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRow:
    """A row with more than one option open: how often it is there, and its options against the best one."""

    copies: int
    loss: list[Fraction]
    gain: list[Fraction]
    cost: list[list[Fraction]]


@dataclass(slots=True)
class Open:
    """The rows that the prices leave open, and what the best options of all rows take and gain."""

    rows: list[OpenRow]
    taken: list[Fraction]
    value: Fraction
    options: int
    exact: bool
    exact_costs: bool
    size: float
    """Sum of the sizes of the values of the best options."""


def rounding(found: Open) -> Fraction:
    """Return what sums of gains can be off by in floats."""
    copies = sum(row.copies for row in found.rows) + 8
    size = sum((row.copies * max(map(abs, row.gain)) for row in found.rows), Fraction(0))
    return 2 * copies * Fraction(UNIT) * size


def collect(program: MultipleChoiceKnapsack, prices: tuple[Fraction, ...], allowed: Fraction) -> Open | None:
    """Find the options that lose less than ``allowed``, row by row."""
    found = _collect(program, prices, allowed, decimals=True)
    if found is not None and not found.exact_costs and program.menus.rows > BLOCK_ROWS:
        return _collect(program, prices, allowed, decimals=False)  # one and the same meaning for all costs
    return found


def _collect(
    program: MultipleChoiceKnapsack, prices: tuple[Fraction, ...], allowed: Fraction, *, decimals: bool
) -> Open | None:
    menus = program.menus
    found = Open([], [Fraction(0)] * menus.resources, Fraction(0), 0, decimals, decimals, 0.0)
    for start in range(0, menus.rows, BLOCK_ROWS):
        block = menus.block(start, min(start + BLOCK_ROWS, menus.rows))
        whole = whole_block(block) if decimals else None
        if whole is None:
            found.exact = False
            _collect_floats(found, block, prices, allowed, decimals=decimals)
        else:
            _collect_whole(found, whole, prices, allowed)
        if found.options > MOST_OPTIONS:
            return None
    return found


def _collect_whole(found: Open, block: WholeBlock, prices: tuple[Fraction, ...], allowed: Fraction) -> None:
    priced = worths(block, prices)
    worth = priced.worth if priced.worth.dtype != object else priced.worth.astype(object)
    least = -(2**62) if worth.dtype != object else min(worth.ravel().tolist()) - 1
    kept = np.where(block.present, worth, least)
    best = kept.argmax(axis=1)
    row = np.arange(len(kept))
    loss = kept[row, best][:, None] - kept
    most = math.ceil(allowed * 10**priced.digits)
    near = block.present & (loss < (most if worth.dtype == object else min(most, 2**62)))
    units = [10**digits for digits in block.cost_digits]
    for r, sheet in enumerate(block.cost):
        found.taken[r] += Fraction(weighted_sum(sheet[row, best], block.copies), units[r])
    taken = block.value[row, best]
    found.value += Fraction(weighted_sum(taken, block.copies), 10**block.value_digits)
    found.size += float(np.abs(taken).astype(np.float64) @ block.copies) / 10**block.value_digits
    for i in np.flatnonzero(near.sum(axis=1) > 1).tolist():
        mine = np.flatnonzero(near[i]).tolist()
        found.options += len(mine)
        first = best[i]
        found.rows.append(
            OpenRow(
                copies=int(block.copies[i]),
                loss=[Fraction(int(loss[i, j]), 10**priced.digits) for j in mine],
                gain=[Fraction(int(block.value[i, j] - block.value[i, first]), 10**block.value_digits) for j in mine],
                cost=[
                    [Fraction(int(s[i, j] - s[i, first]), u) for s, u in zip(block.cost, units, strict=True)]
                    for j in mine
                ],
            )
        )


def _collect_floats(
    found: Open, block: Block, prices: tuple[Fraction, ...], allowed: Fraction, *, decimals: bool
) -> None:
    present = block.value > -np.inf
    worth, size = np.where(present, block.value, -np.inf), np.abs(np.where(present, block.value, 0.0))
    for price, sheet in zip(prices, block.cost, strict=True):
        priced = float(price) * np.where(present, sheet, 0.0)
        worth, size = worth - priced, size + np.abs(priced)
    best = worth.argmax(axis=1)
    row = np.arange(len(worth))
    unsure = 4 * (len(prices) + 3) * UNIT * size.max(axis=1)[:, None]
    near = present & (worth[row, best][:, None] - worth < float(allowed) * (1.0 + 1e-12) + unsure)
    whole = whole_costs(block) if decimals else None
    found.exact_costs &= whole is not None
    of_cost = Fraction if whole is None else decimal
    for i in np.flatnonzero(near.sum(axis=1) > 1).tolist():
        mine = np.flatnonzero(near[i]).tolist()
        found.options += len(mine)
        gain = [Fraction(float(block.value[i, j])) for j in mine]
        cost = [[of_cost(float(sheet[i, j])) for sheet in block.cost] for j in mine]
        net = [own - sum(map(mul, prices, costs), Fraction(0)) for own, costs in zip(gain, cost, strict=True)]
        first = net.index(max(net))  # in floats another one may have looked the best
        best[i] = mine[first]
        found.rows.append(
            OpenRow(
                copies=int(block.copies[i]),
                loss=[net[first] - own for own in net],
                gain=[own - gain[first] for own in gain],
                cost=[[own - other for own, other in zip(costs, cost[first], strict=True)] for costs in cost],
            )
        )
    for r, sheet in enumerate(block.cost):
        if whole is not None:
            found.taken[r] += Fraction(weighted_sum(whole[r][0][row, best], block.copies), 10 ** whole[r][1])
        else:
            found.taken[r] += float_sum(sheet[row, best], block.copies)
    found.value += float_sum(block.value[row, best], block.copies)
    found.size += float(np.abs(block.value[row, best]) @ block.copies)
