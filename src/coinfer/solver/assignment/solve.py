"""One call for a layered assignment: exact where the class allows it, else search and bound under one limit."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from coinfer.solver import mip
from coinfer.solver.assignment.bounds.levels import bound_levels
from coinfer.solver.assignment.chain import chain_class, solve_chain
from coinfer.solver.assignment.integer_program import encode_assignment, formulate_assignment, read_assignment
from coinfer.solver.assignment.matching import matching_class, solve_matching
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.solver.assignment.result import AssignmentResult, Moment
from coinfer.solver.assignment.search.portfolio import search_assignment
from coinfer.solver.certificate.assignment import AssignmentProof
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import OnProgress, Progress, Stop
from coinfer.solver.result import Result, Status

ENGINES = ("auto", "chain", "matching", "search", "highs", "cp-sat", "scip", "cbc")
DEFAULT_TIME_S = 30.0
"""Time of a search that nobody limited: without a limit it would never end, for it proves no optimum by itself."""
SHARES = (0.3, 0.85)
"""Shares of the time at which the first search ends, and the bound; then the search follows the bound's matrices."""
TOLERANCE = 1e-9
"""Relative difference below which value and bound count as equal."""


def solve(
    program: LayeredAssignment,
    *,
    engine: str = "auto",
    limits: Limits | None = None,
    start: IntArray | None = None,
    with_proof: bool = True,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> AssignmentResult:
    """Assign the items, and bound what any assignment costs.

    Parameters
    ----------
    program
        What is to be assigned.
    engine
        ``auto``: ``matching`` or ``chain`` where the program is of their exact class, else ``search``.
        ``search``: local search, and a semidefinite bound where ``with_proof``. ``highs``, ``cp-sat``, ``scip`` and
        ``cbc`` solve ExFlow's integer program, and only claim their bound.
    limits, start, on_progress, stop
        As elsewhere; ``start`` (layers, items) may be infeasible, and is then only a hint.

    Raises
    ------
    InputError
        If ``engine`` is made for another class of programs.
    BackendMissing
        If the engine is not installed.
    """
    limits, stop = limits or Limits(), Stop() if stop is None else stop
    if engine == "auto":
        engine = "matching" if matching_class(program) else "chain" if chain_class(program) else "search"
    if engine == "matching":
        return solve_matching(program, limits=limits, stop=stop)
    if engine == "chain":
        return solve_chain(program, limits=limits, stop=stop)
    if engine == "search":
        return _Run(program, limits, stop, on_progress).search(start, with_proof=with_proof)
    return _integer_program(program, engine, limits, start, on_progress, stop)


@dataclass
class _Run:
    """The state of one search with its bound."""

    program: LayeredAssignment
    limits: Limits
    stop: Stop
    on_progress: OnProgress | None
    part: IntArray | None = None
    value: float = math.inf
    bound: float = 0.0  # weights, distances and costs are at least 0
    proof: AssignmentProof | None = None
    moments: list[Moment] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def search(self, start: IntArray | None, *, with_proof: bool) -> AssignmentResult:
        total_s = DEFAULT_TIME_S if self.limits.time_s is None else self.limits.time_s
        self._improve(start, total_s * (SHARES[0] if with_proof else 1.0), ())
        if with_proof and not self._finished():
            shown = bound_levels(
                self.program,
                limits=self._until(total_s * SHARES[1]),
                stop=self.stop,
                on_bound=self._bounded,
                target=None if math.isinf(self.value) else self._target(),
            )
            self._bounded(shown.value)
            self.proof = shown.proof
            if not self._finished():
                self._improve(self.part, total_s, shown.guides)
        closed = self._finished() and self.part is not None
        limit = None if closed and self._gap() <= TOLERANCE * self.value else self._limit(total_s)
        status = Status.UNSOLVED if self.part is None else Status.FEASIBLE if limit else Status.OPTIMAL
        return AssignmentResult(
            status=status,
            limit=limit,
            part=self.part,
            value=self.value,
            bound=min(self.bound, self.value),
            proof=self.proof,
            trajectory=tuple(self.moments),
            seconds=time.perf_counter() - self.began,
            engine="search",
        )

    def _improve(self, start: IntArray | None, end_s: float, guides: Sequence[FloatArray]) -> None:
        found = search_assignment(
            self.program,
            limits=self._until(end_s),
            start=start,
            stop=self.stop,
            on_value=self._valued,
            guides=guides or None,
        )
        if found.part is not None:
            self._valued(found.value, found.part)

    def _until(self, end_s: float) -> Limits:
        left = max(0.0, end_s - (time.perf_counter() - self.began))
        return msgspec.structs.replace(self.limits, time_s=left)

    def _valued(self, value: float, part: IntArray) -> None:
        if value < self.value:
            self.value, self.part = value, part
            self._tell()

    def _bounded(self, bound: float) -> None:
        if bound > self.bound:
            self.bound = bound
            self._tell()

    def _tell(self) -> None:
        now = time.perf_counter() - self.began
        self.moments.append(Moment(seconds=now, value=self.value, bound=self.bound))
        if self.on_progress is not None:
            self.on_progress(Progress(seconds=now, value=self.value, bound=self.bound, nodes=None))

    def _gap(self) -> float:
        return self.value - self.bound

    def _target(self) -> float:
        """Return the bound at which the gap is as small as was asked for."""
        return self.value - max(self.limits.absolute_gap, self.limits.relative_gap * self.value)

    def _finished(self) -> bool:
        return bool(self.stop) or self.bound >= self._target() - TOLERANCE * min(self.value, 1e300)

    def _limit(self, total_s: float) -> str:
        if self.stop:
            return "interrupt"
        return "gap" if self._finished() else "time" if time.perf_counter() - self.began >= 0.9 * total_s else "other"


def _integer_program(
    program: LayeredAssignment,
    engine: str,
    limits: Limits,
    start: IntArray | None,
    on_progress: OnProgress | None,
    stop: Stop,
) -> AssignmentResult:
    """Solve ExFlow's program; its point is evaluated here, and its bound is the engine's word."""
    moments: list[Moment] = []

    def told(report: Progress) -> None:
        moments.append(Moment(seconds=report.seconds, value=report.value, bound=report.bound))
        if on_progress is not None:
            on_progress(report)

    formulated = formulate_assignment(program)
    result: Result = mip.solve(
        formulated,
        engine=engine,
        limits=limits,
        start=None if start is None else encode_assignment(program, start),
        on_progress=told,
        stop=stop,
    )
    part = None if result.incumbent is None else read_assignment(program, result.incumbent)
    value = math.inf if part is None else evaluate(program, part).value
    moments.append(Moment(seconds=result.seconds, value=value, bound=max(0.0, result.bound)))
    return AssignmentResult(
        status=result.status,
        limit=result.limit,
        part=part,
        value=value,
        bound=min(value, max(0.0, result.bound)),
        proof=None,
        trajectory=tuple(moments),
        seconds=result.seconds,
        engine=result.engine,
    )
