"""A plan and what is made of it: exact sums, changes of single rows, the result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.solver.certificate.knapsack import KnapsackProof
from coinfer.solver.knapsack.exact import exact_product_sum
from coinfer.solver.knapsack.fill import Filled, Move
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.program import IntArray
from coinfer.solver.result import Status

ENGINE = "knapsack"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """A choice by slopes, with its exact sums.

    Attributes
    ----------
    filled
        The choice.
    base
        Its value, split included.
    fitted
        What the steps that fit into its slack gain.
    cost
        What it takes, split included.
    size
        Sum of the magnitudes of its values and priced costs.
    """

    filled: Filled
    base: Fraction
    fitted: Fraction
    cost: Fraction
    size: float

    @property
    def value(self) -> Fraction:
        """Value with the steps that fit."""
        return self.base + self.fitted

    def result(
        self,
        watch: Watch,
        bound: Fraction | None,
        limit: str | None,
        moves: tuple[Move, ...],
        *,
        core: bool,
        closed: bool,
    ) -> KnapsackResult:
        """Return the result after ``moves``; ``core`` says that the exact search is part of the proof."""
        value = float(self.base + sum(move.count * move.gain for move in moves))
        cost = float(self.cost + sum(move.count * move.cost for move in moves))
        shown = math.inf if bound is None else max(rounded_up(bound), value)
        proof = None
        if bound is not None:
            proof = KnapsackProof(prices=(self.filled.price,), core_bound=shown if core else None)
        return KnapsackResult(
            status=Status.OPTIMAL if closed else Status.FEASIBLE,
            limit=None if closed else limit,
            taken=taken_of(self.filled, moves),
            value=value,
            cost=np.array([cost]),
            bound=shown,
            proof=proof,
            seconds=watch.seconds,
            engine=ENGINE,
        )


def plan_of(filled: Filled) -> Plan:
    """Return the plan with its sums."""
    base = exact_product_sum(filled.value, filled.copies)
    cost = exact_product_sum(filled.cost, filled.copies)
    if filled.split is not None:
        base += filled.split.count * filled.split.gain
        cost += filled.split.count * filled.split.cost
    copies = 1 if filled.copies is None else filled.copies
    return Plan(
        filled=filled,
        base=base,
        fitted=sum((move.count * move.gain for move in filled.fits), Fraction(0)),
        cost=cost,
        size=float((np.abs(filled.value) * copies).sum() + filled.price * (np.abs(filled.cost) * copies).sum()),
    )


def rounded_up(number: Fraction) -> float:
    """Return the least float that is not below ``number``."""
    near = float(number)
    return near if Fraction(near) >= number else math.nextafter(near, math.inf)


def taken_of(filled: Filled, moves: tuple[Move, ...]) -> IntArray:
    """Return (row, option, copies) for every option taken, in order."""
    changed: dict[int, dict[int, int]] = {}
    for move in (*(() if filled.split is None else (filled.split,)), *moves):
        counts = changed.setdefault(move.row, {int(filled.option[move.row]): filled.count(move.row)})
        counts[move.start] -= move.count
        counts[move.end] = counts.get(move.end, 0) + move.count
    rows = len(filled.option)
    copies = np.ones(rows, dtype=np.int64) if filled.copies is None else filled.copies
    table = np.stack([np.arange(rows), filled.option.astype(np.int64), copies], axis=1)
    if not changed:
        return table
    table = np.delete(table, list(changed), axis=0)
    new = [(row, option, count) for row, own in changed.items() for option, count in own.items() if count]
    new.sort()
    return np.insert(table, np.searchsorted(table[:, 0], [row for row, *_ in new]), new, axis=0)
