"""Maximise a monotonic program: the way in."""

from __future__ import annotations

import math
import time

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.audit import Witness, sampled
from coinfer.solver.monotonic.climb import Climber
from coinfer.solver.monotonic.cuts import Cuts
from coinfer.solver.monotonic.facility import search_facility
from coinfer.solver.monotonic.feasible import Feasibility
from coinfer.solver.monotonic.gated import search_gated
from coinfer.solver.monotonic.goal import Goal, searchable
from coinfer.solver.monotonic.ledger import Box, Ledger
from coinfer.solver.monotonic.oracles import Calls
from coinfer.solver.monotonic.program import FacilityLocation, GatedMean, IntArray, LinearRows, MonotonicProgram
from coinfer.solver.monotonic.result import SearchResult, SearchStatus
from coinfer.solver.monotonic.search import CLOSING, Search
from coinfer.solver.progress import OnProgress, Progress, Stop

AUDIT_SHARE = 200
"""With a limit of calls, each oracle is audited at no more samples than the limit divided by this."""


def maximise(
    program: MonotonicProgram,
    *,
    limits: Limits | None = None,
    start: IntArray | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    audit_samples: int = 64,
    keep_proof: bool = True,
) -> SearchResult:
    """Find the best point of a monotonic program, and prove how far from the best it can be.

    A facility location or a gate under linear rows alone has a search of its own; all else goes through
    branch-reduce-and-bound over integer boxes. The same input gives the same result unless ``time_s`` or ``stop``
    ends it.

    Parameters
    ----------
    program
        Any program.
    limits
        When to stop: ``time_s``, ``nodes`` (boxes), ``oracle_calls`` (points), and the gaps. A limit that is hit is a
        status. ``threads`` is not used.
    start
        A point to begin from, (variables,) integers; of no use where it is not feasible.
    on_progress
        Told of incumbent and bound; both are of the maximisation: ``value`` is ``-inf`` without an incumbent, and
        ``bound`` is an upper bound.
    stop
        Ends the search early, as Ctrl-C does; incumbent and bound stand.
    audit_samples
        Pairs of points at which each oracle is tested for the property it is declared to have; 0 tests only what the
        search meets anyway. With a limit of calls, at most a part of them goes into this.
    keep_proof
        False saves the memory of the leaves.

    Raises
    ------
    InputError
        If an oracle returns anything but one number per point (finite ones, in an objective), or ``start`` has
        another shape.
    """
    if all(isinstance(part, LinearRows) for part in program.constraints):
        own = {FacilityLocation: search_facility, GatedMean: search_gated}.get(type(program.objective))
        if own is not None:
            return own(program, limits=limits, start=start, on_progress=on_progress, stop=stop, keep_proof=keep_proof)
    return maximise_general(
        program,
        limits=limits,
        start=start,
        on_progress=on_progress,
        stop=stop,
        audit_samples=audit_samples,
        keep_proof=keep_proof,
    )


def maximise_general(
    program: MonotonicProgram,
    *,
    limits: Limits | None = None,
    start: IntArray | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    audit_samples: int = 64,
    keep_proof: bool = True,
) -> SearchResult:
    """Maximise by the general search, whatever the class; see :func:`maximise`."""
    search = _prepared(program, limits or Limits(), Stop() if stop is None else stop, keep_proof=keep_proof)
    if start is not None:
        search.offer(search.climber.best(_inside(search.program, start)[None, :]))
    root = Box(index=0, lower=search.program.lower.copy(), upper=search.program.upper.copy())
    limit = None
    if (root.lower > root.upper).any():
        search.ledger.close(0, BoxLeaf(method="vertex"))
    else:
        search.push(root)
    with interrupt_sets(search.stop):
        if not isinstance(program.objective, FacilityLocation | GatedMean) or len(search.feasibility.tests) > 1:
            samples = audit_samples if search.calls.limit is None else search.calls.limit // AUDIT_SHARE
            sampled(
                search.program,
                search.goal,
                search.feasibility,
                search.witness,
                samples=min(samples, audit_samples),
                seed=search.limits.seed,
            )
        while search.heap and search.witness.violation is None:
            limit = search.hit
            if limit is not None:
                break
            search.step()
            if on_progress is not None:
                spent = time.perf_counter() - search.began
                on_progress(Progress(seconds=spent, value=search.value, bound=search.bound, nodes=search.nodes))
        search.finish()
        if search.witness.violation is not None and search.incumbent is None:
            search.offer(search.climber.built(root.lower, search.program.lower, search.program.upper))
    return _result(search, limit)


def _inside(program: MonotonicProgram, start: IntArray) -> IntArray:
    """Return a start point as integers; one outside the box is moved to its nearest point."""
    point = np.asarray(start)
    if point.shape != (program.variables,) or not np.issubdtype(point.dtype, np.integer):
        found = Plain(f"{point.dtype} of shape {point.shape}")
        raise InputError("start", expected=f"{program.variables} integers", found=found)
    return np.clip(point.astype(np.int64), program.lower, program.upper)


def _prepared(program: MonotonicProgram, limits: Limits, stop: Stop, *, keep_proof: bool) -> Search:
    """Put the parts of a search together."""
    began = time.perf_counter()
    inner, calls = searchable(program), Calls(limit=limits.oracle_calls)
    goal = Goal(inner, calls)
    feasibility = Feasibility(inner, calls)

    def halted() -> bool:
        late = limits.time_s is not None and time.perf_counter() - began >= limits.time_s
        return bool(stop) or late or calls.exhausted

    return Search(
        program=inner,
        limits=limits,
        stop=stop,
        began=began,
        goal=goal,
        feasibility=feasibility,
        calls=calls,
        cuts=Cuts(inner),
        climber=Climber(goal=goal, feasibility=feasibility, halted=halted),
        ledger=Ledger(keep=keep_proof),
        witness=Witness(),
    )


def _result(search: Search, limit: str | None) -> SearchResult:
    """Return what a search that has ended knows."""
    violation, value, bound = search.witness.violation, search.value, search.bound
    proof = None
    if violation is not None:
        status, bound, limit = SearchStatus.HEURISTIC, math.inf, None
    elif search.heap:
        status = SearchStatus.UNSOLVED if search.incumbent is None else SearchStatus.FEASIBLE
    else:
        limit = None
        exact = bound - value <= CLOSING * abs(value)
        status = SearchStatus.OPTIMAL if exact else SearchStatus.GAP
        status = SearchStatus.INFEASIBLE if search.incumbent is None else status
    if violation is None:
        proof = search.ledger.proof([box for _, _, box in search.heap], search.cuts.found)
    return SearchResult(
        status=status,
        limit=limit,
        incumbent=None if search.incumbent is None else search.incumbent.point,
        value=value,
        bound=bound,
        nodes=search.nodes,
        oracle_calls=search.calls.made,
        seconds=time.perf_counter() - search.began,
        proof=proof,
        violation=violation,
    )
