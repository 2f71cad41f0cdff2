"""Constraints as the search uses them: which points keep them, and which boxes cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.monotonic.oracles import Calls, Counted, CountedPair
from coinfer.solver.monotonic.program import (
    ROUNDING,
    FloatArray,
    IntArray,
    MixedAtMost,
    MonotoneAtLeast,
    MonotoneAtMost,
    MonotonicProgram,
)
from coinfer.solver.monotonic.weaken import ServedRows

OracleConstraint = MonotoneAtMost | MonotoneAtLeast | MixedAtMost


@dataclass(frozen=True, slots=True, eq=False)
class OracleTest:
    """One oracle constraint over boxes.

    Attributes
    ----------
    constraint
        What it tests.
    number
        Its number in a proof: behind the linear rows.
    oracle
        The counted oracle.
    """

    constraint: OracleConstraint
    number: int
    oracle: Counted | CountedPair

    @property
    def by_lower(self) -> bool:
        """Whether a higher lower corner can make the box empty."""
        return not isinstance(self.constraint, MonotoneAtLeast)

    @property
    def by_upper(self) -> bool:
        """Whether a lower upper corner can make the box empty."""
        return not isinstance(self.constraint, MonotoneAtMost)

    def excess(self, lowers: IntArray, uppers: IntArray) -> FloatArray:
        """Return by how much each box, (count, variables) each, misses the limit at its best: above 0, it is empty.

        Negative or 0 shows nothing about a box, but shows that a point (a box of one) keeps the constraint.
        """
        limit = self.constraint.limit
        slack = ROUNDING * max(1.0, abs(limit))
        if isinstance(self.oracle, CountedPair):
            return self.oracle.values(lowers, uppers) - (limit + slack)
        if self.by_lower:
            return self.oracle.values(lowers) - (limit + slack)
        return (limit - slack) - self.oracle.values(uppers)


class Feasibility:
    """All constraints of a program.

    Parameters
    ----------
    program
        The program; an objective that serves rows has its own constraint among those of the program.
    calls
        The shared count.
    """

    def __init__(self, program: MonotonicProgram, calls: Calls) -> None:
        self.matrix = program.rows.coefficients
        self.limits = program.row_limits
        self._up, self._down = np.maximum(self.matrix, 0.0), np.minimum(self.matrix, 0.0)
        self._scale = np.maximum(np.abs(self.matrix).max(axis=1, initial=0.0), np.finfo(np.float64).tiny)
        self.tests: list[OracleTest] = []
        for part in program.constraints:
            if isinstance(part, MixedAtMost):
                pair = CountedPair(part.oracle, calls, part.name, variables=program.variables)
                self._append(part, pair)
            elif isinstance(part, MonotoneAtMost | MonotoneAtLeast):
                self._append(part, Counted(part.oracle, calls, part.name))

    def _append(self, part: OracleConstraint, oracle: Counted | CountedPair) -> None:
        number = len(self.limits) + len(self.tests)
        self.tests.append(OracleTest(constraint=part, number=number, oracle=oracle))

    def least(self, lower: IntArray, upper: IntArray) -> FloatArray:
        """Return the least activity of each linear row over a box, (rows,)."""
        return self._up @ lower + self._down @ upper

    def empty(self, lower: IntArray, upper: IntArray) -> BoxLeaf | None:
        """Return why a box holds no feasible point, cheapest test first; ``None`` when nothing shows it."""
        broken = np.flatnonzero(self.least(lower, upper) > self.limits)
        if len(broken):
            return BoxLeaf(method="constraint", constraint=int(broken[0]))
        for test in self.tests:
            if test.excess(lower[None, :], upper[None, :])[0] > 0.0:
                return self.leaf(test, upper)
        return None

    def leaf(self, test: OracleTest, upper: IntArray) -> BoxLeaf:
        """Return the leaf which says that ``test`` empties a box with this upper corner."""
        oracle = test.constraint.oracle
        if isinstance(oracle, ServedRows):
            row = int(np.argmin(oracle.able[upper >= 1].any(axis=0)))
            return BoxLeaf(method="unserved", constraint=row)
        return BoxLeaf(method="constraint", constraint=test.number)

    def rows_kept(self, points: IntArray) -> NDArray[np.bool_]:
        """Return which of ``points`` (count, variables) keep every linear row, (count,)."""
        return np.asarray((points @ self.matrix.T <= self.limits).all(axis=1))

    def kept(self, points: IntArray) -> NDArray[np.bool_]:
        """Return which of ``points`` (count, variables) are known to keep everything, (count,)."""
        kept: NDArray[np.bool_] = self.rows_kept(points)
        for test in self.tests:
            left = np.flatnonzero(kept)
            if len(left):
                kept[left] = test.excess(points[left], points[left]) <= 0.0
        return kept

    def violation(self, points: IntArray) -> FloatArray:
        """Return how far each of ``points`` is from feasible, in sizes of the constraints' numbers; 0 when it is."""
        over = np.maximum(points @ self.matrix.T - self.limits, 0.0) / self._scale
        total: FloatArray = over.sum(axis=1)
        for test in self.tests:
            excess = np.maximum(test.excess(points, points), 0.0) / max(abs(test.constraint.limit), 1e-12)
            total += np.where(np.isnan(excess), np.inf, excess)
        return total
