"""Measuring a model gives rows that hold together: whole requests, prefill and decode apart, warm-up left out."""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from coinfer.errors import EndpointError, RequestError
from coinfer.executor.backends import open_backend
from coinfer.executor.backends.base import Backend, RetryableError
from coinfer.executor.backends.replay import ReplayBackend
from coinfer.executor.demo import bundled_requests
from coinfer.executor.measure import WARM_UP_CALLS, measure_expert
from coinfer.executor.request import Request
from coinfer.models.endpoint import Endpoint
from coinfer.profiler.measurement import EnergySource, Measurement
from coinfer.testing.backends import FaultyBackend


class Meter:
    """A counter that rises by two joules per reading."""

    source: EnergySource = "rapl"

    def __init__(self) -> None:
        self.total_j = 0.0

    def read_j(self) -> float:
        """Return the total."""
        self.total_j += 2.0
        return self.total_j


def measure(backend: Backend, requests: tuple[Request, ...], **options: object) -> list[Measurement]:
    """Measure and close."""

    async def main() -> list[Measurement]:
        try:
            return await measure_expert(backend, device="d", model="m", requests=requests, **options)  # type: ignore[arg-type]
        finally:
            await backend.close()

    return asyncio.run(main())


@pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None, reason="needs pip install 'coinfer[torch]'"
)
def test_a_bundled_model_is_measured_in_all_phases() -> None:
    """Load, prefill, decode and request rows stand, with sensible tokens, memory, verdicts and no invented energy."""
    asked, _ = bundled_requests(calibration=12, workload=6, seed=1)
    rows = measure(open_backend(Endpoint(backend="transformers", model="zoo:generalist-small")), asked, repeats=2)
    phases = {phase: [row for row in rows if row.phase == phase] for phase in ("load", "prefill", "decode", "request")}

    assert len(phases["load"]) == 1
    assert len(phases["request"]) == 24
    assert Counter(row.prompt for row in phases["request"]) == {request.id: 2 for request in asked}
    assert {row.category for row in phases["request"]} == {request.category for request in asked}
    assert len({row.prompt_tokens for row in phases["prefill"]}) >= 3, "several prompt lengths, to fit a line"
    assert phases["decode"]
    for row in phases["request"]:
        assert row.correct in (0.0, 1.0)
        assert row.memory_bytes is not None
        assert row.memory_bytes > 10_000
        assert row.prompt_tokens
        assert row.output_tokens
    assert all(row.energy_j is None for row in rows)
    assert all(row.source == "measured" and row.engine.startswith("transformers ") for row in rows)


@pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None, reason="needs pip install 'coinfer[torch]'"
)
def test_one_load_is_one_row() -> None:
    """A model that is measured in several rounds was loaded once, and stands as loaded once."""
    asked, _ = bundled_requests(calibration=6, workload=6, seed=1)

    async def main() -> list[Measurement]:
        backend = open_backend(Endpoint(backend="transformers", model="zoo:generalist-tiny"))
        try:
            rounds = [await measure_expert(backend, device="d", model="m", requests=asked[i::2]) for i in range(2)]
        finally:
            await backend.close()
        return [row for rows in rounds for row in rows]

    assert sum(row.phase == "load" for row in asyncio.run(main())) == 1


def test_warm_up_is_not_counted(recorded: Path, requests: tuple[Request, ...]) -> None:
    """First calls leave no row: as many request rows as prompts, in their order, and one call at a time."""
    backend = FaultyBackend(ReplayBackend(recorded))
    told: list[tuple[int, int]] = []
    rows = measure(backend, requests, on_progress=lambda done, total: told.append((done, total)))

    assert [row.prompt for row in rows if row.phase == "request"] == [request.id for request in requests]
    assert [asked.prompt for asked in backend.asked[:WARM_UP_CALLS]] == [r.prompt for r in requests[:WARM_UP_CALLS]]
    assert backend.most_in_flight == 1
    assert told == [(done, 12) for done in range(1, 13)]
    assert {row.source for row in rows} == {"replay of outcomes.jsonl"}


def test_a_counter_gives_energy_per_request(recorded: Path, requests: tuple[Request, ...]) -> None:
    """Energy of a request is what the counter rose by during it, with the counter's name."""
    rows = measure(ReplayBackend(recorded), requests, counter=Meter())

    assert {(row.energy_j, row.energy_source) for row in rows if row.phase == "request"} == {(2.0, "rapl")}


def test_passing_failures_are_repeated_and_lasting_ones_told(recorded: Path, requests: tuple[Request, ...]) -> None:
    """A call that fails twice in passing succeeds the third time; a lasting failure ends the measurement."""
    flaky = FaultyBackend(
        ReplayBackend(recorded), fault=lambda number, _: RetryableError("later") if number % 3 else None
    )
    assert len([row for row in measure(flaky, requests) if row.phase == "request"]) == 12
    dead = FaultyBackend(ReplayBackend(recorded), fault=lambda _number, _request: EndpointError("gone"))
    with pytest.raises(EndpointError, match="gone"):
        measure(dead, requests)


def test_prompts_without_verdict_are_refused_first(recorded: Path) -> None:
    """A reference that is no number is told before the model is loaded."""
    backend = FaultyBackend(ReplayBackend(recorded))
    bad = Request(id="x", prompt="ask 1", category="c", answer="many", checker="numeric")
    with pytest.raises(RequestError, match="a number"):
        measure(backend, (bad,))
    assert backend.asked == []
