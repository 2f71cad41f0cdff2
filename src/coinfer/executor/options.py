"""How a plan is run: concurrency, patience, decoding, and hard caps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from coinfer.errors import RequestError
from coinfer.executor.budget import Caps


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of a run; none of them changes what is asked, but ``temperature`` and ``seed``.

    Attributes
    ----------
    concurrency
        Most calls in flight at once, over all endpoints.
    timeout_s
        Longest time of one call, seconds.
    attempts
        Calls per expert and request before the next expert is asked.
    backoff_s, backoff_limit_s
        Longest pause before the first repetition, doubled each time, and its limit, which also limits how long
        an endpoint's ``Retry-After`` is respected.
    breaker_failures, breaker_pause_s, breaker_probes
        Failures in a row after which an endpoint is left alone, for how long, and how many failed probes in a row
        give it up.
    temperature, seed
        Decoding; each request samples with a seed of its own, made from this one and its id.
    max_requests, max_output_tokens, max_energy_j, max_seconds, max_price_usd
        Hard caps over the whole run with its resumptions; ``max_requests`` counts calls, repetitions among them.
    power_w
        Declared power by device, watts: with it, energy set aside for a call is power times ``timeout_s``.
    request_price_usd
        Most a call costs, by expert, US dollars; absent: the plan's prediction.
    """

    concurrency: int = 4
    timeout_s: float = 60.0
    attempts: int = 3
    backoff_s: float = 0.5
    backoff_limit_s: float = 30.0
    breaker_failures: int = 5
    breaker_pause_s: float = 5.0
    breaker_probes: int = 3
    temperature: float = 0.0
    seed: int = 0
    max_requests: int | None = None
    max_output_tokens: int | None = None
    max_energy_j: float | None = None
    max_seconds: float | None = None
    max_price_usd: float | None = None
    power_w: Mapping[str, float] = field(default_factory=dict)
    request_price_usd: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("concurrency", "attempts", "breaker_failures", "breaker_probes"):
            if getattr(self, name) < 1:
                raise RequestError(f"options.{name}", expected="an integer, at least 1", found=getattr(self, name))
        if not 0 <= self.seed < 2**63:
            raise RequestError("options.seed", expected="an integer in 0..2^63 - 1", found=self.seed)
        if not 0.0 < self.timeout_s < math.inf:
            raise RequestError("options.timeout_s", expected="a finite number above 0", found=self.timeout_s)
        for name in ("backoff_s", "backoff_limit_s", "breaker_pause_s", "temperature"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise RequestError(f"options.{name}", expected="a finite number, at least 0", found=getattr(self, name))
        for name, table in (("power_w", self.power_w), ("request_price_usd", self.request_price_usd)):
            for key, value in table.items():
                if not 0.0 <= value < math.inf:
                    raise RequestError(f"options.{name}.{key}", expected="a finite number, at least 0", found=value)
        _ = self.caps  # refuses caps that are no limits

    @property
    def caps(self) -> Caps:
        """The hard caps."""
        return Caps(
            requests=self.max_requests,
            tokens=self.max_output_tokens,
            energy_j=self.max_energy_j,
            seconds=self.max_seconds,
            usd=self.max_price_usd,
        )
