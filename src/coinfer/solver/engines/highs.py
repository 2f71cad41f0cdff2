"""HiGHS, through the arrays of highspy."""

from __future__ import annotations

import math
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from coinfer.solver.engines.scaling import whole_costs
from coinfer.solver.engines.task import Outcome, Task, missing
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram
from coinfer.solver.result import Status

if TYPE_CHECKING:
    import highspy

_CUTOFF = 1e-6  # HiGHS prunes nodes that promise less than its mip_feasibility_tolerance


class Highs:
    """HiGHS branch and cut.

    ``threads`` is taken as it is: every solve runs in a thread of its own, and HiGHS keeps one scheduler per calling
    thread, so a later solve with another number of threads does not meet "scheduler already initialised".
    """

    equilibrate = True

    def check(self, program: MixedIntegerProgram, limits: Limits) -> None:  # noqa: ARG002
        """Refuse nothing: HiGHS takes every program and every limit."""
        try:
            import highspy  # noqa: F401
        except ImportError as error:
            raise missing("highs", "highspy") from error

    def interrupt(self) -> None:
        """Do nothing: HiGHS asks ``task.interrupted`` itself."""

    def solve(self, task: Task) -> Outcome:
        """Run HiGHS; its bound is lowered by what it may prune away."""
        import highspy

        highs = highspy.Highs()
        _set_options(highs, task)
        highs.passModel(lowered(task.program))
        if task.start is not None:
            solution = highspy.HighsSolution()
            solution.col_value = task.start.tolist()
            highs.setSolution(solution)
        _listen(highs, task)
        highs.run()
        highs.setCallback(None, None)  # the callback holds the task, which the solver would keep alive
        return _outcome(highs, task)


def lowered(program: MixedIntegerProgram, *, integrality: bool = True) -> highspy.HighsLp:
    """Return ``program`` (without ``integrality``: its linear relaxation) as the arrays HiGHS takes."""
    import highspy

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = program.variables, program.rows
    lp.col_cost_, lp.offset_ = program.cost, program.offset
    lp.col_lower_, lp.col_upper_ = program.lower, program.upper
    lp.row_lower_, lp.row_upper_ = program.row_lower, program.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = program.row_start.astype(np.int32)
    lp.a_matrix_.index_ = program.column.astype(np.int32)
    lp.a_matrix_.value_ = program.coefficient
    if integrality and program.integer.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[int(flag)] for flag in program.integer]
    return lp


def _set_options(highs: highspy.Highs, task: Task) -> None:
    limits = task.limits
    options: dict[str, Any] = {
        "output_flag": False,
        "threads": limits.threads,
        "random_seed": limits.seed % 2**31,
        "mip_rel_gap": limits.relative_gap,
        "mip_abs_gap": limits.absolute_gap,
    }
    if limits.time_s is not None:
        options["time_limit"] = limits.time_s
    if limits.nodes is not None:
        options["mip_max_nodes"] = min(limits.nodes, 2**31 - 1)
    if _presolve_is_wrong(task.program):
        options["presolve"] = "off"
    for name, value in options.items():
        highs.setOptionValue(name, value)


def _presolve_is_wrong(program: MixedIntegerProgram) -> bool:
    """Whether this HiGHS may lose the optimum of a mixed program in presolve.

    Version 1.14.0 fixes continuous columns after a row activity that it forgot to update, and calls the result
    optimal: https://github.com/ERGO-Code/HiGHS/issues/3043, fixed in 1.15.0.
    """
    mixed = bool(program.integer.any()) and not bool(program.integer.all())
    return mixed and metadata.version("highspy").startswith("1.14.")


def _listen(highs: highspy.Highs, task: Task) -> None:
    import highspy

    kinds = highspy.cb.HighsCallbackType

    def callback(kind: object, message: str, out: Any, order: Any, data: object) -> None:  # noqa: ARG001
        if kind in (kinds.kCallbackMipLogging, kinds.kCallbackMipImprovingSolution):
            bound = out.mip_dual_bound - _slack(task.program)
            task.report(float(out.mip_primal_bound), float(bound), int(out.mip_node_count))
        elif task.interrupted.is_set():
            order.user_interrupt = True

    highs.setCallback(callback, None)
    for kind in (
        kinds.kCallbackMipLogging,
        kinds.kCallbackMipImprovingSolution,
        kinds.kCallbackMipInterrupt,
        kinds.kCallbackSimplexInterrupt,
        kinds.kCallbackIpmInterrupt,
    ):
        highs.startCallback(kind)


def _slack(program: MixedIntegerProgram) -> float:
    """Return by how much the optimum may lie below what HiGHS proves: 0 when all objectives are whole numbers."""
    return 0.0 if whole_costs(program) or not program.integer.any() else _CUTOFF


def _outcome(highs: highspy.Highs, task: Task) -> Outcome:
    import highspy

    kinds = highspy.HighsModelStatus
    found = highs.getModelStatus()
    info = highs.getInfo()
    mixed = bool(task.program.integer.any())
    limit = {kinds.kTimeLimit: "time", kinds.kSolutionLimit: "nodes", kinds.kInterrupt: "interrupt"}.get(found)
    status = {
        kinds.kOptimal: Status.OPTIMAL,
        kinds.kInfeasible: Status.INFEASIBLE,
        kinds.kUnbounded: Status.UNBOUNDED,
        kinds.kUnboundedOrInfeasible: Status.UNBOUNDED,
    }.get(found, Status.UNSOLVED)
    feasible = info.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
    bound = info.mip_dual_bound if mixed else -math.inf
    if status is Status.OPTIMAL and not mixed:
        bound = info.objective_function_value
    return Outcome(
        status=status,
        point=np.array(highs.getSolution().col_value) if feasible else None,
        bound=float(bound) - _slack(task.program),
        nodes=max(int(info.mip_node_count), 0) if mixed else 0,
        limit=limit if limit or status is not Status.UNSOLVED else "other",
        engine=f"highs {metadata.version('highspy')}",
    )
