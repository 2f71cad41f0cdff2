"""Intervals keep their promise on simulated data whose truth is known."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.profiler.intervals import mean_interval, quantile_interval, ratio_interval, share_interval

TRIALS = 1000


def _covered(intervals: list[tuple[float, float] | None], truth: float) -> float:
    assert all(interval is not None for interval in intervals)
    return sum(low <= truth <= high for low, high in intervals if low is not None) / len(intervals)  # type: ignore[misc]


@pytest.mark.parametrize("count", [2, 5, 40])
def test_student_intervals_cover_the_mean_in_95_of_100_cases(count: int) -> None:
    """For normal samples the coverage is 95 %, already with two of them."""
    random_numbers = np.random.default_rng(1)
    samples = random_numbers.normal(100.0, 3.0, (TRIALS, count))

    assert 0.93 <= _covered([mean_interval(list(row))[1] for row in samples], 100.0) <= 0.97


@pytest.mark.parametrize(("count", "share"), [(20, 0.9), (60, 0.5), (200, 0.97)])
def test_wilson_intervals_cover_the_share_in_95_of_100_cases(count: int, share: float) -> None:
    """For right-or-wrong answers the coverage is near 95 %, also near the end of the scale."""
    random_numbers = np.random.default_rng(2)
    samples = (random_numbers.random((TRIALS, count)) < share).astype(float)

    assert 0.92 <= _covered([share_interval(list(row), independent=count)[1] for row in samples], share) <= 0.99


def test_wilson_intervals_are_on_the_safe_side_for_grades() -> None:
    """For grades between 0 and 1, whose variance is smaller, the coverage is at least 95 %."""
    random_numbers = np.random.default_rng(3)
    samples = random_numbers.beta(2.0, 2.0, (TRIALS, 30))

    assert _covered([share_interval(list(row), independent=30)[1] for row in samples], 0.5) >= 0.97


def test_ratio_intervals_cover_the_rate_in_95_of_100_cases() -> None:
    """Times of 0.02 s a token with noise and unequal lengths give intervals that hold the rate."""
    random_numbers = np.random.default_rng(4)
    tokens = random_numbers.integers(20, 200, (TRIALS, 30)).astype(float)
    seconds = 0.02 * tokens * random_numbers.normal(1.0, 0.1, tokens.shape)
    intervals = [ratio_interval(list(s), list(t))[1] for s, t in zip(seconds, tokens, strict=True)]

    assert 0.92 <= _covered(intervals, 0.02) <= 0.975


@pytest.mark.parametrize("count", [72, 150])
def test_order_statistics_cover_the_percentile_whatever_the_distribution(count: int) -> None:
    """For exponential and for heavy-tailed samples the 95th percentile lies inside in at least 95 % of cases."""
    random_numbers = np.random.default_rng(5)
    for samples, truth in (
        (random_numbers.exponential(1.0, (TRIALS, count)), float(-np.log(0.05))),
        (random_numbers.pareto(1.1, (TRIALS, count)), float(0.05 ** (-1 / 1.1) - 1)),
    ):
        quantiles = [quantile_interval(list(row), 0.95) for row in samples]
        assert 0.94 <= _covered([found[1] for found in quantiles if found is not None], truth) <= 1.0


@pytest.mark.parametrize(("count", "entry", "interval"), [(19, False, False), (20, True, False), (71, True, False)])
def test_few_samples_have_no_percentile_or_no_interval(count: int, entry: bool, interval: bool) -> None:
    """Below 20 samples nothing is said of the 95th percentile, below 72 no interval."""
    found = quantile_interval([float(i) for i in range(count)], 0.95)

    assert (found is not None, found is not None and found[1] is not None) == (entry, interval)


def test_one_sample_has_no_interval() -> None:
    """A single value is reported as it is, without any interval."""
    assert mean_interval([3.0]) == (3.0, None)
    assert ratio_interval([3.0], [2.0]) == (1.5, None)
    assert share_interval([1.0], independent=1) == (1.0, None)


def test_equal_samples_have_an_interval_of_no_width() -> None:
    """Samples without spread leave no doubt, up to rounding."""
    value, interval = mean_interval([0.1] * 7)

    assert interval == pytest.approx((value, value))


def test_answers_to_one_prompt_do_not_sharpen_the_share() -> None:
    """Asking ten prompts five times gives the interval of ten answers, not of fifty."""
    answers = [float(i % 10 < 7) for i in range(50)]
    value, interval = share_interval(answers, independent=10)
    once = share_interval(answers[:10], independent=10)

    assert (value, interval) == once
    low, high = share_interval(answers, independent=50)[1] or (0.0, 0.0)
    assert interval is not None
    assert interval[0] < low < high < interval[1]


@given(values=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=100), seed=st.randoms(use_true_random=False))
def test_intervals_hold_their_value_and_ignore_order(values: list[float], seed: random.Random) -> None:
    """Every interval is ordered, holds its estimate, and is the same, bit for bit, for any order of samples."""
    shuffled = list(values)
    seed.shuffle(shuffled)
    for measure in (
        mean_interval,
        lambda sample: share_interval(sample, independent=len(sample)),
        lambda sample: ratio_interval(sample, [1.0] * len(sample)),
        lambda sample: quantile_interval(sample, 0.95) or (0.0, None),
    ):
        value, interval = measure(values)
        assert (value, interval) == measure(shuffled)
        assert interval is None or 0.0 <= interval[0] <= value <= interval[1]
