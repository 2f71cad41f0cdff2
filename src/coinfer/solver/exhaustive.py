"""Enumeration of any small program: the oracle of the tests."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.engines.scaling import equilibrate
from coinfer.solver.engines.settle import trivial, whole_bounds
from coinfer.solver.program import FloatArray, IntArray, MixedIntegerProgram
from coinfer.solver.result import Result, Status

_CHUNK = 2**15
_TOLERANCE = 1e-7


class _Best(NamedTuple):
    value: float
    point: FloatArray | None


def solve(program: MixedIntegerProgram, *, max_points: int = 2_000_000) -> Result:
    """Solve by looking at every assignment of the integer variables.

    Continuous variables, if there are any, get a linear program for each assignment that their bounds do not rule
    out; such a program counts as 1000 points.

    Raises
    ------
    InputError
        If there are more than ``max_points`` assignments.
    """
    began = time.perf_counter()
    program = whole_bounds(program)
    outcome = trivial(program, None, "exhaustive")
    if outcome is not None:
        found = _Best(program.offset, outcome.point) if outcome.point is not None else _Best(math.inf, None)
        return _result(found, 0, began)
    sizes = (program.upper - program.lower + 1.0)[program.integer]
    weight = 1.0 if program.integer.all() else 1000.0
    points = float(np.prod(sizes))
    if points * weight > max_points:
        expected = f"at most {max_points:,} assignments (a linear program each counts {weight:,.0f})"
        raise InputError("program", expected=expected, found=Plain(f"{points * weight:,.0f}"))
    scaled, factor = equilibrate(program)
    best = _Best(math.inf, None)
    for grid in _grids(program, sizes.astype(np.int64), int(points)):
        best = min(best, _best_of(scaled, grid), key=lambda found: found.value)
        if best.value == -math.inf:
            break
    value = best.value if best.point is None else program.value(best.point)
    return _result(_Best(value / (factor if best.point is None else 1.0), best.point), int(points), began)


def _result(best: _Best, points: int, began: float) -> Result:
    status = Status.OPTIMAL if best.point is not None else Status.INFEASIBLE
    if best.value == -math.inf:
        status = Status.UNBOUNDED
    return Result(
        status=status,
        limit=None,
        incumbent=best.point,
        value=math.inf if best.point is None else best.value,
        bound=best.value,
        nodes=points,
        seconds=time.perf_counter() - began,
        engine="exhaustive",
        scaling_error=0.0,
    )


def _grids(program: MixedIntegerProgram, sizes: IntArray, points: int) -> Iterator[FloatArray]:
    """Yield the integer assignments, (points, integer variables), in chunks."""
    low = program.lower[program.integer]
    for first in range(0, points, _CHUNK):
        number = np.arange(first, min(first + _CHUNK, points))
        digits = np.unravel_index(number, tuple(sizes)) if len(sizes) else ()
        yield (np.column_stack(digits) if len(sizes) else np.zeros((1, 0))) + low


def _best_of(program: MixedIntegerProgram, grid: FloatArray) -> _Best:
    """Return the best point whose integers are a row of ``grid``."""
    matrix = np.zeros((program.rows, program.variables))
    matrix[program.row_of_entry, program.column] = program.coefficient
    integer = program.integer
    activity = grid @ matrix[:, integer].T  # (points, rows)
    values = grid @ program.cost[integer] + program.offset
    if integer.all():
        slack = _TOLERANCE + 1e-12 * np.abs(grid) @ np.abs(matrix[:, integer]).T
        inside = (program.row_lower - activity <= slack) & (activity - program.row_upper <= slack)
        kept = np.asarray(inside.all(axis=1))
        values = np.where(kept, values, math.inf)
        best = int(np.argmin(values))
        return _Best(float(values[best]), grid[best].copy() if kept[best] else None)
    found = _Best(math.inf, None)
    for point, done, value in zip(grid, activity, values, strict=True):
        rest, continuous = _linear(program, matrix[:, ~integer], done)
        if value + rest < found.value:
            whole = np.zeros(program.variables)
            whole[integer] = point
            if continuous is not None:
                whole[~integer] = continuous
            found = _Best(float(value + rest), whole if continuous is not None else None)
        if found.value == -math.inf:
            break
    return found


def _linear(program: MixedIntegerProgram, matrix: FloatArray, done: FloatArray) -> tuple[float, FloatArray | None]:
    """Return value and point of the continuous part when the integers already contribute ``done`` to the rows."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    part = ~program.integer
    cost, bounds = program.cost[part], Bounds(program.lower[part], program.upper[part])
    rows = LinearConstraint(matrix, program.row_lower - done, program.row_upper - done)
    answer = milp(cost, bounds=bounds, constraints=rows if program.rows else ())
    if answer.status in (3, 4):  # unbounded, or unbounded or infeasible: is there any point?
        there = milp(np.zeros(len(cost)), bounds=bounds, constraints=rows if program.rows else ())
        return (-math.inf, None) if there.x is not None else (math.inf, None)
    return (float(answer.fun), np.asarray(answer.x)) if answer.x is not None else (math.inf, None)
