r"""What noisy tables honestly promise after a plan has picked from them: empirical Bayes over whole rows.

One difficulty stands behind the options of a stratum, so the row of values is taken as drawn from :math:`N(\mu,
\Sigma)` over all options together, and is seen with known errors: :math:`\hat v_i \sim N(v_i, D_i)`. Given the whole
row, :math:`E[v_{ij} \mid \hat v_i]` does not mind that j was picked because of it; shrinking each option alone does
(Efron and Morris, JASA 70, 1975, for one column; here with a covariance fitted by expectation-maximisation, with a weak
prior of equal correlations).

Few strata do not tell a covariance, and errors that grow with the values mislead such a fit. So a second model with
three effects on a scale of its own is asked too (:mod:`coinfer.models.budget.calibration.hierarchy`). The claim is the
mean of both, and half of what they differ by counts as a standard error.

Three things are not taken at their word. Errors of one row may come from the same samples: where their correlation
would matter, the worse of none and full is used. Errors that were estimated beside the values are too small where the
value was lucky: they are drawn towards those of their option. And rows need not be normal: three tenths of all that the
claim was lowered by counts as one more standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.models.budget.calibration.hierarchy import hierarchy_claim
from coinfer.solver.program import FloatArray, IntArray

PRIOR_ROWS = 4.0
"""The prior covariance counts like so many strata."""
CORRELATION = 0.7
"""Between options, in the prior."""
TOWARDS_OPTION = 0.75
"""How far an error is drawn towards the mean of its option; one of exactly 0 is a value that is known."""
DOUBT = 0.3
ROUNDS = 40
"""Of the fit: a fixed number, so that whoever computes it again finds the same."""
MOST_ROWS, MOST_COLUMNS = 300, 40
"""Strata and options that the fit looks at, evenly spaced; options that are taken always count."""
MOST_SOLVED = 5_000_000
"""Strata times squared options up to which rows are solved with the full covariance, else with three factors of it."""
FACTORS = 3
LEAST, ABSENT = 1e-12, 1e16
"""Least variance, in squares of the largest value, and that of a cell which is not there."""
RUN = 20_000
"""Strata that are summed together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit:
    """The distribution of rows: mean (options,), covariance (options, options), and that of the mean."""

    mean: FloatArray
    covariance: FloatArray
    of_mean: FloatArray


def table_claim(value: FloatArray, error: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Return mean and variance of the weighted sum of the true values.

    Parameters
    ----------
    value, error
        (rows, columns): estimates, independent between rows, and their standard errors; absent cells are NaN.
    weight
        (rows, columns): of each cell in the sum; 0 where it was not taken.
    """
    scale = float(np.nanmax(np.abs(value), initial=0.0)) or 1.0
    taken = np.flatnonzero(weight.any(axis=0))
    others = np.setdiff1d(np.flatnonzero(~np.isnan(value).all(axis=0)), taken)
    room = max(MOST_COLUMNS - len(taken), 0)
    some = others[np.unique(np.linspace(0, len(others) - 1, room).astype(int))] if room and len(others) else others[:0]
    columns = np.union1d(taken, some)
    seen, weights = value[:, columns] / scale, weight[:, columns]
    noise = _noise(seen, error[:, columns] / scale)
    plain = float((weights * np.where(np.isnan(seen), 0.0, seen)).sum())
    some_rows = np.unique(np.linspace(0, len(seen) - 1, MOST_ROWS).astype(int))
    mean, variance = hierarchy_claim(seen, error[:, columns] / scale, weights, some_rows)
    if len(seen) == 1:
        variance = max(variance, float((np.abs(weights) * np.sqrt(noise)).sum() ** 2))
        return scale * mean, scale**2 * (variance + (DOUBT * (plain - mean)) ** 2)
    there = ~np.isnan(seen)
    center = np.where(there, seen, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    seen = np.where(there, seen, center)
    fit = _fitted(seen[some_rows], noise[some_rows])
    other, other_variance = _moments(fit, seen, noise, weights)
    variance = 0.5 * (variance + other_variance) + 0.25 * (mean - other) ** 2
    mean = 0.5 * (mean + other)
    return scale * mean, scale**2 * (variance + (DOUBT * (plain - mean)) ** 2)


def _noise(seen: FloatArray, error: FloatArray) -> FloatArray:
    """Return variances of the estimates, drawn towards those of their option; endless where a cell is absent."""
    own = np.where(np.isnan(seen), np.nan, error) ** 2
    known = ~np.isnan(own)
    typical = np.where(known, own, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    drawn = np.where(own > 0.0, own + TOWARDS_OPTION * (typical - own), own)
    return np.where(known, np.maximum(drawn, LEAST), ABSENT)


def _fitted(seen: FloatArray, noise: FloatArray) -> _Fit:
    """Fit the distribution of rows; its mean is as uncertain as the rows that are looked at leave it."""
    rows, columns = seen.shape
    spread = ((seen - seen.mean(axis=0)) ** 2).sum() / ((rows - 1) * columns)
    known = noise < ABSENT
    level = max(spread - float(noise[known].mean()), 1e-4 * spread, LEAST)
    prior = level * (CORRELATION * np.ones((columns, columns)) + (1.0 - CORRELATION) * np.eye(columns))
    covariance, diagonal = prior, np.eye(columns)
    for _ in range(ROUNDS):
        inverse = np.linalg.inv(covariance + noise[:, :, None] * diagonal)
        of_mean = np.linalg.inv(inverse.sum(axis=0))
        mean = of_mean @ np.einsum("ijk,ik->j", inverse, seen)
        gain = covariance @ inverse
        away = np.einsum("ijk,ik->ij", gain, seen - mean)
        left = rows * covariance - gain.sum(axis=0) @ covariance
        covariance = (away.T @ away + left + PRIOR_ROWS * prior) / (rows + PRIOR_ROWS)
        covariance = 0.5 * (covariance + covariance.T)
    return _Fit(mean=mean, covariance=covariance, of_mean=of_mean)


def _moments(fit: _Fit, seen: FloatArray, noise: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Return mean and variance of the weighted sum given what was seen; the error of the mean is shared by all rows."""
    mean, variance, shared = 0.0, 0.0, np.zeros(len(fit.mean))
    solved = len(seen) * len(fit.mean) ** 2 <= MOST_SOLVED
    for start in range(0, len(seen), RUN):
        rows = slice(start, start + RUN)
        part = _run(fit, seen[rows], noise[rows], weight[rows], solved=solved)
        mean, variance, shared = mean + part[0], variance + part[1], shared + part[2]
    return mean, variance + float(shared @ fit.of_mean @ shared)


def _run(
    fit: _Fit, seen: FloatArray, noise: FloatArray, weight: FloatArray, *, solved: bool
) -> tuple[float, float, FloatArray]:
    r"""Return mean, variance and weight of the options' means of some rows.

    With :math:`u_i = (\Sigma + D_i)^{-1} \Sigma w_i` the mean is :math:`w_i \mu + u_i (\hat v_i - \mu)`, the variance
    :math:`w_i \Sigma w_i - u_i \Sigma w_i`, and the means of the options count :math:`w_i - u_i`.
    """
    drawn = weight @ fit.covariance
    if solved:
        whole = fit.covariance + noise[:, :, None] * np.eye(weight.shape[1])
        used = np.linalg.solve(whole, drawn[:, :, None])[:, :, 0]
    else:
        used = _by_factors(fit.covariance, noise, drawn)
    mean = float((weight @ fit.mean).sum() + (used * (seen - fit.mean)).sum())
    own = np.maximum(((weight - used) * drawn).sum(axis=1), 0.0)
    together = (np.abs(used) * np.sqrt(noise)).sum(axis=1) ** 2 - (used**2 * noise).sum(axis=1)
    return mean, float(own.sum() + np.maximum(together, 0.0).sum()), (weight - used).sum(axis=0)


def _by_factors(covariance: FloatArray, noise: FloatArray, right: FloatArray) -> FloatArray:
    """Solve (covariance + noise) x = right for each row, the covariance taken as a few factors and a diagonal."""
    values, vectors = np.linalg.eigh(covariance)
    factors = vectors[:, -FACTORS:] * np.sqrt(np.maximum(values[-FACTORS:], 0.0))
    rest = np.maximum(np.diag(covariance) - (factors**2).sum(axis=1), 0.0)
    inverse = 1.0 / (noise + rest)
    scaled = inverse[:, :, None] * factors
    small = np.einsum("jf,ijg->ifg", factors, scaled) + np.eye(factors.shape[1])
    first = inverse * right
    inner = np.linalg.solve(small, (first @ factors)[:, :, None])[:, :, 0]
    found: FloatArray = first - np.einsum("ijf,if->ij", scaled, inner)
    return found


def weights_of(taken: IntArray, shape: tuple[int, int], prompts: int) -> FloatArray:
    """Return each cell's share of all prompts, (rows, columns)."""
    weight = np.zeros(shape)
    np.add.at(weight, (taken[:, 0], taken[:, 1]), taken[:, 2] / prompts)
    return weight
