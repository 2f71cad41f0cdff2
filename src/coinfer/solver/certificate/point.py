r"""Feasibility and objective of a point, in exact rational arithmetic.

A point of floats seldom keeps an equality to the last bit, so feasibility is judged with a tolerance. It is a constant
of this module: nothing that is checked can widen it. The error of row :math:`i` is measured against the numbers that
make it up, :math:`\max(1, |a_i|, |b_i|, \max_j |A_{ij} x_j|)` over the finite ones, that of a bound against
:math:`\max(1, |l_j|, |u_j|)`; integer variables must be whole without any tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.errors import CertificateError
from coinfer.solver.program import FloatArray, MixedIntegerProgram

TOLERANCE = Fraction(1, 10**9)
"""Largest relative error of a row or bound that still counts as kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPoint:
    """What a point is worth.

    Attributes
    ----------
    value
        Objective, exactly.
    violation
        Largest relative error of a row or a bound, exactly; 0 when all are kept to the last bit.
    """

    value: Fraction
    violation: Fraction


def check_point(program: MixedIntegerProgram, point: FloatArray) -> CheckedPoint:
    """Return objective and largest violation of ``point``, (variables,), without rounding.

    Raises
    ------
    CertificateError
        If it has another shape, is not finite, has an integer variable that is not whole, or misses a row or a bound
        by more than :data:`TOLERANCE`; the sentence names the row or variable.
    """
    numbers = np.asarray(point, dtype=np.float64)
    if numbers.shape != (program.variables,):
        raise CertificateError(f"point: expected {program.variables} numbers; found an array of shape {numbers.shape}")
    exact: list[Fraction] = []
    for j, number in enumerate(numbers.tolist()):
        if not math.isfinite(number):
            raise CertificateError(f"point: {_name(program, j)} is {number}")
        if program.integer[j] and not number.is_integer():
            raise CertificateError(f"point: {_name(program, j)} is {number!r}; expected a whole number")
        exact.append(Fraction(number))
    worst = Fraction(0)
    for j, x in enumerate(exact):
        worst = max(worst, _error(x, program.lower[j], program.upper[j], Fraction(1), _name(program, j)))
    column, start = program.column.tolist(), program.row_start.tolist()
    for i in range(program.rows):
        entries = range(start[i], start[i + 1])
        terms = [Fraction(float(program.coefficient[k])) * exact[column[k]] for k in entries]
        size = max([Fraction(1), *map(abs, terms)])
        where = _name(program, i, row=True)
        worst = max(worst, _error(sum(terms, Fraction(0)), program.row_lower[i], program.row_upper[i], size, where))
    value = sum((Fraction(cost) * x for cost, x in zip(program.cost.tolist(), exact, strict=True) if cost), Fraction(0))
    return CheckedPoint(value=value + Fraction(program.offset), violation=worst)


def _error(x: Fraction, lower: float, upper: float, size: Fraction, where: str) -> Fraction:
    """Return by how much ``x`` leaves ``lower..upper``, relative to the numbers involved; refuse it when too much."""
    sides = [Fraction(float(side)) for side in (lower, upper) if math.isfinite(side)]
    scale = max([size, *map(abs, sides)])
    missed = Fraction(0)
    if lower == math.inf or upper == -math.inf:
        raise CertificateError(f"point: {where} can never be kept")
    if math.isfinite(lower):
        missed = max(missed, (Fraction(float(lower)) - x) / scale)
    if math.isfinite(upper):
        missed = max(missed, (x - Fraction(float(upper))) / scale)
    if missed > TOLERANCE:
        raise CertificateError(f"point: {where} is {float(x)!r}, outside {float(lower)!r} .. {float(upper)!r}")
    return missed


def _name(program: MixedIntegerProgram, index: int, *, row: bool = False) -> str:
    for name, block in (program.row_blocks if row else program.variable_blocks).items():
        if block.start <= index < block.stop:
            return f"{'row ' if row else ''}{name}[{index - block.start}]"
    return f"{'row' if row else 'variable'} {index}"
