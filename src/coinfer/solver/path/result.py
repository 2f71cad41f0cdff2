"""The best path found, and how far from optimal it can be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from coinfer.solver.certificate.path import PathProof
from coinfer.solver.path.program import Path
from coinfer.solver.result import Status


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PathResult:
    """Best path found and how far it can be from the optimum. No field has a default.

    Attributes
    ----------
    status, limit
        Why the search stopped: see :class:`coinfer.solver.result.Result`.
    path
        The pieces; ``None`` without a feasible path.
    value
        Its objective, as the program evaluates it; ``inf`` without one.
    bound
        Proven lower bound on any feasible path; ``inf`` where there is none.
    certified
        Whether ``certificate.path.check_path`` showed ``bound`` from ``proof`` alone, up to rounding.
    proof
        Data for that check; ``None`` where the bound is an engine's word.
    labels
        Partial paths looked at; the engine's nodes where an integer program was solved; ``None`` where not counted.
    seconds
        Wall-clock seconds.
    engine
        What found the path.
    """

    status: Status
    limit: str | None
    path: Path | None
    value: float
    bound: float
    certified: bool
    proof: PathProof | None
    labels: int | None
    seconds: float
    engine: str

    @property
    def gap(self) -> float:
        """Gap over the value; ``inf`` without a path, 0 where the value is 0."""
        if self.path is None:
            return math.inf
        return 0.0 if self.value <= self.bound else (self.value - self.bound) / self.value
