"""SCIP, through the protocol buffers of MathOpt (OR-Tools)."""

from __future__ import annotations

import math
import re
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from coinfer.errors import InputError
from coinfer.solver.engines.printed import lower_end
from coinfer.solver.engines.task import Outcome, Task, missing
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram
from coinfer.solver.result import Status

if TYPE_CHECKING:
    from ortools.math_opt import model_pb2, parameters_pb2, result_pb2
    from ortools.math_opt.core.python import solver as pybind_solver  # noqa: F401

_DIGITS = 7  # of the bounds in SCIP's table


class Scip:
    """SCIP branch and cut.

    MathOpt turns ``threads`` into an error for solvers that have no such setting, so one thread is all there is.
    """

    equilibrate = True

    def __init__(self) -> None:
        self._interrupter: Any = None

    def check(self, program: MixedIntegerProgram, limits: Limits) -> None:  # noqa: ARG002
        """Refuse more than one thread."""
        if limits.threads != 1:
            raise InputError("limits.threads", expected="1, since engine 'scip' has one thread", found=limits.threads)
        try:
            from ortools.math_opt.core.python import solver  # noqa: F401
        except ImportError as error:
            raise missing("scip", "ortools") from error

    def interrupt(self) -> None:
        """Tell SCIP to end; nothing to do before the solve begins, since this is called again."""
        if self._interrupter is not None:
            self._interrupter.interrupt()

    def solve(self, task: Task) -> Outcome:
        """Run SCIP."""
        from ortools.math_opt import callback_pb2, model_parameters_pb2, parameters_pb2
        from ortools.math_opt.core.python import solver
        from ortools.util.python import solve_interrupter

        interrupter = solve_interrupter.SolveInterrupter()
        self._interrupter = interrupter
        hints = model_parameters_pb2.ModelSolveParametersProto()
        if task.start is not None:
            values = hints.solution_hints.add().variable_values
            values.ids.extend(range(task.program.variables))
            values.values.extend(task.start.tolist())
        answer = solver.solve(
            _model(task.program),
            parameters_pb2.SOLVER_TYPE_GSCIP,
            parameters_pb2.SolverInitializerProto(),
            _parameters(task.limits),
            hints,
            lambda lines: _listen(task, lines),
            callback_pb2.CallbackRegistrationProto(),
            None,
            interrupter.pybind_interrupter,
        )
        return _outcome(answer)


def _model(program: MixedIntegerProgram) -> model_pb2.ModelProto:
    from ortools.math_opt import model_pb2

    model = model_pb2.ModelProto()
    variables, rows, matrix = model.variables, model.linear_constraints, model.linear_constraint_matrix
    variables.ids.extend(range(program.variables))
    variables.lower_bounds.extend(program.lower.tolist())
    variables.upper_bounds.extend(program.upper.tolist())
    variables.integers.extend(program.integer.tolist())
    rows.ids.extend(range(program.rows))
    rows.lower_bounds.extend(program.row_lower.tolist())
    rows.upper_bounds.extend(program.row_upper.tolist())
    matrix.row_ids.extend(program.row_of_entry.tolist())
    matrix.column_ids.extend(program.column.tolist())
    matrix.coefficients.extend(program.coefficient.tolist())
    priced = np.flatnonzero(program.cost)
    model.objective.linear_coefficients.ids.extend(priced.tolist())
    model.objective.linear_coefficients.values.extend(program.cost[priced].tolist())
    model.objective.offset = program.offset
    return model


def _parameters(limits: Limits) -> parameters_pb2.SolveParametersProto:
    from ortools.math_opt import parameters_pb2

    parameters = parameters_pb2.SolveParametersProto()
    parameters.relative_gap_tolerance = limits.relative_gap
    parameters.absolute_gap_tolerance = limits.absolute_gap
    parameters.random_seed = limits.seed % 2**31
    if limits.nodes is not None:
        parameters.node_limit = limits.nodes
    if limits.time_s is not None:
        parameters.time_limit.FromNanoseconds(int(limits.time_s * 1e9))
    # SCIP's own handler would swallow Ctrl-C.
    parameters.gscip.bool_params["misc/catchctrlc"] = False
    # A line of the table per second: the only progress that MathOpt passes on.
    parameters.gscip.int_params["display/freq"] = 1000
    return parameters


def _listen(task: Task, lines: list[str]) -> None:
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        nodes = re.fullmatch(r"\d+", cells[1]) if len(cells) > 5 else None
        numbers = [cell for cell in cells if re.fullmatch(r"[-+]?\d\.\d{6}e[-+]\d+|--", cell)]
        if nodes is None or len(numbers) != 2:
            continue
        bound = lower_end(numbers[0], significant=_DIGITS) if numbers[0] != "--" else -math.inf
        value = float(numbers[1]) if numbers[1] != "--" else math.inf
        task.report(value, bound, int(nodes.group()))


def _outcome(answer: result_pb2.SolveResultProto) -> Outcome:
    from ortools.math_opt import result_pb2

    reason = answer.termination.reason
    status = {
        result_pb2.TERMINATION_REASON_OPTIMAL: Status.OPTIMAL,
        result_pb2.TERMINATION_REASON_INFEASIBLE: Status.INFEASIBLE,
        result_pb2.TERMINATION_REASON_UNBOUNDED: Status.UNBOUNDED,
        result_pb2.TERMINATION_REASON_INFEASIBLE_OR_UNBOUNDED: Status.UNBOUNDED,
    }.get(reason, Status.UNSOLVED)
    limit = {
        result_pb2.LIMIT_TIME: "time",
        result_pb2.LIMIT_NODE: "nodes",
        result_pb2.LIMIT_INTERRUPTED: "interrupt",
    }.get(answer.termination.limit, "other")
    point = None
    if answer.solutions and answer.solutions[0].HasField("primal_solution"):
        point = np.array(answer.solutions[0].primal_solution.variable_values.values)
    bound = answer.termination.objective_bounds.dual_bound
    return Outcome(
        status=status,
        point=point,
        bound=bound if bound < math.inf else -math.inf,
        nodes=answer.solve_stats.node_count,
        limit=limit if status is Status.UNSOLVED else None,
        engine=f"scip (ortools {metadata.version('ortools')})",
    )
