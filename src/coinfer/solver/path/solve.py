"""One call for a layered path: exact by dynamic programming where the class allows it, else by labels."""

from __future__ import annotations

import math
import time

import numpy as np

from coinfer.errors import CertificateError, InputError
from coinfer.solver import mip
from coinfer.solver.certificate.path import PathProof, check_path
from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.limits import Limits
from coinfer.solver.path.dynamic import shortest
from coinfer.solver.path.integer_program import formulate_path
from coinfer.solver.path.kernels import Choice
from coinfer.solver.path.program import LayeredPath, Path
from coinfer.solver.path.result import PathResult
from coinfer.solver.path.search import CLOSE
from coinfer.solver.path.searches import Found, search_bottleneck, search_sum
from coinfer.solver.progress import OnProgress, Progress, Stop
from coinfer.solver.result import Status

ENGINES = ("auto", "dynamic", "labels", "highs", "cp-sat", "scip", "cbc")
MOST_FREE = 62
"""Carriers that labels tell apart in free order: one bit of a word each."""
CHECKED_LABELS = 20_000
"""Beginnings that the checker lists for a plan; beyond, only the Lagrangian bound is shown."""


def solve_path(
    program: LayeredPath,
    *,
    limits: Limits | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
    engine: str = "auto",
    kernels: Choice = "auto",
) -> PathResult:
    """Find the path of the least objective, and bound what any path costs.

    Parameters
    ----------
    program
        What is to be carried.
    limits, stop, on_progress
        As elsewhere; ``nodes`` counts labels.
    engine
        ``auto``: ``dynamic`` where there is no budget, the order is fixed and modes are not mixed; else ``labels``,
        which takes every program but a bottleneck of mixed modes or a free order of more than 62 carriers; else
        ``highs``. ``highs``, ``cp-sat``, ``scip`` and ``cbc`` solve an integer program, and only claim their bound.
    kernels
        Which code takes the inner steps of ``labels``.

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
        engine = "dynamic" if dynamic_class(program) else "labels" if labels_class(program) else "highs"
    if engine == "dynamic":
        return _dynamic(program, on_progress)
    if engine == "labels":
        with interrupt_sets(stop):
            return _labels(program, limits, stop, on_progress, kernels)
    return _integer_program(program, engine, limits, stop, on_progress)


def labels_class(program: LayeredPath) -> bool:
    """Return whether labels solve the program."""
    mixed_bottleneck = program.mixed_modes and program.objective == "bottleneck"
    return not mixed_bottleneck and (program.order == "fixed" or program.carriers <= MOST_FREE)


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


def _labels(
    program: LayeredPath, limits: Limits, stop: Stop, on_progress: OnProgress | None, kernels: Choice
) -> PathResult:
    """Search with labels, and let the checker look at the bound."""
    if not labels_class(program):
        raise InputError("engine", expected="one of the other engines for this program", found="labels")
    began = time.perf_counter()
    kind = search_bottleneck if program.objective == "bottleneck" else search_sum
    found = kind(program, limits=limits, stop=stop, on_progress=on_progress, kernels=kernels)
    value = math.inf if found.path is None else program.value(found.path)
    bound = min(found.bound, value)
    if found.limit is None and found.path is not None and value - bound <= 2.0 * CLOSE * value:
        bound = value  # the search did not look for anything as little better as that
    proof, certified = _proven(program, found, bound)
    if found.path is None:
        status = Status.INFEASIBLE if bound == math.inf else Status.UNSOLVED
    else:
        status = Status.OPTIMAL if bound == value else Status.FEASIBLE
    done = status in {Status.OPTIMAL, Status.INFEASIBLE}
    return PathResult(
        status=status,
        limit=None if done else found.limit or "gap",
        path=found.path,
        value=value,
        bound=bound,
        certified=certified,
        proof=proof,
        labels=found.labels,
        seconds=time.perf_counter() - began,
        engine="labels",
    )


def _proven(program: LayeredPath, found: Found, bound: float) -> tuple[PathProof | None, bool]:
    """Return a proof that the checker accepts: of the bound, or else of the Lagrangian bound; and whether the first."""
    for claimed, most in ((bound, CHECKED_LABELS), (min(bound, found.lagrangian), 0)):
        proof = PathProof(
            bound=None if claimed == math.inf else claimed,
            prices=found.prices,
            carrier_prices=found.carrier_prices if any(any(row) for row in found.carrier_prices) else (),
        )
        if shows(program, proof, most_labels=most):
            return proof, claimed == bound
    return None, False


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
    status, limit = result.status, result.limit
    if path is not None and program.broken(path) is not None:  # within the engine's tolerance, and not within ours
        path, status, limit = None, Status.UNSOLVED, limit or "other"
    value = math.inf if path is None else program.value(path)
    return PathResult(
        status=status,
        limit=limit,
        path=path,
        value=value,
        bound=min(value, max(0.0, result.bound)),
        certified=False,
        proof=None,
        labels=result.nodes,
        seconds=result.seconds,
        engine=result.engine,
    )
