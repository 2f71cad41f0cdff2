"""Measure language models on this machine: every candidate answers the same calibration prompts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from coinfer.errors import Plain, RequestError
from coinfer.executor.backends import open_backend
from coinfer.executor.measure import measure_expert
from coinfer.executor.request import Request
from coinfer.models.endpoint import Endpoint
from coinfer.planner.assemble import Candidate
from coinfer.profiler.energy import open_counter
from coinfer.profiler.fit import fit
from coinfer.profiler.measurement import Measurement, append_measurements
from coinfer.profiler.probe import probe_machine
from coinfer.profiler.profile import Profile

OnMeasured = Callable[[str, int, int], None]
"""Called with the candidate's name, its requests done, and how many it has."""


def profile_machine(
    candidates: Sequence[Candidate],
    requests: Sequence[Request],
    *,
    busy_power_w: float | None = None,
    idle_power_w: float | None = None,
    measurements_path: str | os.PathLike[str] | None = None,
    earlier: Sequence[Measurement] = (),
    repeats: int = 1,
    rounds: int = 4,
    on_progress: OnMeasured | None = None,
) -> Profile:
    """Run every candidate on the calibration requests and fit a profile.

    Calls are made one at a time, so that models do not disturb each other's times. The requests are split into
    rounds, and in each round every candidate answers its part: a machine that grows slower or faster meanwhile then
    does so for all of them alike.

    Parameters
    ----------
    candidates
        Language models with their endpoints; all stand on one device, this machine.
    requests
        Calibration prompts with categories; graded where they have a checker.
    busy_power_w, idle_power_w
        Declared power of this machine, used where no counter measures energy; marked as declared.
    measurements_path
        Where to append the measurement rows; not kept by default.
    earlier
        Rows measured before, fitted together with the new ones.
    repeats
        How often each prompt is asked.
    rounds
        Into how many rounds the requests are split; 1 where the candidates do not fit into memory together.
    on_progress
        Told after each request.

    Raises
    ------
    RequestError
        If a candidate has no endpoint, or they stand on several devices.
    EndpointError, BackendMissing
        If a model cannot be loaded or reached.
    """
    devices = sorted({candidate.device for candidate in candidates})
    if len(devices) != 1:
        raise RequestError("candidates", expected="one device, this machine", found=devices)
    facts = probe_machine(name=devices[0], declared_busy_power_w=busy_power_w, declared_idle_power_w=idle_power_w)
    parts = [requests[first :: max(1, rounds)] for first in range(min(max(1, rounds), len(requests)))]
    path = None if measurements_path is None else Path(measurements_path)
    measured = asyncio.run(_measure(candidates, parts, repeats, path, on_progress))
    return fit([*earlier, *measured], devices=(facts,))


async def _measure(
    candidates: Sequence[Candidate],
    parts: Sequence[Sequence[Request]],
    repeats: int,
    path: Path | None,
    on_progress: OnMeasured | None,
) -> list[Measurement]:
    """Load the candidates, let each answer every part in turn, and let go of them; every row is written at once."""
    rows: list[Measurement] = []
    done = dict.fromkeys((candidate.name for candidate in candidates), 0)
    total = repeats * sum(map(len, parts))
    counter = open_counter()

    def keep(row: Measurement) -> None:
        if path is not None:
            append_measurements(path, [row])

    async with AsyncExitStack() as opened:
        backends = []
        for candidate in candidates:
            if candidate.endpoint is None:
                raise RequestError(
                    f"candidate {candidate.name}", expected="an endpoint to measure", found=Plain("none")
                )
            backends.append(open_backend(candidate.endpoint))
            opened.push_async_callback(backends[-1].close)
        for part in parts:
            for candidate, backend in zip(candidates, backends, strict=True):

                def told(answered: int, _: int, name: str = candidate.name) -> None:
                    if on_progress is not None:
                        on_progress(name, done[name] + answered, total)

                rows += await measure_expert(
                    backend,
                    device=candidate.device,
                    model=candidate.name,
                    requests=part,
                    repeats=repeats,
                    on_progress=told,
                    on_row=keep,
                    counter=counter if _runs_here(candidate.endpoint) else None,
                )
                done[candidate.name] += repeats * len(part)
    if counter is not None:
        counter.close()
    return rows


def _runs_here(endpoint: Endpoint | None) -> bool:
    """Say whether the counters of this machine see the model work; what an address stands for may be far away."""
    return endpoint is not None and endpoint.backend in ("transformers", "llamacpp")
