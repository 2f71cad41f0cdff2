"""The slowest of parallel draws."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import lognorm

from coinfer.errors import InputError
from coinfer.models.budget.curves.latency import (
    expected_maximum,
    lognormal_maximum,
    recorded_maximum,
    sum_deviation,
)


@pytest.mark.parametrize("deviation", [0.0, 0.5, 1.5, 4.0])
@pytest.mark.parametrize("draws", [1, 3, 64, 10_000])
def test_lognormal_maximum_against_adaptive_integration(deviation: float, draws: int) -> None:
    """The fixed rule agrees with an adaptive one to ten digits."""

    def density(z: float) -> float:
        normal = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return draws * normal * ndtr(z) ** (draws - 1) * math.exp(deviation * z - deviation**2 / 2)

    exact = quad(density, -12, 12 + deviation, epsrel=1e-12, epsabs=0, limit=500, points=[0, 2, 4, 6])[0]
    assert lognormal_maximum(7.0, deviation, draws) == pytest.approx(7 * exact, rel=1e-10)


def test_maximum_of_known_distributions() -> None:
    """The largest of k exponentials is the harmonic sum, of k uniforms k / (k + 1), of none nothing."""
    draws = np.array([0, 1, 2, 3, 50])
    harmonic = [sum(1 / j for j in range(1, k + 1)) for k in draws]
    np.testing.assert_allclose(expected_maximum(lambda chance: -np.log1p(-chance), draws), harmonic, rtol=1e-12)
    np.testing.assert_allclose(expected_maximum(lambda chance: chance, draws), draws / (draws + 1), rtol=1e-12)
    quantile = expected_maximum(lambda chance: lognorm.ppf(chance, 0.8), draws)
    np.testing.assert_allclose(quantile, lognormal_maximum(math.exp(0.32), 0.8, draws), rtol=1e-9)


def test_recorded_maximum_is_the_mean_over_subsets() -> None:
    """From recorded times it is the mean over all subsets, ties or not."""
    times = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    exact = [np.mean([max(each) for each in combinations(times, k)]) for k in range(1, 6)]
    np.testing.assert_allclose(recorded_maximum(times, [1, 2, 3, 4, 5]), exact, rtol=1e-13)


def test_arguments_are_broadcast() -> None:
    """Means per prompt and draws per option give a table, rising along the draws."""
    table = lognormal_maximum(np.array([[1.0], [3.0]]), 0.7, [0, 1, 8])
    np.testing.assert_allclose(table[1], 3 * table[0])
    assert table[0, 0] == 0
    assert table[0, 1] == pytest.approx(1.0)
    assert table[0, 2] > 1


def test_sum_of_draws_has_less_spread() -> None:
    """The fitted log-normal of a sum has the sum's variance: exactly the quotient for the variance of its relative."""
    assert sum_deviation(0.9, 1) == pytest.approx(0.9)
    relative = np.expm1(sum_deviation(0.9, 8) ** 2)
    assert relative == pytest.approx(np.expm1(0.81) / 8)


@pytest.mark.parametrize(("mean", "deviation", "draws"), [(-1, 0.5, 1), (1, -0.5, 1), (1, 5, 1), (1, 0.5, -1)])
def test_arguments_are_checked(mean: float, deviation: float, draws: float) -> None:
    """Numbers that are no means, deviations or counts are refused."""
    with pytest.raises(InputError):
        lognormal_maximum(mean, deviation, draws)
    with pytest.raises(InputError):
        expected_maximum(lambda chance: chance, [-1])
