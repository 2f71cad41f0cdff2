"""Statistics and their intervals: they hold the truth about as often as they say, and are absent when they cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.planner.sample import Measured, mean_of, quantile_of, weighted

FIGURES = st.floats(min_value=0.0, max_value=1e6)


@given(values=st.lists(FIGURES, min_size=1, max_size=30))
def test_the_mean_lies_in_its_interval(values: list[float]) -> None:
    """Whatever was measured, low <= mean <= high, and one figure that is no grade has no interval."""
    found = mean_of(values)

    assert found.samples == len(values)
    assert found.value == pytest.approx(sum(values) / len(values))
    if found.low is not None:
        assert found.low <= found.value <= found.high
    else:
        assert len(values) == 1


def test_all_right_answers_are_no_certainty() -> None:
    """Ten right answers of ten leave room below 1 (Wilson: 0.7225), and never above it."""
    found = mean_of([1.0] * 10)

    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.7225, abs=1e-4)


def test_the_interval_of_a_mean_is_students() -> None:
    """Four figures 1..4: 2.5 +- 3.1824 * 1.29099 / 2."""
    found = mean_of([1.0, 2.0, 3.0, 4.0])

    assert found.high - found.value == pytest.approx(3.182446 * 1.290994 / 2, rel=1e-5)


@pytest.mark.parametrize(("level", "first"), [(0.1, 36), (0.5, 6), (0.9, 36), (0.95, 72)])
def test_a_quantile_gets_an_interval_as_soon_as_the_samples_allow_one(level: float, first: int) -> None:
    """The smallest sample with level**n <= 2.5 % (and (1-level)**n) has an interval; one sample fewer has none."""
    assert max(level, 1.0 - level) ** first <= 0.025 < max(level, 1.0 - level) ** (first - 1)

    assert quantile_of([float(i) for i in range(first)], level).low is not None
    assert quantile_of([float(i) for i in range(first - 1)], level).low is None


def test_the_interval_of_a_quantile_holds_it_as_often_as_it_says() -> None:
    """Of 2,000 samples of 120 exponential figures, 95 % to 99 % of the intervals of p90 hold the true p90."""
    random = np.random.default_rng(3)
    truth = -math.log(0.1)
    found = [quantile_of(list(random.exponential(size=120)), 0.9) for _ in range(2000)]

    assert 0.94 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.99


def test_weighted_means_add_half_widths_as_squares() -> None:
    """Equal halves with half-widths 0.3 and 0.4 give 0.25, not 0.35; without one interval there is none."""
    parts = [
        (0.5, Measured(value=1.0, low=0.7, high=1.3, samples=3)),
        (0.5, Measured(value=2.0, low=1.6, high=2.4, samples=4)),
    ]
    found = weighted(parts)

    assert (found.value, found.samples) == (1.5, 7)
    assert (found.low, found.high) == (pytest.approx(1.25), pytest.approx(1.75))
    assert weighted([parts[0], (0.5, Measured(value=2.0, samples=1))]).low is None
