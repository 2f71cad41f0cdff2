"""Beta priors per model and stratum, fitted to success counts: a fit that cannot diverge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coinfer.errors import InputError
from coinfer.solver.program import FloatArray, IntArray

# The fit is a point (logit of the mean, log of the concentration) in this box, which only counts
# beyond reason reach: the hyperprior keeps the rest inside.
BOX = ((-25.0, 25.0), (-9.0, 18.0))
GAIN_NATS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperprior:
    """What is believed of a Beta prior before any data: weak, and proper.

    The mean is uniform on (0, 1); the concentration a + b is log-normal. Its mode is Beta(1, 1) by default.

    Attributes
    ----------
    concentration
        Median of a + b.
    log_deviation
        Standard deviation of log(a + b), in nats.
    """

    concentration: float = 2.0
    log_deviation: float = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaPrior:
    """A fitted prior.

    Attributes
    ----------
    alpha, beta
        Its parameters, both above 0.
    gain_nats
        Log-likelihood of the counts under it, less that under the mode of the hyperprior.
    moved
        Whether the data moved it: the gain is at least one nat. If not, it is little more than the hyperprior.
    prompts
        Prompts with at least one sample.
    """

    alpha: float
    beta: float
    gain_nats: float
    moved: bool
    prompts: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BetaPriors:
    """Fitted priors of every model in every stratum, (models, strata) each; see :class:`BetaPrior`."""

    alpha: FloatArray
    beta: FloatArray
    gain_nats: FloatArray
    moved: NDArray[np.bool_]
    prompts: IntArray


def fit_beta_prior(successes: ArrayLike, samples: ArrayLike, *, hyperprior: Hyperprior | None = None) -> BetaPrior:
    """Fit Beta(a, b) to the counts of several prompts by penalised maximum likelihood of the Beta-binomial.

    The density that is maximised is that of (logit of the mean, log of the concentration). The hyperprior falls off in
    every direction and the likelihood is bounded, so a maximum exists for all-zero, all-one, identical and single
    counts, where plain maximum likelihood runs away.

    Parameters
    ----------
    successes, samples
        Right samples and all samples of each prompt, (prompts,); prompts without samples are left out.
    hyperprior
        What is believed beforehand; :class:`Hyperprior` by default.

    Raises
    ------
    InputError
        If a count is negative or above its samples.

    Notes
    -----
    Skellam 1948 for the Beta-binomial; 2502.17578 for why the density of p near 0, thus a, rules coverage at large k.
    """
    c, n = _counts(successes, samples)
    belief = hyperprior or Hyperprior()
    start = np.array([0.0, np.log(belief.concentration)])
    if not len(n):
        half = belief.concentration / 2
        return BetaPrior(alpha=half, beta=half, gain_nats=0.0, moved=False, prompts=0)
    pairs, weight = np.unique(np.stack([c, n]), axis=1, return_counts=True)
    objective = _Objective(pairs[0], pairs[1], weight.astype(np.float64), belief)
    best = _maximise(objective, start, _moments(c, n))
    gain = objective.log_likelihood(best) - objective.log_likelihood(start)
    alpha, beta = _beta(best)
    return BetaPrior(alpha=alpha, beta=beta, gain_nats=gain, moved=gain >= GAIN_NATS, prompts=len(n))


def fit_beta_priors(
    successes: ArrayLike, samples: ArrayLike, strata: ArrayLike, *, hyperprior: Hyperprior | None = None
) -> BetaPriors:
    """Fit one prior per model and stratum.

    Parameters
    ----------
    successes, samples
        (prompts, models).
    strata
        Stratum of each prompt, (prompts,), numbered from 0; a stratum without prompts gets the mode of the hyperprior.
    """
    c, n = np.asarray(successes), np.asarray(samples)
    groups = np.asarray(strata)
    if c.ndim != 2 or c.shape != n.shape or groups.shape != c.shape[:1]:
        raise InputError("strata", expected=f"one number per prompt, {len(c)}", found=groups.shape)
    count = int(groups.max(initial=-1)) + 1
    fits = [
        [fit_beta_prior(c[groups == g, m], n[groups == g, m], hyperprior=hyperprior) for g in range(count)]
        for m in range(c.shape[1])
    ]
    shape = (c.shape[1], count)
    return BetaPriors(
        alpha=np.array([[each.alpha for each in row] for row in fits]).reshape(shape),
        beta=np.array([[each.beta for each in row] for row in fits]).reshape(shape),
        gain_nats=np.array([[each.gain_nats for each in row] for row in fits]).reshape(shape),
        moved=np.array([[each.moved for each in row] for row in fits], dtype=np.bool_).reshape(shape),
        prompts=np.array([[each.prompts for each in row] for row in fits], dtype=np.int64).reshape(shape),
    )


@dataclass(frozen=True, slots=True)
class _Objective:
    """The penalised log-likelihood of distinct counts, each with its multiplicity."""

    successes: FloatArray
    samples: FloatArray
    weight: FloatArray
    hyperprior: Hyperprior

    def log_likelihood(self, point: FloatArray) -> float:
        """Return the log-likelihood without the binomial coefficients, which no fit changes."""
        a, b = _beta(point)
        c, n = self.successes, self.samples
        each = _log_rise(a, c) + _log_rise(b, n - c) - _log_rise(a + b, n)
        return float(self.weight @ each)

    def descent(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Return the negative penalised log-likelihood and its gradient."""
        from scipy.special import digamma

        a, b = _beta(point)
        c, n, w = self.successes, self.samples, self.weight
        both = w @ (digamma(a + b + n) - digamma(a + b))
        by_a = w @ (digamma(a + c) - digamma(a)) - both
        by_b = w @ (digamma(b + n - c) - digamma(b)) - both
        logit, log_concentration = point
        share = a / (a + b)
        centred = (log_concentration - np.log(self.hyperprior.concentration)) / self.hyperprior.log_deviation
        # The logistic density is the uniform one of the mean, seen in its logit: log mean + log(1 - mean).
        penalty = -np.logaddexp(0.0, -logit) - np.logaddexp(0.0, logit) - 0.5 * centred**2
        slope = np.array(
            [
                (by_a - by_b) * a * (1 - share) + 1 - 2 * share,
                by_a * a + by_b * b - centred / self.hyperprior.log_deviation,
            ]
        )
        return -(self.log_likelihood(point) + float(penalty)), -slope


def _maximise(objective: _Objective, *starts: FloatArray) -> FloatArray:
    """Return the best point that a bounded quasi-Newton search reaches from the starts, themselves included."""
    from scipy.optimize import minimize

    best, least = starts[0], objective.descent(starts[0])[0]
    for start in starts:
        found = minimize(objective.descent, start, jac=True, method="L-BFGS-B", bounds=BOX)
        if np.isfinite(found.fun) and found.fun < least:
            best, least = found.x, float(found.fun)
    return best


def _moments(c: FloatArray, n: FloatArray) -> FloatArray:
    """Return a start from the mean and the spread of the rates, pulled off the borders."""
    rate = (c + 0.5) / (n + 1)
    mean, variance = float(rate.mean()), float(rate.var())
    concentration = np.clip(mean * (1 - mean) / max(variance, 1e-12) - 1, 1e-2, 1e6)
    return np.array([np.log(mean / (1 - mean)), np.log(concentration)])


def _beta(point: FloatArray) -> tuple[float, float]:
    concentration = np.exp(point[1])
    return float(concentration / (1 + np.exp(-point[0]))), float(concentration / (1 + np.exp(point[0])))


def _log_rise(start: float, steps: FloatArray) -> FloatArray:
    from scipy.special import gammaln

    rise: FloatArray = gammaln(start + steps) - gammaln(start)
    return rise


def _counts(successes: ArrayLike, samples: ArrayLike) -> tuple[FloatArray, FloatArray]:
    c, n = np.atleast_1d(np.asarray(successes, dtype=np.float64)), np.atleast_1d(np.asarray(samples, dtype=np.float64))
    if c.shape != n.shape or c.ndim != 1:
        raise InputError("successes", expected=f"one count per prompt, {n.shape}", found=c.shape)
    if not (np.isfinite(n) & (c >= 0) & (c <= n)).all():
        raise InputError("successes", expected="numbers from 0 to the number of samples", found=c.tolist())
    return c[n > 0], n[n > 0]
