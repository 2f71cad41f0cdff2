"""Problem in, plan out: formulate, solve, prove, and check before anything is handed over."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import msgspec
import numpy as np

from coinfer import jsonfile
from coinfer.errors import CoinferError, Infeasible, LimitReached
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.decode import decode, encode
from coinfer.models.selection.evaluate import Evaluation, evaluate
from coinfer.models.selection.formulate import explain_infeasible, formulate
from coinfer.models.selection.monotonic import why_not_monotonic
from coinfer.planner.bound import closes, scale_of, upper_limit
from coinfer.planner.claims import RECOMPUTED, Claim
from coinfer.planner.predict import deployments, notes, predictions
from coinfer.planner.rounding import widened
from coinfer.planner.searched import Found, search
from coinfer.planner.selection.document import Certificate, SelectionPlan
from coinfer.profiler.profile import Profile
from coinfer.solver import mip
from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, MixedIntegerProgram
from coinfer.solver.progress import OnProgress, Stop
from coinfer.solver.prove import ProofResult, prove
from coinfer.solver.result import Result, Status
from coinfer.version import __version__

SEARCH_SHARE = 0.75
"""Share of a time limit that the engine may use; the proof has the rest."""


def plan(
    problem: SelectionProblem,
    *,
    engine: str = "auto",
    limits: Limits | None = None,
    start: SelectionDecision | None = None,
    profile: Profile | None = None,
    with_proof: bool = True,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> SelectionPlan:
    """Find the best decision, prove how far from optimal it can be, and re-check both.

    Parameters
    ----------
    problem
        What is to be decided.
    engine
        ``monotonic`` searches the selections; ``highs``, ``cp-sat``, ``scip`` and ``cbc`` solve the integer program.
        ``auto`` takes ``monotonic`` where no limit couples the routing, and ``highs`` elsewhere.
    limits
        Of the search and the proof together; none by default.
    start
        A decision to begin from, as of an older plan; it never makes the result worse.
    profile
        The profile that the problem was assembled from; its hash and its intervals go into the plan.
    with_proof
        False skips the proof: the bound is then only what the engine claims.
    on_progress, stop
        Called with each report of the search; ends it early, keeping incumbent and bound.

    Raises
    ------
    Infeasible
        No decision satisfies every constraint. The sentence says which ones clash, where that is plain.
    LimitReached
        A limit was hit before any decision was found.
    BackendMissing
        The engine is not installed.
    """
    limits, stop = limits or Limits(), Stop() if stop is None else stop
    began = time.perf_counter()
    if engine == "auto":
        engine = "monotonic" if why_not_monotonic(problem) is None else "highs"
    if engine == "monotonic":
        found = search(
            problem, limits=limits, start=start, with_proof=with_proof, on_progress=_minimised(on_progress), stop=stop
        )
        if found is None:
            raise _infeasible(problem)
    else:
        found = _integer_program(
            problem, engine, limits, start, with_proof=with_proof, on_progress=on_progress, stop=stop
        )
    evaluation = found.evaluation
    values = {"oracle": evaluation.oracle_value, "category": evaluation.category_value, "gate": evaluation.gate_value}
    return SelectionPlan(
        problem=problem.name,
        problem_sha256=jsonfile.sha256(problem),
        profile_sha256=None if profile is None else jsonfile.sha256(profile),
        decision=found.decision,
        certificate=found.certificate,
        predictions=predictions(problem, found.decision, evaluation, profile),
        deployments=deployments(problem, found.decision),
        alternatives={name: value for name, value in values.items() if value is not None},
        gate_report=problem.gate_report,
        notes=(*notes(problem), *found.notes),
        engine=found.engine,
        seconds=time.perf_counter() - began,
        coinfer_version=__version__,
    )


def _minimised(on_progress: OnProgress | None) -> OnProgress | None:
    """Turn reports of a maximisation into those of the minimisation that callers know."""
    if on_progress is None:
        return None
    return lambda report: on_progress(replace(report, value=-report.value, bound=-report.bound))


def _integer_program(
    problem: SelectionProblem,
    engine: str,
    limits: Limits,
    start: SelectionDecision | None,
    *,
    with_proof: bool,
    on_progress: OnProgress | None,
    stop: Stop,
) -> Found:
    """Solve the integer program with ``engine``, and prove its bound by a tree."""
    began = time.perf_counter()
    program = formulate(problem)
    point = None if start is None else encode(problem, start)
    search = _share(limits, SEARCH_SHARE if with_proof else 1.0)
    result = mip.solve(program, engine=engine, limits=search, start=point, on_progress=on_progress, stop=stop)
    if result.incumbent is None:
        raise _nothing_found(problem, result)
    decision = decode(problem, result.incumbent)
    evaluation = evaluate(problem, decision)
    shown: ProofResult | None = None
    if with_proof or evaluation.violations:
        # Engines accept points that miss a limit by 1e-6 of it. The proof does not, so it also finds what they missed.
        rest = _remaining(limits, time.perf_counter() - began)
        given = None if evaluation.violations else encode(problem, decision)
        with interrupt_sets(stop):
            shown = prove(
                widened(program),
                incumbent=given,
                limits=rest,
                multipliers=_best_answers(program),
                scale=scale_of(problem),
                stop=stop,
            )
        decision, evaluation = _better(problem, decision, evaluation, shown.incumbent)
        if evaluation.violations and shown.finished and shown.incumbent is None:
            raise _infeasible(problem)
    if evaluation.violations:
        raise LimitReached(
            f"{result.engine} found only a decision that breaks a constraint: {evaluation.violations[0]}"
        )
    certificate = _certificate(program, result, evaluation, shown, scale_of(problem))
    return Found(decision=decision, evaluation=evaluation, certificate=certificate, engine=result.engine)


def _better(
    problem: SelectionProblem, decision: SelectionDecision, evaluation: Evaluation, point: FloatArray | None
) -> tuple[SelectionDecision, Evaluation]:
    """Return the decision of ``point`` where it keeps every limit and is worth more, else the one there was."""
    if point is None:
        return decision, evaluation
    other = decode(problem, point)
    found = evaluate(problem, other)
    if found.violations or (not evaluation.violations and found.value <= evaluation.value):
        return decision, evaluation
    return other, found


def _certificate(
    program: MixedIntegerProgram, result: Result, evaluation: Evaluation, shown: ProofResult | None, scale: float
) -> Certificate:
    """State what is known of the decision, and which part of it was re-checked."""
    value = evaluation.value
    claims = list(RECOMPUTED)
    bound = max(value, -result.bound)
    # The proof was checked when it was made: its bound is the checker's own figure.
    verified = None if shown is None else max(value, upper_limit(program, shown.bound))
    if shown is not None and verified is not None and (verified <= bound or closes(value, verified, scale)):
        leaves = len(shown.proof.leaves)
        method = (
            f"branch-and-bound tree of {leaves} {'leaf' if leaves == 1 else 'leaves'} with linear-programming duals"
        )
        claims.append(Claim(what="bound", standing="verified", method=method))
        bound = verified
    else:
        claims.append(Claim(what="bound", standing="claimed", method=result.engine))
    optimal = closes(value, bound, scale)
    return Certificate(
        status="optimal" if optimal else "feasible",
        value=value,
        bound=bound if math.isfinite(bound) else None,
        verified_bound=verified,
        limit=None if optimal else result.limit or "gap",
        claims=tuple(claims),
        proof=None if shown is None else shown.proof,
    )


def _best_answers(program: MixedIntegerProgram) -> FloatArray:
    """Return multipliers that show, without any search, that no unit is answered better than by its best expert."""
    multipliers = np.zeros(program.rows)
    block = program.row_blocks["assign"]
    row, cost = program.row_of_entry, program.cost[program.column]
    assigned = (row >= block.start) & (row < block.stop)
    best = np.full(program.rows, np.inf)
    np.minimum.at(best, row[assigned], cost[assigned])
    multipliers[block] = np.where(np.isfinite(best[block]), best[block], 0.0)
    return multipliers


def _share(limits: Limits, share: float) -> Limits:
    """Return ``limits`` with a share of their time."""
    return limits if limits.time_s is None else msgspec.structs.replace(limits, time_s=share * limits.time_s)


def _remaining(limits: Limits, spent_s: float) -> Limits:
    """Return ``limits`` for the proof: what is left of the time; nodes count anew."""
    if limits.time_s is None:
        return limits
    return msgspec.structs.replace(limits, time_s=max(0.0, limits.time_s - spent_s))


def _nothing_found(problem: SelectionProblem, result: Result) -> CoinferError:
    if result.status is Status.INFEASIBLE:
        return _infeasible(problem)
    if result.limit == "interrupt":
        raise KeyboardInterrupt("interrupted before any decision was found")
    limit = result.limit or "engine"
    return LimitReached(f"the {limit} limit was reached after {result.seconds:.1f} s, before any decision was found")


def _infeasible(problem: SelectionProblem) -> Infeasible:
    causes = explain_infeasible(problem)
    return Infeasible("no decision satisfies every constraint" + (": " + "; ".join(causes) if causes else ""))
