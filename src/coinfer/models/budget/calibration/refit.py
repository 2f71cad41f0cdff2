"""Claims that allow for how uncertain the fitted model of difficulty itself is."""

from __future__ import annotations

import math

import numpy as np

from coinfer.errors import InputError
from coinfer.models.budget.calibration.claim import LEVEL, Claimed, claimed
from coinfer.models.budget.calibration.factor import GRID, Factors, fit_factors, posterior_weights, told
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.evaluate import entries
from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import FloatArray, IntArray

REPEATS = 24


def claim_by_refitting(
    outcomes: Outcomes,
    problem: BudgetProblem,
    decision: BudgetDecision,
    *,
    level: float = LEVEL,
    scored_on: int | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Claimed:
    r"""Return the mean value that a decision may claim, from the outcomes that it was planned on.

    The posterior of each rate given the results of all arms (:mod:`coinfer.models.budget.calibration.factor`) does not
    mind that the option was picked because of them. Its variance is added to that of the claim over models refitted to
    prompts drawn again with replacement: all prompts share the error of the fit.

    Parameters
    ----------
    outcomes
        With a row for each stratum of the problem, in its order.
    problem, decision
        Options that sample an arm of the outcomes, any right sample counting.
    level, scored_on
        As in :func:`coinfer.models.budget.calibration.claim.claim`.
    repeats
        Models that are refitted; at least 2.
    seed
        Of the drawing.

    Raises
    ------
    InputError
        If the outcomes do not fit the problem, or an option has no arm or no number of samples.
    """
    if len(outcomes.prompts) != problem.rows or repeats < 2:
        raise InputError("outcomes", expected=f"{problem.rows} prompts, one for each stratum", found=repeats)
    taken = entries(problem, decision)
    arm, draws = _cells(outcomes, problem, taken)
    copies = taken[:, 2] / problem.prompts
    fitted = fit_factors(outcomes)
    mean, variance = _moments(outcomes, fitted, (taken[:, 0], arm, draws), scored_on)
    random = np.random.default_rng(seed)
    means = []
    for _ in range(repeats):
        rows = random.integers(len(outcomes.prompts), size=len(outcomes.prompts))
        refitted = fit_factors(outcomes.only(rows), start=fitted)
        means.append(math.fsum(copies * _moments(outcomes, refitted, (taken[:, 0], arm, draws), None)[0]))
    total = math.fsum(copies**2 * variance) + float(np.var(means, ddof=1))
    basis = "posterior of every rate given all arms, and refits of its model"
    return claimed(math.fsum(copies * mean), total, level=level, basis=basis)


def _cells(outcomes: Outcomes, problem: BudgetProblem, taken: IntArray) -> tuple[IntArray, IntArray]:
    """Return the arm and the number of samples of each entry."""
    place = {name: i for i, name in enumerate(outcomes.arms)}
    for i in np.unique(taken[:, 1]):
        option = problem.options[i]
        if option.arm not in place or option.samples is None:
            expected = "an arm of the outcomes and a number of samples"
            raise InputError(f"options[{i}]", expected=expected, found=option.name)
    arm = np.array([place.get(option.arm or "", 0) for option in problem.options])[taken[:, 1]]
    draws = np.array([option.samples or 0 for option in problem.options])[taken[:, 1]]
    return arm, draws


def _moments(
    outcomes: Outcomes, factors: Factors, cells: tuple[IntArray, IntArray, IntArray], scored_on: int | None
) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance of the coverage of each cell (row, arm, samples)."""
    row, arm, draws = cells
    weight = posterior_weights(outcomes, factors)[row, arm]
    log_fail = draws[:, None] * -np.logaddexp(0.0, GRID)
    value = -np.expm1(log_fail)
    mean = (weight * value).sum(axis=1)
    part = told(outcomes)[row, arm]  # the samples that the grid leaves out are so many that their rate is the rate
    variance = part * (weight * (value - mean[:, None]) ** 2).sum(axis=1)
    plain = outcomes.successes[row, arm] / np.maximum(outcomes.samples[row, arm], 1)
    mean = part * mean + (1.0 - part) * (1.0 - (1.0 - plain) ** draws)
    if scored_on is not None:
        odds = draws[:, None] ** 2 * np.exp(GRID + 2.0 * log_fail)  # k^2 p (1-p)^(2k-1), the noise of pass@k times n
        noise = np.minimum(odds / scored_on, value * (1.0 - value))
        variance += (weight * noise).sum(axis=1)
    return mean, variance
