"""Paths with budgets, in any order: prices close most arcs, labels settle what is left.

A round takes a trial cutoff above the proven bound, leaves out every arc that the prices show to be too dear for a path
below it, and looks for one with labels. A path that is found is the optimum; otherwise the cutoff is the new bound, and
the next trial lies further off. So no first path is needed, and the work stays near the gap that is really there.

References
----------
G. Y. Handler and I. Zang, A dual algorithm for the constrained shortest path problem, Networks 10 (1980).
W. M. Carlyle, J. O. Royset and R. K. Wood, Lagrangian relaxation and enumeration for solving constrained shortest-path
problems, Networks 52 (2008).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from coinfer.solver.limits import Limits
from coinfer.solver.path.graph import Graph, graph_of
from coinfer.solver.path.kernels import Choice, steps_for
from coinfer.solver.path.labels import Labels
from coinfer.solver.path.potentials import Row, Rows, ascend, single_rows
from coinfer.solver.path.program import LayeredPath, Path
from coinfer.solver.progress import OnProgress, Progress, Stop

CLOSE = 5e-11
"""Share of its value by which a path must be better than the best one to be looked for."""
ASCENT = 60
WIDTHS = (10, 200, 5_000, 100_000)
"""Labels kept at a node, from pass to pass of a round while some had to be dropped."""
DIVE = 10
"""Labels kept at a node while any path will do."""
MOST_LABELS = 3_000_000
"""Labels of one pass: some 300 MB."""
FIRST_TRIAL = 0.01
"""How far the first trial cutoff lies above the bound, relative to it; each further one 3 times as far."""


@dataclass(slots=True, kw_only=True, eq=False)
class Search:
    """The state of one search.

    Attributes
    ----------
    path, value
        The best path, and its sum of resource 0.
    bound
        No feasible path costs less.
    lagrangian
        What the prices show by themselves.
    prices
        Rows that showed something, by which the checker can show it again: of resources and of carriers.
    limit
        What ended the search; ``None`` while nothing has.
    dived
        Whether a first path has been looked for with no cutoff.
    """

    program: LayeredPath
    limits: Limits
    stop: Stop
    on_progress: OnProgress | None
    kernels: Choice = "auto"
    below: float = math.inf
    any_path: bool = False
    path: Path | None = None
    value: float = math.inf
    bound: float = 0.0
    lagrangian: float = 0.0
    labels: int = 0
    limit: str | None = None
    prices: list[Row] = field(default_factory=list)
    dived: bool = False
    began: float = field(default_factory=time.perf_counter)

    def run(self) -> None:
        """Search until the bound meets the value, none is feasible, or a limit is hit."""
        graph = graph_of(self.program, below=self.below)
        rows = Rows(graph, steps_for(self.kernels, len(graph.head)))
        single = single_rows(rows)
        least = np.array([row.least[0] for row in single])
        if (np.isinf(least) | (least > rows.budget)).any():
            self._bounded(math.inf)
            return
        known = ascend(rows, single[0], target=math.inf, steps=ASCENT, met=lambda arcs: self._met(graph, arcs))
        self.lagrangian = max(0.0, rows.bound(known[-1]))
        self._bounded(self.lagrangian)
        self.prices = _spread(known)
        trial = math.inf if self.any_path else FIRST_TRIAL
        while not self.finished() and not self._out():
            cutoff = min(self.cutoff, self.bound * (1.0 + trial) if trial < 3.0 and self.bound > 0.0 else math.inf)
            cutoff = min(cutoff, float(rows.budget[0]))
            if self._round(rows, [*single, *self.prices], cutoff):
                self._bounded(cutoff if cutoff < min(self.cutoff, float(rows.budget[0])) else math.inf)
            trial *= 3.0

    @property
    def cutoff(self) -> float:
        """Cost at which a path is no better than the best one."""
        if self.path is None:
            return math.inf
        return self.value - max(CLOSE * self.value, self.limits.absolute_gap, self.limits.relative_gap * self.value)

    def finished(self) -> bool:
        """Return whether nothing better is to be looked for."""
        return self.bound >= self.cutoff or (self.any_path and self.path is not None) or self.bound == math.inf

    def _round(self, rows: Rows, given: list[Row], cutoff: float) -> bool:
        """Look for a path below ``cutoff``; return whether the search is through with all of them."""
        reduced, given = self._reduced(rows, given, cutoff)
        for width in WIDTHS:
            labels = Labels(rows=reduced, given=given, accept=lambda arcs: self._met(reduced.graph, arcs))
            most = MOST_LABELS
            if self.limits.nodes is not None:
                most = min(most, max(0, self.limits.nodes - self.labels))
            result = labels.run(min(cutoff, self.cutoff), width=width, most=most, ended=self._ended)
            self.labels += result.labels
            if result.ended:
                return False
            if result.dropped == math.inf:
                return True
            self._bounded(min(result.dropped, cutoff, self.cutoff))
            if self.path is None and not self.dived:
                self._dive(rows, given)
                return False
            if self.finished():
                return False
        self.limit = "other"
        return False

    def _dive(self, rows: Rows, given: list[Row]) -> None:
        """Look for any path, with few labels and no cutoff."""
        self.dived = True
        given = [rows.row(row.prices, row.carrier_prices) for row in given]
        labels = Labels(rows=rows, given=given, accept=lambda arcs: self._met(rows.graph, arcs))
        result = labels.run(self.cutoff, width=DIVE, most=MOST_LABELS, ended=self._ended)
        self.labels += result.labels

    def _reduced(self, rows: Rows, given: list[Row], cutoff: float) -> tuple[Rows, list[Row]]:
        """Leave out arcs that no path below ``cutoff`` takes, and price what is left anew, until little changes."""
        while True:
            dear = np.zeros(len(rows.graph.head), dtype=bool)
            for row in given:
                dear |= rows.dear(row, cutoff)
            if dear.sum() <= 0.1 * len(dear):
                return rows, given
            rows = Rows(rows.graph.only(~dear), rows.steps)
            given = [rows.row(row.prices, row.carrier_prices) for row in given]
            if all(math.isfinite(row.least[0]) for row in given) and len(rows.budget) > 1:
                best = max((row for row in given if row.prices[0]), key=rows.bound)
                given = [*given[: len(rows.budget)], *_spread(ascend(rows, best, target=cutoff, steps=ASCENT // 3))]

    def _met(self, graph: Graph, arcs: list[int]) -> float:
        """Take a path if it is feasible and better; return the cutoff from now on."""
        path = graph.path(arcs)
        if self.program.broken(path) is None:
            value = float(self.program.used(path)[0])
            if value < self.value:
                self.path, self.value = path, value
                self._tell()
        return self.cutoff

    def _bounded(self, bound: float) -> None:
        bound = min(bound, self.value)
        if bound > self.bound:
            self.bound = bound
            self._tell()

    def _ended(self) -> bool:
        return (self.any_path and self.path is not None) or self._out()

    def _out(self) -> bool:
        """Return whether a limit is hit, and note which."""
        if self.stop:
            self.limit = "interrupt"
        elif self.limits.time_s is not None and time.perf_counter() - self.began >= self.limits.time_s:
            self.limit = "time"
        elif self.limits.nodes is not None and self.labels >= self.limits.nodes:
            self.limit = "nodes"
        return self.limit is not None

    def _tell(self) -> None:
        if self.on_progress is not None:
            seconds = time.perf_counter() - self.began
            self.on_progress(Progress(seconds=seconds, value=self.value, bound=self.bound, nodes=self.labels))


def _spread(rows: list[Row]) -> list[Row]:
    """Return the last row, and two before it that differ from it."""
    return [rows[i] for i in sorted({len(rows) - 1, max(0, len(rows) - 3), len(rows) // 2})]
