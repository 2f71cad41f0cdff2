"""Hard caps hold under concurrency, repetition and resumption, as counted by the endpoint and not by the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import CompletionReply, CompletionRequest, RetryableError
from coinfer.executor.backends.replay import ReplayBackend
from coinfer.executor.request import Request
from coinfer.executor.run import RunOptions, run
from coinfer.models.endpoint import Endpoint
from coinfer.planner.selection.document import Prediction, SelectionPlan


class Metered(ReplayBackend):
    """Recorded outcomes behind an endpoint that is slow and fails at random, and counts what it did itself."""

    def __init__(self, path: Path, *, seed: int, failing: float = 0.2, energy_j: float | None = None) -> None:
        super().__init__(path)
        self._random, self._failing, self._energy_j = np.random.default_rng(seed), failing, energy_j
        self.calls = self.tokens = 0
        self.spent_j = 0.0

    async def complete(self, request: CompletionRequest) -> CompletionReply:
        """Count, wait, and answer or fail; a failed call has generated its tokens too."""
        self.calls += 1
        await asyncio.sleep(float(self._random.uniform(0.0, 0.004)))
        reply = await super().complete(request)
        self.tokens += reply.completions[0].output_tokens
        if self._energy_j is not None:
            self.spent_j += self._energy_j
            reply = replace(reply, energy_j=self._energy_j, energy_source="rapl")
        if self._random.random() < self._failing:
            raise RetryableError("broke after the work was done")
        return reply


@pytest.fixture
def plan(make_plan: Callable[..., SelectionPlan], recorded: Path) -> SelectionPlan:
    """Return a plan of two experts with room for eight calls each; a request may need 3 J and cost 2 cents."""
    endpoint = Endpoint(backend="replay", model=str(recorded), concurrency=8)
    predictions = [
        Prediction(quantity="energy_j", value=2.0, low=1.0, high=3.0),
        Prediction(quantity="price_usd", value=0.02),
    ]
    return make_plan({"a": endpoint, "b": endpoint}, predictions=predictions)


@pytest.mark.parametrize("seed", range(6))
def test_calls_and_tokens_are_never_passed(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path, seed: int
) -> None:
    """The endpoints never see more calls or generate more tokens than allowed, over a run and its resumptions."""
    rng = np.random.default_rng(seed)
    caps = {"max_requests": int(rng.integers(1, 14)), "max_output_tokens": int(rng.integers(8, 60))}
    backends = {name: Metered(recorded, seed=seed + i) for i, name in enumerate("ab")}
    options = RunOptions(concurrency=8, attempts=2, backoff_s=0.0, **caps)
    for _ in range(2):
        summary = run(plan, requests, journal_path=tmp_path / "j", backends=backends, options=options)

    assert sum(backend.calls for backend in backends.values()) <= caps["max_requests"]
    assert sum(backend.tokens for backend in backends.values()) <= caps["max_output_tokens"]
    assert summary.spent.calls <= caps["max_requests"]
    assert summary.spent.tokens <= caps["max_output_tokens"]
    assert summary.answered + summary.failed + summary.skipped == 12
    assert summary.skipped > 0 or summary.spent.calls >= 12


@pytest.mark.parametrize("seed", range(4))
def test_energy_and_money_are_never_passed(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path, seed: int
) -> None:
    """Caps on joules and dollars hold as the endpoint's own meter reads, and leave requests out rather than pass."""
    backends = {name: Metered(recorded, seed=seed, energy_j=2.5) for name in "ab"}
    options = RunOptions(concurrency=8, attempts=2, backoff_s=0.0, max_energy_j=17.0, max_price_usd=0.15)
    summary = run(plan, requests, journal_path=tmp_path / "j", backends=backends, options=options)

    assert sum(backend.spent_j for backend in backends.values()) <= 17.0
    assert sum(backend.calls for backend in backends.values()) * 0.02 <= 0.15
    assert summary.skipped > 0
    assert all("budget" in (item.reason or "") for item in summary.unanswered if item.state == "skipped_budget")
    assert summary.energy_j == pytest.approx(2.5 * summary.answered)


def test_a_cap_is_used_up(plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path) -> None:
    """What a call did not need is free for the next: a cap of calls is reached exactly, one of tokens nearly."""
    backend = Metered(recorded, seed=0, failing=0.0)
    options = RunOptions(concurrency=8, max_output_tokens=12)
    summary = run(plan, requests, journal_path=tmp_path / "j", backends={"a": backend, "b": backend}, options=options)
    assert backend.tokens > 12 - 8, "no further call of up to eight tokens would have fitted"
    assert summary.answered >= 3

    options = RunOptions(concurrency=8, max_requests=7)
    summary = run(plan, requests, journal_path=tmp_path / "k", backends={"a": backend, "b": backend}, options=options)
    assert (summary.answered, summary.skipped) == (7, 5)


def test_larger_caps_resume_what_was_left_out(
    plan: SelectionPlan, requests: tuple[Request, ...], tmp_path: Path
) -> None:
    """A run ended by a cap goes on with a larger one, and what it spent before counts."""
    first = run(plan, requests, journal_path=tmp_path / "j", options=RunOptions(max_requests=5))
    second = run(plan, requests, journal_path=tmp_path / "j", options=RunOptions(max_requests=9))
    third = run(plan, requests, journal_path=tmp_path / "j", options=RunOptions())

    assert [(s.answered, s.resumed, s.skipped) for s in (first, second, third)] == [(5, 0, 7), (9, 5, 3), (12, 9, 0)]
    assert third.spent.calls == 12


def test_a_cap_of_nothing_asks_nothing(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path
) -> None:
    """With no seconds or no calls allowed every request is left out and no call is made."""
    backend = Metered(recorded, seed=0)
    for number, options in enumerate((RunOptions(max_seconds=0.0), RunOptions(max_requests=0))):
        summary = run(plan, requests, journal_path=tmp_path / f"{number}", backends={"a": backend}, options=options)
        assert summary.skipped == 12
    assert backend.calls == 0


def test_time_ends_calls_in_flight(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path
) -> None:
    """A cap in seconds ends a call that would take for ever, whatever the timeout says."""

    class Slow(ReplayBackend):
        async def complete(self, request: CompletionRequest) -> CompletionReply:
            await asyncio.sleep(3600.0)
            return await super().complete(request)

    backends = {name: Slow(recorded) for name in "ab"}
    options = RunOptions(timeout_s=3000.0, max_seconds=0.2)
    summary = run(plan, requests, journal_path=tmp_path / "j", backends=backends, options=options)

    assert summary.answered == 0
    assert summary.failed + summary.skipped == 12


def test_a_price_cap_without_a_price_is_refused(
    make_plan: Callable[..., SelectionPlan], requests: tuple[Request, ...], recorded: Path, tmp_path: Path
) -> None:
    """A cap that could not be kept is refused before anything is sent; a declared price makes it one."""
    plan = make_plan({"a": Endpoint(backend="replay", model=str(recorded))})
    with pytest.raises(RequestError, match="a price of expert 'a'"):
        run(plan, requests, journal_path=tmp_path / "j", options=RunOptions(max_price_usd=1.0))
    options = RunOptions(max_price_usd=1.0, request_price_usd={"a": 0.25})
    assert run(plan, requests, journal_path=tmp_path / "j", options=options).answered == 4


def test_an_energy_cap_says_what_it_rests_on(
    make_plan: Callable[..., SelectionPlan],
    requests: tuple[Request, ...],
    recorded: Path,
    tmp_path: Path,
    plan: SelectionPlan,
) -> None:
    """Without declared power and prediction such a cap cannot be kept and is refused; else the run says what it is."""
    bare = make_plan({"a": Endpoint(backend="replay", model=str(recorded))})
    with pytest.raises(RequestError, match="max_energy_j"):
        run(bare, requests, journal_path=tmp_path / "1", options=RunOptions(max_energy_j=1.0))
    summary = run(plan, requests, journal_path=tmp_path / "2", options=RunOptions(max_energy_j=1e3))
    assert "charged the plan's prediction" in summary.notes[0]
    options = RunOptions(max_energy_j=40.0, power_w={"d": 10.0}, timeout_s=2.0)
    summary = run(plan, requests, journal_path=tmp_path / "3", options=options)
    assert summary.notes == ()
    assert summary.answered == 5, "10 W for 0.5 s each; the fifth still leaves 20 J free before it, the sixth does not"
