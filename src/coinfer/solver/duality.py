"""What row multipliers show over a box, in floats with a margin; the certificate checker does the same exactly."""

from __future__ import annotations

import math

import numpy as np

from coinfer.solver.program import FloatArray, MixedIntegerProgram

Bounds = dict[int, float]


def signed(program: MixedIntegerProgram, multipliers: FloatArray) -> FloatArray:
    """Return multipliers without those whose sign asks for an infinite row side."""
    useless = ((multipliers > 0.0) & ~np.isfinite(program.row_lower)) | (
        (multipliers < 0.0) & ~np.isfinite(program.row_upper)
    )
    return np.where(useless | (np.abs(multipliers) < 1e-13), 0.0, multipliers)


def weak_duality(program: MixedIntegerProgram, y: FloatArray, cost: FloatArray, lower: Bounds, upper: Bounds) -> float:
    """Return the weak-duality sum in floats, less a margin for rounding."""
    picked = np.where(y > 0.0, program.row_lower, np.where(y < 0.0, program.row_upper, 0.0))
    reduced = cost - np.bincount(
        program.column, weights=program.coefficient * y[program.row_of_entry], minlength=program.variables
    )
    low, high = program.lower.copy(), program.upper.copy()
    for j, bound in lower.items():
        low[j] = bound
    for j, bound in upper.items():
        high[j] = bound
    with np.errstate(invalid="ignore"):
        terms = np.where(reduced > 0.0, reduced * low, np.where(reduced < 0.0, reduced * high, 0.0))
    size = np.abs(picked * y).sum() + np.abs(terms).sum()
    return float((picked * y).sum() + terms.sum() - 1e-14 * size)


def shown_bound(program: MixedIntegerProgram, y: FloatArray, lower: Bounds, upper: Bounds) -> float:
    """Return the objective bound that ``y`` shows over a box; ``-inf`` when it shows none."""
    total = weak_duality(program, y, program.cost, lower, upper) + program.offset
    return total if math.isfinite(total) else -math.inf


def farkas_ray(program: MixedIntegerProgram, ray: FloatArray | None, lower: Bounds, upper: Bounds) -> FloatArray | None:
    """Return multipliers that show the box to be empty, or ``None`` when the engine's ray does not."""
    if ray is None:
        return None
    for sign in (1.0, -1.0):
        turned = signed(program, sign * ray)
        size = float(np.abs(turned).max(initial=0.0))
        turned = turned / size if size > 0.0 else turned
        total = weak_duality(program, turned, np.zeros(program.variables), lower, upper)
        if math.isfinite(total) and total > 0.0:
            return turned
    return None


def rounded(y: FloatArray, digits: int) -> FloatArray:
    """Round each number to so many significant digits."""
    size = np.where(y == 0.0, 1.0, np.abs(y))
    step = 10.0 ** (np.floor(np.log10(size)) + 1 - digits)
    return np.array([float(f"{number:.{digits}g}") for number in np.round(y / step) * step])
