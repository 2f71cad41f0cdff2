"""Menus in whole numbers: every float stands for the decimal that it is written as."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.knapsack.program import Block
from coinfer.solver.program import FloatArray, IntArray

DIGITS = (0, 1, 2, 3, 4, 6, 9, 12)
"""Decimal places that are tried."""
LARGEST = 10.0**15
"""Up to 15 digits a decimal is the shortest of its float, so that the whole number is the one that was written."""
ROOM = 2**62


def decimal(number: float) -> Fraction:
    """Return the decimal that a float is written as."""
    return Fraction(str(float(number)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WholeBlock:
    """A block in whole numbers.

    Attributes
    ----------
    value, cost
        (rows, options) and (resources, rows, options), times the powers of ten; 0 where the option is not there.
    value_digits, cost_digits
        The powers.
    present
        (rows, options): whether the option is there.
    copies
        (rows,).
    """

    value: IntArray
    cost: IntArray
    value_digits: int
    cost_digits: tuple[int, ...]
    present: NDArray[np.bool_]
    copies: IntArray


def whole_block(block: Block) -> WholeBlock | None:
    """Return the block in whole numbers; ``None`` where some number is no decimal of at most twelve places."""
    present = block.value > -np.inf
    sheets, places = [], []
    for sheet in (block.value, *block.cost):
        numbers = np.where(present, sheet, 0.0)
        found = _whole(numbers)
        if found is None:
            return None
        sheets.append(found[0])
        places.append(found[1])
    return WholeBlock(
        value=sheets[0],
        cost=np.array(sheets[1:]).reshape(len(block.cost), *block.value.shape),
        value_digits=places[0],
        cost_digits=tuple(places[1:]),
        present=present,
        copies=block.copies,
    )


def whole_costs(block: Block) -> list[tuple[IntArray, int]] | None:
    """Return each cost of a block in whole numbers with its power of ten; ``None`` where some cost is no decimal."""
    present = block.value > -np.inf
    found = [_whole(np.where(present, sheet, 0.0)) for sheet in block.cost]
    return None if any(sheet is None for sheet in found) else [sheet for sheet in found if sheet is not None]


def value_digits(block: Block) -> int | None:
    """Return the decimal places of the values of a block; ``None`` where some value is no short decimal."""
    found = _whole(np.where(block.value > -np.inf, block.value, 0.0))
    return None if found is None else found[1]


def _whole(numbers: FloatArray) -> tuple[IntArray, int] | None:
    few = numbers[:1]
    for digits in DIGITS:
        factor = 10.0**digits
        if not (np.rint(few * factor) / factor == few).all():  # seen at once for most numbers that are no decimals
            continue
        scaled = np.rint(numbers * factor)
        if np.abs(scaled).max(initial=0.0) > LARGEST:
            return None
        if (scaled / factor == numbers).all():
            return scaled.astype(np.int64), digits
    return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worths:
    """What options are worth under prices: value less priced cost, in whole numbers.

    Attributes
    ----------
    worth
        (rows, options): int64, or Python integers where those could overflow; meaningless where not present.
    digits
        Power of ten.
    """

    worth: NDArray[Any]
    digits: int


def worths(block: WholeBlock, prices: tuple[Fraction, ...]) -> Worths:
    """Return what every option is worth."""
    places = [_places(price) for price in prices]
    digits = max(block.value_digits, *(own + more for own, (_, more) in zip(block.cost_digits, places, strict=True)))
    terms: list[tuple[int, IntArray]] = [(10 ** (digits - block.value_digits), block.value)]
    for (whole, more), own, sheet in zip(places, block.cost_digits, block.cost, strict=True):
        terms.append((-whole * 10 ** (digits - own - more), sheet))
    largest = sum(abs(factor) * int(np.abs(sheet).max(initial=0)) for factor, sheet in terms)
    fits = largest < ROOM and all(abs(factor) < ROOM for factor, _ in terms)
    kind = np.int64 if fits else object
    worth = np.zeros(block.value.shape, dtype=kind)
    for factor, sheet in terms:
        worth += sheet.astype(kind) * factor
    return Worths(worth=worth, digits=digits)


def _places(number: Fraction) -> tuple[int, int]:
    """Return a decimal as a whole number and the power of ten that it was multiplied by."""
    digits = 0
    while number.denominator != 1:
        number *= 10
        digits += 1
    return int(number), digits


def best_of_rows(found: Worths, present: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the largest worth of each row, (rows,)."""
    if found.worth.dtype == object:
        least = min(found.worth.ravel().tolist(), default=0) - 1
        kept = np.where(present, found.worth, least)
        return np.array([max(row) for row in kept.tolist()], dtype=object)
    best: NDArray[Any] = np.where(present, found.worth, -(2**63) + 1).max(axis=1)
    return best


def weighted_sum(numbers: NDArray[Any], copies: IntArray) -> int:
    """Return the sum of numbers times copies, exactly."""
    if numbers.dtype != object:
        largest = int(np.abs(numbers).max(initial=0))
        if largest * int(copies.max(initial=0)) * len(copies) < ROOM:  # the sum of the copies could overflow itself
            return int(numbers @ copies)
    return sum(number * copy for number, copy in zip(numbers.tolist(), copies.tolist(), strict=True))


def float_sum(numbers: FloatArray, copies: IntArray) -> Fraction:
    """Return the sum of floats times copies, exactly: floats are whole numbers times powers of two."""
    part, exponent = np.frexp(numbers)
    whole = np.ldexp(part, 53).astype(np.int64)
    total = Fraction(0)
    for place in np.unique(exponent).tolist():
        own = exponent == place
        upper, lower = whole[own] >> 27, whole[own] & (2**27 - 1)
        summed = (weighted_sum(upper, copies[own]) << 27) + weighted_sum(lower, copies[own])
        total += summed * Fraction(2) ** (place - 53)
    return total
