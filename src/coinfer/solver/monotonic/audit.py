"""Does an oracle have the property it is declared to have? Looked for where it is cheap, and at sampled points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.monotonic.feasible import Feasibility
from coinfer.solver.monotonic.goal import Goal
from coinfer.solver.monotonic.program import FloatArray, IntArray, MonotonicProgram
from coinfer.solver.monotonic.result import Violation
from coinfer.solver.monotonic.weaken import ServedRows

MARGIN = 1e-9
"""A property that fails by less than this, relative to the largest value seen, is rounding."""
COMPARED = 4
"""Points at which the fast single steps of an oracle are compared with its values."""


@dataclass(slots=True)
class Witness:
    """The first violation that anybody met."""

    violation: Violation | None = None

    def ordered(
        self,
        where: str,
        what: str,
        smaller: tuple[IntArray, FloatArray],
        larger: tuple[IntArray, FloatArray],
        size: float,
    ) -> None:
        """Note a violation where a value of ``smaller`` is above that of ``larger``.

        Parameters
        ----------
        where, what
            Oracle and property, for the witness.
        smaller, larger
            Points (count, variables) or one point (variables,), and values (count,). Answers that are not there are
            passed over.
        size
            Largest value of the oracle seen.
        """
        with np.errstate(invalid="ignore"):  # two infinite answers agree
            excess = np.atleast_1d(smaller[1] - larger[1])
        if self.violation is not None or not (excess > MARGIN * size).any():
            return
        i = int(np.nanargmax(excess))
        points = [np.array(side[0][i] if side[0].ndim == 2 else side[0]) for side in (smaller, larger)]
        self.violation = Violation(where=where, what=what, smaller=points[0], larger=points[1], amount=float(excess[i]))


def chains(lower: IntArray, upper: IntArray, *, count: int, seed: int) -> tuple[IntArray, IntArray]:
    """Sample ``count`` pairs of points of a box, the first below the second; (count, variables) each.

    A third of them are neighbours, a third are any two points, and a third touch a corner of the box.
    """
    rng = np.random.default_rng(seed)
    ends = rng.integers(lower, upper, size=(2, count, len(lower)), endpoint=True)
    low, high = ends.min(axis=0), ends.max(axis=0)
    for i in range(0, count, 3):
        high[i] = low[i]
        room = np.flatnonzero(low[i] < upper)
        if len(room):
            high[i, rng.choice(room)] += 1
    low[1::6], high[4::6] = lower, upper
    return low, high


def sampled(
    program: MonotonicProgram, goal: Goal, feasibility: Feasibility, witness: Witness, *, samples: int, seed: int
) -> None:
    """Look for a violation at ``samples`` sampled pairs of points of the box, the same for the same seed."""
    if samples <= 0 or (program.lower > program.upper).any():
        return
    low, high = chains(program.lower, program.upper, count=samples, seed=seed)
    other = np.roll(high, 1, axis=0)
    if goal.single is None:
        what = "F rises in its first argument"
        witness.ordered(
            "objective", what, (low, goal.bounds(other, low)), (high, goal.bounds(other, high)), goal.largest
        )
        what = "F falls in its second argument"
        witness.ordered(
            "objective", what, (low, -goal.bounds(low, other)), (high, -goal.bounds(high, other)), goal.largest
        )
    else:
        values = goal.single.values
        witness.ordered(
            "objective", "the objective is monotone", (low, values(low)), (high, values(high)), goal.largest
        )
        _steps(program, goal, witness, low, high)
    for test in feasibility.tests:
        if isinstance(test.constraint.oracle, ServedRows):
            continue
        name, size = test.constraint.name, test.oracle.largest
        if test.by_lower:
            smaller, larger = test.excess(low, other), test.excess(high, other)
            size = max(size, test.oracle.largest)
            witness.ordered(name, "the constraint is monotone", (low, smaller), (high, larger), size)
        if test.by_upper:
            smaller, larger = -test.excess(other, low), -test.excess(other, high)
            size = max(size, test.oracle.largest)
            witness.ordered(name, "the constraint is monotone", (low, smaller), (high, larger), size)


def _steps(program: MonotonicProgram, goal: Goal, witness: Witness, low: IntArray, high: IntArray) -> None:
    """Compare single steps with values, and gains at lower points with those at higher ones where they must shrink."""
    oracle = goal.single
    if oracle is None:
        return
    for point in low[:COMPARED] if oracle.incremental else ():
        which = np.flatnonzero(point < program.upper)
        raised = np.repeat(point[None, :], len(which), axis=0)
        raised[np.arange(len(which)), which] += 1
        error = np.abs(oracle.added(point, which) - oracle.values(raised))
        here = np.repeat(point[None, :], len(which), axis=0)
        witness.ordered(
            "objective", "gains agree with values", (here, error), (raised, np.zeros(len(which))), goal.largest
        )
    if not goal.shrinking:
        return
    rows = np.flatnonzero((high < program.upper).any(axis=1))
    low, high = low[rows], high[rows]
    column = (high < program.upper).argmax(axis=1)  # the first with room, from a varying start
    start = np.arange(len(rows)) % max(1, program.variables)
    for k, first in enumerate(start.tolist()):
        room = np.flatnonzero(high[k] < program.upper)
        column[k] = room[np.searchsorted(room, first) % len(room)]
    step = np.zeros_like(low)
    step[np.arange(len(rows)), column] = 1
    gain_low = oracle.values(low + step) - oracle.values(low)
    gain_high = oracle.values(high + step) - oracle.values(high)
    witness.ordered("objective", "gains shrink as the point grows", (low, gain_high), (high, gain_low), goal.largest)
