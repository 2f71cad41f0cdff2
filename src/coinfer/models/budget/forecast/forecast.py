"""Coverage at budgets that were never sampled, with an interval, from a few samples of each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import InputError, Plain
from coinfer.models.budget.curves.coverage import coverage_variance, expected_coverage
from coinfer.models.budget.curves.prior import fit_beta_prior
from coinfer.models.budget.forecast import intervals, power_law
from coinfer.models.budget.forecast.curves import curve, failing
from coinfer.models.budget.forecast.power_law import PowerLaw
from coinfer.solver.program import FloatArray, IntArray

LEAST_PASSED = 2
"""Prompts with a sample that passed, below which a curve has no slope that a line could be fitted to."""
MOST = 10**15
"""Counts stay below: they are exact as floating-point numbers."""
LAW, MEDIAN = "exponentiated power law", "posterior median"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """Coverage of a set of prompts at some budgets.

    Attributes
    ----------
    budgets
        (budgets,): samples of each prompt, those already drawn among them.
    coverage
        (budgets,): forecast share of the prompts that at least one sample passes.
    lower, upper
        (budgets,): ends of the interval; ``coverage`` lies between them.
    level
        Chance that the interval holds what ``budgets`` samples of the same prompts would show.
    method
        What the point forecast is: ``exponentiated power law``, or ``posterior median`` where the forecast is cautious,
        fewer than two prompts were passed, or the curve has fewer than three points inside 0..1. In a joint forecast
        also ``shared exponentiated power law``.
    per_prompt
        (prompts, budgets): chance that the prompt is passed within the budget: 1 where it was, and the curve's for
        those that failed so far. Up to the samples drawn it is the unbiased pass@k. Its mean is ``coverage``.
    """

    budgets: IntArray
    coverage: FloatArray
    lower: FloatArray
    upper: FloatArray
    level: float
    method: str
    per_prompt: FloatArray


def forecast(
    successes: ArrayLike,
    samples: ArrayLike,
    budgets: Sequence[int],
    *,
    level: float = 0.9,
    cautious: bool = False,
) -> Forecast:
    r"""Forecast the coverage of the same prompts at any number of samples.

    Up to the samples drawn the forecast is the unbiased pass@k. Beyond, a prompt that was passed stays passed, and
    one that failed n times is passed within k with chance :math:`1 - S(k) / S(n)`, where S is the share that fails
    under an exponentiated power law fitted by least squares to the counted curve. On the Pythia MATH and CodeContests
    series, each left out once, no choice among this law, a Beta-binomial, a power-law tail, the posterior median and
    their mixtures had a smaller error than the law alone: .03 at 10,000 samples from 100, of which .018 are the law's
    own. No constant of the forecast is fitted to a series; one of the interval is chosen on them (``TEMPER``). Where
    three models or more were sampled on the same prompts, ``forecast_jointly`` has smaller errors.

    The interval beyond the samples drawn is that of a posterior over such laws (see ``intervals``) with the chance of
    the prompts that have not been passed. Up to the samples drawn it is that of a Beta-binomial posterior. No
    random numbers are drawn.

    Parameters
    ----------
    successes, samples
        (prompts,): right samples of each prompt, and samples drawn; prompts may differ, and 0 drawn is not measured.
    budgets
        Numbers of samples of each prompt, at least 1 each.
    level
        Chance that the interval is to hold, between 0 and 1.
    cautious
        Whether the posterior also holds Beta rates with a share of prompts that nothing passes. Without them the
        interval takes the law for granted: on recorded series it holds as often as it says, on rates that do follow a
        Beta distribution with many impossible prompts it may never hold. With them it is about twice as wide, and the
        forecast is the posterior median.

    Raises
    ------
    InputError
        If a count is no whole number in its range, nothing was sampled, or a budget is below 1.
    """
    right, drawn, asked = checked(successes, samples, budgets, level)
    counted = curve(right[drawn > 0], drawn[drawn > 0])
    fits = not cautious and np.count_nonzero(right) >= LEAST_PASSED
    law = power_law.fit(counted) if fits else None
    view = View(law=law, laws=intervals.posterior(counted, cautious=cautious), method=MEDIAN if law is None else LAW)
    return of_view(view, right, drawn, asked, level)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What is believed of a series beyond its samples.

    Attributes
    ----------
    law
        Law of the point forecast; ``None`` takes the posterior median.
    laws
        Posterior of the interval.
    method
        Name of the point forecast.
    luck
        Share that was counted to fail at the most samples drawn is 1 / (1 + luck) of what the law says. The forecast
        forgets it as samples go on: a prompt that passed early by luck would have passed later.
    spread
        Where it is given, the interval is moved to lie around the point forecast, and far beyond the samples drawn its
        width is this part of what the posterior says.
    """

    law: PowerLaw | None
    laws: intervals.Posterior
    method: str
    luck: float = 0.0
    spread: float | None = None


def of_view(view: View, right: IntArray, drawn: IntArray, asked: IntArray, level: float) -> Forecast:
    """Return the forecast of counts that were checked."""
    waiting = (asked > drawn[:, None]) & (right[:, None] == 0)
    past = failing(right, drawn, asked)
    per_prompt = np.where(np.isnan(past), np.where(right[:, None] > 0, 1.0, 0.0), 1.0 - past)
    smooth, noise = _drawn_so_far(right, drawn, asked)
    ends = np.array([0.5 - level / 2, 0.5, 0.5 + level / 2])
    bounds = np.empty((3, len(asked)))
    for place, budget in enumerate(asked):
        open_ones = waiting[:, place]
        if (budget <= drawn).all():
            bounds[:, place] = intervals.beta_quantiles(float(smooth[place]), float(noise[place]), ends)
            continue
        chance, index, counts = _chances(view.laws, drawn[open_ones], int(budget))
        if view.law is None:
            middle = _medians(view.laws.weight, chance)
        else:
            middle = _of_law(view.law, view.luck, drawn, np.unique(drawn[open_ones]), budget)
        mean = per_prompt[:, place].mean() + chance @ counts / len(right)
        per_prompt[open_ones, place] = middle[index]
        centre = float(per_prompt[:, place].mean())
        if view.spread is not None:
            mean = np.clip(mean + centre - view.laws.weight @ mean, 0.0, 1.0)
        # Just past the samples drawn few prompts are open, and what is not known is mostly the luck of those samples.
        variance = np.maximum(chance * (1.0 - chance) @ counts / len(right) ** 2, noise[place])
        bounds[:, place] = intervals.quantiles(view.laws.weight, mean, variance, ends)
        if view.spread is not None:
            part = 1.0 - (1.0 - view.spread) * _beyond(drawn, budget)
            bounds[:, place] = centre + part * (bounds[:, place] - centre)
    coverage = per_prompt.mean(axis=0)
    return Forecast(
        budgets=asked,
        coverage=coverage,
        lower=np.minimum(bounds[0], coverage),
        upper=np.maximum(bounds[2], coverage),
        level=level,
        method=view.method,
        per_prompt=per_prompt,
    )


def _of_law(law: PowerLaw, luck: float, drawn: IntArray, numbers: IntArray, budget: int) -> FloatArray:
    """Return what the law gives prompts that failed ``numbers`` times within ``budget``, (numbers,)."""
    forgotten = 1.0 + luck * _beyond(drawn, budget)
    return _new(law.failing(numbers), law.failing(np.array([budget])) * forgotten)


def _beyond(drawn: IntArray, budget: int) -> float:
    """Return how far the budget lies beyond the samples drawn: from 0 for within to 1 for far."""
    return max(1.0 - float(drawn.max()) / float(budget), 0.0)


def _drawn_so_far(right: IntArray, drawn: IntArray, asked: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance of the coverage under a Beta posterior of each prompt, (budgets,) each."""
    rates = fit_beta_prior(right, drawn)
    alpha, beta = rates.alpha + right, rates.beta + drawn - right
    variance = coverage_variance(alpha, beta, asked).mean(axis=0) / len(right)
    return expected_coverage(alpha, beta, asked).mean(axis=0), variance


def _chances(laws: intervals.Posterior, drawn: IntArray, budget: int) -> tuple[FloatArray, IntArray, IntArray]:
    """Return what each law gives prompts that failed ``drawn`` times, by distinct number: (laws, numbers).

    Also which number each prompt has, (prompts,), and how many prompts have it, (numbers,).
    """
    numbers, index, counts = np.unique(drawn, return_inverse=True, return_counts=True)
    before, after = laws.failing(numbers), laws.failing(np.array([budget]))
    return _new(before, after), index.astype(np.int64), counts.astype(np.int64)


def _new(before: FloatArray, after: FloatArray) -> FloatArray:
    """Return the share of those still failing that pass in time; 0 of none."""
    return np.clip(1.0 - np.divide(after, before, out=np.ones_like(before), where=before > 0.0), 0.0, 1.0)


def _medians(weight: FloatArray, chance: FloatArray) -> FloatArray:
    """Return the weighted median of each column."""
    order = np.argsort(chance, axis=0)
    passed = np.cumsum(weight[order], axis=0)
    place = np.minimum((passed < 0.5).sum(axis=0), len(weight) - 1)
    ranked: FloatArray = np.take_along_axis(chance, order, axis=0)[place, np.arange(chance.shape[1])]
    return ranked


def checked(
    successes: ArrayLike, samples: ArrayLike, budgets: Sequence[int], level: float, *, column: str = ""
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the counts and budgets as whole numbers; ``column`` is what names the series behind the row."""
    right, drawn, asked = (
        _whole(name, value) for name, value in (("successes", successes), ("samples", samples), ("budgets", budgets))
    )
    if right.shape != drawn.shape:
        raise InputError("samples", expected=f"one number for each of {len(right)} prompts", found=len(drawn))
    wrong = np.flatnonzero((right < 0) | (right > drawn))
    if len(wrong):
        row = int(wrong[0])
        expected = f"a number from 0 to the {int(drawn[row])} samples"
        raise InputError(f"successes[{row}{column}]", expected=expected, found=int(right[row]))
    if not drawn.any():
        raise InputError("samples", expected="at least one sample of one prompt", found=Plain("none"))
    if not len(asked) or asked.min() < 1:
        raise InputError("budgets", expected="numbers of samples of 1 or more", found=asked.tolist())
    if not 0.0 < level < 1.0:
        raise InputError("level", expected="a number between 0 and 1", found=level)
    return right, drawn, asked


def _whole(name: str, values: ArrayLike | Sequence[int]) -> IntArray:
    """Return a list of whole numbers."""
    found = np.asarray(values)
    if found.ndim != 1 or found.dtype.kind not in "iufb":
        raise InputError(name, expected="a list of whole numbers", found=values)
    if not (np.isfinite(found) & (found == np.floor(found)) & (np.abs(found) < MOST)).all():
        raise InputError(name, expected=f"whole numbers below {MOST:.0e}", found=found.tolist())
    return found.astype(np.int64)
