"""What a solve of a multiple-choice knapsack found, and the prices that show its bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

from coinfer.solver.certificate.knapsack import KnapsackProof
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.result import Status


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnapsackResult:
    """Best choice found and how far it can be from the optimum. No field has a default.

    Attributes
    ----------
    status, limit
        Why the solve stopped: see :class:`coinfer.solver.result.Result`; ``limit`` is ``"states"`` where the exact
        core grew beyond its cap. ``OPTIMAL`` is said only where the gap is closed to the one asked for.
    taken
        (entries, 3): row, option, copies of the row that take the option; sorted by row, then option, copies at least
        1. ``None`` without a feasible choice.
    value
        Sum of the values taken, re-computed; ``-inf`` without a choice.
    cost
        (resources,): what is taken of each resource; all NaN without a choice.
    bound
        Proven upper bound on the value of any feasible choice; ``inf`` where nothing was proven.
    proof
        Prices, from which :mod:`coinfer.solver.certificate.knapsack` re-derives the bound, or that there is no feasible
        choice; ``None`` where neither was shown.
    seconds
        Wall-clock seconds.
    engine
        What found the choice.
    """

    status: Status
    limit: str | None
    taken: IntArray | None
    value: float
    cost: FloatArray
    bound: float
    proof: KnapsackProof | None
    seconds: float
    engine: str

    @property
    def gap(self) -> float:
        """Most that could still be gained; ``inf`` without a choice."""
        return math.inf if self.taken is None else max(0.0, self.bound - self.value)

    @property
    def relative_gap(self) -> float:
        """Gap over ``max(|value|, 1e-9)``; ``inf`` without a choice."""
        return math.inf if self.taken is None else self.gap / max(abs(self.value), 1e-9)
