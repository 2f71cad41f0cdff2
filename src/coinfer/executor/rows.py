"""Measurement rows made from replies."""

from __future__ import annotations

from typing import cast, get_args

from coinfer.executor.backends.base import CompletionReply, Facts
from coinfer.executor.request import Request
from coinfer.profiler.measurement import EnergySource, Measurement

SHORTEST_S = 1e-9  # a clock may not have moved; a measurement's duration is above zero


def request_row(
    request: Request, reply: CompletionReply, *, facts: Facts, device: str, model: str, correct: float | None
) -> Measurement:
    """Return the row of one answered request; energy without a known counter is left absent."""
    known = reply.energy_j is not None and reply.energy_source in get_args(EnergySource)
    return Measurement(
        device=device,
        model=model,
        engine=facts.engine,
        phase="request",
        seconds=max(reply.seconds, SHORTEST_S),
        source=facts.source,
        quantisation=facts.quantisation,
        category=request.category,
        prompt_tokens=reply.prompt_tokens,
        output_tokens=sum(completion.output_tokens for completion in reply.completions),
        energy_j=reply.energy_j if known else None,
        energy_source=cast(EnergySource, reply.energy_source) if known else None,
        memory_bytes=facts.memory_bytes,
        correct=correct,
        prompt=request.id,
    )
