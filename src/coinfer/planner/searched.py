"""Problem in, decision and bound out, through the monotonic engine; the leaves of the search are the proof."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from coinfer.errors import CoinferError, LimitReached
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.evaluate import Evaluation, evaluate
from coinfer.models.selection.from_selection import decode_selection
from coinfer.models.selection.monotonic import monotonic_program
from coinfer.planner.bound import TOLERANCE, closes, scale_of, searched
from coinfer.planner.claims import RECOMPUTED, Claim
from coinfer.planner.rounding import value_margin, widened_rows
from coinfer.planner.selection.document import Certificate
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.maximise import maximise
from coinfer.solver.monotonic.program import IntArray, LinearRows, MonotonicProgram
from coinfer.solver.monotonic.result import SearchResult, SearchStatus
from coinfer.solver.progress import OnProgress, Stop
from coinfer.version import __version__

ENGINE = f"monotonic {__version__}"
MOST_CUTS = 100
"""Selections that miss a limit by less than a search in floats can see, before it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an engine found.

    Attributes
    ----------
    decision, evaluation, certificate
        The parts of a plan.
    engine
        Its name and version.
    notes
        What a reader should know.
    """

    decision: SelectionDecision
    evaluation: Evaluation
    certificate: Certificate
    engine: str
    notes: tuple[str, ...] = ()


def search(
    problem: SelectionProblem,
    *,
    limits: Limits,
    start: SelectionDecision | None,
    with_proof: bool,
    on_progress: OnProgress | None,
    stop: Stop,
) -> Found | None:
    """Search the selections of ``problem``; ``None`` where none is feasible.

    A search in floats lets through what misses a limit by a hair. The evaluation does not; such a selection is cut
    off and the search goes on. The proof is that of the first search, of which the other ones are parts.

    Raises
    ------
    LimitReached
        If a limit was hit before any decision was found.
    KeyboardInterrupt
        The same, when the user stopped it.
    """
    program = widened_rows(monotonic_program(problem))
    began = time.perf_counter()
    point = None if start is None else _selection(problem, start.selected)
    cuts: list[IntArray] = []
    first: SearchResult | None = None
    while True:
        result = maximise(
            _without(program, cuts),
            limits=limits if first is None else _remaining(limits, time.perf_counter() - began),
            start=point,
            on_progress=on_progress,
            stop=stop,
            keep_proof=with_proof and first is None,  # the checker knows of no cuts
        )
        first = first or result
        if result.status is SearchStatus.INFEASIBLE:
            return None
        if result.incumbent is None:
            raise _nothing(result)
        chosen = [expert.name for expert, on in zip(problem.experts, result.incumbent, strict=True) if on]
        decision = decode_selection(problem, chosen)
        evaluation = evaluate(problem, decision)
        if not evaluation.violations:
            break
        cuts.append(result.incumbent)
        if len(cuts) > MOST_CUTS:
            raise LimitReached(f"{ENGINE} found only decisions that break a constraint: {evaluation.violations[0]}")
    claimed = min(first.bound, result.bound) + value_margin(program)
    certificate = _certificate(problem, replace(result, proof=first.proof), evaluation.value, claimed)
    return Found(decision=decision, evaluation=evaluation, certificate=certificate, engine=ENGINE)


def _selection(problem: SelectionProblem, names: tuple[str, ...]) -> IntArray:
    return np.array([expert.name in names for expert in problem.experts], dtype=np.int64)


def _without(program: MonotonicProgram, points: list[IntArray]) -> MonotonicProgram:
    """Return ``program`` without some binary points, which its tolerance lets through and the problem does not."""
    if not points:
        return program
    table = np.array(points)
    rows = LinearRows(
        coefficients=np.where(table > 0, 1.0, -1.0),
        limits=table.sum(axis=1) - 1.0,
        names=tuple(f"not selection {i}" for i in range(len(table))),
    )
    return replace(program, constraints=(*program.constraints, rows))


def _remaining(limits: Limits, spent_s: float) -> Limits:
    if limits.time_s is None:
        return limits
    return msgspec.structs.replace(limits, time_s=max(0.0, limits.time_s - spent_s))


def _certificate(problem: SelectionProblem, result: SearchResult, value: float, claimed: float) -> Certificate:
    """State what is known; the bound is verified where the checker sees as much in the leaves as the search claims."""
    bound, verified, scale = max(value, claimed), None, scale_of(problem)
    claim = Claim(what="bound", standing="claimed", method=ENGINE)
    if result.proof is not None:
        shown = searched(problem, result.proof)
        verified = max(value, shown.bound)
        if verified - bound <= TOLERANCE * scale or closes(value, verified, scale):
            count = f"{shown.leaves} {'leaf' if shown.leaves == 1 else 'leaves'}"
            claim = Claim(what="bound", standing="verified", method=f"boxes of a monotonic search, {count}")
            bound = verified
    optimal = closes(value, bound, scale)
    return Certificate(
        status="optimal" if optimal else "feasible",
        value=value,
        bound=bound if math.isfinite(bound) else None,
        verified_bound=verified,
        limit=None if optimal else result.limit or "gap",
        claims=(*RECOMPUTED, claim),
        leaves=result.proof,
    )


def _nothing(result: SearchResult) -> CoinferError | KeyboardInterrupt:
    if result.limit == "interrupt":
        return KeyboardInterrupt("interrupted before any decision was found")
    return LimitReached(
        f"the {result.limit} limit was reached after {result.seconds:.1f} s, before any decision was found"
    )
