"""Rows and costs of like size, by powers of two, so that an engine's absolute tolerances mean the same everywhere.

Engines accept a row broken by 1e-6 and prune what gains less than 1e-6. A budget in joules with coefficients of
1e-8, or a cost of 1e-9 per token, would be all tolerance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coinfer.solver.program import FloatArray, MixedIntegerProgram

TOLERANCE = 1e-6
_ROW_MAXIMUM = 2.0**10
_COST_MINIMUM = 2.0**13
_COST_MAXIMUM = 2.0**30


def equilibrate(program: MixedIntegerProgram) -> tuple[MixedIntegerProgram, float]:
    """Return the program with rows and costs scaled by powers of two, and the factor of the costs.

    The largest coefficient of a row lands in [1, 1024]. Whole costs stay as they are, since engines profit from
    them; others grow until 1e-6 is below 1e-9 of the largest one. Powers of two round nothing.
    """
    factor = _row_factor(program)
    cost_factor = _cost_factor(program)
    scaled = replace(
        program,
        cost=program.cost * cost_factor,
        offset=program.offset * cost_factor,
        coefficient=program.coefficient * factor[program.row_of_entry],
        row_lower=program.row_lower * factor,
        row_upper=program.row_upper * factor,
    )
    return scaled, cost_factor


def whole_costs(program: MixedIntegerProgram) -> bool:
    """Whether every objective is a whole number, but for the offset."""
    whole = bool((program.cost[program.integer] % 1.0 == 0.0).all())
    return whole and not program.cost[~program.integer].any()


def feasible(program: MixedIntegerProgram, point: FloatArray) -> bool:
    """Whether ``point`` keeps bounds and rows to 1e-6 after scaling; integrality is the caller's.

    The margin grows by 1e-12 of the sum of the magnitudes in a row, which is what adding them up may lose.
    """
    margin = TOLERANCE * np.maximum(1.0, np.abs(point) * 1e-6)
    if bool(((program.lower - point > margin) | (point - program.upper > margin)).any()):
        return False
    row = program.row_of_entry
    factor = _row_factor(program)
    terms = program.coefficient * factor[row] * point[program.column]
    activity = np.bincount(row, weights=terms, minlength=program.rows)
    slack = TOLERANCE + 1e-12 * np.bincount(row, weights=np.abs(terms), minlength=program.rows)
    low, high = program.row_lower * factor, program.row_upper * factor
    return bool(((low - activity <= slack) & (activity - high <= slack)).all())


def _power(number: FloatArray) -> FloatArray:
    """Return the largest powers of two that are at most ``number`` > 0."""
    return np.exp2(np.floor(np.log2(number)))


def _row_factor(program: MixedIntegerProgram) -> FloatArray:
    largest = np.zeros(program.rows)
    np.maximum.at(largest, program.row_of_entry, np.abs(program.coefficient))
    largest[largest == 0.0] = 1.0
    power = _power(largest)
    factor = np.where(power < 1.0, 1.0 / power, np.where(power >= _ROW_MAXIMUM, _ROW_MAXIMUM / 2.0 / power, 1.0))
    return np.asarray(factor, dtype=np.float64)


def _cost_factor(program: MixedIntegerProgram) -> float:
    largest = float(np.abs(program.cost).max(initial=0.0))
    if largest == 0.0:
        return 1.0
    power = float(_power(np.array(largest)))
    if power > _COST_MAXIMUM:
        return _COST_MAXIMUM / power
    return 1.0 if whole_costs(program) else max(1.0, _COST_MINIMUM / power)
