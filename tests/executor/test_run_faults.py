"""However endpoints fail: a repetition, another expert, or a sentence, and never a request lost or answered twice."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coinfer.errors import EndpointError
from coinfer.executor.backends.base import CompletionReply, CompletionRequest, RetryableError
from coinfer.executor.backends.replay import ReplayBackend
from coinfer.executor.request import Request
from coinfer.executor.run import RunOptions, RunSummary, run
from coinfer.models.endpoint import Endpoint
from coinfer.planner.selection.document import SelectionPlan
from coinfer.testing.backends import FaultyBackend

QUICK = RunOptions(timeout_s=5.0, attempts=2, backoff_s=0.0, breaker_pause_s=0.01, breaker_probes=2)


@pytest.fixture
def plan(make_plan: Callable[..., SelectionPlan], recorded: Path) -> SelectionPlan:
    """Return a plan of two experts that know every answer; everything goes to ``a``, and ``b`` stands in."""
    endpoint = Endpoint(backend="replay", model=str(recorded), concurrency=4)
    return make_plan({"a": endpoint, "b": endpoint})


def run_with(
    plan: SelectionPlan,
    requests: tuple[Request, ...],
    folder: Path,
    recorded: Path,
    *,
    options: RunOptions = QUICK,
    **faults: Callable[..., object],
) -> tuple[RunSummary, dict[str, FaultyBackend]]:
    """Run with the faults given by expert."""
    backends = {
        name: FaultyBackend(ReplayBackend(recorded), fault=faults.get(name, lambda _number, _request: None))  # type: ignore[arg-type]
        for name in ("a", "b")
    }
    return run(plan, requests, journal_path=folder / "j", backends=backends, options=options), backends


@pytest.mark.parametrize("error", [EndpointError("not this one"), KeyError("a defect"), RecursionError("another")])
def test_another_expert_stands_in(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path, error: Exception
) -> None:
    """Where the routed expert fails for good, whatever it raises, the next one answers, and the answer says so."""
    summary, backends = run_with(plan, requests, tmp_path, recorded, a=lambda _number, _request: error)

    assert summary.by_expert == {"b": 12}
    assert summary.fallbacks == 12
    assert all(answer.correct == 1.0 for answer in summary.answers)
    assert len(backends["b"].asked) == 12


def test_a_failure_that_passes_is_repeated(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path
) -> None:
    """A first call that fails in passing is made again at the same expert, as often as allowed and no more."""
    seen: Counter[str] = Counter()

    def first_fails(_number: int, request: CompletionRequest) -> Exception | None:
        seen[request.prompt] += 1
        return RetryableError("come again") if seen[request.prompt] == 1 else None

    summary, backends = run_with(
        plan, requests, tmp_path, recorded, a=first_fails, options=RunOptions(backoff_s=0.0, breaker_failures=99)
    )
    assert summary.by_expert == {"a": 12}
    assert {answer.calls for answer in summary.answers} == {2}
    assert backends["b"].asked == []


def test_when_nobody_answers_the_reasons_are_told(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path
) -> None:
    """A request that no expert answers fails with what each of them said; others are not affected."""

    def refuses(_number: int, request: CompletionRequest) -> Exception | None:
        return EndpointError("no sevens here") if request.prompt.endswith("7") else None

    summary, _ = run_with(plan, requests, tmp_path, recorded, a=refuses, b=refuses)

    assert (summary.answered, summary.failed) == (11, 1)
    failed = summary.unanswered[0]
    assert (failed.id, failed.state) == ("r7", "failed")
    assert failed.reason == "a: no sevens here; b: no sevens here"


def test_a_failed_request_is_tried_again_by_a_resumed_run(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path
) -> None:
    """Failure is not written down as final: running again asks for what is missing, and only for that."""
    down: Callable[..., Exception] = lambda _number, _request: EndpointError("down")  # noqa: E731
    first, _ = run_with(plan, requests[:5], tmp_path, recorded, a=down, b=down)
    assert (first.answered, first.failed) == (0, 5)
    second, backends = run_with(plan, requests[:5], tmp_path, recorded)
    assert (second.answered, second.resumed) == (5, 0)
    assert len(backends["a"].asked) == 5


@pytest.mark.parametrize("seed", range(8))
def test_every_request_ends_exactly_once(
    plan: SelectionPlan, requests: tuple[Request, ...], recorded: Path, tmp_path: Path, seed: int
) -> None:
    """Under random faults of all kinds each request is answered, failed or left out, once, in file and summary."""
    rng = np.random.default_rng(seed)
    kinds = (EndpointError("bad"), RetryableError("later"), RetryableError("no", refused=True), ValueError("defect"))

    def fault(_number: int, _request: CompletionRequest) -> Exception | None:
        return kinds[int(rng.integers(len(kinds)))] if rng.random() < 0.6 else None

    summary, _ = run_with(plan, requests, tmp_path, recorded, a=fault, b=fault)

    ends = [item.id for item in (*summary.answers, *summary.unanswered)]
    assert sorted(ends) == sorted(request.id for request in requests)
    assert summary.answered + summary.failed == 12
    assert all(item.reason for item in summary.unanswered)
    lines = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()[1:]]
    calls = [line["call"] for line in lines if line["event"] == "call"]
    settled = [line["call"] for line in lines if line["event"] != "call"]
    assert sorted(calls) == sorted(settled) == list(range(len(calls)))
    answered = Counter(line["request"] for line in lines if line["event"] == "answer")
    assert set(answered) == {item.id for item in summary.answers}
    assert set(answered.values()) <= {1}


def test_a_dead_endpoint_is_left_alone(make_plan: Callable[..., SelectionPlan], recorded: Path, tmp_path: Path) -> None:
    """With eighty requests a dead endpoint gets its failures and some probes, not eighty calls, and the run ends."""
    endpoint = Endpoint(backend="replay", model=str(recorded), concurrency=1)
    many = tuple(Request(id=f"r{i}", prompt=f"ask {i}", category="c") for i in range(80))
    options = RunOptions(
        attempts=2, backoff_s=0.0, breaker_failures=3, breaker_pause_s=60.0, breaker_probes=2, concurrency=1
    )
    summary, backends = run_with(
        make_plan({"a": endpoint, "b": endpoint}),
        many,
        tmp_path,
        recorded,
        a=lambda _number, _request: RetryableError("dead"),
        options=options,
    )
    assert summary.by_expert == {"b": 80}
    assert len(backends["a"].asked) == 3


def test_a_run_with_only_dead_endpoints_ends(
    make_plan: Callable[..., SelectionPlan], requests: tuple[Request, ...], recorded: Path, tmp_path: Path
) -> None:
    """When every probe failed the endpoint is given up, and all requests fail with its last words."""
    endpoint = Endpoint(backend="replay", model=str(recorded))
    summary, backends = run_with(
        make_plan({"a": endpoint}), requests, tmp_path, recorded, a=lambda _number, _request: RetryableError("dead")
    )
    assert summary.failed == 12
    assert len(backends["a"].asked) < 12
    assert all("dead" in (item.reason or "") for item in summary.unanswered)


@pytest.mark.parametrize(("asked_s", "expected_s"), [(3.0, 3.0), (1e6, 7.0)])
def test_retry_after_is_respected_within_the_limit(
    plan: SelectionPlan,
    requests: tuple[Request, ...],
    recorded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked_s: float,
    expected_s: float,
) -> None:
    """The pause before a repetition is what the endpoint asked for, and at most the limit."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def recorded_sleep(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", recorded_sleep)
    run_with(
        plan,
        requests[:1],
        tmp_path,
        recorded,
        a=lambda number, _request: RetryableError("busy", retry_after_s=asked_s) if number == 0 else None,
        options=RunOptions(backoff_s=0.0, backoff_limit_s=7.0),
    )
    assert [pause for pause in pauses if pause > 0.0] == [expected_s]


def test_an_unreachable_endpoint_is_a_sentence(
    make_plan: Callable[..., SelectionPlan], requests: tuple[Request, ...], tmp_path: Path
) -> None:
    """A run whose only endpoint does not exist ends with a reason per request and charges no tokens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port meanwhile
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        plan = make_plan({"gone": Endpoint(backend="openai", model="x", url=url)})
        summary = run(plan, requests, journal_path=tmp_path / "j", options=QUICK)

    assert summary.failed == 12
    assert all("cannot be reached" in (item.reason or "") for item in summary.unanswered)
    assert summary.spent.tokens == 0


def test_more_tokens_than_allowed_are_refused(plan: SelectionPlan, recorded: Path, tmp_path: Path) -> None:
    """An endpoint that ignores ``max_tokens`` gets no answer journaled, and its call is charged what was set aside."""

    class Talkative(ReplayBackend):
        async def complete(self, request: CompletionRequest) -> CompletionReply:
            return await super().complete(replace(request, max_tokens=99))

    asked = (Request(id="x", prompt="ask 42", category="c", max_tokens=1),)
    backends = {"a": Talkative(recorded), "b": ReplayBackend(recorded)}
    summary = run(plan, asked, journal_path=tmp_path / "j", backends=backends, options=QUICK)

    assert [(answer.expert, answer.text, answer.calls) for answer in summary.answers] == [("b", "4", 2)]
    assert (summary.spent.calls, summary.spent.tokens) == (2, 2)
    failure = json.loads((tmp_path / "j").read_text().splitlines()[2])
    assert failure["reason"] == "2 tokens where at most 1 were allowed"
