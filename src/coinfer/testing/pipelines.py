"""Small clusters of two types of units, with rates that follow from passes and room."""

from __future__ import annotations

import numpy as np

from coinfer.models.split.kinds import UnitKind, fit_kind
from coinfer.models.split.throughput import PipelineCluster


def pipeline_kind(name: str, *, read_s: float, token_s: float, memory: float, most: int) -> UnitKind:
    """A type whose rates follow from passes and room, with batches of a thousandth of the room."""
    room = [(memory - 1000.0 * k) / k for k in range(1, most + 1)]
    rates = [1.0 / (k * (token_s + read_s / (1e-3 * tokens))) for k, tokens in enumerate(room, start=1)]
    return fit_kind(name, rate=tuple(rates), cache_tokens=tuple(room), read_s=read_s).kind


def pipeline_cluster(*, memory: float = 1e5, layers: int = 8, counts: tuple[int, int] = (2, 4)) -> PipelineCluster:
    """Two types in one region."""
    return PipelineCluster(
        layers=layers,
        kinds=(
            pipeline_kind("large", read_s=1e-3, token_s=5e-5, memory=2 * memory, most=6),
            pipeline_kind("small", read_s=4e-3, token_s=2e-4, memory=memory, most=3),
        ),
        nodes={(0, 0): tuple(f"L{i}" for i in range(counts[0])), (0, 1): tuple(f"S{i}" for i in range(counts[1]))},
        bytes_per_s=np.full((1, 1), 1e9),
        latency_s=np.full((1, 1), 1e-3),
        coordinator_latency_s=np.full(1, 2e-3),
        hidden_bytes=1e4,
    )
