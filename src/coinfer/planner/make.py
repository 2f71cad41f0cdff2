"""Problem in, plan out: formulate, solve, prove, and check before anything is handed over."""

from __future__ import annotations

import math
import time

import msgspec

from coinfer import jsonfile
from coinfer.errors import CoinferError, Infeasible, LimitReached
from coinfer.models.problem import Decision, Problem
from coinfer.models.selection.decode import decode, encode
from coinfer.models.selection.evaluate import Evaluation, evaluate
from coinfer.models.selection.formulate import explain_infeasible, formulate
from coinfer.planner.bound import closes, proven_value
from coinfer.planner.plan import Certificate, Claim, Plan
from coinfer.planner.predict import deployments, notes, predictions
from coinfer.planner.rounding import widened
from coinfer.profiler.profile import Profile
from coinfer.solver import mip
from coinfer.solver.certificate.tree import BoundProof
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram
from coinfer.solver.progress import OnProgress, Stop
from coinfer.solver.prove import prove
from coinfer.solver.result import Result, Status
from coinfer.version import __version__


def plan(
    problem: Problem,
    *,
    engine: str = "highs",
    limits: Limits | None = None,
    start: Decision | None = None,
    profile: Profile | None = None,
    with_proof: bool = True,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> Plan:
    """Find the best decision, prove how far from optimal it can be, and re-check both.

    Parameters
    ----------
    problem
        What is to be decided.
    engine
        ``highs``, ``cp-sat``, ``scip`` or ``cbc``.
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
    program = formulate(problem)
    point = None if start is None else encode(problem, start)
    result = mip.solve(program, engine=engine, limits=limits, start=point, on_progress=on_progress, stop=stop)
    if result.incumbent is None:
        raise _nothing_found(problem, result)
    decision = decode(problem, result.incumbent)
    evaluation = evaluate(problem, decision)
    if evaluation.violations:
        raise CoinferError(f"{result.engine} returned a decision that breaks a constraint: {evaluation.violations[0]}")
    proof = None
    if with_proof:
        rest = _remaining(limits, time.perf_counter() - began)
        proof = prove(widened(program), incumbent=encode(problem, decision), limits=rest, stop=stop).proof
    return Plan(
        problem=problem.name,
        problem_sha256=jsonfile.sha256(problem),
        profile_sha256=None if profile is None else jsonfile.sha256(profile),
        decision=decision,
        certificate=_certificate(program, result, evaluation, proof),
        predictions=predictions(problem, decision, evaluation, profile),
        deployments=deployments(problem, decision),
        alternatives={"oracle": evaluation.oracle_value, "category": evaluation.category_value},
        notes=notes(problem),
        engine=result.engine,
        seconds=time.perf_counter() - began,
        coinfer_version=__version__,
    )


def _certificate(
    program: MixedIntegerProgram, result: Result, evaluation: Evaluation, proof: BoundProof | None
) -> Certificate:
    """State what is known of the decision, and which part of it was re-checked."""
    value = evaluation.value
    claims = [
        Claim(what="feasibility", standing="verified", method="every constraint re-computed from the problem"),
        Claim(what="objective", standing="verified", method="re-computed from the problem in rational arithmetic"),
    ]
    bound = max(value, -result.bound)
    verified = None if proof is None else max(value, proven_value(program, proof))
    if proof is not None and verified is not None and (verified <= bound or closes(value, verified)):
        method = f"branch-and-bound tree of {len(proof.leaves)} leaves with linear-programming duals"
        claims.append(Claim(what="bound", standing="verified", method=method))
        bound = verified
    else:
        claims.append(Claim(what="bound", standing="claimed", method=result.engine))
    optimal = closes(value, bound)
    return Certificate(
        status="optimal" if optimal else "feasible",
        value=value,
        bound=bound if math.isfinite(bound) else None,
        verified_bound=verified,
        limit=None if optimal else result.limit or "gap",
        claims=tuple(claims),
        proof=proof,
    )


def _remaining(limits: Limits, spent_s: float) -> Limits:
    """Return ``limits`` for the proof: what is left of the time; nodes count anew."""
    if limits.time_s is None:
        return limits
    return msgspec.structs.replace(limits, time_s=max(0.0, limits.time_s - spent_s))


def _nothing_found(problem: Problem, result: Result) -> CoinferError:
    if result.status is Status.INFEASIBLE:
        causes = explain_infeasible(problem)
        return Infeasible("no decision satisfies every constraint" + (": " + "; ".join(causes) if causes else ""))
    limit = result.limit or "engine"
    return LimitReached(f"the {limit} limit was reached after {result.seconds:.1f} s, before any decision was found")
