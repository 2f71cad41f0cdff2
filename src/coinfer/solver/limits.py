"""When a search stops: plain data, so that it can be written into a plan; ``None`` means no such limit."""

from __future__ import annotations

import math

from coinfer.errors import InputError
from coinfer.records import Record


class Limits(Record, frozen=True, kw_only=True):
    """Limits of one solve.

    Attributes
    ----------
    time_s
        Wall-clock seconds.
    nodes
        Nodes of the search tree; an engine that counts none (CP-SAT) refuses a program with this limit.
    oracle_calls
        Points at which an oracle is evaluated: for the monotonic search; the other engines call none.
    relative_gap, absolute_gap
        The search may stop as soon as the proven gap is at most this; ``0`` asks for the optimum.
    threads
        Worker threads; 1 keeps a solve repeatable.
    seed
        Seed of the engine's random choices.
    """

    time_s: float | None = None
    nodes: int | None = None
    oracle_calls: int | None = None
    relative_gap: float = 0.0
    absolute_gap: float = 0.0
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("time_s", "relative_gap", "absolute_gap"):
            number = getattr(self, name)
            if number is not None and not 0.0 <= number < math.inf:
                raise InputError(f"limits.{name}", expected="a finite number, at least 0", found=number)
        for name, least in (("nodes", 0), ("oracle_calls", 0), ("threads", 1), ("seed", 0)):
            count = getattr(self, name)
            if count is not None and count < least:
                raise InputError(f"limits.{name}", expected=f"an integer, at least {least}", found=count)
