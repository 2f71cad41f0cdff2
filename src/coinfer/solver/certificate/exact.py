"""Exact arithmetic over a program: floats are dyadic rationals, so scaled integers hold them without any error."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.program import MixedIntegerProgram


class Scaled:
    """Finite floats as integers over one power of two.

    Attributes
    ----------
    integers
        ``round(x * 2**shift)`` for each number, without rounding: the shift is large enough. Infinite entries are 0.
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
        self.coefficient = Scaled(program.coefficient)
        self.row_lower = Scaled(program.row_lower)
        self.row_upper = Scaled(program.row_upper)
        self._column = program.column.tolist()
        self._start = program.row_start.tolist()

    def combined(self, multipliers: dict[int, float], *, with_cost: bool) -> tuple[dict[int, int], int]:
        """Return the non-zero entries of ``c - A^T y`` (or ``-A^T y``) as integers, and their shift."""
        rows = list(multipliers)
        scaled = Scaled(np.array([multipliers[row] for row in rows], dtype=np.float64))
        shift = max(self.cost.shift, self.coefficient.shift + scaled.shift)
        entries: dict[int, int] = {}
        if with_cost:
            lift = shift - self.cost.shift
            entries = {j: number << lift for j, number in enumerate(self.cost.integers) if number}
        lift = shift - self.coefficient.shift - scaled.shift
        column, coefficient = self._column, self.coefficient.integers
        for row, multiplier in zip(rows, scaled.integers, strict=True):
            factor = multiplier << lift
            for k in range(self._start[row], self._start[row + 1]):
                j = column[k]
                entries[j] = entries.get(j, 0) - factor * coefficient[k]
        return {j: number for j, number in entries.items() if number}, shift

    def sides(self, multipliers: dict[int, float]) -> Fraction | None:
        """Return the sum of ``y_i`` times the row side its sign selects; ``None`` if that side is infinite."""
        total = Fraction(0)
        for row, multiplier in multipliers.items():
            side = (self.program.row_lower if multiplier > 0.0 else self.program.row_upper)[row]
            if not math.isfinite(side):
                return None
            total += Fraction(multiplier) * Fraction(float(side))
        return total


def least_over_box(
    entries: dict[int, int], shift: int, lower: dict[int, float], upper: dict[int, float], program: MixedIntegerProgram
) -> Fraction | None:
    """Return the least of ``sum r_j x_j`` over the box; ``None`` when it is not bounded below.

    ``lower`` and ``upper`` hold the bounds that branching changed; all others are the program's own.
    """
    totals: dict[int, int] = {}
    for j, number in entries.items():
        if number > 0:
            bound = lower.get(j)
            bound = float(program.lower[j]) if bound is None else bound
        else:
            bound = upper.get(j)
            bound = float(program.upper[j]) if bound is None else bound
        if not math.isfinite(bound):
            return None
        numerator, denominator = bound.as_integer_ratio()
        bits = denominator.bit_length() - 1
        totals[bits] = totals.get(bits, 0) + number * numerator
    return sum((Fraction(total, 1 << (shift + bits)) for bits, total in totals.items()), Fraction(0))
