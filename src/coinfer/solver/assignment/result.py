"""What a search for a layered assignment found, and what shows its bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

from coinfer.solver.certificate.assignment import AssignmentProof
from coinfer.solver.program import IntArray
from coinfer.solver.result import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What was known at one moment of a search.

    Attributes
    ----------
    seconds
        Wall-clock seconds since the search began.
    value, bound
        Objective of the best assignment (``inf`` without one) and the proven lower bound (``-inf`` without one).
    """

    seconds: float
    value: float
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AssignmentResult:
    """Best assignment found and how far it can be from the optimum. No field has a default.

    Attributes
    ----------
    status, limit
        Why the search stopped: see :class:`coinfer.solver.result.Result`.
    part
        (layers, items): the part of each item; ``None`` without a feasible assignment.
    value
        Its objective; ``inf`` without one.
    bound
        Proven lower bound on any feasible assignment; ``-inf`` where nothing was proven.
    proof
        Data from which ``certificate.assignment`` re-derives the bound; ``None`` without.
    trajectory
        Value and bound over time, oldest first.
    seconds
        Wall-clock seconds.
    engine
        What found the assignment.
    """

    status: Status
    limit: str | None
    part: IntArray | None
    value: float
    bound: float
    proof: AssignmentProof | None
    trajectory: tuple[Moment, ...]
    seconds: float
    engine: str

    @property
    def gap(self) -> float:
        """Gap over the value; ``inf`` without an assignment, 0 where the value is 0."""
        if self.part is None:
            return math.inf
        return 0.0 if self.value <= self.bound else (self.value - self.bound) / self.value
