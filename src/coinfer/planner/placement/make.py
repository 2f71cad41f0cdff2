"""Placement problem in, plan out: search, bound, and re-check both before anything is handed over."""

from __future__ import annotations

import time

import numpy as np

from coinfer import jsonfile
from coinfer.errors import Infeasible, InputError, LimitReached
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import PlacementEvaluation, copies, evaluate, scores
from coinfer.models.placement.explain import explain_infeasible
from coinfer.models.placement.formulate import contiguous, slot_program
from coinfer.planner.agreement import TOLERANCE, closed
from coinfer.planner.claims import Claim
from coinfer.planner.placement.bound import shown_by
from coinfer.planner.placement.document import RECOMPUTED_PLACEMENT, Moment, PlacementCertificate, PlacementPlan
from coinfer.planner.placement.solve import ENGINES, Found, solve
from coinfer.solver.assignment.program import imbalance
from coinfer.solver.assignment.replicas.pack import balanced_copies
from coinfer.solver.limits import Limits
from coinfer.solver.progress import OnProgress, Progress, Stop
from coinfer.version import __version__

MOST_MOMENTS = 200
"""Moments of a search that a plan keeps."""


def plan(
    problem: PlacementProblem,
    *,
    engine: str = "auto",
    limits: Limits | None = None,
    start: PlacementDecision | None = None,
    with_proof: bool = True,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> PlacementPlan:
    """Find a placement and bound what any placement costs; see :func:`coinfer.planner.make.plan`.

    Raises
    ------
    Infeasible, LimitReached, BackendMissing, InputError
        As there.
    """
    if engine not in ENGINES:
        raise InputError("engine", expected=f"one of {', '.join(ENGINES)} for a placement", found=engine)
    limits, stop, began = limits or Limits(), Stop() if stop is None else stop, time.perf_counter()
    moments: list[Moment] = []

    def told(report: Progress) -> None:
        moments.append(_moment(report))
        if on_progress is not None:
            on_progress(report)

    found = solve(
        problem, engine=engine, limits=limits, start=start, with_proof=with_proof, on_progress=told, stop=stop
    )
    if found.decision is None:
        raise _nothing(problem, found)
    evaluation = evaluate(problem, found.decision)
    if evaluation.violations:
        raise LimitReached(f"{found.engine} found only a placement that breaks a limit: {evaluation.violations[0]}")
    plain = copies(problem, PlacementDecision(slots=contiguous(problem)))
    seconds = time.perf_counter() - began
    certificate = _certificate(problem, found, evaluation)
    moments.append(Moment(seconds=seconds, value=certificate.value, bound=certificate.bound))
    return PlacementPlan(
        problem=problem.name,
        problem_sha256=jsonfile.sha256(problem),
        decision=found.decision,
        certificate=certificate,
        fit=evaluation.fit,
        heldout=evaluation.heldout,
        contiguous_fit=scores(problem, plain, tokens=problem),
        contiguous_heldout=None if problem.heldout is None else scores(problem, plain, tokens=problem.heldout),
        moved=evaluation.moved,
        trajectory=_thinned(moments),
        notes=found.notes,
        engine=found.engine,
        seconds=seconds,
        coinfer_version=__version__,
    )


def _moment(report: Progress) -> Moment:
    value = float(report.value) if np.isfinite(report.value) else None
    bound = float(report.bound) if 0.0 < report.bound < np.inf else None  # nothing costs less than 0: that is no news
    return Moment(seconds=report.seconds, value=value, bound=bound)


def _thinned(moments: list[Moment]) -> tuple[Moment, ...]:
    """Return at most :data:`MOST_MOMENTS` moments, the first and the last among them."""
    if len(moments) <= MOST_MOMENTS:
        return tuple(moments)
    chosen = np.unique(np.linspace(0, len(moments) - 1, MOST_MOMENTS).astype(int))
    return tuple(moments[i] for i in chosen)


def _certificate(problem: PlacementProblem, found: Found, evaluation: PlacementEvaluation) -> PlacementCertificate:
    """State what is known; the bound is verified where the checker sees as much in the proof as the search claims."""
    value = evaluation.value
    shown = shown_by(problem, found.proof)
    verified = None if shown is None else min(value, shown.bound)
    bound = min(value, found.bound)
    claim = Claim(what="bound", standing="claimed", method=found.engine)
    if shown is not None and verified is not None and verified >= bound - TOLERANCE * value:
        claim, bound = Claim(what="bound", standing="verified", method=shown.method), verified
    optimal = closed(value, bound)
    return PlacementCertificate(
        status="optimal" if optimal else "feasible",
        value=value,
        bound=bound,
        verified_bound=verified,
        limit=None if optimal else found.limit or "gap",
        claims=(*RECOMPUTED_PLACEMENT, claim),
        proof=found.proof,
    )


def _nothing(problem: PlacementProblem, found: Found) -> Exception | KeyboardInterrupt:
    if found.infeasible:
        causes = explain_infeasible(problem)
        return Infeasible("no placement satisfies every limit" + (": " + "; ".join(causes) if causes else ""))
    if found.limit == "interrupt":
        return KeyboardInterrupt("interrupted before any placement was found")
    return LimitReached(
        f"the {found.limit} limit was reached before any placement within all limits was found{_reachable(problem)}"
    )


def _reachable(problem: PlacementProblem) -> str:
    """Say what cap on the load can be kept, where there is one."""
    if problem.load_cap is None:
        return ""
    _, shares = balanced_copies(slot_program(problem))
    uneven = imbalance(np.einsum("le,leg->lg", problem.loads.array, shares))
    number = uneven.max() if problem.load_cap.over == "worst_layer" else uneven.mean()
    return f"; the load cap is {problem.load_cap.imbalance:g}, the most even placement found has {number:.4g}"
