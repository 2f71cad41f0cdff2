"""Posteriors of rates that share a difficulty: unbiased after picking, whatever the shape of the rates."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.models.budget.calibration.factor import (
    GRID,
    Factors,
    _likelihood,
    _loss,
    fit_factors,
    matched_beta,
    posterior_weights,
)
from coinfer.models.budget.calibration.update import empirical_posteriors
from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import FloatArray

RATE = 1.0 / (1.0 + np.exp(-GRID))


def drawn_of(rates: FloatArray, samples: int, random: np.random.Generator) -> Outcomes:
    """Draw samples of every cell."""
    return Outcomes(
        prompts=tuple(str(i) for i in range(len(rates))),
        arms=tuple(str(i) for i in range(rates.shape[1])),
        successes=random.binomial(samples, rates).astype(np.int64),
        samples=np.full(rates.shape, samples, dtype=np.int64),
        resources=(),
        sample_cost=np.zeros((0, *rates.shape)),
    )


def rates_of(shape: str, random: np.random.Generator) -> FloatArray:
    """Draw rates of five arms on 60 prompts: with two humps, or spread about a shared difficulty."""
    cells, difficulty = (60, 5), random.normal(size=(60, 1))
    if shape == "humps":
        solves = random.random(cells) < 1.0 / (1.0 + np.exp(0.8 - 1.5 * difficulty))
        surely: FloatArray = np.where(solves, random.beta(20.0, 0.3, cells), random.beta(0.3, 20.0, cells))
        return np.where(random.random(cells) < 0.2, random.random(cells), surely)
    spread: FloatArray = 1.0 / (1.0 + np.exp(2.0 - 1.5 * difficulty - 0.7 * random.normal(size=cells)))
    return spread


@pytest.mark.parametrize(("shape", "most"), [("humps", 0.008), ("spread", 0.015)])
def test_posterior_means_of_the_luckiest_arm_are_not_too_high_nor_too_low(shape: str, most: float) -> None:
    """Of each prompt the best-looking arm is picked: in the mean of 40 draws, what is believed of it is true."""
    random = np.random.default_rng(0)
    gap, plug, surest = [], [], []
    for _ in range(40):
        rates = rates_of(shape, random)
        outcomes = drawn_of(rates, 5, random)
        mean = posterior_weights(outcomes, fit_factors(outcomes)) @ RATE
        pick = np.arange(60), mean.argmax(axis=1)
        gap.append(mean[pick].mean() - rates[pick].mean())
        plug.append((outcomes.successes / 5)[pick].mean() - rates[pick].mean())
        always = outcomes.successes == 5
        surest.append(float((mean - rates)[always].sum()) / max(int(always.sum()), 1))
    assert abs(np.mean(gap)) < most
    assert np.mean(plug) > 2.0 * abs(np.mean(gap))
    assert abs(np.mean(surest)) < 0.025


def test_derivatives_are_difference_quotients() -> None:
    """The derivatives of the penalised likelihood are those that its differences show, at any point."""
    random = np.random.default_rng(1)
    likelihood = _likelihood(drawn_of(rates_of("spread", random), 7, random))
    point = random.normal(size=15) * 0.5

    def loss(at: FloatArray) -> tuple[float, FloatArray]:
        return _loss(Factors(location=at[:5], slope=at[5:10], bend=at[10:]), likelihood)

    each = np.array([(loss(point + step)[0] - loss(point - step)[0]) / 2e-5 for step in 1e-5 * np.eye(15)])
    np.testing.assert_allclose(loss(point)[1], each, rtol=1e-4, atol=1e-4)


def test_warm_starts_and_the_order_of_arms_make_no_difference() -> None:
    """A fit from the fit of other outcomes, and one of the arms turned round, end at the same posteriors."""
    random = np.random.default_rng(2)
    outcomes, other = (drawn_of(rates_of("spread", random), 12, random) for _ in range(2))
    cold = posterior_weights(outcomes, fit_factors(outcomes)) @ RATE
    warm = posterior_weights(outcomes, fit_factors(outcomes, start=fit_factors(other))) @ RATE
    np.testing.assert_allclose(warm, cold, atol=0.005)
    turned = Outcomes(
        prompts=outcomes.prompts,
        arms=outcomes.arms[::-1],
        successes=outcomes.successes[:, ::-1],
        samples=outcomes.samples[:, ::-1],
        resources=(),
        sample_cost=outcomes.sample_cost,
    )
    np.testing.assert_allclose((posterior_weights(turned, fit_factors(turned)) @ RATE)[:, ::-1], cold, atol=0.005)


def test_cells_of_very_many_samples_are_not_bound_to_the_grid() -> None:
    """With a million samples the posterior is that of the samples, in mean and deviation, between grid points too."""
    random = np.random.default_rng(3)
    outcomes = drawn_of(random.uniform(0.05, 0.95, (30, 3)), 1_000_000, random)
    found = empirical_posteriors(outcomes)
    alpha, beta = found.alpha.array, found.beta.array
    mean, raw = alpha / (alpha + beta), outcomes.successes / 1e6
    np.testing.assert_allclose(mean, raw, atol=2e-4)
    np.testing.assert_allclose(mean * (1 - mean) / (alpha + beta), raw * (1 - raw) / 1e6, rtol=0.02)


def test_arms_all_or_none_right_leave_finite_posteriors() -> None:
    """One prompt, one arm, without samples or with one outcome only: weights are a distribution, Betas are finite."""
    for right, drawn in ((0, 0), (0, 1), (1, 1), (0, 10**6), (10**6, 10**6)):
        outcomes = Outcomes(
            prompts=("a",),
            arms=("m",),
            successes=np.array([[right]]),
            samples=np.array([[drawn]]),
            resources=(),
            sample_cost=np.zeros((0, 1, 1)),
        )
        weight = posterior_weights(outcomes, fit_factors(outcomes))
        assert weight.sum() == pytest.approx(1.0)
        alpha, beta = matched_beta(weight)
        assert np.isfinite(alpha).all()
        assert np.isfinite(beta).all()
        assert (weight @ RATE)[0, 0] == pytest.approx(right / drawn, abs=1e-3) if drawn > 1 else True
