"""Split problem in, plan out: search, bound, and re-check both before anything is handed over."""

from __future__ import annotations

import math
import time

from coinfer import jsonfile
from coinfer.errors import Infeasible, InputError, LimitReached
from coinfer.models.split.data import SplitProblem
from coinfer.models.split.decision import SplitDecision
from coinfer.models.split.evaluate import evaluate
from coinfer.models.split.formulate import decision_of, layered_path
from coinfer.planner.agreement import TOLERANCE, closed
from coinfer.planner.claims import Claim
from coinfer.planner.split.document import PATH_METHOD, RECOMPUTED_SPLIT, SplitCertificate, SplitPlan
from coinfer.solver.certificate.path import check_path
from coinfer.solver.limits import Limits
from coinfer.solver.path.result import PathResult
from coinfer.solver.path.solve import ENGINES, solve_path
from coinfer.solver.progress import OnProgress, Stop
from coinfer.solver.result import Status
from coinfer.version import __version__


def plan(
    problem: SplitProblem,
    *,
    engine: str = "auto",
    limits: Limits | None = None,
    start: SplitDecision | None = None,
    with_proof: bool = True,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> SplitPlan:
    """Find a split and bound what any split costs; see :func:`coinfer.planner.make.plan`.

    A ``start`` that keeps every limit is kept where the search ends with nothing better.

    Raises
    ------
    Infeasible, LimitReached, BackendMissing, InputError
        As there.
    """
    if engine not in ENGINES:
        raise InputError("engine", expected=f"one of {', '.join(ENGINES)} for a split", found=engine)
    began = time.perf_counter()
    program = layered_path(problem)
    found = solve_path(program, limits=limits, stop=stop, on_progress=on_progress, engine=engine)
    candidates = [] if found.path is None else [decision_of(problem, found.path)]
    judged = [(each, evaluate(problem, each)) for each in ([*candidates] if start is None else [*candidates, start])]
    kept = [(each, made) for each, made in judged if not made.violations]
    if not kept:
        raise _nothing(problem, found)
    decision, evaluation = min(kept, key=lambda pair: pair[1].value)
    figures = evaluation.figures
    if figures is None:
        raise LimitReached("the search found only what is no split of the model")
    proof = found.proof if with_proof else None
    verified = None if proof is None else min(evaluation.value, check_path(program, proof))
    bound = min(evaluation.value, found.bound) if math.isfinite(found.bound) else None
    claim = Claim(what="bound", standing="claimed", method=found.engine)
    if verified is not None and (bound is None or verified >= bound - TOLERANCE * evaluation.value):
        claim, bound = Claim(what="bound", standing="verified", method=PATH_METHOD), verified
    optimal = bound is not None and closed(evaluation.value, bound)
    return SplitPlan(
        problem=problem.name,
        problem_sha256=jsonfile.sha256(problem),
        decision=decision,
        certificate=SplitCertificate(
            status="optimal" if optimal else "feasible",
            value=evaluation.value,
            bound=bound,
            verified_bound=verified,
            limit=None if optimal else found.limit or "gap",
            claims=(*RECOMPUTED_SPLIT, claim),
            proof=proof,
        ),
        figures=figures,
        engine=found.engine,
        seconds=time.perf_counter() - began,
        coinfer_version=__version__,
    )


def _nothing(problem: SplitProblem, found: PathResult) -> Exception | KeyboardInterrupt:
    if found.status is Status.INFEASIBLE:
        return Infeasible("no split satisfies every limit" + _cause(problem))
    if found.limit == "interrupt":
        return KeyboardInterrupt("interrupted before any split was found")
    return LimitReached(f"the {found.limit} limit was reached before any split within all limits was found")


def _cause(problem: SplitProblem) -> str:
    """Name memory, where all devices together have too little for the smallest weights."""
    least = sum(
        group.count * (min(group.weights_bytes.values()) + group.kv_bytes_per_token * problem.context_tokens)
        for group in problem.layers
    )
    room = sum(device.memory_bytes for device in problem.devices)
    if least <= room:
        return ""
    return f": all devices have {room:,.0f} bytes, the layers need {least:,.0f} at least"
