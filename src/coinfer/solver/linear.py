"""Linear relaxations of one program over changing boxes, hot-started from one to the next (HiGHS dual simplex)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from coinfer.solver.engines.highs import lowered
from coinfer.solver.program import FloatArray, MixedIntegerProgram, ProgramBuilder

_TOLERANCE = 1e-10  # the tightest HiGHS accepts: what duals miss here, the exact bound loses


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearResult:
    """Outcome of one relaxation.

    Attributes
    ----------
    status
        ``optimal``, ``infeasible``, ``unbounded`` or ``unknown`` (a time limit, or numerical trouble).
    value
        Objective, offset included; ``nan`` unless optimal.
    point
        Optimal point, (variables,); ``None`` unless optimal.
    multipliers
        Row duals, (rows,), positive where the lower side holds; for an infeasible relaxation a Farkas ray, whose
        sign is not yet known; ``None`` when there is none.
    """

    status: Literal["optimal", "infeasible", "unbounded", "unknown"]
    value: float
    point: FloatArray | None
    multipliers: FloatArray | None


class Relaxation:
    """The linear relaxation of a program, held by the engine between solves.

    Parameters
    ----------
    program
        The program; its integrality is ignored.
    """

    def __init__(self, program: MixedIntegerProgram) -> None:
        import highspy

        self._highspy = highspy
        self._program = program
        self._columns = np.arange(program.variables, dtype=np.int32)
        self._highs = highspy.Highs()
        for name, setting in (
            ("output_flag", False),
            ("presolve", "off"),  # presolve would find infeasibility without a ray
            ("threads", 1),
            ("primal_feasibility_tolerance", _TOLERANCE),
            ("dual_feasibility_tolerance", _TOLERANCE),
        ):
            self._highs.setOptionValue(name, setting)
        self._highs.passModel(lowered(program, integrality=False))

    def solve(self, lower: FloatArray, upper: FloatArray, *, time_s: float | None = None) -> LinearResult:
        """Solve over the box ``lower <= x <= upper``, (variables,) each, for at most ``time_s`` seconds."""
        if len(self._columns) == 0:
            return _without_variables(self._program)
        highs, status = self._highs, self._highspy.HighsModelStatus
        highs.changeColsBounds(len(self._columns), self._columns, lower, upper)
        highs.setOptionValue("time_limit", highs.getRunTime() + time_s if time_s is not None else np.inf)
        highs.run()
        found = highs.getModelStatus()
        if found == status.kOptimal:
            solution = highs.getSolution()
            return LinearResult(
                status="optimal",
                value=highs.getInfo().objective_function_value,
                point=np.array(solution.col_value),
                multipliers=np.array(solution.row_dual),
            )
        if found in (status.kInfeasible, status.kUnboundedOrInfeasible):
            ray = highs.getDualRay()
            multipliers = np.array(ray[2]) if ray[1] else None
            return LinearResult(status="infeasible", value=np.nan, point=None, multipliers=multipliers)
        status_name: Literal["unbounded", "unknown"] = "unbounded" if found == status.kUnbounded else "unknown"
        return LinearResult(status=status_name, value=np.nan, point=None, multipliers=None)


def _without_variables(program: MixedIntegerProgram) -> LinearResult:
    """Return what holds where there is nothing to choose, which the engine does not answer: each row says 0."""
    broken = np.where(program.row_lower > 0.0, 1.0, np.where(program.row_upper < 0.0, -1.0, 0.0))
    if broken.any():
        return LinearResult(status="infeasible", value=np.nan, point=None, multipliers=broken)
    return LinearResult(status="optimal", value=program.offset, point=np.zeros(0), multipliers=broken)


def elastic(program: MixedIntegerProgram, lower: FloatArray, upper: FloatArray) -> LinearResult:
    """Minimise how far the rows are broken over a box; where none can be kept, the duals are a Farkas ray.

    A fall-back for boxes that the engine calls infeasible without giving a ray: every row gets one variable that
    lifts it and one that lowers it, and their sum is minimised, which is always feasible.
    """
    rows = np.arange(program.rows)
    builder = ProgramBuilder()
    point = builder.variables("point", program.variables, lower=lower, upper=upper)
    lift = builder.variables("lift", program.rows, cost=1.0)
    drop = builder.variables("drop", program.rows, cost=1.0)
    builder.rows(
        "rows",
        row=np.concatenate([program.row_of_entry, rows, rows]),
        column=np.concatenate([point[program.column], lift, drop]),
        coefficient=np.concatenate([program.coefficient, np.ones(program.rows), -np.ones(program.rows)]),
        lower=program.row_lower,
        upper=program.row_upper,
        count=program.rows,
    )
    relaxed = builder.build()
    return Relaxation(relaxed).solve(relaxed.lower, relaxed.upper)
