"""Coverage from counts and from posteriors."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.curves.coverage import (
    coverage_variance,
    expected_coverage,
    marginal_coverage,
    pooled_coverage,
    samples_until_success,
    unbiased_coverage,
)

PARAMETER = st.fractions(min_value=Fraction(1, 1000), max_value=300).map(lambda value: Fraction(float(value)))


def survival(alpha: Fraction, beta: Fraction, draws: int) -> Fraction:
    """Return E[(1-p)^k] exactly."""
    made = Fraction(1)
    for j in range(draws):
        made *= (beta + j) / (alpha + beta + j)
    return made


@pytest.mark.parametrize("samples", range(9))
def test_unbiased_coverage_is_the_share_of_subsets(samples: int) -> None:
    """For every c and k it is one less the exact quotient of binomial coefficients."""
    for right in range(samples + 1):
        exact = [float(1 - Fraction(math.comb(samples - right, k), math.comb(samples, k))) for k in range(samples + 1)]
        found = unbiased_coverage(right, samples, range(samples + 1))
        np.testing.assert_allclose(found, exact, rtol=1e-13, atol=0)


def test_unbiased_coverage_of_a_million_samples() -> None:
    """With one right sample of a million it is k in a million to the last digits, where Gamma functions overflow."""
    found = unbiased_coverage([0, 1, 10**6], 10**6, [1, 17, 10**5, 10**6])
    np.testing.assert_allclose(found[1], [1e-6, 17e-6, 0.1, 1.0], rtol=1e-13)
    assert np.array_equal(found[0], np.zeros(4))
    assert np.array_equal(found[2], np.ones(4))


def test_unbiased_coverage_has_no_bias() -> None:
    """Its mean over all outcomes of n samples is the coverage itself."""
    rate, samples = 0.3, 6
    chance = [math.comb(samples, c) * rate**c * (1 - rate) ** (samples - c) for c in range(samples + 1)]
    mean = chance @ unbiased_coverage(np.arange(samples + 1), samples, [1, 3, 6])
    np.testing.assert_allclose(mean, 1 - (1 - rate) ** np.array([1, 3, 6]), rtol=1e-13)


@pytest.mark.parametrize(
    ("right", "samples", "draws"), [(1, 4, [5]), (5, 4, [1]), (1.5, 4, [1]), (-1, 4, [1]), (1, 4, [-1]), (1, 4, [1.5])]
)
def test_unbiased_coverage_refuses_what_it_cannot_know(right: float, samples: int, draws: list[float]) -> None:
    """More draws than samples, and counts that are none, are refused in a sentence."""
    with pytest.raises(InputError):
        unbiased_coverage(right, samples, draws)


@given(alpha=PARAMETER, beta=PARAMETER, draws=st.integers(0, 60))
def test_posterior_coverage_against_fractions(alpha: Fraction, beta: Fraction, draws: int) -> None:
    """Mean, marginal and variance agree with exact products."""
    once, twice = survival(alpha, beta, draws), survival(alpha, beta, 2 * draws)
    a, b = float(alpha), float(beta)
    assert expected_coverage(a, b, draws)[0] == pytest.approx(float(1 - once), rel=1e-12, abs=0)
    marginal = once - survival(alpha, beta, draws + 1)
    assert marginal_coverage(a, b, draws)[0] == pytest.approx(float(marginal), rel=1e-12)
    assert coverage_variance(a, b, draws)[0] == pytest.approx(float(twice - once**2), rel=1e-9, abs=0)


@given(
    alpha=st.one_of(PARAMETER, st.sampled_from([Fraction(1), Fraction(1) + Fraction(1, 2**50), Fraction(1, 1024)])),
    beta=PARAMETER,
    draws=st.integers(0, 60),
)
def test_samples_until_success_is_the_sum(alpha: Fraction, beta: Fraction, draws: int) -> None:
    """For every A, below, at and above 1, it is the sum of the chances that all samples so far failed."""
    exact = sum((survival(alpha, beta, j) for j in range(draws)), Fraction(0))
    assert samples_until_success(float(alpha), float(beta), draws)[0] == pytest.approx(float(exact), rel=1e-12)


def test_curves_take_prompts_at_once() -> None:
    """Arrays of prompts give the rows that single prompts give, and coverage at 1e6 draws stays below 1."""
    alpha, beta, draws = np.array([0.2, 1.0, 5.0]), np.array([30.0, 2.0, 0.5]), [0, 1, 10, 10**6]
    for curve in (expected_coverage, marginal_coverage, coverage_variance, samples_until_success):
        rows = np.array([curve(a, b, draws) for a, b in zip(alpha, beta, strict=True)])
        assert np.array_equal(curve(alpha, beta, draws), rows)
        assert np.isfinite(rows).all()
    assert (np.diff(expected_coverage(alpha, beta, draws)) > 0).all()


def test_tiny_rates_keep_their_digits() -> None:
    """A posterior rate of 1e-12 gives a coverage that is proportional to it, not rounding noise."""
    assert expected_coverage(1e-6, 1e6, 3)[0] == pytest.approx(3e-12, rel=1e-5)
    assert coverage_variance(1e-6, 1e6, 1)[0] == pytest.approx(1e-18, rel=1e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.inf)])
def test_posteriors_are_checked(alpha: float, beta: float) -> None:
    """Parameters that are no Beta distribution are refused."""
    with pytest.raises(InputError):
        expected_coverage(alpha, beta, [1])


def test_pooled_curve_of_a_stratum() -> None:
    """The mean of posteriors; its errors are those of simulated rates and of fresh strata."""
    alpha, beta = np.array([1.0, 2.0, 0.5]), np.array([3.0, 8.0, 4.0])
    pooled = pooled_coverage(alpha, beta, [1, 4])
    generator = np.random.default_rng(3)
    rates = generator.beta(alpha, beta, size=(200_000, 3))
    covered = 1 - (1 - rates[..., None]) ** np.array([1, 4])
    np.testing.assert_allclose(pooled.value, covered.mean(axis=(0, 1)), rtol=0.01)
    np.testing.assert_allclose(pooled.standard_error, covered.mean(axis=1).std(axis=0), rtol=0.01)
    assert pooled.population_standard_error is not None
    between = covered.var(axis=1, ddof=1).mean(axis=0)  # the mean variance of three rates, one of each posterior
    np.testing.assert_allclose(pooled.population_standard_error, np.sqrt(between / 3), rtol=0.01)


def test_pooled_curve_of_one_prompt_knows_no_population() -> None:
    """One prompt says nothing of the spread between prompts, none says nothing at all."""
    assert pooled_coverage([1.0], [3.0], [1]).population_standard_error is None
    with pytest.raises(InputError):
        pooled_coverage([], [], [1])
