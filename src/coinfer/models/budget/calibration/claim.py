r"""The value that a plan may honestly claim: what it will reach on other samples, with an interval.

A plan picks, among noisy estimates, those that look good; so the sum of the estimates picked is too high (the winner's
curse). Posterior means are free of that where the prior is right: :math:`E[v \mid \text{data}]` is the same whatever
was picked because of the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from coinfer.errors import InputError
from coinfer.models.budget.curves.coverage import coverage_variance, expected_coverage
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.evaluate import entries
from coinfer.models.budget.parts import PosteriorMenus, TableMenus
from coinfer.solver.program import FloatArray, IntArray

LEVEL = 0.95
LEAST = 1e-100
"""Least variance that is divided by: its inverse can still be squared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A mean value over the prompts that can be expected, and where it will lie.

    Attributes
    ----------
    value, low, high
        Of the mean value of a prompt.
    level
        Probability that the interval means to cover.
    basis
        How it was found, in words.
    """

    value: float
    low: float
    high: float
    level: float
    basis: str


def claim(
    problem: BudgetProblem, decision: BudgetDecision, *, level: float = LEVEL, scored_on: int | None = None
) -> Claimed | None:
    """Return the mean value that a decision may claim; ``None`` where the menus say nothing of their uncertainty.

    Parameters
    ----------
    problem, decision
        Menus that are posteriors, or a table with ``value_error``. In posterior menus each prompt of a stratum has a
        rate of its own, drawn from the stratum's distribution. A table's errors are those of its strata: shared by all
        prompts of one, independent between strata; its values are shrunk first, see :func:`shrunk`.
    level
        Probability that the interval is to cover.
    scored_on
        The value will be measured on so many samples of each prompt's arm; absent: the interval is for the expected
        value, without the noise of measuring it. Tables do not know samples: there it is a number of runs.

    Raises
    ------
    InputError
        For a level that is no probability.
    ProblemError
        If the decision is none of the problem.
    """
    if not 0.0 < level < 1.0:
        raise InputError("level", expected="a probability above 0 and below 1", found=level)
    taken = entries(problem, decision)
    menus = problem.menus
    if isinstance(menus, PosteriorMenus):
        mean, variance = _by_posterior(problem, menus, taken, scored_on)
        return claimed(mean, variance, level=level, basis="posterior means and variances of the rates")
    if menus.value_error is None:
        return None
    mean, variance = _by_table(problem, menus, taken, scored_on)
    return claimed(mean, variance, level=level, basis="values shrunk towards the mean of their option")


def claimed(mean: float, variance: float, *, level: float, basis: str) -> Claimed:
    """Return the claim of a mean that is normal: a sum over many prompts."""
    reach = NormalDist().inv_cdf(0.5 + 0.5 * level) * math.sqrt(max(variance, 0.0))
    return Claimed(value=mean, low=max(mean - reach, 0.0), high=mean + reach, level=level, basis=basis)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shrunk:
    """Noisy values after shrinking.

    Attributes
    ----------
    mean, variance
        (rows, columns): of the posterior, given center and spread of the column.
    by_center, by_spread
        (rows, columns): how much the mean moves with the column's center, and with its variance between rows.
    center_variance, spread_variance
        (columns,): how uncertain those two are; their errors are shared by the rows.
    """

    mean: FloatArray
    variance: FloatArray
    by_center: FloatArray
    by_spread: FloatArray
    center_variance: FloatArray
    spread_variance: FloatArray


def shrunk(value: FloatArray, error: FloatArray) -> Shrunk:
    """Shrink noisy values towards the mean of their column, as much as their errors say: empirical Bayes, normal.

    With fewer than three rows nothing is shrunk.

    Parameters
    ----------
    value, error
        (rows, columns): estimates, independent between rows, and their standard errors.
    """
    rows, columns = value.shape
    noise = error.astype(np.float64) ** 2
    if rows < 3:
        nought, none = np.zeros((rows, columns)), np.zeros(columns)
        mean = value.astype(np.float64)
        return Shrunk(
            mean=mean,
            variance=noise,
            by_center=nought,
            by_spread=nought,
            center_variance=none,
            spread_variance=none,
        )
    spread = np.array([_spread(value[:, column], noise[:, column]) for column in range(columns)])
    precision = 1.0 / np.maximum(noise + spread, LEAST)
    spread, spread_variance = _pooled(spread, 2.0 / (precision**2).sum(axis=0))
    precision = 1.0 / np.maximum(noise + spread, LEAST)
    center = (precision * value).sum(axis=0) / precision.sum(axis=0)
    center, center_variance = _pooled(center, 1.0 / precision.sum(axis=0))
    give = noise * precision  # the share of the way to the center
    return Shrunk(
        mean=value + give * (center - value),
        variance=(1.0 - give) * noise,
        by_center=give,
        by_spread=(value - center) * give * precision,
        center_variance=center_variance,
        spread_variance=spread_variance,
    )


def _pooled(estimate: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shrink what is estimated of each column towards all columns: the best-looking column is partly luck too."""
    if len(estimate) < 3:
        return estimate, variance
    between = _spread(estimate, variance)
    weight = 1.0 / np.maximum(variance + between, LEAST)
    give = variance * weight
    center = float(weight @ estimate / weight.sum())
    return estimate + give * (center - estimate), (1.0 - give) * variance + give**2 / weight.sum()


def _spread(value: FloatArray, variance: FloatArray) -> float:
    """Return the variance between rows by Paule and Mandel: the weighted sum of squares is what it should be."""

    def excess(spread: float) -> float:
        weight = 1.0 / np.maximum(variance + spread, LEAST)
        center = weight @ value / weight.sum()
        return float(weight @ (value - center) ** 2) - (len(value) - 1)

    low, high = 0.0, float(value.var()) * 2.0 + LEAST
    if excess(low) <= 0.0:
        return 0.0
    while excess(high) > 0.0 and high < 1e300:
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
    return high


def _by_posterior(
    problem: BudgetProblem, menus: PosteriorMenus, taken: IntArray, scored_on: int | None
) -> tuple[float, float]:
    """Return mean and variance of the mean value; entries are independent since prompts are."""
    arms = {arm.name: i for i, arm in enumerate(menus.arms)}
    arm = np.array([arms[option.arm or ""] for option in problem.options])[taken[:, 1]]
    draws = np.array([option.samples or 0 for option in problem.options])[taken[:, 1]]
    alpha, beta = menus.alpha.array[taken[:, 0], arm], menus.beta.array[taken[:, 0], arm]
    mean, variance = np.empty(len(taken)), np.empty(len(taken))
    for count in np.unique(draws):
        here = draws == count
        mean[here] = expected_coverage(alpha[here], beta[here], [count])[:, 0]
        variance[here] = coverage_variance(alpha[here], beta[here], [count])[:, 0]
        if scored_on is not None and count:
            variance[here] += _scoring_variance(alpha[here], beta[here], int(count), scored_on)
    copies = taken[:, 2].astype(np.float64)
    prompts = problem.prompts
    return math.fsum(copies * mean) / prompts, math.fsum(copies * variance) / prompts**2


def _scoring_variance(alpha: FloatArray, beta: FloatArray, draws: int, samples: int) -> FloatArray:
    r"""Return the variance of pass@k measured on n samples: :math:`E[k^2 p (1-p)^{2k-1}] / n`, at most v (1 - v).

    The first is the leading term of the variance of the U-statistic, the second that of a single run.
    """
    k = np.array([2 * draws - 1], dtype=np.float64)
    fails = _survival(alpha + 1.0, beta, k)
    leading = draws**2 / samples * alpha / (alpha + beta) * fails
    once = expected_coverage(alpha, beta, [draws, 2 * draws])
    single = np.maximum(once[:, 1] - once[:, 0], 0.0)  # E[v (1 - v)] = S_k - S_2k
    return np.minimum(leading, single)


def _survival(alpha: FloatArray, beta: FloatArray, draws: FloatArray) -> FloatArray:
    return 1.0 - expected_coverage(alpha, beta, draws)[:, 0]


def _by_table(problem: BudgetProblem, menus: TableMenus, taken: IntArray, scored_on: int | None) -> tuple[float, float]:
    """Return mean and variance of the mean value; what is taken of one stratum, or of one option, errs together."""
    assert menus.value_error is not None  # noqa: S101
    fit = shrunk(menus.value.array, menus.value_error.array)
    copies, cell = taken[:, 2].astype(np.float64), (taken[:, 0], taken[:, 1])
    picked, reach = fit.mean[cell], copies * np.sqrt(fit.variance[cell])
    total = math.fsum(np.bincount(taken[:, 0], weights=reach, minlength=problem.rows) ** 2)
    for by, variance in ((fit.by_center, fit.center_variance), (fit.by_spread, fit.spread_variance)):
        together = np.bincount(taken[:, 1], weights=copies * by[cell], minlength=len(variance))
        total += float(together**2 @ variance)
    if scored_on is not None:
        total += math.fsum(copies * np.clip(picked * (1.0 - picked), 0.0, None)) / scored_on
    return math.fsum(copies * picked) / problem.prompts, total / problem.prompts**2
