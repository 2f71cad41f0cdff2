r"""How wrong a forecast may be: a posterior over exponentiated power laws, and quantiles of what follows from it.

The likelihood is that of the number of the first sample that passes a prompt, grouped between the points of the curve
and censored at the last sample, averaged over all orders of the samples. The order is arbitrary, and the mean over all
of them says more than one would: its logarithm is multiplied by ``TEMPER``.

Every point of the grid is a law with a weight, so counts that are all 0 or all right, or of one prompt, need no care:
they leave the posterior wide, and nothing diverges. Other laws may be added: Beta rates with a share of prompts that
nothing passes, whose coverage ends below 1 where a power law goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from coinfer.models.budget.curves.gamma import log_survival
from coinfer.models.budget.forecast.curves import Curve
from coinfer.models.budget.forecast.power_law import failing
from coinfer.solver.program import FloatArray, IntArray

TEMPER = 3.0
"""Factor on the log-likelihood. Of 1, 2, 3, 4 and 6, the share of 90 % intervals that hold the coverage at 10,000 from
30, 100, 300 and 1,000 samples is nearest to 90 % with 2 or 3 when one of the 12 Pythia MATH and CodeContests series is
left out, and with 4 for one of them; with 3 it is 86 to 92 % at each of the four
(benchmarks/budget_forecast_rows.py)."""
MIDDLE = 30.0
"""The number of samples at which the grid states the level, where level and exponent are least bound together."""
LEVELS = np.linspace(-4.0, 3.5, 60)
LEVEL_SPREAD = 3.0
"""log(-log coverage) at ``MIDDLE`` samples: normal around 0, so from a coverage of 1e-9 to all of it."""
EXPONENTS = np.geomspace(0.02, 1.2, 40)
EXPONENT_CENTRE, EXPONENT_SPREAD = 0.2, 0.6
"""Log-normal prior of the exponent: two thirds of it lie in 0.11..0.36, the range that was seen in the literature."""
ALPHAS, BETAS = np.geomspace(0.03, 3.0, 14), np.geomspace(0.3, 1000.0, 16)
IMPOSSIBLE = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Beta laws; half of their prior weight has no impossible prompts."""
ALPHA_PRIOR, BETA_PRIOR = (0.3, 1.2), (5.0, 2.5)
"""Median and log-deviation of alpha and beta."""
NEGLIGIBLE = 1e-6
FINENESS = 801
REACH = 5.0
LEAST_DEVIATION = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Posterior:
    """Weighted laws: power laws first, then Beta rates of which a share of the prompts is exempt.

    Attributes
    ----------
    weight
        (laws,): sums to 1.
    level, exponent
        (power laws,): log(-log coverage) of one sample, and how fast it falls.
    alpha, beta, impossible
        (Beta laws,): rates of the prompts that can be passed, and the share that cannot.
    """

    weight: FloatArray
    level: FloatArray
    exponent: FloatArray
    alpha: FloatArray
    beta: FloatArray
    impossible: FloatArray

    def failing(self, samples: IntArray) -> FloatArray:
        """Return the share of prompts that ``samples`` do not pass under each law, (laws, samples)."""
        power = failing(self.level[:, None], self.exponent[:, None], samples)
        if not len(self.alpha):
            return power
        possible = np.exp(log_survival(self.beta[:, None], self.alpha[:, None], samples))
        return np.concatenate([power, 1.0 - (1.0 - self.impossible[:, None]) * (1.0 - possible)])

    def only(self, kept: NDArray[np.bool_], weight: FloatArray) -> Posterior:
        """Return some of the laws with weights of their own."""
        power, beta = np.split(kept, [len(self.level)])
        return Posterior(
            weight=weight[kept] / weight[kept].sum(),
            level=self.level[power],
            exponent=self.exponent[power],
            alpha=self.alpha[beta],
            beta=self.beta[beta],
            impossible=self.impossible[beta],
        )


def posterior(curve: Curve, *, temper: float = TEMPER, cautious: bool = False) -> Posterior:
    """Return the posterior over the grid, without the laws that have next to no weight.

    ``cautious`` adds the Beta laws; both kinds are then equally likely beforehand.
    """
    prior = _prior(cautious)
    share = prior.failing(curve.samples)
    first = -np.diff(share, axis=1, prepend=1.0)
    tiny = np.finfo(np.float64).tiny
    likelihood = np.log(np.maximum(first, tiny)) @ curve.first_passed
    likelihood += np.log(np.maximum(share, tiny)) @ curve.unpassed
    weight = np.exp(temper * (likelihood - likelihood.max())) * prior.weight
    weight /= weight.sum()
    return prior.only(weight > NEGLIGIBLE, weight)


@lru_cache(maxsize=2)
def _prior(cautious: bool) -> Posterior:
    """Return the laws of the grid with what is believed of them before any count."""
    middle, exponent = (axis.ravel() for axis in np.meshgrid(LEVELS, EXPONENTS, indexing="ij"))
    away = (middle / LEVEL_SPREAD) ** 2 + (np.log(exponent / EXPONENT_CENTRE) / EXPONENT_SPREAD) ** 2
    weight = np.exp(-away / 2)
    alpha, beta, impossible = (axis.ravel() for axis in np.meshgrid(ALPHAS, BETAS, IMPOSSIBLE, indexing="ij"))
    if not cautious:
        alpha, beta, impossible = alpha[:0], beta[:0], impossible[:0]
    far = (np.log(alpha / ALPHA_PRIOR[0]) / ALPHA_PRIOR[1]) ** 2 + (np.log(beta / BETA_PRIOR[0]) / BETA_PRIOR[1]) ** 2
    other = np.exp(-far / 2) * np.where(impossible > 0.0, 0.5 / (len(IMPOSSIBLE) - 1), 0.5)
    return Posterior(
        weight=np.concatenate([weight / weight.sum(), other / max(other.sum(), NEGLIGIBLE)]),
        level=middle + exponent * np.log(MIDDLE),
        exponent=exponent,
        alpha=alpha,
        beta=beta,
        impossible=impossible,
    )


def quantiles(weight: FloatArray, mean: FloatArray, variance: FloatArray, levels: FloatArray) -> FloatArray:
    """Return quantiles, within 0..1, of a mixture of normal distributions of these means and variances."""
    from scipy.special import ndtr

    deviation = np.sqrt(np.maximum(variance, LEAST_DEVIATION**2))
    low, high = float((mean - REACH * deviation).min()), float((mean + REACH * deviation).max())
    at = np.linspace(max(low, 0.0), min(high, 1.0), FINENESS)
    below = ndtr((at[:, None] - mean) / deviation) @ weight
    result: FloatArray = np.interp(levels, below, at)
    return result


def beta_quantiles(mean: float, variance: float, levels: FloatArray) -> FloatArray:
    """Return quantiles of the Beta distribution of this mean and variance."""
    from scipy.special import betaincinv

    most = mean * (1.0 - mean)
    if variance <= 0.0 or most <= 0.0:
        return np.full(len(levels), mean)
    size = max(most / variance - 1.0, 1e-3)
    result: FloatArray = betaincinv(mean * size, (1.0 - mean) * size, levels)
    return result
