"""Budget problem in, plan out: price, fill, prove, and re-check before anything is handed over."""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
import numpy as np

from coinfer import jsonfile
from coinfer.errors import CertificateError, Infeasible, InputError, LimitReached
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.evaluate import BudgetEvaluation, evaluate
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.scale import Scaled, scale
from coinfer.planner.budget.alternatives import alternatives
from coinfer.planner.budget.document import RECOMPUTED_BUDGET, BudgetCertificate, BudgetPlan
from coinfer.planner.budget.figures import capped, certificate_value, spends, used
from coinfer.planner.budget.integer import solve_by
from coinfer.planner.budget.interval import interval
from coinfer.planner.budget.wording import clash, remarks
from coinfer.planner.claims import Claim
from coinfer.records import Matrix
from coinfer.solver.certificate.knapsack import KnapsackProof, Shown, short_prices, shown_by
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.limits import Limits
from coinfer.solver.progress import OnProgress, Stop
from coinfer.solver.result import Status
from coinfer.version import __version__

ENGINES = ("auto", "prices", "highs", "cp-sat", "scip", "cbc")
MOST_REFEREED = 20_000
"""Strata times options of a problem that HiGHS is given where prices find no choice, and not that there is none."""
MOST_SECOND_S = 10.0
"""Seconds that HiGHS may take to better what prices have found for several budgets."""
TOLERANCE = 1e-9
"""Relative gap that counts as none."""


def plan(
    problem: BudgetProblem,
    *,
    engine: str = "auto",
    limits: Limits | None = None,
    start: BudgetDecision | None = None,
    with_proof: bool = True,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> BudgetPlan:
    """Choose an option for every prompt and bound what any choice is worth; see :func:`coinfer.planner.make.plan`.

    Raises
    ------
    Infeasible, LimitReached, BackendMissing, InputError
        As there.
    """
    if engine not in ENGINES:
        raise InputError("engine", expected=f"one of {', '.join(ENGINES)} for a budget", found=engine)
    limits, stop, began = limits or Limits(), Stop() if stop is None else stop, time.perf_counter()
    program = formulate(problem)
    scaled = scale(program)
    if engine in ("auto", "prices"):
        result = _by_prices(problem, scaled, limits=limits, stop=stop, on_progress=on_progress)
    else:
        result = solve_by(engine, scaled.program, limits=limits, stop=stop, on_progress=on_progress)
    proof = _natural(result.proof, scaled) if with_proof else None
    decision, evaluation = _best(problem, result, start)
    if decision is None or evaluation is None:
        raise _nothing(problem, program, result, proof)
    certificate = _certificate(problem, program, result, scaled, evaluation, proof)
    others = alternatives(problem, evaluation.objective, limits=limits)
    return BudgetPlan(
        problem=problem.name,
        problem_sha256=jsonfile.sha256(problem),
        decision=decision,
        certificate=certificate,
        mean_value=evaluation.value / problem.prompts,
        spend=spends(problem, evaluation, certificate.proof),
        used=used(problem, evaluation),
        alternatives=others,
        interval=interval(problem, decision),
        notes=remarks(problem),
        engine=result.engine,
        seconds=time.perf_counter() - began,
        coinfer_version=__version__,
    )


def _by_prices(
    problem: BudgetProblem, scaled: Scaled, *, limits: Limits, stop: Stop, on_progress: OnProgress | None
) -> KnapsackResult:
    """Solve by prices; where those leave a small problem open, another engine looks for a better choice.

    Infeasible is said only where the checker sees it too, or that engine says so.
    """
    began = time.perf_counter()
    result = solve(scaled.program, limits=limits, stop=stop, on_progress=on_progress)
    unsure = result.status is Status.UNSOLVED and result.limit == "other"
    if result.status is Status.INFEASIBLE:
        unsure = result.proof is None or not shown_by(scaled.program, result.proof).infeasible
    open_gap = result.status is Status.FEASIBLE and result.limit in ("gap", "states") and len(scaled.cost_factor) > 1
    if not unsure and not open_gap:
        return result
    if problem.rows * len(problem.options) > MOST_REFEREED:
        if unsure:
            raise LimitReached("whether any choice keeps every limit is nearer to rounding than the prices can tell")
        return result
    left = None if limits.time_s is None else max(limits.time_s - (time.perf_counter() - began), 0.0)
    seconds = left if unsure else min(MOST_SECOND_S if left is None else left, MOST_SECOND_S)
    other = solve_by(
        "highs",
        scaled.program,
        limits=msgspec.structs.replace(limits, time_s=seconds),
        stop=stop,
        on_progress=on_progress,
    )
    if unsure or other.taken is None or not other.value > result.value:
        return other if unsure else result
    return replace(other, status=Status.FEASIBLE, limit=result.limit, bound=result.bound, proof=result.proof)


def _best(
    problem: BudgetProblem, result: KnapsackResult, start: BudgetDecision | None
) -> tuple[BudgetDecision | None, BudgetEvaluation | None]:
    """Return the better of what was found and what the search began from."""
    decision = None if result.taken is None else BudgetDecision(taken=Matrix(result.taken))
    evaluation = None if decision is None else evaluate(problem, decision)
    if evaluation is not None and evaluation.violations:
        raise LimitReached(f"{result.engine} found only a decision that breaks a limit: {evaluation.violations[0]}")
    if start is not None:
        old = evaluate(problem, start)
        if not old.violations and (evaluation is None or old.objective > evaluation.objective):
            return start, old
    return decision, evaluation


def _natural(proof: KnapsackProof | None, scaled: Scaled) -> KnapsackProof | None:
    """Turn prices of the scaled program into prices in the units of the problem, with few digits."""
    if proof is None:
        return None
    prices = np.array(proof.prices) * scaled.cost_factor / scaled.value_factor
    core = None if proof.core_bound is None else proof.core_bound / scaled.value_factor
    return KnapsackProof(prices=short_prices(tuple(prices.tolist())), shows=proof.shows, core_bound=core)


def _certificate(
    problem: BudgetProblem,
    program: MultipleChoiceKnapsack,
    result: KnapsackResult,
    scaled: Scaled,
    evaluation: BudgetEvaluation,
    proof: KnapsackProof | None,
) -> BudgetCertificate:
    """State value, bound and standing; what the proof shows is re-derived here, by the checker's code."""
    value = evaluation.objective
    claimed = capped(problem, result.bound / scaled.value_factor)
    if proof is not None and proof.core_bound is not None:
        plain = msgspec.structs.replace(proof, core_bound=None)
        alone = shown_by(program, plain).bound
        if alone is not None and capped(problem, alone) - value <= TOLERANCE * abs(
            value
        ):  # the prices are proof enough
            proof = plain
    shown = None
    if proof is not None:
        proof, shown = _shown(program, proof)
    verified = None if shown is None or shown.bound is None else max(capped(problem, shown.bound), value)
    bound = verified if verified is not None else (max(claimed, value) if np.isfinite(claimed) else None)
    closed = bound is not None and bound - value <= TOLERANCE * abs(value)
    if verified is None or shown is None:
        claim = Claim(what="bound", standing="claimed", method=result.engine)
    else:
        claim = Claim(what="bound", standing="verified", method=shown.method)
    return BudgetCertificate(
        status="optimal" if closed else "feasible",
        value=certificate_value(problem, value),
        bound=None if bound is None else certificate_value(problem, bound),
        verified_bound=None if verified is None else certificate_value(problem, verified),
        limit=None if closed else result.limit or "gap",
        claims=(*RECOMPUTED_BUDGET, claim),
        proof=proof if verified is not None else None,
    )


def _shown(program: MultipleChoiceKnapsack, proof: KnapsackProof) -> tuple[KnapsackProof, Shown]:
    """Return what a proof shows; where its core does not stand before the checker, what the prices alone show."""
    try:
        return proof, shown_by(program, proof)
    except CertificateError:
        alone = msgspec.structs.replace(proof, core_bound=None)
        return alone, shown_by(program, alone)


def _nothing(
    problem: BudgetProblem, program: MultipleChoiceKnapsack, result: KnapsackResult, proof: KnapsackProof | None
) -> Exception:
    """Say why there is no plan."""
    if result.status is Status.INFEASIBLE:
        shown = proof is not None and shown_by(program, proof).infeasible
        return Infeasible(clash(problem, program, proof if shown else None))
    return LimitReached(f"{result.engine} reached its {result.limit} limit before it found a decision")
