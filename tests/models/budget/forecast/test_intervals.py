"""The posterior over laws, and quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

from coinfer.models.budget.forecast import intervals
from coinfer.models.budget.forecast.curves import Curve, curve
from coinfer.models.budget.forecast.power_law import PowerLaw


def test_many_prompts_find_their_law():
    """With expected counts of 100,000 prompts of one law, the posterior gathers around it."""
    law, points, prompts = PowerLaw(level=1.0, exponent=0.25), 2 ** np.arange(9), 100_000
    share = law.failing(points)
    made = intervals.posterior(
        Curve(
            samples=points,
            failing=share,
            first_passed=-prompts * np.diff(share, prepend=1.0),
            unpassed=prompts * np.eye(9)[-1] * share,
        )
    )
    assert made.weight.sum() == pytest.approx(1.0)
    assert made.weight @ made.exponent == pytest.approx(0.25, abs=0.02)
    far = np.array([10_000])
    assert made.weight @ made.failing(far)[:, 0] == pytest.approx(float(law.failing(far)[0]), abs=0.02)


def test_a_higher_temper_says_more():
    """Counts with a larger factor leave less spread."""
    counted = curve(np.array([0, 0, 1, 5, 30] * 10), np.full(50, 100))
    spreads = []
    for temper in (0.5, 3.0):
        made = intervals.posterior(counted, temper=temper)
        share = made.failing(np.array([10_000]))[:, 0]
        spreads.append(made.weight @ (share - made.weight @ share) ** 2)
    assert spreads[1] < 0.7 * spreads[0]


@pytest.mark.parametrize("mean", [0.0003, 0.4, 0.999])
def test_quantiles_of_one_normal_distribution(mean):
    """A mixture of one is that one, fine enough also near 0 and 1, and cut off there."""
    levels = np.array([0.05, 0.5, 0.95])
    found = intervals.quantiles(np.ones(1), np.array([mean]), np.array([1e-8]), levels)
    assert found == pytest.approx(np.clip(norm.ppf(levels, mean, 1e-4), 0, 1), abs=3e-6)


def test_quantiles_of_two_far_apart():
    """The quantiles of a mixture lie where its shares add up."""
    found = intervals.quantiles(
        np.array([0.3, 0.7]), np.array([0.2, 0.8]), np.array([1e-6, 1e-6]), np.array([0.15, 0.65])
    )
    assert found == pytest.approx([0.2, 0.8], abs=2e-3)


def test_beta_quantiles_have_the_mean_and_variance_asked_for():
    """The Beta distribution is the one of those moments; without variance it is a point."""
    found = intervals.beta_quantiles(0.2, 0.01, np.array([0.1, 0.9]))
    assert found == pytest.approx(beta.ppf([0.1, 0.9], 3.0, 12.0))
    assert intervals.beta_quantiles(0.2, 0.0, np.array([0.1, 0.9])).tolist() == [0.2, 0.2]
