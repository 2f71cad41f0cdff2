r"""The value that a plan may honestly claim: what it will reach on other samples, with an interval.

A plan picks, among noisy estimates, those that look good; so the sum of the estimates picked is too high (the winner's
curse). Posterior means are free of that where the prior is right: :math:`E[v \mid \text{data}]` is the same whatever
was picked because of the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from coinfer.errors import InputError
from coinfer.models.budget.calibration.tables import table_claim, weights_of
from coinfer.models.budget.curves.coverage import coverage_variance, expected_coverage
from coinfer.models.budget.curves.gamma import log_survival_curve
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.evaluate import entries
from coinfer.models.budget.parts import PosteriorMenus, Refit, TableMenus
from coinfer.solver.program import FloatArray, IntArray

LEVEL = 0.95
NORMAL = 1e-5
"""Variance, as a share of the largest that a chance can have, below which a Beta distribution is a normal one."""


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
        Menus that are posteriors, or a table with ``value_error``. Posteriors are those of the strata's rates, and a
        table's errors those of its strata: shared by all prompts of one, independent between strata. What a table
        promises is taken down first, see :mod:`coinfer.models.budget.calibration.tables`.
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
        return _chance(mean, variance, level=level, basis="posterior means and variances of the rates")
    if menus.value_error is None:
        return None
    mean, variance = _by_table(problem, menus, taken, scored_on)
    return claimed(mean, variance, level=level, basis="values given their whole rows, less what picking the best adds")


def _chance(mean: float, variance: float, *, level: float, basis: str) -> Claimed:
    """Return the claim of a mean of chances: the Beta distribution of these moments, which ends at 0 and 1."""
    from scipy.special import betaincinv

    if not 0.0 < mean < 1.0 or variance < NORMAL * mean * (1.0 - mean):
        return claimed(mean, variance, level=level, basis=basis)
    size = max(mean * (1.0 - mean) / variance - 1.0, 1e-3)
    low, high = betaincinv(mean * size, (1.0 - mean) * size, [0.5 - 0.5 * level, 0.5 + 0.5 * level]).tolist()
    return Claimed(value=mean, low=low, high=high, level=level, basis=basis)


def claimed(mean: float, variance: float, *, level: float, basis: str) -> Claimed:
    """Return the claim of a mean that is normal: a sum over many prompts."""
    reach = NormalDist().inv_cdf(0.5 + 0.5 * level) * math.sqrt(max(variance, 0.0))
    return Claimed(value=mean, low=max(mean - reach, 0.0), high=mean + reach, level=level, basis=basis)


def _by_posterior(
    problem: BudgetProblem, menus: PosteriorMenus, taken: IntArray, scored_on: int | None
) -> tuple[float, float]:
    r"""Return mean and variance of the mean value.

    All prompts of a stratum share its rate with an arm, so they err together, and so do options of k and l samples of
    it: :math:`\operatorname{Cov}(v_k, v_l) = S_{k+l} - S_k S_l` with :math:`S_k = E[(1-p)^k]`. The error of the fitted
    model, by its refits, is shared by all strata.
    """
    arms = {arm.name: i for i, arm in enumerate(menus.arms)}
    arm = np.array([arms[option.arm or ""] for option in problem.options])[taken[:, 1]]
    draws = np.array([option.samples or 0 for option in problem.options])[taken[:, 1]]
    copies = taken[:, 2].astype(np.float64)
    alpha, beta = menus.alpha.array[taken[:, 0], arm], menus.beta.array[taken[:, 0], arm]
    mean, variance = np.empty(len(taken)), np.empty(len(taken))
    for count in np.unique(draws):
        here = draws == count
        mean[here] = expected_coverage(alpha[here], beta[here], [count])[:, 0]
        variance[here] = copies[here] ** 2 * coverage_variance(alpha[here], beta[here], [count])[:, 0]
        if scored_on is not None and count:
            variance[here] += copies[here] * _scoring_variance(alpha[here], beta[here], int(count), scored_on)
    shared = math.fsum(variance)
    for first, second in _pairs(taken[:, 0], arm):
        both = log_survival_curve(
            beta[[first]], alpha[[first]], np.array([draws[first], draws[second], draws[first] + draws[second]], float)
        )[0]
        joint = math.exp(both[2]) * -math.expm1(min(both[0] + both[1] - both[2], 0.0))
        shared += 2.0 * copies[first] * copies[second] * joint
    prompts = problem.prompts
    refitted = [_mean(refit, taken, arm, draws) / prompts for refit in menus.refits]
    fit = float(np.var(refitted, ddof=1)) if refitted else 0.0
    return math.fsum(copies * mean) / prompts, shared / prompts**2 + fit


def _mean(refit: Refit, taken: IntArray, arm: IntArray, draws: IntArray) -> float:
    """Return the value of all prompts by the posteriors of a refit."""
    alpha, beta = refit.alpha.array[taken[:, 0], arm], refit.beta.array[taken[:, 0], arm]
    total = 0.0
    for count in np.unique(draws):
        here = draws == count
        total += math.fsum(taken[here, 2] * expected_coverage(alpha[here], beta[here], [count])[:, 0])
    return total


def _pairs(stratum: IntArray, arm: IntArray) -> list[tuple[int, int]]:
    """Return the pairs of entries that share a stratum and an arm; there are few."""
    order = np.lexsort((arm, stratum))
    same = (np.diff(stratum[order]) == 0) & (np.diff(arm[order]) == 0)
    groups = np.split(order, np.flatnonzero(~same) + 1)
    return [pair for group in groups if len(group) > 1 for pair in combinations(group.tolist(), 2)]


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
    """Return mean and variance of the mean value."""
    assert menus.value_error is not None  # noqa: S101
    value, error = menus.value.array, menus.value_error.array
    if menus.available is not None:
        value = np.where(menus.available.array > 0.0, value, np.nan)
    mean, variance = table_claim(value, error, weights_of(taken, value.shape, problem.prompts))
    if scored_on is not None:
        copies = taken[:, 2].astype(np.float64)
        each = np.clip(menus.value.array[taken[:, 0], taken[:, 1]], 0.0, 1.0)
        variance += math.fsum(copies * each * (1.0 - each)) / scored_on / problem.prompts**2
    return mean, variance
