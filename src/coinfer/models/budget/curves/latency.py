"""The slowest of k parallel draws: its expectation from a quantile function, a log-normal fit, or recorded values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import InputError
from coinfer.models.budget.curves.best_of import best_of
from coinfer.solver.program import FloatArray

# Both integrals are taken by the trapezoid rule over a line on which the integrand dies off at both ends, where the
# rule converges exponentially. The first sees no chance above 1 - 2^-53: it is 2e-5 off for a log-deviation of 4.
LOGISTIC_LINE = np.linspace(-36.0, 36.0, 721)
NORMAL_LINE = np.linspace(-9.0, 14.0, 461)


def expected_maximum(quantile: Callable[[FloatArray], FloatArray], draws: ArrayLike) -> FloatArray:
    r"""Return the expected largest of k draws, :math:`\int_0^1 Q(w^{1/k})\,dw`, (draws,); 0 of 0 draws.

    Parameters
    ----------
    quantile
        Q, from chances strictly between 0 and 1 to values with a finite mean; takes and gives an array.
    draws
        Numbers of draws k, (draws,).
    """
    k = _draws(draws)
    chance = 1 / (1 + np.exp(-LOGISTIC_LINE))
    step = LOGISTIC_LINE[1] - LOGISTIC_LINE[0]
    weight = step * chance / (1 + np.exp(LOGISTIC_LINE))
    roots = np.clip(np.exp(np.log(chance) / np.maximum(k, 1)[:, None]), np.finfo(np.float64).tiny, 1 - 2.0**-53)
    return np.where(k > 0, (quantile(roots) * weight).sum(axis=-1), 0.0)


def lognormal_maximum(mean: ArrayLike, log_deviation: ArrayLike, draws: ArrayLike) -> FloatArray:
    r"""Return the expected largest of k log-normal draws; the three arguments are broadcast. 0 of 0 draws.

    It is :math:`\int k\,\varphi(z)\,\Phi(z)^{k-1}\,e^{\mu + \sigma z}\,dz` with :math:`\mu = \log m - \sigma^2 / 2`.

    Parameters
    ----------
    mean
        Mean m of one draw, from 0, in any unit.
    log_deviation
        Standard deviation of its logarithm, from 0 (no spread: the largest is the mean) to 4.
    draws
        Number of draws k.

    >>> lognormal_maximum(10.0, 0.0, [1, 100]).round(9).tolist()
    [10.0, 10.0]
    """
    from scipy.special import log_ndtr

    m, spread = np.asarray(mean, dtype=np.float64), np.asarray(log_deviation, dtype=np.float64)
    k = np.asarray(draws, dtype=np.float64)
    if not (np.isfinite(m) & (m >= 0)).all():
        raise InputError("mean", expected="finite numbers from 0", found=m.tolist())
    if not ((spread >= 0) & (spread <= 4)).all():
        raise InputError("log_deviation", expected="numbers from 0 to 4", found=spread.tolist())
    if not (np.isfinite(k) & (k >= 0)).all():
        raise InputError("draws", expected="numbers from 0", found=k.tolist())
    pairs = np.stack([each.ravel() for each in np.broadcast_arrays(spread, k)])
    (deviation, count), where = np.unique(pairs, axis=1, return_inverse=True)  # one integral for each pair
    z = NORMAL_LINE
    density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi) + np.log(z[1] - z[0])
    chance = np.log(np.maximum(count, 1))[:, None] + density + np.maximum(count - 1, 0)[:, None] * log_ndtr(z)
    factor = np.exp(chance + deviation[:, None] * z - 0.5 * deviation[:, None] ** 2).sum(axis=1)
    factor = np.where((deviation == 0) | (count <= 1), np.minimum(count, 1.0), factor)  # known without an integral
    shape = np.broadcast_shapes(spread.shape, k.shape)
    largest: FloatArray = m * factor[where.ravel()].reshape(shape)
    return largest


def recorded_maximum(values: ArrayLike, draws: ArrayLike) -> FloatArray:
    """Return the expected largest of k of n recorded values, over all subsets, (..., draws); 0 of 0 draws.

    Exact, as :func:`~coinfer.models.budget.curves.best_of.best_of` is with the value as its own score; no k above n.
    """
    return best_of(values, values, draws)


def sum_deviation(log_deviation: ArrayLike, terms: ArrayLike) -> FloatArray:
    r"""Return the log-deviation of a log-normal with mean and variance of a sum of equal independent ones.

    :math:`\sigma_L^2 = \log(1 + (e^{\sigma^2} - 1) / L)` (Fenton 1960, Wilkinson): an approximation, close for L
    draws of one kind.
    """
    spread, count = np.asarray(log_deviation, dtype=np.float64), np.asarray(terms, dtype=np.float64)
    return np.sqrt(np.log1p(np.expm1(spread**2) / np.maximum(count, 1)))


def _draws(draws: ArrayLike) -> FloatArray:
    k = np.atleast_1d(np.asarray(draws, dtype=np.float64))
    if k.ndim != 1 or not (np.isfinite(k) & (k >= 0)).all():
        raise InputError("draws", expected="a list of numbers from 0", found=k.tolist())
    return k
