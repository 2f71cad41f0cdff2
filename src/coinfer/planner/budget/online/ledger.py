"""Caps kept to the last digit: amounts are the decimals they are written as, and sums of them are exact."""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import reduce

import numpy as np

from coinfer.errors import InputError
from coinfer.solver.program import FloatArray

EXACT = decimal.Context(prec=800, Emin=-9999, Emax=9999, traps=[decimal.Inexact, decimal.InvalidOperation])
"""Wide enough for sums of floats from the smallest to the largest; a digit lost would be an error."""
MOST_DIGITS, SMALLEST, LARGEST = 700, -350, 330
"""Of an amount in a file: its digits, and the powers of ten between which it may lie."""


class Ledger:
    """What is spent and what is reserved of each cap, exactly.

    Parameters
    ----------
    limits
        (resources,): caps; ``inf`` for none.

    Attributes
    ----------
    limits, spent, reserved
        (resources,): caps, what finished prompts took, and the most that prompts in flight can still take.
    excess
        (resources,): what finished prompts took above their reservation, where there is a cap.
    exceeding
        How many did.
    """

    __slots__ = ("exceeding", "excess", "limits", "reserved", "spent")

    def __init__(self, limits: FloatArray) -> None:
        self.limits = [Decimal(repr(limit)) for limit in limits.tolist()]
        self.spent, self.reserved, self.excess = ([Decimal(0)] * len(limits) for _ in range(3))
        self.exceeding = 0

    def room(self) -> list[Decimal]:
        """Return what is neither spent nor reserved; below 0 where prompts took more than was reserved."""
        kept = map(EXACT.add, self.spent, self.reserved)
        return list(map(EXACT.subtract, self.limits, kept))

    def reserve(self, totals: Sequence[Decimal]) -> None:
        """Set amounts aside."""
        self.reserved = list(map(EXACT.add, self.reserved, totals))

    def book(self, reserved: FloatArray, actual: FloatArray) -> None:
        """Free what was reserved for prompts, (resources, prompts), and book what they took."""
        self.reserved = list(map(EXACT.subtract, self.reserved, totals(reserved)))
        self.spent = list(map(EXACT.add, self.spent, totals(actual)))
        capped = np.array([limit.is_finite() for limit in self.limits], dtype=np.bool_)
        more = (actual > reserved) & capped[:, None]
        if more.any():
            over = map(EXACT.subtract, totals(np.where(more, actual, 0.0)), totals(np.where(more, reserved, 0.0)))
            self.excess = list(map(EXACT.add, self.excess, over))
            self.exceeding += int(more.any(axis=0).sum())

    def passed(self) -> list[Decimal]:
        """Return by how much more than its cap is spent of each resource; 0 where the cap holds."""
        return [max(Decimal(0), EXACT.subtract(*pair)) for pair in zip(self.spent, self.limits, strict=True)]


def totals(amounts: FloatArray) -> list[Decimal]:
    """Return the exact sum of each row of finite amounts."""
    return [_sum(row) for row in amounts.tolist()]


def floats(amounts: Iterable[Decimal]) -> FloatArray:
    """Return the nearest floats; order is kept, so what holds exactly holds of them."""
    return np.array([float(amount) for amount in amounts], dtype=np.float64)


def fitting(amounts: FloatArray, left: Sequence[Decimal]) -> list[bool]:
    """Say of each column of amounts, (resources, options), whether it fits what is left, exactly.

    Rounding keeps the order, so that only an amount that rounds to the same float needs its decimal.
    """
    near = floats(left)[:, None]
    fits = amounts < near
    for resource, option in np.argwhere(amounts == near).tolist():
        fits[resource, option] = Decimal(repr(float(amounts[resource, option]))) <= left[resource]
    kept: list[bool] = np.logical_and.reduce(fits, axis=0).tolist()
    return kept


def less(left: Sequence[Decimal], amounts: FloatArray) -> list[Decimal]:
    """Return what is left after these amounts, one for each resource."""
    return [EXACT.subtract(had, Decimal(repr(amount))) for had, amount in zip(left, amounts.tolist(), strict=True)]


def written(amounts: Iterable[Decimal]) -> tuple[str, ...]:
    """Return amounts as a file has them."""
    return tuple(str(amount) for amount in amounts)


def read(where: str, amounts: Sequence[str]) -> list[Decimal]:
    """Return the amounts of a file.

    Raises
    ------
    InputError
        For what is no decimal of at least 0.
    """
    found = []
    for place, text in enumerate(amounts):
        try:
            amount = Decimal(text) if len(text) <= 2 * MOST_DIGITS else Decimal("nan")
        except decimal.InvalidOperation:
            amount = Decimal("nan")
        sane = amount.is_finite() and amount >= 0 and len(amount.as_tuple().digits) <= MOST_DIGITS
        if not sane or (amount and not SMALLEST <= _last(amount) <= amount.adjusted() <= LARGEST):
            raise InputError(f"{where}[{place}]", expected="a decimal of at least 0", found=text)
        found.append(amount)
    return found


def _last(amount: Decimal) -> int:
    """Return the power of ten of the last digit."""
    return amount.adjusted() - len(amount.as_tuple().digits) + 1


def _sum(row: list[float]) -> Decimal:
    return reduce(EXACT.add, (Decimal(repr(amount)) for amount in row if amount), Decimal(0))
