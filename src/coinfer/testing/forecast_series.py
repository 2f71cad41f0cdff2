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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Prompts with known success rates under several models.

    Attributes
    ----------
    rates
        (prompts, models): chance that a sample passes.
    successes
        (prompts, models): what was counted.
    """

    rates: FloatArray
    successes: IntArray

    def coverage(self, budget: int) -> FloatArray:
        """Return the true coverage of ``budget`` samples of each prompt, (models,)."""
        covered: FloatArray = np.mean(1.0 - (1.0 - self.rates) ** budget, axis=0)
        return covered


def shared_difficulty(*, prompts: int, models: int, samples: int, seed: int) -> Table:
    """Draw success counts of models, ever weaker, on prompts whose difficulty is the same for all of them.

    ``-log`` of a rate is a Gumbel variable with a scale of 4, which follows an exponentiated power law; half of its
    variance, by rank, is the difficulty of the prompt and half the model's own.
    """
    from scipy.special import log_ndtr

    random = np.random.default_rng(seed)
    both = (random.standard_normal((prompts, 1)) + random.standard_normal((prompts, models))) / np.sqrt(2.0)
    hardness = np.linspace(3.0, 6.0, models) - 4.0 * np.log(-log_ndtr(both))
    rates = -np.expm1(-np.exp(-hardness))
    return Table(rates=rates, successes=random.binomial(samples, rates).astype(np.int64))
