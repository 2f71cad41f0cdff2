"""The search for a facility location under linear rows: best-first branch, price, reduce."""

from __future__ import annotations

import heapq
import itertools
import math
import time

import numpy as np

from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.facility_box import Box, Boxes
from coinfer.solver.monotonic.facility_start import first_choices
from coinfer.solver.monotonic.kernels import Choice
from coinfer.solver.monotonic.pool import Pool
from coinfer.solver.monotonic.program import FloatArray, IntArray, MonotonicProgram
from coinfer.solver.monotonic.result import SearchResult, SearchStatus
from coinfer.solver.progress import OnProgress, Progress, Stop

REPORT_EVERY_S = 0.1
PROVEN = 1e-9
"""Relative to the largest possible value: a gap below this counts as closed."""


def search_facility(
    program: MonotonicProgram,
    *,
    limits: Limits | None = None,
    start: IntArray | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    keep_proof: bool = True,
    pool: Pool | None = None,
    prices: FloatArray | None = None,
    kernel: Choice = "auto",
) -> SearchResult:
    """Find the best point of a facility location whose constraints are all linear rows, and prove it.

    Parameters
    ----------
    program
        Its objective is a :class:`FacilityLocation`, its constraints are :class:`LinearRows`.
    limits, stop
        When the search ends early; the incumbent and the bound stand.
    start
        A point to begin from; ignored where it is not feasible.
    on_progress
        Called with ``value`` and ``bound`` of the maximisation.
    keep_proof
        False saves the memory of the leaves.
    pool
        Collects the best points instead of one; see there for what the bound then says.
    prices
        Assignment prices to begin from, as of a search under another budget.
    kernel
        Which code takes the price steps; see :mod:`coinfer.solver.monotonic.kernels`.
    """
    search = _Search(program, limits or Limits(), Stop() if stop is None else stop, kernel, pool, keep=keep_proof)
    with interrupt_sets(search.stop):
        return search.run(start, prices, on_progress)


class _Search:
    """The queue of open boxes, and the limits."""

    def __init__(
        self, program: MonotonicProgram, limits: Limits, stop: Stop, kernel: Choice, pool: Pool | None, *, keep: bool
    ) -> None:
        self.began = time.perf_counter()
        self.limits, self.stop = limits, stop
        self.boxes = Boxes(program, limits, kernel, pool, keep=keep)
        self.heap: list[tuple[float, int, Box]] = []
        self.nodes = 0
        self._count = itertools.count()

    def run(self, start: IntArray | None, prices: FloatArray | None, on_progress: OnProgress | None) -> SearchResult:
        """Search until nothing is open or a limit is hit."""
        boxes = self.boxes
        self._first_incumbents(start)
        self._push(boxes.root(prices))
        limit, reported = None, self.began
        while self.heap:
            limit = self._limit_hit()
            if limit is not None:
                break
            box = heapq.heappop(self.heap)[-1]
            if box.bound <= boxes.threshold():
                boxes.close(box)
                continue
            self.nodes += 1
            for child in boxes.expand(box):
                self._push(child)
            if on_progress is not None and time.perf_counter() - reported > REPORT_EVERY_S:
                reported = time.perf_counter()
                on_progress(self._progress(reported))
        for _, _, box in self.heap:
            boxes.close(box)
        return self._result(limit)

    def _first_incumbents(self, start: IntArray | None) -> None:
        boxes = self.boxes
        if start is not None:
            boxes.offer(start > 0)
        for choice in first_choices(boxes.filler, boxes.values, boxes.coefficients, boxes.required):
            if boxes.filler.feasible(choice):
                boxes.offer(boxes.filler.improve(choice, boxes.required))

    def _push(self, box: Box) -> None:
        heapq.heappush(self.heap, (-box.bound, next(self._count), box))

    def _limit_hit(self) -> str | None:
        limits = self.limits
        if self.stop:
            return "interrupt"
        if limits.time_s is not None and time.perf_counter() - self.began >= limits.time_s:
            return "time"
        if limits.nodes is not None and self.nodes >= limits.nodes:
            return "nodes"
        if limits.oracle_calls is not None and self.boxes.evaluated >= limits.oracle_calls:
            return "oracle_calls"
        return None

    def _progress(self, now: float) -> Progress:
        boxes = self.boxes
        bound = max(boxes.closed, boxes.value, -self.heap[0][0] if self.heap else -math.inf)
        return Progress(
            seconds=now - self.began,
            value=boxes.constant + boxes.value,
            bound=boxes.constant + bound,
            nodes=self.nodes,
        )

    def _result(self, limit: str | None) -> SearchResult:
        boxes = self.boxes
        bound = boxes.constant + max(boxes.closed, boxes.value)
        value = boxes.constant + boxes.value
        if boxes.best is None:
            status = SearchStatus.INFEASIBLE if limit is None else SearchStatus.UNSOLVED
        elif bound - value <= PROVEN * boxes.scale:
            status, limit = SearchStatus.OPTIMAL, None
        else:
            status = SearchStatus.GAP if limit is None else SearchStatus.FEASIBLE
        return SearchResult(
            status=status,
            limit=limit,
            incumbent=None if boxes.best is None else boxes.best.astype(np.int64),
            value=value,
            bound=bound,
            nodes=self.nodes,
            oracle_calls=boxes.evaluated,
            seconds=time.perf_counter() - self.began,
            proof=boxes.tree.build(),
            prices=boxes.pricer.first,
        )
