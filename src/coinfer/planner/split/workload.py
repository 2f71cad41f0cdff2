"""Requests that arrive at a pipeline: when, how long, from a model of lengths or from a trace."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coinfer import jsonfile
from coinfer.errors import InputError, Plain

_ROUNDS = 80
_LONGEST = 1 << 40  # beyond all caches: refused there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Workload:
    """Requests by the order of their arrival.

    Attributes
    ----------
    arrival_s, prompt_tokens, output_tokens
        (requests,): when each comes, seconds from the start; tokens it reads and writes, at least 1 each.
    """

    arrival_s: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]

    def __post_init__(self) -> None:
        sizes = {len(self.arrival_s), len(self.prompt_tokens), len(self.output_tokens)}
        if len(sizes) != 1 or sizes == {0}:
            raise InputError("workload", expected="as many arrivals as lengths, at least one", found=sorted(sizes))
        if not (np.isfinite(self.arrival_s).all() and (self.arrival_s >= 0.0).all()):
            raise InputError("workload.arrival_s", expected="finite seconds, at least 0", found=self.arrival_s)
        if (np.diff(self.arrival_s) < 0.0).any():
            raise InputError("workload.arrival_s", expected="ascending seconds", found=self.arrival_s)
        for name in ("prompt_tokens", "output_tokens"):
            if (getattr(self, name) < 1).any():
                raise InputError(f"workload.{name}", expected="at least 1 each", found=getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """A lognormal distribution of lengths, cut off at the longest.

    Attributes
    ----------
    mean
        Of what remains below the longest.
    sigma
        Standard deviation of the logarithm, before the cut.
    longest
        No request is longer.
    """

    mean: float
    sigma: float
    longest: int

    def __post_init__(self) -> None:
        if not (1.0 <= self.mean < 0.6 * self.longest and 0.0 < self.sigma < 5.0):
            expected = "a mean of at least 1 and below 0.6 of the longest, sigma in (0, 5)"
            raise InputError("lengths", expected=expected, found=self)

    def sample(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Draw ``count`` lengths, at least 1 each."""
        center = self._center()
        found = np.zeros(0)
        while len(found) < count:
            drawn = np.exp(center + self.sigma * random.standard_normal(2 * count + 16))
            found = np.concatenate([found, drawn[drawn <= self.longest]])
        return np.maximum(1, np.round(found[:count])).astype(np.int64)

    def _center(self) -> float:
        """Return the mean of the logarithm for which the mean below the cut is the one asked for."""
        low, high = math.log(self.mean) - 3 * self.sigma**2 - 3, math.log(self.longest) + self.sigma**2
        for _ in range(_ROUNDS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._mean_below(middle) < self.mean else (low, middle)
        return low

    def _mean_below(self, center: float) -> float:
        cut = (math.log(self.longest) - center) / self.sigma
        below = 0.5 * math.erfc(-cut / math.sqrt(2.0))
        shifted = 0.5 * math.erfc(-(cut - self.sigma) / math.sqrt(2.0))
        return math.exp(center + self.sigma**2 / 2) * shifted / max(below, 1e-300)


AZURE_PROMPT = Lengths(mean=763.0, sigma=1.0, longest=2048)
"""Prompts of the Azure conversation trace as Helix prunes it (mean 763, at most 2048 tokens; arXiv 2406.01566,
section 6.1); the shape is an assumption of ours."""
AZURE_OUTPUT = Lengths(mean=232.0, sigma=0.8, longest=1024)
"""Outputs of the same (mean 232, at most 1024 tokens)."""


def poisson_workload(
    *, requests_per_s: float, duration_s: float, prompt: Lengths, output: Lengths, seed: int
) -> Workload:
    """Draw requests that come independently of each other at a mean rate."""
    if not (0.0 < requests_per_s < math.inf and 0.0 < duration_s < math.inf):
        raise InputError("workload", expected="a rate and a duration above 0", found=(requests_per_s, duration_s))
    random = np.random.default_rng(seed)
    count = max(1, int(random.poisson(requests_per_s * duration_s)))
    return Workload(
        arrival_s=np.sort(random.uniform(0.0, duration_s, count)),
        prompt_tokens=prompt.sample(count, random),
        output_tokens=output.sample(count, random),
    )


def read_azure_trace(path: Path) -> Workload:
    """Read a trace of the Azure LLM inference data set: ``TIMESTAMP,ContextTokens,GeneratedTokens``.

    Raises
    ------
    InputError
        With the line: another header, a row of another length, a time or number that is none.
    """
    table = csv.reader(io.StringIO(jsonfile.read_text(path), newline=""))
    columns = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
    header = next(table, [])
    if header != columns:
        raise InputError(f"{path}: line 1", expected=",".join(columns), found=Plain(",".join(header)))
    rows = []
    for cells in table:
        where = f"{path}: line {table.line_num}"
        try:
            moment, prompt, output = cells
            at = datetime.fromisoformat(moment)
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
            rows.append((seconds, min(int(prompt), _LONGEST), min(int(output), _LONGEST)))
        except ValueError as error:
            raise InputError(
                where, expected="a time and two numbers of tokens", found=Plain(",".join(cells))
            ) from error
    if not rows:
        raise InputError(str(path), expected="at least one request", found=Plain("none"))
    rows.sort()
    return Workload(
        arrival_s=np.array([row[0] - rows[0][0] for row in rows]),
        prompt_tokens=np.array([row[1] for row in rows], dtype=np.int64),
        output_tokens=np.array([max(1, row[2]) for row in rows], dtype=np.int64),
    )
