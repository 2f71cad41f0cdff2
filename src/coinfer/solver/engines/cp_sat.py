"""CP-SAT (OR-Tools), on integers that are scaled here, so that the error is known.

Rows are rounded and then relaxed by all that rounding can move: the integer program contains every feasible point
of the true one, so its bound, lowered by the rounding of the objective, is a bound of the true one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from coinfer.errors import InputError
from coinfer.solver.engines.lattice import require_whole
from coinfer.solver.engines.task import Outcome, Task, missing
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray, MixedIntegerProgram
from coinfer.solver.result import Status

if TYPE_CHECKING:
    from ortools.sat.python import cp_model_helper

_LARGEST_BOUND = 2.0**40
_EXACT_TOTAL = 2.0**52  # sums below are exact doubles
_ROUNDED_TOTAL = 2.0**45  # larger integers slow the engine down and prove nothing more
_NOISE = 2.0**-50
_LARGEST_EXPONENT = 900
_INT64 = 2**62


class CpSat:
    """CP-SAT: lazy clause generation with linear relaxations; no nodes, no continuous variables."""

    equilibrate = False  # it would spoil decimal numbers

    def __init__(self) -> None:
        self._solver: Any = None

    def check(self, program: MixedIntegerProgram, limits: Limits) -> None:
        """Refuse a node limit, continuous variables that are not whole at some optimum, and huge bounds."""
        if limits.nodes is not None:
            raise InputError("limits.nodes", expected="none, since engine 'cp-sat' counts no nodes", found=limits.nodes)
        require_whole(program, engine="cp-sat")
        bounds = np.concatenate([program.lower, program.upper])
        if (np.abs(bounds) > _LARGEST_BOUND).any():
            expected = "bounds within 2**40 for engine 'cp-sat'"
            raise InputError("program.lower, upper", expected=expected, found=float(np.abs(bounds).max()))
        try:
            from ortools.sat.python import cp_model_helper  # noqa: F401
        except ImportError as error:
            raise missing("cp-sat", "ortools") from error

    def interrupt(self) -> None:
        """Tell CP-SAT to end; nothing to do before the solve begins, since this is called again."""
        if self._solver is not None:
            self._solver.stop_search()

    def solve(self, task: Task) -> Outcome:
        """Run CP-SAT on the scaled program."""
        from ortools.sat.python import cp_model_helper

        reach = np.maximum(np.abs(task.program.lower), np.abs(task.program.upper))
        objective = scale(task.program.cost, reach)
        model = _model(task, objective, reach)
        if model is None:
            return Outcome(status=Status.INFEASIBLE, engine=_name())
        began = time.monotonic()
        answer = self._run(task, model, _parameters(task.limits, objective), objective)
        if answer.status == cp_model_helper.CpSolverStatus.INFEASIBLE and not task.interrupted.is_set():
            # Its presolve has called programs with large coefficients infeasible that have a feasible point.
            parameters = _parameters(task.limits, objective)
            parameters.cp_model_presolve = False
            if task.limits.time_s is not None:
                parameters.max_time_in_seconds = max(0.01, task.limits.time_s - (time.monotonic() - began))
            answer = self._run(task, model, parameters, objective)
        return _outcome(answer, task, objective)

    def _run(
        self, task: Task, model: cp_model_helper.CpModelProto, parameters: Any, objective: Scaled
    ) -> cp_model_helper.CpSolverResponse:
        from ortools.sat.python import cp_model_helper

        solver: Any = cp_model_helper.SolveWrapper()
        solver.set_parameters(parameters)
        listener = _listen(solver, task, objective)
        self._solver = solver
        answer: cp_model_helper.CpSolverResponse = solver.solve(model)
        if listener is not None:
            solver.clear_solution_callback(listener)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """Integers that stand for floats: ``number / factor``.

    Attributes
    ----------
    number
        The integers, (entries,).
    factor
        What the floats were multiplied with before rounding.
    error
        Most by which rounding moves the sum over the box, in the units of ``number``.
    """

    number: IntArray
    factor: float
    error: float


def scale(number: FloatArray, reach: FloatArray) -> Scaled:
    """Return integers for the coefficients ``number`` of variables whose magnitude is at most ``reach``.

    Tried first are factors that make every coefficient whole: powers of ten, and one over the smallest coefficient.
    """
    magnitude = np.abs(number)
    total = float(magnitude @ reach)
    if total == 0.0:  # also of variables that are fixed to 0
        return Scaled(number=np.zeros(len(number), dtype=np.int64), factor=1.0, error=0.0)
    # The largest coefficient may belong to a variable that is fixed to 0, and must fit all the same.
    size = max(total, float(magnitude.max()))
    candidates = [10.0**k for k in range(10)] + [1.0 / max(float(magnitude[magnitude > 0.0].min()), 1e-12)]
    for factor in candidates:
        product = number * factor
        if (np.abs(product - np.round(product)) <= _NOISE * np.abs(product)).all() and size * factor <= _EXACT_TOTAL:
            # 0.1 * 10 is 1 only to the last bit: that bit counts as an error, too.
            noise = np.where(number == np.round(number), 0.0, _NOISE * np.abs(product))
            break
    else:
        factor = 2.0 ** min(math.floor(math.log2(_ROUNDED_TOTAL / size)), _LARGEST_EXPONENT)
        product = number * factor  # exact, but for numbers near the smallest double
        noise = np.zeros(len(number))
    rounded = np.round(product)
    error = (np.abs(rounded - product) + noise) @ reach
    return Scaled(number=rounded.astype(np.int64), factor=factor, error=float(error))


def _model(task: Task, objective: Scaled, reach: FloatArray) -> cp_model_helper.CpModelProto | None:
    """Return the integer program; ``None`` if no whole number lies between the sides of some row."""
    from ortools.sat.python import cp_model_helper

    program = task.program
    model = cp_model_helper.CpModelProto()
    for low, high in zip(program.lower.tolist(), program.upper.tolist(), strict=True):
        model.variables.add().domain.extend([int(low), int(high)])
    for i in range(program.rows):
        entries = slice(program.row_start[i], program.row_start[i + 1])
        column = program.column[entries]
        row = scale(program.coefficient[entries], reach[column])
        margin = row.error + _NOISE * abs(row.error)
        linear = model.constraints.add().linear
        linear.vars.extend(column.tolist())
        linear.coeffs.extend(row.number.tolist())
        low = _outward(float(program.row_lower[i]) * row.factor, -margin)
        high = _outward(float(program.row_upper[i]) * row.factor, margin)
        if low > high:
            return None
        linear.domain.extend([low, high])
    priced = np.flatnonzero(objective.number)
    if len(priced):
        model.objective.vars.extend(priced.tolist())
        model.objective.coeffs.extend(objective.number[priced].tolist())
        model.objective.offset = program.offset * objective.factor  # the relative gap is of the whole value
    if task.start is not None:
        model.solution_hint.vars.extend(range(program.variables))
        model.solution_hint.values.extend(np.round(task.start).astype(np.int64).tolist())
    return model


def _outward(side: float, margin: float) -> int:
    """Return the whole number at or outside of ``side + margin``, seen from the feasible side."""
    if abs(side) >= _INT64:
        return int(math.copysign(_INT64, side))
    noise = math.copysign(4.0 * math.ulp(side), margin)
    moved = side + margin + noise
    return math.floor(moved) if math.copysign(1.0, margin) > 0.0 else math.ceil(moved)


def _parameters(limits: Limits, objective: Scaled) -> cp_model_helper.SatParameters:
    from ortools.sat.python import cp_model_helper

    parameters = cp_model_helper.SatParameters()
    parameters.num_workers = limits.threads
    parameters.random_seed = limits.seed % 2**31
    parameters.relative_gap_limit = limits.relative_gap
    parameters.absolute_gap_limit = limits.absolute_gap * objective.factor
    parameters.catch_sigint_signal = False  # Ctrl-C belongs to the main thread
    if limits.time_s is not None:
        parameters.max_time_in_seconds = limits.time_s
    return parameters


def _listen(solver: Any, task: Task, objective: Scaled) -> object:
    """Listen to solutions and bounds; the listener must live as long as the solve, since the engine holds no count."""
    from ortools.sat.python import cp_model_helper

    offset = task.program.offset

    class Listener(cp_model_helper.SolutionCallback):
        def OnSolutionCallback(self) -> None:  # noqa: N802
            bound = _true_bound(self.BestObjectiveBound() - offset * objective.factor, objective, offset)
            task.report(self.ObjectiveValue() / objective.factor, bound, None)

    def improved(bound: float) -> None:
        task.report(math.inf, _true_bound(bound - offset * objective.factor, objective, offset), None)

    if not objective.number.any():
        return None
    listener = Listener()
    solver.add_solution_callback(listener)
    solver.add_best_bound_callback(improved)
    return listener


def _true_bound(scaled: float, objective: Scaled, offset: float) -> float:
    return (scaled - objective.error) / objective.factor + offset


def _outcome(answer: cp_model_helper.CpSolverResponse, task: Task, objective: Scaled) -> Outcome:
    from ortools.sat.python import cp_model_helper

    names = cp_model_helper.CpSolverStatus
    status = {names.OPTIMAL: Status.OPTIMAL, names.INFEASIBLE: Status.INFEASIBLE}.get(answer.status, Status.UNSOLVED)
    bound = -math.inf
    # Stopped before it began, CP-SAT leaves 0 in the field of the bound: only beside a solution does it mean one.
    if objective.number.any() and answer.status in (names.OPTIMAL, names.FEASIBLE):
        bound = _true_bound(float(answer.inner_objective_lower_bound), objective, task.program.offset)
    stopped = "interrupt" if task.interrupted.is_set() else "other" if task.limits.time_s is None else "time"
    return Outcome(
        status=status,
        point=np.array(answer.solution, dtype=np.float64) if len(answer.solution) else None,
        bound=bound,
        limit=stopped if status is Status.UNSOLVED else None,
        engine=_name(),
        scaling_error=objective.error / objective.factor,
    )


def _name() -> str:
    return f"cp-sat (ortools {metadata.version('ortools')})"
