"""What a monotonic search found, and how far from optimal it can be."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from coinfer.solver.certificate.boxes import BoxProof
from coinfer.solver.monotonic.program import FloatArray, IntArray


class SearchStatus(enum.Enum):
    """Why the search stopped. Hitting a limit is a status, never an exception."""

    OPTIMAL = "optimal"
    """Nothing better exists."""
    GAP = "gap"
    """The gap that was asked for is reached: nothing is better by more than that."""
    FEASIBLE = "feasible"
    """A limit was hit (or the user stopped it); the incumbent is usable and the bound holds."""
    UNSOLVED = "unsolved"
    """A limit was hit before any incumbent; the bound still holds."""
    INFEASIBLE = "infeasible"
    """No point satisfies every constraint."""
    HEURISTIC = "heuristic"
    """An oracle broke the property it was declared to have: the incumbent is feasible, and no bound is claimed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Violation:
    """A witness that an oracle lacks the property it was declared to have.

    Attributes
    ----------
    where
        Which oracle: ``objective`` or the name of a constraint.
    what
        The property, in words.
    smaller, larger
        Two points, (variables,) each, one below the other.
    amount
        By how much the property fails.
    """

    where: str
    what: str
    smaller: IntArray
    larger: IntArray
    amount: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchResult:
    """Best point found, and a proof of how far it can be from the best there is. Maximisation.

    Attributes
    ----------
    status, limit
        Why the search stopped, and which limit stopped it (``time``, ``nodes``, ``oracle_calls``, ``interrupt``);
        ``None`` without one.
    incumbent
        Best feasible point; ``None`` without one.
    value
        Its objective; ``-inf`` without one.
    bound
        No feasible point is worth more; ``inf`` when nothing was proven. Without an incumbent and with nothing open
        it is ``-inf``.
    nodes, oracle_calls
        Boxes looked at, and points at which an oracle was evaluated (cached answers are not counted).
    seconds
        Wall-clock seconds.
    proof
        The leaves; ``None`` where the search was told not to keep them.
    violation
        Why the status is ``heuristic``; ``None`` otherwise.
    prices
        Assignment prices of the whole box, where the search has some: the next search of a like program may begin
        from them.
    """

    status: SearchStatus
    limit: str | None
    incumbent: IntArray | None
    value: float
    bound: float
    nodes: int
    oracle_calls: int
    seconds: float
    proof: BoxProof | None
    violation: Violation | None = None
    prices: FloatArray | None = None

    @property
    def gap(self) -> float:
        """Most that could still be gained; ``inf`` without an incumbent."""
        return math.inf if self.incumbent is None else max(0.0, self.bound - self.value)
