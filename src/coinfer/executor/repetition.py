"""When a call is repeated, and with which seed: both repeatable, whatever else runs."""

from __future__ import annotations

import hashlib

import numpy as np

from coinfer.executor.options import RunOptions


def backoff_pause_s(
    repetition: int, retry_after_s: float | None, options: RunOptions, random: np.random.Generator
) -> float:
    """Return the pause before a repetition: full jitter, no shorter than the endpoint asked for, within the limit.

    Exponential backoff with full jitter draws from [0, backoff_s * 2**repetition]: callers that failed together do
    not come back together.
    """
    limit_s = options.backoff_limit_s
    jitter_s = float(random.uniform(0.0, min(limit_s, options.backoff_s * 2.0 ** min(repetition, 60))))
    return jitter_s if retry_after_s is None else max(jitter_s, min(retry_after_s, limit_s))


def request_seed(seed: int, request_id: str) -> int:
    """Return the sampling seed of one request: the same whatever else runs, and in whatever order."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{request_id}".encode(errors="replace")).digest()[:4]) >> 1
