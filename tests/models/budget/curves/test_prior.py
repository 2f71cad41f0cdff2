"""Empirical-Bayes priors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.curves.coverage import expected_coverage
from coinfer.models.budget.curves.prior import Hyperprior, fit_beta_prior, fit_beta_priors


@pytest.mark.parametrize(
    ("successes", "samples"),
    [
        ([0] * 128, [10_000] * 128),
        ([100] * 20, [100] * 20),
        ([0], [1]),
        ([1], [1]),
        ([5], [10]),
        ([5] * 50, [10] * 50),
        ([0, 10] * 20, [10] * 40),
        ([500_000] * 1000, [10**6] * 1000),
        ([0, 0, 1], [10**6, 3, 1]),
    ],
)
def test_no_counts_make_the_fit_diverge(successes: list[int], samples: list[int]) -> None:
    """All-zero, all-one, single, identical and extreme counts have a finite prior with both parameters above 0."""
    prior = fit_beta_prior(successes, samples)
    assert np.isfinite([prior.alpha, prior.beta]).all()
    assert min(prior.alpha, prior.beta) > 0
    assert prior.gain_nats >= 0
    rate = np.clip(np.mean(np.divide(successes, samples)), 0.02, 0.98)
    if len(samples) >= 20:
        assert prior.alpha / (prior.alpha + prior.beta) == pytest.approx(rate, abs=0.1)


def test_fit_is_symmetric_in_right_and_wrong() -> None:
    """Counting wrong samples for right ones exchanges the two parameters."""
    generator = np.random.default_rng(5)
    right = generator.binomial(30, generator.beta(0.4, 3.0, 200))
    first, second = fit_beta_prior(right, [30] * 200), fit_beta_prior(30 - right, [30] * 200)
    assert (first.alpha, first.beta) == pytest.approx((second.beta, second.alpha), rel=1e-3)


def test_fit_finds_the_prior_of_many_prompts() -> None:
    """From 4,000 prompts the parameters that made the counts are found within a tenth, and the data moved it."""
    generator = np.random.default_rng(7)
    right = generator.binomial(100, generator.beta(0.3, 8.0, 4000))
    prior = fit_beta_prior(right, np.full(4000, 100))
    assert (prior.alpha, prior.beta) == pytest.approx((0.3, 8.0), rel=0.1)
    assert prior.moved
    assert prior.prompts == 4000


def test_fit_is_the_maximum_of_its_objective() -> None:
    """No nearby prior, nor one of a coarse grid, has a higher penalised likelihood."""
    from scipy.stats import betabinom

    right, samples = np.array([0, 0, 1, 7, 3]), np.array([10, 12, 10, 10, 4])
    belief = Hyperprior(concentration=3.0, log_deviation=1.5)

    def objective(alpha: float, beta: float) -> float:
        share, total = alpha / (alpha + beta), alpha + beta
        penalty = np.log(share * (1 - share)) - 0.5 * (np.log(total / 3.0) / 1.5) ** 2
        return float(betabinom.logpmf(right, samples, alpha, beta).sum() + penalty)

    prior = fit_beta_prior(right, samples, hyperprior=belief)
    best = objective(prior.alpha, prior.beta)
    grid = np.geomspace(1e-3, 1e3, 40)
    assert best >= max(objective(a, b) for a in grid for b in grid)
    for a in (0.99, 1.0, 1.01):
        for b in (0.99, 1.0, 1.01):
            assert best >= objective(prior.alpha * a, prior.beta * b) - 1e-9


def test_little_data_does_not_move_the_prior() -> None:
    """Without data it is the mode of the hyperprior; one prompt of one sample is not said to have moved it."""
    nothing = fit_beta_prior([], [])
    assert (nothing.alpha, nothing.beta, nothing.moved, nothing.prompts) == (1.0, 1.0, False, 0)
    assert fit_beta_prior([0, 0], [0, 0]) == nothing
    assert not fit_beta_prior([1], [1]).moved
    assert fit_beta_prior([1] * 40, [1] * 40).moved


def test_forecast_from_all_failures_is_small_but_not_nought() -> None:
    """After 20 prompts with 100 failures each, ten thousand more samples are worth little, and not nothing."""
    prior = fit_beta_prior([0] * 20, [100] * 20)
    forecast = expected_coverage(prior.alpha, prior.beta + 100, [10_000])[0]
    assert 0 < forecast < 0.1


def test_priors_of_models_and_strata() -> None:
    """Each model and stratum has the fit of its own counts; an empty stratum has the mode of the hyperprior."""
    right, samples = np.array([[1, 9], [2, 8], [0, 10], [0, 5]]), np.full((4, 2), 10)
    fits = fit_beta_priors(right, samples, [0, 0, 2, 2])
    assert fits.alpha.shape == (2, 3)
    single = fit_beta_prior(right[2:, 1], samples[2:, 1])
    assert (fits.alpha[1, 2], fits.beta[1, 2], fits.prompts[1, 2]) == (single.alpha, single.beta, 2)
    assert (fits.alpha[0, 1], fits.beta[0, 1], bool(fits.moved[0, 1])) == (1.0, 1.0, False)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=6))
def test_any_counts_are_fitted(pairs: list[tuple[int, int]]) -> None:
    """Whatever the counts, the prior is a Beta distribution under which the counts are no less likely."""
    prior = fit_beta_prior([right for right, _ in pairs], [right + wrong for right, wrong in pairs])
    assert np.isfinite([prior.alpha, prior.beta, prior.gain_nats]).all()
    assert prior.alpha > 0
    assert prior.beta > 0
    assert prior.gain_nats > -1e-9


@pytest.mark.parametrize(("successes", "samples"), [([3], [2]), ([-1], [2]), ([1], [1, 2])])
def test_counts_are_checked(successes: list[int], samples: list[int]) -> None:
    """Counts that are none are refused."""
    with pytest.raises(InputError):
        fit_beta_prior(successes, samples)


def test_strata_are_checked() -> None:
    """One stratum number per prompt is needed."""
    with pytest.raises(InputError):
        fit_beta_priors([[1]], [[2]], [0, 1])
