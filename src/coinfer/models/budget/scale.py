"""Decimals as whole numbers, so that sums of floats are exact and a limit that is met to the last digit is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from coinfer.models.exact import exact
from coinfer.solver.knapsack.program import Block, FormulaMenus, MultipleChoiceKnapsack
from coinfer.solver.program import FloatArray

DIGITS = (0, 3, 6, 9, 12)
"""Decimal places that are tried."""
LARGEST_SUM = 2.0**52
"""Sums of whole numbers below this are exact in float64."""
BLOCK_ROWS = 2**15
ROUNDING = 4e-13
"""Relative: what a limit is raised by where its numbers are no short decimals; less than what an evaluation allows."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaled:
    """A program in whole numbers where its decimals allow.

    Attributes
    ----------
    program
        Value and cost of each resource times their factors. A limit on numbers that are no short decimals is raised by
        :data:`ROUNDING`: a choice that meets it to the last digit is not lost to the rounding of its sum.
    value_factor, cost_factor
        Powers of ten; 1 where the numbers are no short decimals, or are whole as they are.
    """

    program: MultipleChoiceKnapsack
    value_factor: float
    cost_factor: FloatArray


def scale(program: MultipleChoiceKnapsack) -> Scaled:
    """Return the program with value and costs in whole numbers, each where that is possible."""
    resources = program.menus.resources
    sheets = 1 + resources
    digits = [0] * sheets  # position in DIGITS; beyond the end: no short decimals
    largest = np.zeros(sheets)
    for start in range(0, program.menus.rows, BLOCK_ROWS):
        block = program.menus.block(start, min(start + BLOCK_ROWS, program.menus.rows))
        present = block.value > -np.inf
        for sheet, array in enumerate((block.value, *block.cost)):
            numbers = np.where(present, array, 0.0)
            while digits[sheet] < len(DIGITS) and not _whole(numbers, DIGITS[digits[sheet]]):
                digits[sheet] += 1
            largest[sheet] += float(np.abs(numbers).max(axis=1) @ block.copies)
    for resource, limit in enumerate(program.budget):
        place = 1 + resource
        while np.isfinite(limit) and digits[place] < len(DIGITS):
            if _whole(np.array([limit]), DIGITS[digits[place]]):
                break
            digits[place] += 1
    factors = np.array(
        [
            10.0 ** DIGITS[place] if place < len(DIGITS) and most * 10.0 ** DIGITS[place] < LARGEST_SUM else 1.0
            for place, most in zip(digits, largest.tolist(), strict=True)
        ]
    )
    limits = [
        _limit(limit, factor, place)
        for limit, factor, place in zip(program.budget.tolist(), factors[1:].tolist(), digits[1:], strict=True)
    ]
    made = program if (factors == 1.0).all() else _times(program, factors)
    return Scaled(
        program=replace(made, budget=np.array(limits)), value_factor=float(factors[0]), cost_factor=factors[1:]
    )


def _limit(limit: float, factor: float, place: int) -> float:
    if not np.isfinite(limit) or place == 0:  # none, or of numbers that are whole as they are
        return limit
    return float(exact(limit) * int(factor)) if factor != 1.0 else limit + ROUNDING * abs(limit)


def _times(program: MultipleChoiceKnapsack, factors: FloatArray) -> MultipleChoiceKnapsack:
    """Return the program with the value and each cost times its factor, rounded to the whole number that it is."""
    menus = program.menus

    def formula(start: int, stop: int) -> Block:
        block = menus.block(start, stop)
        value = block.value if factors[0] == 1.0 else np.rint(block.value * factors[0])
        cost = block.cost
        if (factors[1:] != 1.0).any():
            cost = np.stack(
                [
                    sheet if factor == 1.0 else np.rint(sheet * factor)
                    for sheet, factor in zip(cost, factors[1:], strict=True)
                ]
            )
        return Block(value=value, cost=cost, copies=block.copies)

    made = FormulaMenus(rows=menus.rows, options=menus.options, resources=menus.resources, formula=formula)
    return MultipleChoiceKnapsack(menus=made, budget=program.budget)


def _whole(numbers: FloatArray, digits: int) -> bool:
    """Whether every number is the float nearest to a decimal with so many places."""
    factor = 10.0**digits
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((np.rint(numbers * factor) / factor == numbers).all())
