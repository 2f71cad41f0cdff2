"""What an engine is given and what it gives back."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import BackendMissing
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram
from coinfer.solver.result import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One solve, as an engine sees it.

    Attributes
    ----------
    program
        Scaled program with at least one variable.
    limits
        Limits; the gaps are in the units of ``program``.
    start
        Point to start from, (variables,), feasible; ``None`` without one.
    report
        Takes value, bound and nodes (``None`` if unknown) of the running solve; thread-safe.
    interrupted
        Set when the solve should end soon.
    """

    program: MixedIntegerProgram
    limits: Limits
    start: NDArray[np.float64] | None
    report: Callable[[float, float, int | None], None]
    interrupted: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an engine claims, in the units of the task's program.

    Attributes
    ----------
    status
        ``UNSOLVED`` stands for every stop at a limit: whether there is an incumbent is in ``point``. ``UNBOUNDED``
        means unbounded or infeasible, since no engine tells them apart in every case.
    point
        Best point, (variables,), integers up to the engine's tolerance; ``None`` without one.
    bound
        Lower bound, already widened by all that the engine rounds or prunes away; ``-inf`` without one.
    nodes
        Nodes; ``None`` where the engine does not say.
    limit
        ``"time"``, ``"nodes"``, ``"interrupt"`` or ``"other"``; ``None`` without one.
    engine
        Name and version.
    scaling_error
        Most by which integer scaling moved the objective of any point.
    """

    status: Status
    point: NDArray[np.float64] | None = None
    bound: float = -math.inf
    nodes: int | None = None
    limit: str | None = None
    engine: str
    scaling_error: float = 0.0


class Engine(Protocol):
    """One solver library.

    Attributes
    ----------
    equilibrate
        Whether the engine's tolerances are absolute, so that it is given rows and costs of like size.
    """

    equilibrate: bool

    def solve(self, task: Task) -> Outcome:
        """Solve, blocking; called in a thread of its own, so that Ctrl-C reaches the main thread."""
        ...

    def interrupt(self) -> None:
        """End the running solve soon; called from another thread, and again until the solve has ended."""
        ...

    def check(self, program: MixedIntegerProgram, limits: Limits) -> None:
        """Raise ``InputError`` for what this engine cannot take and ``BackendMissing`` if it is not installed."""
        ...


def missing(engine: str, package: str) -> BackendMissing:
    """Return the sentence for an engine whose package is not installed."""
    return BackendMissing(f"engine {engine!r} needs the package {package}: pip install {package}")
