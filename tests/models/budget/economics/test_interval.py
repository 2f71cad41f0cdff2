"""How sure a cost of a pass is."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.errors import ProblemError
from coinfer.models.budget.economics.cost_of_pass import FALLBACK, NOBODY
from coinfer.models.budget.economics.interval import frontier_interval, pass_interval


def test_the_interval_holds_its_share_of_posterior_draws() -> None:
    """Ninety of a hundred draws of cost / p lie between the ends, five on either side."""
    draws = 2.0 / np.random.default_rng(0).beta(3.0, 9.0, 200_000)
    found = pass_interval(2.0, 3.0, 9.0)
    assert found.low is not None
    assert found.high is not None
    assert np.mean(draws < found.low) == pytest.approx(0.05, abs=0.003)
    assert np.mean(draws > found.high) == pytest.approx(0.05, abs=0.003)


def test_an_end_beyond_all_numbers_is_absent() -> None:
    """Where almost all weight is at p = 0 the upper end is not a number, and is not shown as one."""
    assert pass_interval(1.0, 1e-4, 1.0).high is None
    with pytest.raises(ProblemError):
        pass_interval(1.0, 0.0, 1.0)
    with pytest.raises(ProblemError):
        pass_interval(1.0, 1.0, 1.0, level=1.0)


def test_the_mean_over_prompts_covers_the_truth_as_often_as_it_says() -> None:
    """Rates drawn from the prior, counts from the rates: an 80 % interval holds the true mean 80 times of 100."""
    random = np.random.default_rng(1)
    hits, trials = 0, 200
    for trial in range(trials):
        rate = random.beta(6.0, 6.0, 12)
        right = random.binomial(20, rate)
        alpha, beta = (6.0 + right)[:, None], (26.0 - right)[:, None]
        option = np.zeros(12, dtype=np.int64)
        found = frontier_interval(3.0, alpha, beta, option, level=0.8, draws=300, seed=trial)
        truth = float(np.mean(3.0 / rate))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert 0.72 <= hits / trials <= 0.88


def test_experts_cost_their_price_and_nobody_has_no_cost() -> None:
    """Strata of the expert add no doubt; one that nobody answers leaves no end."""
    ones = np.ones((2, 1))
    both = np.array([FALLBACK, FALLBACK])
    found = frontier_interval(1.0, ones, ones, both, prompts=[3, 1], fallback=[2.0, 6.0], draws=50)
    assert (found.low, found.high) == (3.0, 3.0)
    lost = frontier_interval(1.0, ones, ones, np.array([NOBODY, FALLBACK]), fallback=1.0, draws=50)
    assert (lost.low, lost.high) == (None, None)


def test_prompts_like_these_are_less_certain_than_these() -> None:
    """Drawing the prompts again widens the interval; strata of several sizes cannot be drawn again."""
    alpha = np.linspace(20.0, 200.0, 30)[:, None]
    beta = 220.0 - alpha
    option = np.zeros(30, dtype=np.int64)
    these = frontier_interval(1.0, alpha, beta, option, draws=500)
    such = frontier_interval(1.0, alpha, beta, option, draws=500, population=True)
    assert these.low is not None
    assert these.high is not None
    assert such.low is not None
    assert such.high is not None
    assert such.high - such.low > 1.5 * (these.high - these.low)
    with pytest.raises(ProblemError):
        frontier_interval(1.0, alpha, beta, option, prompts=np.arange(30) + 1, population=True)
