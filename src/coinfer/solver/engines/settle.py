"""What holds before and after any engine: bounds that the variables prove, and points that are checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coinfer.solver.engines.highs import lowered
from coinfer.solver.engines.scaling import TOLERANCE, equilibrate, feasible
from coinfer.solver.engines.task import Outcome
from coinfer.solver.program import FloatArray, MixedIntegerProgram
from coinfer.solver.result import Status

_ROUNDING = 1e-9


def whole_bounds(program: MixedIntegerProgram) -> MixedIntegerProgram:
    """Return the program with the bounds of its integer variables moved inwards to whole numbers."""
    integer = program.integer
    return replace(
        program,
        lower=np.where(integer, np.ceil(program.lower - _ROUNDING), program.lower),
        upper=np.where(integer, np.floor(program.upper + _ROUNDING), program.upper),
    )


def box_bound(program: MixedIntegerProgram) -> float:
    """Return the smallest objective between the bounds of the variables, rows aside."""
    priced = program.cost != 0.0
    cost = program.cost[priced]
    corner = np.where(cost > 0.0, program.lower[priced], program.upper[priced])
    return float((cost * corner).sum()) + program.offset


def trivial(program: MixedIntegerProgram, start: FloatArray | None, engine: str) -> Outcome | None:
    """Return the answer of a program without variables, or with an empty bound or row; ``None`` for any other."""
    crossed = (program.lower > program.upper) | (program.lower == np.inf) | (program.upper == -np.inf)
    low, high = program.row_lower, program.row_upper
    margin = TOLERANCE * np.where(np.isfinite(low), np.maximum(1.0, np.abs(low)), 1.0)
    rows = (low > high + margin) | (low == np.inf) | (high == -np.inf)
    empty = np.diff(program.row_start) == 0
    rows |= empty & ((low > TOLERANCE) | (high < -TOLERANCE))
    if (crossed.any() or rows.any()) and start is None:
        return Outcome(status=Status.INFEASIBLE, nodes=0, engine=engine)
    if program.variables == 0:
        return Outcome(status=Status.OPTIMAL, point=np.zeros(0), bound=program.offset, nodes=0, engine=engine)
    return None


def settle(program: MixedIntegerProgram, point: FloatArray, *, repair: bool) -> FloatArray | None:
    """Return ``point`` with exact integers if it is feasible to 1e-6, else ``None``.

    Parameters
    ----------
    program
        The program, not scaled.
    point
        What an engine or a caller claims, (variables,).
    repair
        Whether the continuous variables may be set anew, by a linear program, when rounding broke a row.
    """
    if not np.isfinite(point).all():
        return None
    whole = np.where(program.integer, np.round(point), point)
    if not repair and np.abs(whole - point).max(initial=0.0) > TOLERANCE:
        return None
    if repair:
        whole = np.clip(whole, program.lower, program.upper)
    if feasible(program, whole):
        return np.asarray(whole, dtype=np.float64)
    return _repaired(program, whole) if repair and not program.integer.all() else None


def _repaired(program: MixedIntegerProgram, point: FloatArray) -> FloatArray | None:
    """Return the best continuous part for the integers of ``point``; ``None`` if there is none."""
    import highspy

    fixed = replace(
        equilibrate(program)[0],
        lower=np.where(program.integer, point, program.lower),
        upper=np.where(program.integer, point, program.upper),
        integer=np.zeros(program.variables, dtype=bool),
    )
    highs = highspy.Highs()
    highs.silent()
    highs.passModel(lowered(fixed))
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    best = np.where(program.integer, point, np.array(highs.getSolution().col_value))
    return best if feasible(program, best) else None
