"""Success counts of made-up prompts whose rates, and so whose true coverage, are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Prompts with known success rates.

    Attributes
    ----------
    rates
        (prompts,): chance that a sample passes.
    successes, samples
        (prompts,): what was counted.
    """

    rates: FloatArray
    successes: IntArray
    samples: IntArray

    def coverage(self, budget: int) -> float:
        """Return the true coverage of ``budget`` samples of each prompt."""
        return float(np.mean(1.0 - (1.0 - self.rates) ** budget))


def beta_series(*, alpha: float, beta: float, prompts: int, samples: int, seed: int, impossible: float = 0.0) -> Series:
    """Draw a series of Beta rates; a share ``impossible`` of the prompts has a rate of 0."""
    random = np.random.default_rng(seed)
    rates = random.beta(alpha, beta, prompts)
    rates[random.random(prompts) < impossible] = 0.0
    drawn = np.full(prompts, samples, dtype=np.int64)
    return Series(rates=rates, successes=random.binomial(drawn, rates).astype(np.int64), samples=drawn)
