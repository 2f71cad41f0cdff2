"""Branch-reduce-and-bound: the search behind :func:`~coinfer.solver.monotonic.maximise.maximise`."""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass, field

import numpy as np

from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.audit import Witness
from coinfer.solver.monotonic.climb import Climber, Found
from coinfer.solver.monotonic.cuts import Cuts
from coinfer.solver.monotonic.feasible import Feasibility
from coinfer.solver.monotonic.goal import Goal
from coinfer.solver.monotonic.ledger import Box, Ledger
from coinfer.solver.monotonic.oracles import Calls
from coinfer.solver.monotonic.program import FloatArray, MonotonicProgram
from coinfer.solver.monotonic.reduce import by_goal, by_rows, by_test
from coinfer.solver.monotonic.result import Violation
from coinfer.solver.monotonic.shrinking import by_gains, gained
from coinfer.solver.progress import Stop

CLOSING = 1e-9
"""A box is closed when its bound is within this of the incumbent, relative to the incumbent's value."""
PASSES = 5
"""Most rounds of reduction of one box."""
SEPARATING = 200
"""Boxes in which covers are looked for."""


@dataclass(slots=True, eq=False)
class _Halves:
    """What a box would lose by being halved in one variable, (variables,) each; see :func:`by_goal`."""

    bound: float
    widths: FloatArray
    below: FloatArray
    above: FloatArray
    gains: FloatArray


@dataclass(slots=True, eq=False)
class Search:
    """The state of one search.

    Attributes
    ----------
    program
        A searchable program.
    limits, stop, began
        When to end; the time is that of ``time.perf_counter``.
    goal, feasibility, calls, cuts, climber, ledger, witness
        Its parts.
    incumbent
        Best feasible point so far.
    nodes
        Boxes looked at.
    """

    program: MonotonicProgram
    limits: Limits
    stop: Stop
    began: float
    goal: Goal
    feasibility: Feasibility
    calls: Calls
    cuts: Cuts
    climber: Climber
    ledger: Ledger
    witness: Witness
    incumbent: Found | None = None
    nodes: int = 0
    heap: list[tuple[float, int, Box]] = field(default_factory=list)
    _pushed: int = 0

    @property
    def value(self) -> float:
        """Value of the incumbent; ``-inf`` without one."""
        return -math.inf if self.incumbent is None else self.incumbent.value

    @property
    def cutoff(self) -> float:
        """A box that is worth no more than this is closed."""
        if self.incumbent is None:
            return -math.inf
        size = abs(self.value)
        return self.value + max(CLOSING * size, self.limits.absolute_gap, self.limits.relative_gap * size)

    @property
    def bound(self) -> float:
        """No feasible point is worth more, by what is known."""
        return max(self.ledger.closed, -self.heap[0][0] if self.heap else -math.inf, self.value)

    @property
    def hit(self) -> str | None:
        """Which limit is hit; ``None`` while none is."""
        limits = self.limits
        if self.stop:
            return "interrupt"
        if limits.time_s is not None and time.perf_counter() - self.began >= limits.time_s:
            return "time"
        if self.calls.exhausted:
            return "oracle_calls"
        return "nodes" if limits.nodes is not None and self.nodes >= limits.nodes else None

    def push(self, box: Box) -> None:
        """Put a box on the list: largest bound first, of equal ones the newest."""
        self._pushed += 1
        heapq.heappush(self.heap, (-box.bound, -self._pushed, box))

    def offer(self, found: Found | None) -> bool:
        """Take a feasible point as incumbent when it is better; True when it is."""
        if found is None or not found.value > self.value:
            return False
        self.incumbent = found
        return True

    def step(self) -> None:
        """Look at the box with the largest bound: close it, or reduce and branch it."""
        box = heapq.heappop(self.heap)[2]
        if box.bound <= self.cutoff and box.evidence is not None:
            self.ledger.close(box.index, box.evidence)
            return
        self.nodes += 1
        halves = self._reduced(box)
        if halves is None:
            return
        if self.calls.exhausted or self.witness.violation is not None:
            self.push(box)
            return
        if (box.lower == box.upper).all():
            self._settle(box)
            return
        self._look(box, halves)
        if box.evidence is not None and box.bound <= self.cutoff:
            self.ledger.close(box.index, box.evidence)
        else:
            self._branch(box, halves)

    def finish(self) -> None:
        """Close what the last incumbent closes, and hold the incumbent against the bound of where it lies."""
        left = [box for _, _, box in sorted(self.heap, key=lambda entry: entry[1])]
        self.heap = []
        for box in left:
            if box.evidence is not None and box.bound <= self.cutoff:
                self.ledger.close(box.index, box.evidence)
            else:
                self.push(box)
        shown = max(self.ledger.closed, -self.heap[0][0] if self.heap else -math.inf)
        self._hold(self.incumbent, shown)

    def _hold(self, found: Found | None, bound: float) -> None:
        """Note a violation where a point is worth more than the bound of where it lies."""
        if found is None or self.witness.violation is not None:
            return
        if found.value - bound > CLOSING * max(abs(found.value), self.goal.largest):
            self.witness.violation = Violation(
                where="objective",
                what="no point is worth more than the bound of a box around it",
                smaller=found.point,
                larger=self.program.upper.copy(),
                amount=found.value - bound,
            )

    def _closed(self, box: Box, leaf: BoxLeaf | None) -> bool:
        """Close a box where ``leaf`` shows it to be empty or not good enough."""
        if leaf is None or (leaf.bound is not None and not leaf.bound <= self.cutoff):
            return False
        self.ledger.close(box.index, leaf)
        return True

    def _reduced(self, box: Box) -> _Halves | None:
        """Reduce and bound a box; ``None`` when that finished it."""
        count = self.program.variables
        halves = _Halves(math.inf, np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count))
        for _ in range(PASSES):
            if self._closed(box, self.feasibility.empty(box.lower, box.upper)):
                return None
            changed = by_rows(box, self.feasibility, self.ledger)
            for test in self.feasibility.tests:
                changed |= by_test(box, test, self.feasibility, self.ledger, self.witness)
            if changed:
                continue
            shown = float(self.goal.bounds(box.lower[None, :], box.upper[None, :])[0])
            if math.isnan(shown):
                break
            box.learn(self.goal.leaf(shown))
            if self._closed(box, box.evidence):
                return None
            halves.bound, halves.widths = shown, (box.upper - box.lower).astype(np.float64)
            changed, halves.below = by_goal(box, self.goal, "upper", shown, self.cutoff, self.ledger, self.witness)
            if self.goal.by_lower:
                more, halves.above = by_goal(box, self.goal, "lower", shown, self.cutoff, self.ledger, self.witness)
                changed |= more
            if self.goal.shrinking:
                closed, more = self._by_gains(box, halves)
                if closed:
                    return None
                changed |= more
            if not changed or self.calls.exhausted:
                break
        return halves

    def _by_gains(self, box: Box, halves: _Halves) -> tuple[bool, bool]:
        """Bound and reduce by shrinking gains; return whether the box is closed, and whether it was cut."""
        if self.goal.single is None or (box.lower == box.upper).all():
            return False, False
        found = gained(
            box,
            self.goal.single,
            self.feasibility,
            self.cuts,
            target=self.cutoff,
            separate=self.nodes <= SEPARATING,
            witness=self.witness,
        )
        if found is None:
            return False, False
        halves.gains[:] = 0.0
        halves.gains[found.which] = found.gains
        box.learn(found.leaf)
        if self._closed(box, found.leaf):
            return True, False
        return False, by_gains(box, found, self.cutoff, self.ledger)

    def _settle(self, box: Box) -> None:
        """Finish a box of one point."""
        if self._closed(box, self.feasibility.empty(box.lower, box.upper)):
            return
        value = float(self.goal.values(box.lower[None, :])[0])
        if self.calls.exhausted:
            self.push(box)
            return
        self.offer(Found(point=box.lower.copy(), value=value))
        self.ledger.close(box.index, self.goal.leaf(value))

    def _look(self, box: Box, halves: _Halves) -> None:
        """Look for a better point in a box, and around it when there is one."""
        score = halves.gains if self.goal.shrinking else halves.below - halves.above
        points = [box.upper, self.climber.filled(box.lower, box.upper, score)]
        if len(self.feasibility.limits):
            takes = np.maximum(self.feasibility.matrix, 0.0)
            room = np.maximum(self.feasibility.limits - self.feasibility.least(box.lower, box.upper), 1e-12)
            density = score / ((takes / room[:, None]).max(axis=0) + 1e-3)
            points.append(self.climber.filled(box.lower, box.upper, density))
        if self.goal.by_lower:
            points.append(box.lower)
        found = self.climber.best(np.unique(points, axis=0))
        self._hold(found, box.bound)
        better = self.offer(found)
        if self.nodes == 1:
            for start in (box.lower, box.upper):
                better |= self.offer(self.climber.built(start, box.lower, box.upper))
        if better and self.incumbent is not None:
            self.offer(self.climber.climbed(self.incumbent, self.program.lower, self.program.upper))

    def _branch(self, box: Box, halves: _Halves) -> None:
        """Halve a box in the variable that promises most."""
        widths = box.upper - box.lower
        score = halves.gains * widths if self.goal.shrinking else halves.below + halves.above
        score = np.where(widths > 0, score, -np.inf)
        best = float(score.max())
        i = int(np.argmax(np.where(score >= best, widths, 0)))  # of equal ones the widest
        value = int(box.lower[i] + box.upper[i] - 1) // 2
        below, above = self.ledger.split(box.index, i, value)
        low = Box(index=below, lower=box.lower.copy(), upper=box.upper.copy(), evidence=box.evidence)
        high = Box(index=above, lower=box.lower.copy(), upper=box.upper.copy(), evidence=box.evidence)
        low.upper[i], high.lower[i] = value, value + 1
        if halves.widths[i] == 1 and math.isfinite(halves.bound):  # the probe of this variable was of these very halves
            low.learn(self.goal.leaf(halves.bound - halves.below[i]))
            if self.goal.by_lower:
                high.learn(self.goal.leaf(halves.bound - halves.above[i]))
        self.push(low)
        self.push(high)
