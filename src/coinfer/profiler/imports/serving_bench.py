"""Import of the serving benchmarks of vLLM (``bench serve``, JSON) and SGLang (``bench_serving``, JSON Lines).

Both write one object for each run. Where it has the lists ``ttfts`` and ``itls`` (``--save-detailed``,
``--output-details``), every request becomes two measurements: its prefill (the time to its first token) and its decode
(the times between the others). Without them the run's means become one measurement of each kind.

The time to the first token holds the time in the queue too, so the prefill of a loaded server is an upper bound of the
device's. Several requests run at once: the batch is the mean number of requests in flight, by Little's law the sum of
the requests' times over the duration, rounded; a decode measurement is one in which every sequence of the batch writes
its tokens. The files name neither the device nor the version of the engine: the device must be given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain, ProfileError
from coinfer.profiler.measurement import Measurement


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of one run that are read; all others are passed over.

    Attributes
    ----------
    model_id, tokenizer_id
        The language model, and what stands for it where only the tokenizer is named.
    backend, endpoint_type
        The engine, by the name of the client.
    duration
        Seconds of the run.
    completed
        Requests answered.
    total_input_tokens, total_output_tokens
        Tokens read and written.
    mean_ttft_ms, mean_tpot_ms, mean_e2el_ms, mean_e2e_latency_ms
        Means over the requests; vLLM and SGLang name the last one differently.
    input_lens, output_lens, ttfts, itls
        One entry for each request: tokens read and written, seconds to the first token, seconds between the others. A
        request that failed has 0 tokens written.
    """

    duration: float
    completed: int
    model_id: str | None = None
    tokenizer_id: str | None = None
    backend: str | None = None
    endpoint_type: str | None = None
    total_input_tokens: int | None = None
    total_output_tokens: int | None = None
    mean_ttft_ms: float | None = None
    mean_tpot_ms: float | None = None
    mean_e2el_ms: float | None = None
    mean_e2e_latency_ms: float | None = None
    input_lens: tuple[int, ...] = ()
    output_lens: tuple[int, ...] = ()
    ttfts: tuple[float, ...] = ()
    itls: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What all measurements of a run share."""

    device: str
    model: str
    engine: str
    batch: int


def read_serving_bench(path: Path, *, device: str | None, engine: str) -> Iterator[Measurement]:
    """Yield the measurements of a serving benchmark's file, JSON or JSON Lines.

    Parameters
    ----------
    path
        The file.
    device
        What the server ran on; the file does not say.
    engine
        Name of the engine where a run does not name one.

    Raises
    ------
    InputError
        With the run's place: no JSON, a field missing or of another kind, no request answered; or no device.
    """
    if device is None:
        raise InputError("device", expected="what the server ran on, since the file does not say", found=Plain("none"))
    for place, data in _runs(jsonfile.read_text(path), str(path)):
        run = jsonfile.convert(data, Run, where=place)
        try:
            yield from _measurements(run, device, engine)
        except InputError as error:
            raise ProfileError(f"{place}: {error.where}", expected=error.expected, found=error.found) from error


def _runs(text: str, where: str) -> Iterator[tuple[str, Any]]:
    """Yield each run with its place: one object, an array, or one object a line."""
    lines = [(i, line) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise ProfileError(where, expected="the result of a serving benchmark", found=Plain("nothing"))
    if all(line.startswith("{") and line.rstrip().endswith("}") for _, line in lines):
        for number, line in lines:
            place = where if len(lines) == 1 else f"{where}: line {number}"
            yield place, jsonfile.parse(line, where=place)
        return
    data = jsonfile.parse(text, where=where)
    for i, run in enumerate(data if isinstance(data, list) else [data]):
        yield f"{where}: [{i}]" if isinstance(data, list) else where, run


def _measurements(run: Run, device: str, engine: str) -> Iterator[Measurement]:
    if not 0.0 < run.duration < float("inf"):
        raise ProfileError("duration", expected="a finite number above 0", found=run.duration)
    if run.completed < 1:
        raise ProfileError("completed", expected="at least one request answered", found=run.completed)
    model = run.model_id or run.tokenizer_id
    if not model:
        raise ProfileError("model_id", expected="the name of a model", found=model)
    key = _Key(
        device=device,
        model=model.rstrip("/").split("/")[-1],
        engine=run.backend or run.endpoint_type or engine,
        batch=_batch(run),
    )
    if run.ttfts:
        yield from _detailed(run, key)
    else:
        yield from _means(run, key)


def _batch(run: Run) -> int:
    """Return the mean number of requests in flight, by Little's law."""
    if run.ttfts:
        busy = sum(run.ttfts) + sum(sum(gaps) for gaps in run.itls)
    else:
        mean_ms = run.mean_e2el_ms if run.mean_e2el_ms is not None else run.mean_e2e_latency_ms
        if mean_ms is None and run.mean_ttft_ms is not None and run.mean_tpot_ms is not None:
            written = (run.total_output_tokens or run.completed) / run.completed
            mean_ms = run.mean_ttft_ms + run.mean_tpot_ms * max(0.0, written - 1.0)
        busy = (mean_ms or 0.0) / 1e3 * run.completed
    return max(1, round(busy / run.duration))


def _detailed(run: Run, key: _Key) -> Iterator[Measurement]:
    """Yield two measurements for each request that was answered."""
    for name, entries in (("input_lens", run.input_lens), ("output_lens", run.output_lens), ("itls", run.itls)):
        if len(entries) != len(run.ttfts):
            found = Plain(str(len(entries)))
            raise ProfileError(name, expected=f"{len(run.ttfts)} entries, one for each request", found=found)
    for read, written, first_s, gaps in zip(run.input_lens, run.output_lens, run.ttfts, run.itls, strict=True):
        if written < 1:
            continue
        if read > 0:
            yield _prefill(key, seconds=first_s, tokens=read)
        if gaps and written > 1:
            # A chunk of a stream may hold several tokens: the tokens are counted, the gaps are summed.
            yield _decode(key, seconds=sum(gaps), tokens=written - 1, context=read)


def _means(run: Run, key: _Key) -> Iterator[Measurement]:
    """Yield the means of a run as one measurement of each kind."""
    if run.mean_ttft_ms is None and run.mean_tpot_ms is None:
        raise ProfileError("mean_ttft_ms", expected="a mean, or lists of each request", found=Plain("none of them"))
    read = None if run.total_input_tokens is None else round(run.total_input_tokens / run.completed)
    if run.mean_ttft_ms is not None and read:
        yield _prefill(key, seconds=run.mean_ttft_ms / 1e3, tokens=read)
    if run.mean_tpot_ms:
        yield _decode(key, seconds=run.mean_tpot_ms / 1e3, tokens=1, context=read)


def _prefill(key: _Key, *, seconds: float, tokens: int) -> Measurement:
    return Measurement(
        device=key.device,
        model=key.model,
        engine=key.engine,
        phase="prefill",
        prompt_tokens=tokens,
        context_tokens=0,
        seconds=seconds,
        source="measured" if key.batch == 1 else "measured; time to the first token, time in the queue included",
    )


def _decode(key: _Key, *, seconds: float, tokens: int, context: int | None) -> Measurement:
    return Measurement(
        device=key.device,
        model=key.model,
        engine=key.engine,
        phase="decode",
        batch=key.batch,
        output_tokens=tokens * key.batch,
        context_tokens=context,
        seconds=seconds,
        source="measured" if key.batch == 1 else "measured; batch is the mean number of requests in flight",
    )
