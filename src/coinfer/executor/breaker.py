"""A circuit breaker: an endpoint that keeps failing is left alone, tried again later, and in the end given up."""

from __future__ import annotations

import enum
from collections.abc import Callable


class State(enum.Enum):
    """What a breaker lets through."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing until the pause is over
    HALF_OPEN = "half-open"  # one probe at a time
    GONE = "gone"  # nothing any more: every probe failed


class Breaker:
    """Counts failures of one endpoint.

    Parameters
    ----------
    failures
        Failures in a row that open it.
    pause_s
        Seconds it stays open before a probe.
    probes
        Failed probes in a row after which the endpoint is given up.
    clock
        Monotonic seconds.
    """

    def __init__(self, *, failures: int, pause_s: float, probes: int, clock: Callable[[], float]) -> None:
        self._most_failures, self._pause_s, self._most_probes, self._clock = failures, pause_s, probes, clock
        self._failures = 0
        self._failed_probes = 0
        self._opened_at_s: float | None = None
        self._probing = False

    @property
    def state(self) -> State:
        """The state now; time alone moves it from open to half-open."""
        if self._failed_probes >= self._most_probes:
            return State.GONE
        if self._opened_at_s is None:
            return State.CLOSED
        return State.OPEN if self._clock() - self._opened_at_s < self._pause_s else State.HALF_OPEN

    def allow(self) -> bool:
        """Ask to make a call; True must be followed by exactly one of the three methods below."""
        state = self.state
        if state is State.HALF_OPEN and not self._probing:
            self._probing = True
            return True
        return state is State.CLOSED

    def succeeded(self) -> None:
        """Note that an allowed call succeeded."""
        self._failures, self._failed_probes, self._opened_at_s, self._probing = 0, 0, None, False

    def failed(self) -> None:
        """Note that an allowed call failed."""
        if self._probing:
            self._probing = False
            self._failed_probes += 1
            self._opened_at_s = self._clock()
            return
        self._failures += 1
        if self._failures >= self._most_failures and self._opened_at_s is None:
            self._opened_at_s = self._clock()

    def withdrawn(self) -> None:
        """Note that an allowed call was not made."""
        self._probing = False

    def reopens_in_s(self) -> float | None:
        """Return the seconds until a call may be allowed again; ``None`` when never."""
        state = self.state
        if state is State.GONE:
            return None
        if state is State.OPEN and self._opened_at_s is not None:
            return self._pause_s - (self._clock() - self._opened_at_s)
        return 0.0
