"""What a running solve tells its caller, and how the caller stops it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One report of a running solve.

    Attributes
    ----------
    seconds
        Wall-clock seconds since the solve began.
    value
        Objective of the incumbent; ``inf`` without one.
    bound
        Proven lower bound; ``-inf`` while there is none.
    nodes
        Nodes finished; ``None`` where the engine does not say.
    """

    seconds: float
    value: float
    bound: float
    nodes: int | None


OnProgress = Callable[[Progress], None]


class Stop:
    """A flag that ends a running solve; the solve returns its incumbent and its bound.

    Thread-safe. ``Ctrl-C`` during a solve sets the flag of that solve.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the solve to stop soon."""
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()
