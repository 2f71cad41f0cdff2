"""Search for the best point of a deployed gate: branch and bound over boxes, small boxes point by point."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain, ProblemError
from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.certificate.gated import MARGIN, size
from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.gated_bound import Evidence, GateBounds, bounded
from coinfer.solver.monotonic.gated_points import GatePoints, Rows, climbed
from coinfer.solver.monotonic.program import FloatArray, GatedMean, IntArray, LinearRows, MonotonicProgram
from coinfer.solver.monotonic.proof_tree import ROOT, ProofTree
from coinfer.solver.monotonic.result import SearchResult, SearchStatus
from coinfer.solver.progress import OnProgress, Progress, Stop

BoolArray = NDArray[np.bool_]

SMALL = 1024
"""A box with at most this many feasible points is evaluated point by point: that costs no more than a few bounds."""
NARROWEST = 1e-200
"""Shares of one row may differ by this factor; beyond, their sums mean nothing in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """A box that is not finished: its place in the tree, its corners, and what bounds it."""

    index: int
    lower: BoolArray
    upper: BoolArray
    evidence: Evidence


@dataclass(slots=True, eq=False)
class _Search:
    """The search: the open boxes, the incumbent, the tree."""

    limits: Limits
    halted: Callable[[], bool]
    rows: Rows
    gate: GatePoints
    bounds: GateBounds
    tree: ProofTree
    margin: float
    incumbent: BoolArray | None = None
    value: float = -math.inf
    closed: float = -math.inf
    nodes: int = 0
    heap: list[tuple[float, int, _Open]] = field(default_factory=list)

    @property
    def closing(self) -> float:
        """Largest bound of a box that is not looked into."""
        if self.incumbent is None:
            return -math.inf
        gaps = self.limits.absolute_gap, self.limits.relative_gap * abs(self.value)
        return self.value + max(*gaps, 4.0 * self.margin)

    @property
    def bound(self) -> float:
        """No feasible point is worth more."""
        return max(self.closed, -self.heap[0][0] if self.heap else -math.inf, self.value)

    def offer(self, point: BoolArray, value: float) -> None:
        """Take a feasible point as incumbent if it is better."""
        if value > self.value:
            self.incumbent, self.value = point.copy(), value

    def close(self, index: int, leaf: BoxLeaf) -> None:
        """Finish a box."""
        if leaf.bound is not None:
            self.closed = max(self.closed, leaf.bound)
        self.tree.leaf(index, leaf)

    def enter(self, index: int, lower: BoolArray, upper: BoolArray, hint: FloatArray) -> None:
        """Look at a new box: finish it, or put it on the list with its bound."""
        self.nodes += 1
        narrow = self.rows.narrowed(lower, upper)
        if narrow is None:
            row = self.rows.broken(lower, upper)
            empty = BoxLeaf(method="vertex") if row is None else BoxLeaf(method="constraint", constraint=row)
            self.close(index, empty)
            return
        lower, upper = narrow
        unserved = np.flatnonzero(~self.bounds.served[upper].any(axis=0))
        if len(unserved):
            self.close(index, BoxLeaf(method="unserved", constraint=int(unserved[0])))
            return
        room = SMALL if self.limits.oracle_calls is None else min(SMALL, self.limits.oracle_calls - self.gate.calls)
        points = self.rows.points(lower, upper, most=room) if room > 0 else None
        if points is not None:
            self.close(index, self._each(points))
            return
        evidence = bounded(self.bounds, lower, upper, hint, self.closing - 2.0 * self.margin)
        stated = evidence.bound + 2.0 * self.margin
        if stated <= self.closing:
            self.close(index, self.priced(evidence))
        else:
            heapq.heappush(self.heap, (-stated, self.nodes, _Open(index, lower, upper, evidence)))

    def priced(self, evidence: Evidence) -> BoxLeaf:
        """Return the leaf of a box that ends with this evidence."""
        rows = np.flatnonzero(evidence.prices)
        return BoxLeaf(
            method="shares",
            bound=evidence.bound + 2.0 * self.margin,
            table=self.tree.table(evidence.point),
            rows=tuple(rows.tolist()),
            row_prices=tuple(evidence.prices[rows].tolist()),
        )

    def _each(self, points: BoolArray) -> BoxLeaf:
        """Evaluate all feasible points of a box."""
        values = self.gate.values(points)
        best = int(values.argmax()) if len(values) else -1
        if best < 0 or values[best] == -math.inf:
            return BoxLeaf(method="vertex")
        self.offer(points[best], float(values[best]))
        return BoxLeaf(method="vertex", bound=float(values[best]) + 2.0 * self.margin)

    def split(self, box: _Open) -> None:
        """Branch on a column of the box with the largest bound."""
        free = np.flatnonzero(box.upper & ~box.lower)
        j = int(free[np.argmax(box.evidence.slopes[free])])
        below, above = self.tree.branch(box.index, j, 0)
        opened, shut = box.lower.copy(), box.upper.copy()
        opened[j], shut[j] = True, False
        self.enter(above, opened, box.upper, box.evidence.point)
        self.enter(below, box.lower, shut, box.evidence.point)


def search_gated(
    program: MonotonicProgram,
    *,
    limits: Limits | None = None,
    start: IntArray | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    keep_proof: bool = True,
) -> SearchResult:
    """Maximise a deployed gate under linear rows.

    Best-first branch and bound; see :mod:`coinfer.solver.monotonic.gated_bound` for the bound. The same input gives
    the same search unless ``time_s`` or ``stop`` ends it.

    Parameters
    ----------
    program
        Its objective is a :class:`~coinfer.solver.monotonic.program.GatedMean`, its constraints are linear rows.
    limits
        ``time_s``, ``nodes`` (boxes) and ``oracle_calls`` (points evaluated) end the search; the gaps say how close
        is close enough.
    start
        A point to begin with, (variables,); one that is not feasible is ignored.
    on_progress, stop
        Told after each split; ends the search early.
    keep_proof
        False returns no proof.

    Raises
    ------
    ProblemError
        If the program is another one, or the shares of a row differ by more than float64 can add.
    InputError
        If ``start`` is not a vector of as many integers as there are variables.
    """
    began = time.perf_counter()
    limits, stop = limits or Limits(), Stop() if stop is None else stop  # a flag that is not set is false

    def halted() -> bool:
        return bool(stop) or (limits.time_s is not None and time.perf_counter() - began >= limits.time_s)

    search = _prepared(program, limits, halted, keep_proof=keep_proof)
    lower, upper = program.lower > 0, program.upper > 0
    limit = None
    with interrupt_sets(stop):
        if (program.lower > program.upper).any():
            search.close(ROOT, BoxLeaf(method="vertex"))
        else:
            given = None if start is None else _point(program, start)
            for found in climbed(search.gate, search.rows, (lower, upper), given, halted, most=limits.oracle_calls):
                search.offer(*found)
            search.enter(ROOT, lower, upper, np.full(program.variables, 0.5))
        while search.heap and -search.heap[0][0] > search.closing:
            limit = _hit(search, stop)
            if limit is not None:
                break
            search.split(heapq.heappop(search.heap)[2])
            if on_progress is not None:
                spent = time.perf_counter() - began
                on_progress(Progress(seconds=spent, value=search.value, bound=search.bound, nodes=search.nodes))
    return _result(search, limit, began)


def _prepared(program: MonotonicProgram, limits: Limits, halted: Callable[[], bool], *, keep_proof: bool) -> _Search:
    """Put the parts of a search together."""
    objective = program.objective
    if not isinstance(objective, GatedMean):
        raise ProblemError("objective", expected="a deployed gate", found=Plain(type(objective).__name__))
    if any(not isinstance(part, LinearRows) for part in program.constraints):
        raise ProblemError("constraints", expected="linear rows only", found=Plain("others"))
    rows = Rows(program)
    bounds = GateBounds(objective, rows.matrix, rows.limits)
    shares = bounds.shares
    if objective.rule == "proportional" and bool(((shares < NARROWEST) & (objective.shares.T > 0.0)).any()):
        expected = f"0, or at least {NARROWEST:g} of the largest of its row"
        raise ProblemError("objective.shares", expected=expected, found=Plain("less"))
    return _Search(
        limits=limits,
        halted=halted,
        rows=rows,
        gate=GatePoints(objective, shares, bounds.ranks),
        bounds=bounds,
        tree=ProofTree(keep=keep_proof),
        margin=MARGIN * size(objective),
    )


def _point(program: MonotonicProgram, start: IntArray) -> BoolArray:
    """Return a start point, moved into the box."""
    point = np.asarray(start)
    if point.shape != (program.variables,) or not np.issubdtype(point.dtype, np.integer):
        found = Plain(f"{point.dtype} of shape {point.shape}")
        raise InputError("start", expected=f"{program.variables} integers", found=found)
    return np.clip(point, program.lower, program.upper) > 0


def _hit(search: _Search, stop: Stop) -> str | None:
    """Return which limit ends the search now."""
    limits = search.limits
    if stop:
        return "interrupt"
    if search.halted():
        return "time"
    if limits.nodes is not None and search.nodes >= limits.nodes:
        return "nodes"
    if limits.oracle_calls is not None and search.gate.calls >= limits.oracle_calls:
        return "oracle_calls"
    return None


def _result(search: _Search, limit: str | None, began: float) -> SearchResult:
    """Return what a search that has ended knows; open boxes become leaves with the bound they have."""
    bound = search.bound
    for _, _, box in search.heap:
        search.tree.leaf(box.index, search.priced(box.evidence))
    if limit is not None:
        status = SearchStatus.UNSOLVED if search.incumbent is None else SearchStatus.FEASIBLE
    elif search.incumbent is None:
        status = SearchStatus.INFEASIBLE
    else:
        status = SearchStatus.OPTIMAL if bound - search.value <= 4.0 * search.margin else SearchStatus.GAP
    return SearchResult(
        status=status,
        limit=limit,
        incumbent=None if search.incumbent is None else search.incumbent.astype(np.int64),
        value=search.value,
        bound=bound,
        nodes=search.nodes,
        oracle_calls=search.gate.calls,
        seconds=time.perf_counter() - began,
        proof=search.tree.build(),
    )
