"""Exact arithmetic over a program: floats are dyadic rationals, so scaled integers hold them without any error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.program import MixedIntegerProgram


class Scaled:
    """Finite floats as integers over one power of two.

    Attributes
    ----------
    integers
        ``x * 2**shift`` for each number; the shift is large enough for all to be whole. Infinite entries are 0.
    shift
        Bits behind the binary point.
    """

    __slots__ = ("integers", "shift")

    def __init__(self, numbers: NDArray[np.float64]) -> None:
        ratios = [x.as_integer_ratio() if math.isfinite(x) else (0, 1) for x in numbers.tolist()]
        self.shift = max((denominator.bit_length() - 1 for _, denominator in ratios), default=0)
        self.integers = [numerator << (self.shift - denominator.bit_length() + 1) for numerator, denominator in ratios]


class ExactProgram:
    """A program whose numbers are held exactly.

    Parameters
    ----------
    program
        Any program; its floats are taken at their exact binary values.
    """

    def __init__(self, program: MixedIntegerProgram) -> None:
        self.program = program
        self.cost = Scaled(program.cost)
        self._priced = [(j, number) for j, number in enumerate(self.cost.integers) if number]
        self.coefficient = Scaled(program.coefficient)
        self._row_lower = Scaled(program.row_lower)
        self._row_upper = Scaled(program.row_upper)
        self._lower_finite = np.isfinite(program.row_lower).tolist()
        self._upper_finite = np.isfinite(program.row_upper).tolist()
        self._column = program.column.tolist()
        self._start = program.row_start.tolist()

    def combined(self, multipliers: Mapping[int, float], *, with_cost: bool) -> tuple[dict[int, int], int]:
        """Return the non-zero entries of ``c - A^T y`` (or ``-A^T y``) as integers, and their shift."""
        scaled = Scaled(np.array(list(multipliers.values()), dtype=np.float64))
        shift = max(self.cost.shift, self.coefficient.shift + scaled.shift)
        entries: dict[int, int] = {}
        if with_cost:
            lift = shift - self.cost.shift
            entries = {j: number << lift for j, number in self._priced}
        lift = shift - self.coefficient.shift - scaled.shift
        column, coefficient = self._column, self.coefficient.integers
        for row, multiplier in zip(multipliers, scaled.integers, strict=True):
            factor = multiplier << lift
            for k in range(self._start[row], self._start[row + 1]):
                j = column[k]
                entries[j] = entries.get(j, 0) - factor * coefficient[k]
        return {j: number for j, number in entries.items() if number}, shift

    def sides(self, multipliers: Mapping[int, float]) -> Fraction | None:
        """Return the sum of ``y_i`` times the row side its sign selects; ``None`` if that side is infinite."""
        scaled = Scaled(np.array(list(multipliers.values()), dtype=np.float64))
        above = below = 0
        for row, multiplier in zip(multipliers, scaled.integers, strict=True):
            if not (self._lower_finite if multiplier > 0 else self._upper_finite)[row]:
                return None
            if multiplier > 0:
                above += multiplier * self._row_lower.integers[row]
            else:
                below += multiplier * self._row_upper.integers[row]
        return Fraction(above, 1 << (scaled.shift + self._row_lower.shift)) + Fraction(
            below, 1 << (scaled.shift + self._row_upper.shift)
        )


def least_over_box(
    entries: Mapping[int, int], shift: int, lower: Sequence[float], upper: Sequence[float]
) -> Fraction | None:
    """Return the least of ``sum r_j x_j`` over ``lower <= x <= upper``; ``None`` when it is not bounded below.

    ``entries`` are the ``r_j`` as integers over ``2**shift``.
    """
    totals: dict[int, int] = {}
    for j, number in entries.items():
        bound = lower[j] if number > 0 else upper[j]
        if not math.isfinite(bound):
            return None
        numerator, denominator = bound.as_integer_ratio()
        bits = denominator.bit_length() - 1
        totals[bits] = totals.get(bits, 0) + number * numerator
    return sum((Fraction(total, 1 << (shift + bits)) for bits, total in totals.items()), Fraction(0))
