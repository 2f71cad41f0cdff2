"""The counted curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.models.budget.curves.coverage import unbiased_coverage
from coinfer.models.budget.forecast.curves import curve, failing

counts = st.lists(st.integers(0, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1).filter(
    lambda pairs: any(n for _, n in pairs)
)


@given(counts)
def test_every_prompt_is_first_passed_or_left_once(pairs):
    """First passes and prompts left over add up to the prompts, and the share that fails never rises."""
    right, drawn = np.array([pair for pair in pairs if pair[1]]).T
    made = curve(right, drawn)
    assert made.first_passed.sum() + made.unpassed.sum() == pytest.approx(len(right))
    assert (np.diff(made.failing) <= 1e-12).all()
    assert (made.failing >= 0).all()
    assert (made.failing <= 1).all()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_with_equal_samples_it_is_unbiased_coverage(right):
    """Where all prompts have as many samples, the curve is one less the mean unbiased pass@k."""
    made = curve(np.array(right), np.full(len(right), 30))
    assert made.failing == pytest.approx(1 - unbiased_coverage(right, 30, made.samples).reshape(len(right), -1).mean(0))


def test_a_prompt_with_fewer_samples_counts_only_as_far_as_it_goes():
    """One of two prompts fails at 2 samples and is not asked further; the other passes at the fourth at the latest."""
    made = curve(np.array([0, 1]), np.array([2, 4]))
    assert made.samples.tolist() == [1, 2, 3, 4]
    at_two = (1.0 + 0.5) / 2
    assert made.failing == pytest.approx([(1.0 + 0.75) / 2, at_two, at_two * 0.5, 0.0])
    assert made.unpassed == pytest.approx([0.0, 1.0, 0.0, 0.0])


def test_more_samples_than_drawn_have_no_unbiased_estimate():
    """Beyond the samples drawn the chance is NaN, never a guess."""
    chance = failing(np.array([1, 0]), np.array([2, 5]), np.array([2, 3]))
    assert chance[0, 0] == 0.0
    assert np.isnan(chance[0, 1])
    assert chance[1] == pytest.approx([1.0, 1.0])
