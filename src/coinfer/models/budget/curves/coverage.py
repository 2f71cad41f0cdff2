"""Coverage: the chance that at least one of k samples is right, from counts or from a Beta posterior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import InputError
from coinfer.models.budget.curves.gamma import log_survival, log_survival_curve
from coinfer.solver.program import FloatArray

# Stands for alpha - 1 = 0: the formulas below are linear in it there, to the last digit.
NOUGHT = 1e-30


def unbiased_coverage(successes: ArrayLike, samples: ArrayLike, draws: ArrayLike) -> FloatArray:
    r"""Return pass@k without bias: :math:`1 - \binom{n-c}{k} / \binom{n}{k}`.

    Parameters
    ----------
    successes, samples
        Right samples c and all samples n, (...,); n to 1e6 and beyond.
    draws
        Numbers of samples k, (draws,), none above its n.

    Returns
    -------
    FloatArray
        (..., draws).

    Raises
    ------
    InputError
        If some k is above some n (an estimate without bias does not exist), or a count is not one.

    Notes
    -----
    Chen et al. 2107.03374, equation 1; Brown et al. 2407.21787, section 2.

    >>> unbiased_coverage(1, 4, [1, 2, 4]).round(12).tolist()
    [0.25, 0.5, 1.0]
    """
    c, n, k = _counts(successes, samples, draws)
    if (k > n).any():
        raise InputError("draws", expected=f"at most {int(n.min())}, the fewest samples", found=float(k.max()))
    left = n - c - k
    surely = left < 0
    return np.where(surely, 1.0, np.abs(np.expm1(log_survival(np.where(surely, 0.0, left) + 1, c, k))))


def expected_coverage(alpha: ArrayLike, beta: ArrayLike, draws: ArrayLike) -> FloatArray:
    r"""Return :math:`E[1-(1-p)^k] = 1 - B(A, B+k) / B(A, B)` for p ~ Beta(A, B), (..., draws).

    Parameters
    ----------
    alpha, beta
        Posterior A and B, both above 0, (...,): the prior's plus the right and the wrong samples.
    draws
        Numbers of further samples k, (draws,).
    """
    a, b, k = _posterior(alpha, beta, draws)
    return np.abs(np.expm1(log_survival_curve(b, a, k)))  # of a logarithm below 0


def marginal_coverage(alpha: ArrayLike, beta: ArrayLike, draws: ArrayLike) -> FloatArray:
    """Return what sample k + 1 adds after k samples, B(A+1, B+k) / B(A, B), (..., draws); it falls with k."""
    a, b, k = _posterior(alpha, beta, draws)
    return np.exp(log_survival_curve(b, a, k)) * (a[..., None] / ((a + b)[..., None] + k))


def coverage_variance(alpha: ArrayLike, beta: ArrayLike, draws: ArrayLike) -> FloatArray:
    r"""Return the posterior variance of :math:`1-(1-p)^k`, :math:`E[(1-p)^{2k}] - E[(1-p)^k]^2`, (..., draws)."""
    a, b, k = _posterior(alpha, beta, draws)
    once, twice = log_survival_curve(b, a, k), log_survival_curve(b, a, 2 * k)
    return np.exp(twice) * np.maximum(-np.expm1(2 * once - twice), 0.0)


def samples_until_success(alpha: ArrayLike, beta: ArrayLike, draws: ArrayLike) -> FloatArray:
    r"""Return the samples expected where the first right one ends it and k is the most, (..., draws).

    It is :math:`\sum_{j<k} E[(1-p)^j]`, closed by telescoping for every A > 0: with A' = A - 1 the sum from j = 1 is
    :math:`\frac{B}{A+B} \frac{A+B}{A'} (1 - \frac{B(A', B+k)}{B(A', B+1)})`, and at A = 1 its limit.

    Notes
    -----
    The usual :math:`\frac{A+B-1}{A-1}[1 - \ldots]` fails where A + B < 1; the first sample is split off for that.

    >>> samples_until_success(1.0, 1.0, [0, 1, 2, 3]).round(12).tolist()  # 1, 1 + 1/2, 1 + 1/2 + 1/3
    [0.0, 1.0, 1.5, 1.833333333333]
    """
    a, b, k = _posterior(alpha, beta, draws)
    excess = np.where(a == 1, NOUGHT, a - 1)
    later = np.maximum(k - 1, 0)
    failed = -np.expm1(log_survival_curve(b + 1, excess, later))
    return np.minimum(k, 1.0) + failed * (b / excess)[..., None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PooledCoverage:
    """Coverage of a stratum of prompts, (draws,) each.

    Attributes
    ----------
    value
        Mean over the prompts of the posterior mean.
    standard_error
        Of ``value`` as the coverage of *these* prompts.
    population_standard_error
        Of ``value`` as the coverage of the population they are drawn from; ``None`` with fewer than two prompts.
    """

    value: FloatArray
    standard_error: FloatArray
    population_standard_error: FloatArray | None


def pooled_coverage(alpha: ArrayLike, beta: ArrayLike, draws: ArrayLike) -> PooledCoverage:
    """Return the coverage of one stratum from the posteriors (prompts,) of its prompts.

    The variance between prompts of the population is the variance of the posterior means plus the mean posterior
    variance (law of total variance): posteriors alone, being shrunk, would understate it.

    Raises
    ------
    InputError
        If there is no prompt.
    """
    a, b = np.atleast_1d(np.asarray(alpha, dtype=np.float64)), np.atleast_1d(np.asarray(beta, dtype=np.float64))
    if a.ndim != 1 or not a.size:
        raise InputError("alpha", expected="one number per prompt, at least one prompt", found=a.shape)
    means, variances = expected_coverage(a, b, draws), coverage_variance(a, b, draws)
    prompts = len(means)
    population = None
    if prompts > 1:
        population = np.sqrt((means.var(axis=0, ddof=1) + variances.mean(axis=0)) / prompts)
    return PooledCoverage(
        value=means.mean(axis=0),
        standard_error=np.sqrt(variances.sum(axis=0)) / prompts,
        population_standard_error=population,
    )


def _counts(successes: ArrayLike, samples: ArrayLike, draws: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    c, n = (np.asarray(each, dtype=np.float64)[..., None] for each in (successes, samples))
    k = _draws(draws)
    if not (np.isfinite(c) & np.isfinite(n) & (c >= 0) & (c <= n) & (c == np.floor(c)) & (n == np.floor(n))).all():
        raise InputError(
            "successes", expected="whole numbers from 0 to the number of samples", found=c[..., 0].tolist()
        )
    return c, n, k


def _posterior(alpha: ArrayLike, beta: ArrayLike, draws: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    a, b = np.broadcast_arrays(np.asarray(alpha, dtype=np.float64), np.asarray(beta, dtype=np.float64))
    for name, each in (("alpha", a), ("beta", b)):
        if not (np.isfinite(each) & (each > 0)).all():
            raise InputError(name, expected="finite numbers above 0", found=each.tolist())
    return a, b, _draws(draws)


def _draws(draws: ArrayLike) -> FloatArray:
    k = np.atleast_1d(np.asarray(draws, dtype=np.float64))
    if k.ndim != 1 or not (np.isfinite(k) & (k >= 0) & (k == np.floor(k))).all():
        raise InputError("draws", expected="a list of whole numbers from 0", found=k.tolist())
    return k
