"""One call for a layered path: exact by dynamic programming where the class allows it, else by labels."""

from __future__ import annotations

import math
import time

import numpy as np

from coinfer.errors import CertificateError, InputError
from coinfer.solver import mip
from coinfer.solver.certificate.path import PathProof, check_path
from coinfer.solver.limits import Limits
from coinfer.solver.path.dynamic import shortest
from coinfer.solver.path.integer_program import formulate_path
from coinfer.solver.path.program import LayeredPath, Path
from coinfer.solver.path.result import PathResult
from coinfer.solver.progress import OnProgress, Progress, Stop
from coinfer.solver.result import Status

ENGINES = ("auto", "dynamic", "highs", "cp-sat", "scip", "cbc")


def solve_path(
    program: LayeredPath,
    *,
    limits: Limits | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
    engine: str = "auto",
) -> PathResult:
    """Find the path of the least objective, and bound what any path costs.

    Parameters
    ----------
    program
        What is to be carried.
    limits, stop, on_progress
        As elsewhere.
    engine
        ``auto``: ``dynamic`` where there is no budget, the order is fixed and modes are not mixed, else ``highs``.
        ``highs``, ``cp-sat``, ``scip`` and ``cbc`` solve an integer program, and only claim their bound.

    Raises
    ------
    InputError
        If there is no such engine, or it is made for another class of programs.
    BackendMissing
        If the engine is not installed.
    """
    if engine not in ENGINES:
        raise InputError("engine", expected=f"one of {', '.join(ENGINES)}", found=engine)
    limits, stop = limits or Limits(), Stop() if stop is None else stop
    if engine == "auto":
        engine = "dynamic" if dynamic_class(program) else "highs"
    if engine == "dynamic":
        return _dynamic(program, on_progress)
    return _integer_program(program, engine, limits, stop, on_progress)


def dynamic_class(program: LayeredPath) -> bool:
    """Return whether a recursion over boundaries solves the program."""
    return program.order == "fixed" and not program.mixed_modes and not np.isfinite(program.budget).any()


def _dynamic(program: LayeredPath, on_progress: OnProgress | None) -> PathResult:
    if not dynamic_class(program):
        raise InputError("engine", expected="no budgets, a fixed order and unmixed modes for it", found="dynamic")
    began = time.perf_counter()
    path = shortest(program, bottleneck=program.objective == "bottleneck")
    value = math.inf if path is None else program.value(path)
    proof = PathProof(bound=None if path is None else value)
    shown = shows(program, proof)
    seconds = time.perf_counter() - began
    if on_progress is not None:
        on_progress(Progress(seconds=seconds, value=value, bound=value, nodes=None))
    return PathResult(
        status=Status.INFEASIBLE if path is None else Status.OPTIMAL,
        limit=None,
        path=path,
        value=value,
        bound=value,
        certified=shown,
        proof=proof if shown else None,
        labels=None,
        seconds=seconds,
        engine="dynamic",
    )


def shows(program: LayeredPath, proof: PathProof, *, most_labels: int = 200_000) -> bool:
    """Return whether the checker agrees."""
    try:
        check_path(program, proof, most_labels=most_labels)
    except CertificateError:
        return False
    return True


def _integer_program(
    program: LayeredPath, engine: str, limits: Limits, stop: Stop, on_progress: OnProgress | None
) -> PathResult:
    form = formulate_path(program)
    result = mip.solve(form.built, engine=engine, limits=limits, stop=stop, on_progress=on_progress)
    path: Path | None = None if result.incumbent is None else form.decode(result.incumbent)
    value = math.inf if path is None else program.value(path)
    return PathResult(
        status=result.status,
        limit=result.limit,
        path=path,
        value=value,
        bound=min(value, max(0.0, result.bound)),
        certified=False,
        proof=None,
        labels=result.nodes,
        seconds=result.seconds,
        engine=result.engine,
    )
