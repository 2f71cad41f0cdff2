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
from coinfer.models.budget.calibration.rates import expected
from coinfer.models.budget.calibration.tables import table_claim, weights_of
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.evaluate import entries
from coinfer.models.budget.parts import PosteriorMenus, TableMenus
from coinfer.solver.program import IntArray

LEVEL = 0.95


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
        found = expected(problem, menus, taken, level=level, scored_on=scored_on)
        basis = "posterior means and variances of the rates, the largest simulated"
        return Claimed(value=found.mean, low=found.low, high=found.high, level=level, basis=basis)
    if menus.value_error is None:
        return None
    mean, variance = _by_table(problem, menus, taken, scored_on)
    return claimed(
        mean, variance, level=level, basis="mean of two models of whole rows, less what picking the best adds"
    )


def claimed(mean: float, variance: float, *, level: float, basis: str) -> Claimed:
    """Return the claim of a mean that is normal: a sum over many prompts."""
    reach = NormalDist().inv_cdf(0.5 + 0.5 * level) * math.sqrt(max(variance, 0.0))
    return Claimed(value=mean, low=max(mean - reach, 0.0), high=mean + reach, level=level, basis=basis)


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
