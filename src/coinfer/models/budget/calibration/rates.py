r"""Mean, variance and interval of what a decision reaches when strata share uncertain rates.

All prompts of a stratum share its rate with an arm, so they err together, and so do options of k and l samples of it:
:math:`\operatorname{Cov}(v_k, v_l) = S_{k+l} - S_k S_l` with :math:`S_k = E[(1-p)^k]`. Different strata and different
arms are independent. A sum over many strata is nearly normal; the few that make up most of the variance are not, their
laws may have two humps. So these are simulated, on a lattice instead of random numbers: whoever computes the interval
again finds the same (Niederreiter, Random Number Generation and Quasi-Monte Carlo Methods, 1992, section 3.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coinfer.models.budget.curves.coverage import coverage_variance, expected_coverage
from coinfer.models.budget.curves.gamma import log_survival_curve
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.parts import PosteriorMenus, Refit
from coinfer.solver.program import FloatArray, IntArray

POINTS = 16_384
STEPS = (2, 3, 5, 7, 11, 13, 17, 19)
"""Each rate that is simulated steps through 0..1 by the square root of one of these, the first by 1 / POINTS."""
ENOUGH = 0.02
"""The largest rates are simulated where the first of them makes up so much of the variance."""
NORMAL = 1e-5
"""Variance, as a share of the largest that a chance can have, below which a Beta distribution is a normal one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The mean value of a prompt: expectation and limits of its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Entries:
    """The decision, ordered by stratum and arm.

    Attributes
    ----------
    alpha, beta, draws, copies
        (entries,): posterior of the rate, samples of the option, prompts.
    mean, noise
        (entries,): of one prompt; the variance that measuring adds to all of them.
    group
        (entries,): number of its pair of stratum and arm, from 0.
    """

    alpha: FloatArray
    beta: FloatArray
    draws: IntArray
    copies: FloatArray
    mean: FloatArray
    noise: FloatArray
    group: IntArray


def expected(
    problem: BudgetProblem, menus: PosteriorMenus, taken: IntArray, *, level: float, scored_on: int | None
) -> Expected:
    """Return mean and interval of the mean value; see :func:`coinfer.models.budget.calibration.claim.claim`.

    The error of the fitted model, by its refits, is shared by all strata.
    """
    arms = {arm.name: i for i, arm in enumerate(menus.arms)}
    arm = np.array([arms[option.arm or ""] for option in problem.options])[taken[:, 1]]
    draws = np.array([option.samples or 0 for option in problem.options])[taken[:, 1]]
    refitted = [_mean(refit, taken, arm, draws) / problem.prompts for refit in menus.refits]
    fit = float(np.var(refitted, ddof=1)) if refitted else 0.0
    own = _ordered(menus, taken, arm, draws, scored_on)
    variance = _variances(own) / float(problem.prompts) ** 2
    mean = math.fsum(own.copies * own.mean) / problem.prompts
    noise = math.fsum(own.noise) / float(problem.prompts) ** 2 + fit
    largest = np.argsort(-variance, kind="stable")[: len(STEPS)]
    if len(variance) == 0 or variance[largest[0]] <= ENOUGH * (math.fsum(variance) + noise):
        low, high = _law(mean, math.fsum(variance) + noise, 1.0, np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level]))
    else:
        low, high = _simulated(own, variance, noise, largest, level, problem.prompts)
    return Expected(mean=mean, low=max(min(float(low), mean), 0.0), high=min(max(float(high), mean), 1.0))


def _ordered(menus: PosteriorMenus, taken: IntArray, arm: IntArray, draws: IntArray, scored_on: int | None) -> _Entries:
    """Return the entries by stratum and arm, with their means."""
    order = np.lexsort((arm, taken[:, 0]))
    stratum, arm, draws, copies = taken[order, 0], arm[order], draws[order], taken[order, 2].astype(np.float64)
    alpha, beta = menus.alpha.array[stratum, arm], menus.beta.array[stratum, arm]
    mean, noise = np.empty(len(taken)), np.zeros(len(taken))
    for count in np.unique(draws):
        here = draws == count
        mean[here] = expected_coverage(alpha[here], beta[here], [count])[:, 0]
        if scored_on is not None and count:
            noise[here] = copies[here] * _scoring_variance(alpha[here], beta[here], int(count), scored_on)
    new = (np.diff(stratum, prepend=-1) != 0) | (np.diff(arm, prepend=-1) != 0)
    return _Entries(
        alpha=alpha, beta=beta, draws=draws, copies=copies, mean=mean, noise=noise, group=np.cumsum(new) - 1
    )


def _variances(own: _Entries) -> FloatArray:
    """Return the variance of the sum of each group, (groups,): of its entries, and of the pairs of them."""
    variance = np.empty(len(own.group))
    for count in np.unique(own.draws):
        here = own.draws == count
        variance[here] = own.copies[here] ** 2 * coverage_variance(own.alpha[here], own.beta[here], [count])[:, 0]
    found: FloatArray = np.bincount(own.group, weights=variance).astype(np.float64)
    for apart in range(1, int(np.bincount(own.group).max(initial=1))):
        first = np.flatnonzero(own.group[apart:] == own.group[:-apart])
        both = own.draws[first], own.draws[first + apart]
        for one, other in np.unique(np.stack(both), axis=1).T:
            here = first[(both[0] == one) & (both[1] == other)]
            times = 2.0 * own.copies[here] * own.copies[here + apart]
            joint = times * _covariance(own.alpha[here], own.beta[here], float(one), float(other))
            found = found + np.bincount(own.group[here], weights=joint, minlength=len(found))
    return found


def _covariance(alpha: FloatArray, beta: FloatArray, one: float, other: float) -> FloatArray:
    """Return the covariance of the values of two numbers of samples, with the digits of small ones."""
    logs = log_survival_curve(beta, alpha, np.array([one, other, one + other]))
    return np.exp(logs[:, 2]) * -np.expm1(np.minimum(logs[:, 0] + logs[:, 1] - logs[:, 2], 0.0))


def _simulated(
    own: _Entries, variance: FloatArray, noise: float, largest: IntArray, level: float, prompts: int
) -> tuple[float, float]:
    """Return the limits of the interval: the largest groups by their laws, all others as one."""
    from scipy.special import betaincinv

    index = np.arange(POINTS, dtype=np.float64)
    total, drawn = np.zeros(POINTS), np.isin(own.group, largest)
    for step, group in zip((0, *STEPS), largest.tolist(), strict=False):
        place = (index + 0.5) / POINTS if step == 0 else (0.5 + index * math.sqrt(step)) % 1.0
        members = range(*np.searchsorted(own.group, [group, group + 1]).tolist())
        rate = betaincinv(own.alpha[members[0]], own.beta[members[0]], place)
        with np.errstate(divide="ignore"):
            fails = np.log1p(-rate)
        for i in members:
            if own.draws[i]:
                total -= own.copies[i] * np.expm1(own.draws[i] * fails)
    others = ~drawn
    rest = math.fsum(np.delete(variance, largest)) + noise
    last = (0.5 + index * math.sqrt(STEPS[len(largest) - 1])) % 1.0
    share = math.fsum(own.copies[others]) / prompts
    total = total / prompts + _law(math.fsum(own.copies[others] * own.mean[others]) / prompts, rest, share, last)
    low, high = np.quantile(total, [0.5 - 0.5 * level, 0.5 + 0.5 * level]).tolist()
    return low, high


def _law(mean: float, variance: float, most: float, places: FloatArray) -> FloatArray:
    """Return quantiles of what has this mean and variance: a Beta distribution on 0..most, or a normal one."""
    from scipy.special import betaincinv, ndtri

    room = mean * (most - mean)
    if not 0.0 < mean < most or not NORMAL * room <= variance < room:
        return np.asarray(mean + math.sqrt(max(variance, 0.0)) * ndtri(places), dtype=np.float64)
    size = room / variance - 1.0
    share = mean / most
    return np.asarray(most * betaincinv(share * size, (1.0 - share) * size, places), dtype=np.float64)


def _mean(refit: Refit, taken: IntArray, arm: IntArray, draws: IntArray) -> float:
    """Return the value of all prompts by the posteriors of a refit."""
    alpha, beta = refit.alpha.array[taken[:, 0], arm], refit.beta.array[taken[:, 0], arm]
    total = 0.0
    for count in np.unique(draws):
        here = draws == count
        total += math.fsum(taken[here, 2] * expected_coverage(alpha[here], beta[here], [count])[:, 0])
    return total


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
