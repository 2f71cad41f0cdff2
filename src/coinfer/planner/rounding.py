"""The margin that lets a proof on floats speak about the problem in the decimals its author wrote."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coinfer.solver.monotonic.program import FacilityLocation, GatedMean, LinearRows, MonotonicProgram
from coinfer.solver.program import MixedIntegerProgram

ROUNDING = 2.0**-46
"""Relative error, safely above what a sum of a few thousand products of float64 numbers can gather."""


def widened(program: MixedIntegerProgram) -> MixedIntegerProgram:
    """Return ``program`` with every row loosened by the rounding its coefficients may carry.

    Coefficients such as ``weight * energy_j / budget_j`` are rounded to float64 when the program is built, so a
    decision that keeps a budget exactly in decimals may miss the float row by a hair. Each row side moves outwards
    by :data:`ROUNDING` times the largest absolute activity the variable bounds allow. The widened program contains
    every decision the problem allows, so what is proven of it holds for the problem.
    """
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))
    size = np.abs(program.coefficient) * reach[program.column]
    reached = np.bincount(program.row_of_entry, weights=size, minlength=program.rows)
    sides = [np.where(np.isfinite(side), np.abs(side), 0.0) for side in (program.row_lower, program.row_upper)]
    margin = ROUNDING * (reached + np.maximum(*sides))
    whole = _rows_of_small_integers(program)
    margin[whole] = 0.0
    return replace(program, row_lower=program.row_lower - margin, row_upper=program.row_upper + margin)


def widened_rows(program: MonotonicProgram) -> MonotonicProgram:
    """Return a monotonic ``program`` with its linear rows loosened like those of :func:`widened`."""
    constraints = tuple(
        _widened_block(part, program) if isinstance(part, LinearRows) else part for part in program.constraints
    )
    return replace(program, constraints=constraints)


def _widened_block(rows: LinearRows, program: MonotonicProgram) -> LinearRows:
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))
    margin = ROUNDING * (np.abs(rows.coefficients) @ reach + np.abs(rows.limits))
    numbers = np.column_stack([rows.coefficients, rows.limits])
    margin[((numbers == np.round(numbers)) & (np.abs(numbers) <= 2**20)).all(axis=1)] = 0.0
    return replace(rows, limits=rows.limits + margin)


def value_margin(program: MonotonicProgram) -> float:
    """Return the most by which rounding can have moved the value of any selection."""
    objective = program.objective
    if not isinstance(objective, FacilityLocation | GatedMean):
        raise TypeError("expected an objective that is made of values and weights")
    finite = np.where(np.isfinite(objective.values), np.abs(objective.values), 0.0)
    return ROUNDING * float(objective.weights @ finite.max(axis=1, initial=0.0))


def objective_margin(program: MixedIntegerProgram) -> float:
    """Return the most by which rounding can have moved the objective of any point."""
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))
    return ROUNDING * (float(np.abs(program.cost) @ reach) + abs(program.offset))


def _rows_of_small_integers(program: MixedIntegerProgram) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return True for rows whose numbers are small integers: they were never rounded."""
    fractional = (program.coefficient != np.round(program.coefficient)) | (np.abs(program.coefficient) > 2**20)
    touched = np.bincount(program.row_of_entry, weights=fractional, minlength=program.rows) > 0
    sides = np.stack([program.row_lower, program.row_upper])
    finite = np.where(np.isfinite(sides), sides, 0.0)
    whole: np.ndarray[tuple[int], np.dtype[np.bool_]] = ~touched & (finite == np.round(finite)).all(axis=0)
    return whole
