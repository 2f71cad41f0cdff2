"""What a solve found, and how far from optimal it can be."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class Status(enum.Enum):
    """Why the solver stopped. Hitting a limit is a status, never an exception."""

    OPTIMAL = "optimal"
    """The gap is closed to the requested tolerance."""
    FEASIBLE = "feasible"
    """A limit was hit (or the user stopped it); the incumbent is usable and the bound holds."""
    UNSOLVED = "unsolved"
    """A limit was hit before any incumbent; the bound still holds."""
    INFEASIBLE = "infeasible"
    """Proven by the engine: no feasible point."""
    UNBOUNDED = "unbounded"
    """The objective falls without limit; a program with bounded variables never is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """Best point found and how far it can be from the optimum. No field has a default.

    Attributes
    ----------
    status
        Why the solver stopped.
    limit
        Which limit stopped it: ``"time"``, ``"nodes"``, ``"interrupt"`` or ``"other"``; ``None`` without one.
    incumbent
        Best feasible point, one number per variable; ``None`` without one. Integer variables are exact integers.
    value
        Objective of the incumbent, re-computed here and not copied from the engine; ``inf`` without one.
    bound
        Proven lower bound as the engine claims it, widened by the scaling error where the engine works on
        scaled integers; ``-inf`` when nothing was proven, never 0.
    nodes
        Nodes of the search tree; ``None`` where the engine does not say.
    seconds
        Wall-clock seconds of the solve.
    engine
        Name of the engine, with its version.
    scaling_error
        Most by which rounding to integers can have moved the objective of any point; 0 for engines on floats.
    """

    status: Status
    limit: str | None
    incumbent: NDArray[np.float64] | None
    value: float
    bound: float
    nodes: int | None
    seconds: float
    engine: str
    scaling_error: float

    @property
    def gap(self) -> float:
        """Most that could still be gained, in objective units; ``inf`` without incumbent."""
        return math.inf if self.incumbent is None else max(0.0, self.value - self.bound)

    @property
    def relative_gap(self) -> float:
        """Gap over ``max(|value|, 1e-9)``; ``inf`` without incumbent."""
        return math.inf if self.incumbent is None else self.gap / max(abs(self.value), 1e-9)
