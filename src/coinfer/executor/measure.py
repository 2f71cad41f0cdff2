"""Measure one language model on calibration requests: whole requests, prefill and decode apart, loading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from coinfer.errors import EndpointError, Plain, RequestError
from coinfer.executor.backends.base import Backend, CompletionReply, CompletionRequest, Facts, RetryableError
from coinfer.executor.grade import check_gradable, grade
from coinfer.executor.request import Request
from coinfer.executor.rows import SHORTEST_S, request_row
from coinfer.profiler.measurement import EnergySource, Measurement

PHASE_LENGTHS = (1, 2, 4, 8)  # prompts of the calibration set, strung together this often
PHASE_REPEATS = 3
PHASE_TOKENS = 16
WARM_UP_CALLS = 2

OnCall = Callable[[int, int], None]
"""Called with the requests done and all requests, repeats counted."""


class EnergyCounter(Protocol):
    """A counter of the energy of this machine; see :mod:`coinfer.profiler.energy`."""

    @property
    def source(self) -> EnergySource:
        """Which counter it is."""
        ...

    def read_j(self) -> float:
        """Energy since some fixed moment, joules."""
        ...


async def measure_expert(
    backend: Backend,
    *,
    device: str,
    model: str,
    engine: str | None = None,
    requests: Sequence[Request],
    repeats: int = 1,
    on_progress: OnCall | None = None,
    on_row: Callable[[Measurement], None] | None = None,
    counter: EnergyCounter | None = None,
) -> list[Measurement]:
    """Ask every request one at a time and return the rows.

    Rows: ``load`` where this call loaded the model and the backend saw it; ``prefill`` and ``decode`` at several
    prompt lengths where the backend times its first token; one ``request`` row per request and repeat, graded where
    it has a checker. The first calls warm caches up and are not counted. Nothing else runs meanwhile, so a
    machine-wide counter measures the call.

    Parameters
    ----------
    backend
        The model; it is probed first, which loads it.
    device, model
        Names for the rows.
    engine
        Engine for the rows; by default as the backend says.
    requests
        Calibration prompts.
    repeats
        How often each is asked.
    on_progress
        Told after each call.
    on_row
        Given each row before the next request, as to write it down: a run writes every answer down too, and the time
        of a call depends on what the machine did just before.
    counter
        Energy counter; without one, energy stays absent.

    Raises
    ------
    RequestError
        Without requests, or for one that cannot be graded.
    EndpointError
        If the model cannot be loaded or reached; calls that fail in passing are repeated twice.
    """
    if not requests:
        raise RequestError("requests", expected="at least one calibration prompt", found=Plain("none"))
    check_gradable(requests)
    loaded_before = backend.facts.load_s is not None  # its row was made when it was loaded
    await backend.probe()
    facts = backend.facts if engine is None else replace(backend.facts, engine=engine)
    bare = _BareRow(device=device, model=model, facts=facts)
    rows = [] if facts.load_s is None or loaded_before else [bare.load(facts.load_s)]
    for request in requests[:WARM_UP_CALLS]:
        await _call(backend, _asked(request))
    rows += await _phases(backend, requests, bare)
    if on_row is not None:
        for row in rows:
            on_row(row)
    total = len(requests) * repeats
    for repeat in range(repeats):
        for number, request in enumerate(requests, start=1):
            started_j = None if counter is None else counter.read_j()
            reply = await _call(backend, _asked(request))
            if counter is not None and started_j is not None and reply.energy_j is None:
                reply = replace(reply, energy_j=max(0.0, counter.read_j() - started_j), energy_source=counter.source)
            correct = grade(request, reply.completions[0].text)
            rows.append(request_row(request, reply, facts=facts, device=device, model=model, correct=correct))
            if on_row is not None:
                on_row(rows[-1])
            if on_progress is not None:
                on_progress(repeat * len(requests) + number, total)
    return rows


class _BareRow:
    """Makes rows of phases."""

    def __init__(self, *, device: str, model: str, facts: Facts) -> None:
        self._device, self._model, self._facts = device, model, facts

    def load(self, seconds: float) -> Measurement:
        """Return the row of loading the weights."""
        return Measurement(
            device=self._device,
            model=self._model,
            engine=self._facts.engine,
            phase="load",
            seconds=max(seconds, SHORTEST_S),
            source=self._facts.source,
            quantisation=self._facts.quantisation,
            memory_bytes=self._facts.memory_bytes,
        )

    def prefill(self, prompt_tokens: int, seconds: float) -> Measurement:
        """Return the row of reading a whole prompt."""
        return Measurement(
            device=self._device,
            model=self._model,
            engine=self._facts.engine,
            phase="prefill",
            seconds=max(seconds, SHORTEST_S),
            source=self._facts.source,
            quantisation=self._facts.quantisation,
            context_tokens=0,
            prompt_tokens=prompt_tokens,
        )

    def decode(self, context_tokens: int, output_tokens: int, seconds: float) -> Measurement:
        """Return the row of writing ``output_tokens`` after the first one."""
        return Measurement(
            device=self._device,
            model=self._model,
            engine=self._facts.engine,
            phase="decode",
            seconds=max(seconds, SHORTEST_S),
            source=self._facts.source,
            quantisation=self._facts.quantisation,
            context_tokens=context_tokens,
            output_tokens=output_tokens,
        )


async def _phases(backend: Backend, requests: Sequence[Request], bare: _BareRow) -> list[Measurement]:
    """Return prefill and decode rows at several prompt lengths; none where the first token is not timed."""
    rows: list[Measurement] = []
    for length in PHASE_LENGTHS:
        for repeat in range(PHASE_REPEATS):
            texts = [requests[(repeat + i) % len(requests)].prompt for i in range(length)]
            asked = CompletionRequest(prompt="".join(texts), max_tokens=PHASE_TOKENS)
            try:
                reply = await _call(backend, asked)
            except RetryableError:
                raise
            except EndpointError:  # longer than the model's context
                return rows
            if reply.prefill_s is None or reply.prompt_tokens is None:
                return rows
            rows.append(bare.prefill(reply.prompt_tokens, reply.prefill_s))
            written = reply.completions[0].output_tokens - 1
            if written > 0:
                rows.append(bare.decode(reply.prompt_tokens + 1, written, reply.seconds - reply.prefill_s))
    return rows


async def _call(backend: Backend, asked: CompletionRequest) -> CompletionReply:
    """Make one call, again where its failure may pass."""
    for _ in range(2):
        try:
            return await backend.complete(asked)
        except RetryableError:
            continue
    return await backend.complete(asked)


def _asked(request: Request) -> CompletionRequest:
    return CompletionRequest(prompt=request.prompt, max_tokens=request.max_tokens)
