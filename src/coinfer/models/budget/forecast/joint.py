r"""Coverage of several models on the same prompts, forecast together.

What a single series leaves open at a hundred times its samples is how fast its curve goes on falling. Models that were
sampled on the same prompts tell this of each other: their exponents lie near a line in their levels, and whether their
curves flatten is seen together before it is seen in one.

Sources: Efron and Morris 1972 (JASA 67, 130-139) for estimates that move to what others say, but only so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import InputError
from coinfer.models.budget.forecast import intervals, power_law
from coinfer.models.budget.forecast.curves import Curve, curve
from coinfer.models.budget.forecast.forecast import Forecast, View, checked, forecast, of_view
from coinfer.models.budget.forecast.power_law import PowerLaw
from coinfer.solver.program import FloatArray, IntArray

SHARED = "shared exponentiated power law"
PULLS = np.geomspace(0.01, 1.0, 5)
"""Squared spreads of the levels, summed over the series, that are added to what was seen: each pulls the line to be
flat, and the slope is the mean of theirs. One of them alone, chosen on one recorded data set, fails on the other."""
LEAST_SERIES = 3
"""Series with a law of their own, below which there is no line to speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How much series say of each other. The defaults are what held on recorded series (see ``forecast_jointly``).

    Attributes
    ----------
    weight
        Part of the way that an exponent moves to the line through all of them, in 0..1.
    flattening
        Part of the mean fall of the exponent, from all samples to the last decade of them, that is taken to last. A
        rise is taken not to: a curve steepens while easy prompts are used up, which ends.
    spread
        Width of an interval far beyond the samples drawn, as a part of that of the series alone.
    """

    weight: float = 0.75
    flattening: float = 1.0
    spread: float = 0.7


DEFAULT = Sharing()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Own:
    """What one series says itself: its law, the posterior around it, and what they were fitted to."""

    law: PowerLaw
    laws: intervals.Posterior
    counted: Curve
    passed: int
    most: int

    @property
    def middle(self) -> float:
        """Logarithm of the number of samples where level and exponent are least bound together."""
        return 0.75 * math.log(self.most)

    @property
    def height(self) -> float:
        """log(-log coverage) there."""
        return self.law.level - self.law.exponent * self.middle

    @property
    def fall(self) -> float:
        """How much less the exponent is over the last decade of samples; below 0 where it is more."""
        late = self.counted.samples * 10 >= self.most
        last = power_law.fit(self.counted.only(late))
        return 0.0 if last is None else self.law.exponent - last.exponent


def forecast_jointly(
    successes: ArrayLike,
    samples: ArrayLike,
    budgets: Sequence[int],
    *,
    level: float = 0.9,
    sharing: Sharing = DEFAULT,
) -> tuple[Forecast, ...]:
    r"""Forecast the coverage of several models that were sampled on the same prompts.

    Each model has the exponentiated power law of ``forecast``, with its level where its curve knows it best. The
    exponent, which carries most of the error at a hundred times the samples drawn, is moved three quarters of the way
    to a line in the levels through the exponents of all models, each trusted by its passed prompts; and where the mean
    exponent is smaller over the last decade of samples than over all, all fall by the difference. Luck in the samples
    drawn, which a series alone carries on, is forgotten as samples go on. Up to the samples drawn the forecast is the
    unbiased pass@k. A model with too little to fit a law to has its forecast alone.

    What is used of the other models is their counts, not which prompt has which: a prompt that a weak model never
    solved and a strong one did tells little of the rate that the weak one has, as rates below those seen are spread
    widely around what the strong one says. Models of rates with a difficulty shared by prompt had errors of .06 and
    more on recorded series.

    On the Pythia MATH and CodeContests series (12 models, 100 samples, coverage at 10,000) the mean error is .024,
    where that of each series alone is .031; it is smaller from 30, 300 and 1,000 samples too. The rules were found on
    these series with 100 samples, and ``Sharing`` was chosen on them; ``weight`` chosen on one data set has about the
    same error on the other (benchmarks/budget_forecast_joint.py). Pythia series steepen, so ``flattening`` rests on the
    CodeContests series alone. 90 % intervals hold in .93 from 100 samples and in .80 to .90 from 30, 300 and 1,000; on
    made-up rates that follow another law in .73, and with a ``spread`` of 1 in .88.

    Parameters
    ----------
    successes
        (prompts, models): right samples.
    samples
        Samples drawn: (prompts, models), or one number for all of them. 0 is not measured.
    budgets
        Numbers of samples of each prompt, at least 1 each.
    level
        Chance that each interval is to hold, between 0 and 1.
    sharing
        How much the series say of each other.

    Returns
    -------
    forecasts
        One for each model. With fewer than three that a law can be fitted to, those of ``forecast``.

    Raises
    ------
    InputError
        If a count is no whole number in its range, a model was not sampled, or a budget is below 1.
    """
    right, drawn = np.asarray(successes), np.asarray(samples)
    if right.ndim != 2 or not right.shape[1]:
        expected = "a table with a row for each prompt and a column for each model"
        raise InputError("successes", expected=expected, found=successes)
    if drawn.shape not in ((), right.shape):
        expected = f"one number, or a table of {right.shape[0]} x {right.shape[1]} numbers"
        raise InputError("samples", expected=expected, found=samples)
    drawn = np.broadcast_to(drawn, right.shape)
    columns = range(right.shape[1])
    series = [checked(right[:, at], drawn[:, at], budgets, level, column=f", {at}") for at in columns]
    own = [_own(one, of) for one, of, _ in series]
    known = [each for each in own if each is not None]
    if len(known) < LEAST_SERIES:
        return tuple(_alone(*counts, level) for counts in series)
    exponents = iter(_shared(known, sharing))
    return tuple(
        _alone(*counts, level)
        if each is None
        else of_view(_view(each, next(exponents), sharing.spread), *counts, level)
        for each, counts in zip(own, series, strict=True)
    )


def _alone(right: IntArray, drawn: IntArray, asked: IntArray, level: float) -> Forecast:
    return forecast(right, drawn, asked.tolist(), level=level)


def _own(right: IntArray, drawn: IntArray) -> _Own | None:
    """Return the fits to one series; ``None`` where its curve has no law."""
    counted = curve(right[drawn > 0], drawn[drawn > 0])
    law = power_law.fit(counted)
    if law is None:
        return None
    laws = intervals.posterior(counted)
    return _Own(law=law, laws=laws, counted=counted, passed=int(np.count_nonzero(right)), most=int(drawn.max()))


def _shared(known: list[_Own], sharing: Sharing) -> FloatArray:
    """Return the exponent of each series with what the others say."""
    own = np.array([each.law.exponent for each in known])
    heights = np.array([each.height for each in known])
    trust = np.array([float(each.passed) for each in known])
    trust /= trust.sum()
    away, over = heights - trust @ heights, own - trust @ own
    seen, covered = float(trust @ (away * over)), float(trust @ away**2)
    slope = float(np.mean(seen / (covered + PULLS / len(known))))
    moved = sharing.weight * (trust @ own + slope * away - own)
    fall = max(float(trust @ np.array([each.fall for each in known])), 0.0)
    exponents: FloatArray = np.maximum(own + moved - sharing.flattening * fall, 0.0)
    return exponents


def _view(own: _Own, exponent: float, spread: float) -> View:
    """Return the law of this exponent and the posterior around it, both with the level of the series in the middle."""
    law = PowerLaw(level=own.height + exponent * own.middle, exponent=exponent)
    by = exponent - float(own.laws.weight @ own.laws.exponent)
    moved = np.maximum(own.laws.exponent + by, 0.0)
    laws = replace(own.laws, exponent=moved, level=own.laws.level + (moved - own.laws.exponent) * own.middle)
    last = np.array([own.most])
    # Luck above this would let the share that fails rise with the samples.
    said, counted = float(law.failing(last)[0]), float(own.counted.failing[-1])
    luck = said / counted - 1.0 if counted > 0.0 else 0.0
    hazard = math.exp(min(law.level - law.exponent * math.log(own.most), 700.0))
    steepness = law.exponent * hazard / math.expm1(hazard) if 0.0 < hazard < 700.0 else 0.0
    return View(law=law, laws=laws, method=SHARED, luck=min(luck, steepness), spread=spread)
