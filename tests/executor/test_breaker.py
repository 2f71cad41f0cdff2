"""The circuit breaker is the state machine it says it is."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coinfer.executor.breaker import Breaker, State

FAILURES, PAUSE_S, PROBES = 3, 10.0, 2


class BreakerMachine(RuleBasedStateMachine):
    """A breaker beside a plain model of it: a list of events since it last was whole."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.breaker = Breaker(failures=FAILURES, pause_s=PAUSE_S, probes=PROBES, clock=lambda: self.now_s)
        self.in_flight = 0
        self.probing = False
        self.in_a_row = 0
        self.opened_at_s: float | None = None
        self.failed_probes = 0

    def expected(self) -> State:
        """State by the model."""
        if self.failed_probes >= PROBES:
            return State.GONE
        if self.opened_at_s is None:
            return State.CLOSED
        return State.OPEN if self.now_s - self.opened_at_s < PAUSE_S else State.HALF_OPEN

    @rule(seconds=st.sampled_from([0.5, 5.0, PAUSE_S]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds

    @rule(end=st.sampled_from(["succeeded", "failed", "withdrawn"]))
    def call(self, end: str) -> None:
        """Make a call, if allowed, and end it."""
        state = self.expected()
        allowed = self.breaker.allow()
        assert allowed == (state in (State.CLOSED, State.HALF_OPEN))
        if not allowed:
            return
        getattr(self.breaker, end)()
        if end == "succeeded":
            self.in_a_row, self.failed_probes, self.opened_at_s = 0, 0, None
        elif end == "failed" and state is State.HALF_OPEN:
            self.failed_probes += 1
            self.opened_at_s = self.now_s
        elif end == "failed":
            self.in_a_row += 1
            if self.in_a_row >= FAILURES:
                self.opened_at_s = self.now_s

    @precondition(lambda self: self.expected() is State.HALF_OPEN)
    @rule()
    def one_probe_at_a_time(self) -> None:
        """While a probe is in flight nothing else is allowed."""
        assert self.breaker.allow()
        assert not self.breaker.allow()
        self.breaker.withdrawn()

    @invariant()
    def agrees(self) -> None:
        """State and time to reopen are those of the model."""
        state = self.expected()
        assert self.breaker.state is state
        wait_s = self.breaker.reopens_in_s()
        assert (wait_s is None) == (state is State.GONE)
        if wait_s is not None:
            assert (wait_s > 0.0) == (state is State.OPEN)
            assert wait_s <= PAUSE_S


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)


def test_late_failures_of_calls_in_flight_do_not_lengthen_the_pause() -> None:
    """Calls that were in flight when the breaker opened may fail later; it still reopens on time."""
    now_s = [0.0]
    breaker = Breaker(failures=1, pause_s=10.0, probes=2, clock=lambda: now_s[0])
    assert breaker.allow()
    assert breaker.allow()
    breaker.failed()
    now_s[0] = 9.0
    breaker.failed()
    now_s[0] = 10.0
    assert breaker.state is State.HALF_OPEN
