"""Measure language models on this machine: every candidate answers the same calibration prompts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from coinfer.errors import Plain, RequestError
from coinfer.executor.backends import open_backend
from coinfer.executor.measure import measure_expert
from coinfer.executor.request import Request
from coinfer.planner.assemble import Candidate
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
    on_progress: OnMeasured | None = None,
) -> Profile:
    """Run every candidate on the calibration requests and fit a profile.

    Candidates run one after another, so that they do not disturb each other's times.

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
    rows = list(earlier)
    for candidate in candidates:
        measured = asyncio.run(_measure(candidate, requests, repeats, on_progress))
        if measurements_path is not None:
            append_measurements(Path(measurements_path), measured)
        rows += measured
    return fit(rows, devices=(facts,))


async def _measure(
    candidate: Candidate, requests: Sequence[Request], repeats: int, on_progress: OnMeasured | None
) -> list[Measurement]:
    """Load one candidate, measure it, and let go of it."""
    if candidate.endpoint is None:
        raise RequestError(f"candidate {candidate.name}", expected="an endpoint to measure", found=Plain("none"))

    def told(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(candidate.name, done, total)

    backend = open_backend(candidate.endpoint)
    try:
        return await measure_expert(
            backend,
            device=candidate.device,
            model=candidate.name,
            requests=requests,
            repeats=repeats,
            on_progress=told,
        )
    finally:
        await backend.close()
