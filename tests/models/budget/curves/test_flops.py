"""The exchange with a larger model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.curves.coverage import expected_coverage
from coinfer.models.budget.curves.flops import exchange, inference_operations, matched_inference, training_operations


@given(ratio=st.floats(1.0, 100.0), share=st.floats(1e-3, 1e3))
def test_matched_inference_balances_operations(ratio: float, share: float) -> None:
    """Training and inference of both sides take the same number of operations."""
    size, pretraining = 7e9, 1e12
    inference = share * pretraining
    more = matched_inference(ratio, share)
    larger = training_operations(ratio * size, pretraining) + inference_operations(ratio * size, inference)
    smaller = training_operations(size, pretraining) + more * inference_operations(size, inference)
    assert smaller == pytest.approx(float(larger), rel=1e-12)


def test_exchange_says_which_side_wins() -> None:
    """Easy prompts go to the small model with more samples, impossible ones to the larger; equal values to neither."""
    draws = np.arange(1, 301)
    small = expected_coverage([2.0, 0.001, 1.0], [2.0, 50.0, 1.0], draws)
    at_match = float(np.interp(matched_inference(14, 0.79), draws, small[2]))
    verdict = exchange(draws, small, [0.8, 0.3, at_match], size_ratio=14, inference_share=0.79)
    assert verdict.smaller_wins.tolist() == [True, False, False]
    assert verdict.larger_wins.tolist() == [False, True, False]
    assert verdict.decided.all()
    assert np.isnan(verdict.break_even_share[1])


def test_break_even_share_is_where_the_winner_changes() -> None:
    """Just below it the small model is worth more, just above it the larger one."""
    draws = np.arange(1, 1001)
    small = expected_coverage([0.8], [6.0], draws)
    share = float(exchange(draws, small, [0.75], size_ratio=5, inference_share=1.0).break_even_share[0])
    assert exchange(draws, small, [0.75], size_ratio=5, inference_share=share * 0.99).smaller_wins[0]
    assert exchange(draws, small, [0.75], size_ratio=5, inference_share=share * 1.01).larger_wins[0]
    free = exchange(draws, small, [0.2], size_ratio=5, inference_share=np.inf)
    assert free.break_even_share[0] == np.inf
    assert free.smaller_wins[0]


def test_beyond_the_curve_only_a_lead_decides() -> None:
    """Where the match lies beyond the measured samples, being behind decides nothing and being ahead does."""
    verdict = exchange([1, 2, 4], [[0.2, 0.3, 0.4], [0.2, 0.3, 0.4]], [0.35, 0.5], size_ratio=14, inference_share=0.16)
    assert verdict.decided.tolist() == [True, False]
    assert verdict.smaller_wins.tolist() == [True, False]
    assert not verdict.larger_wins.any()


@pytest.mark.parametrize(
    ("samples", "smaller", "larger"),
    [([2, 1], [[0.1, 0.2]], [0.1]), ([1, 2], [[0.2, 0.1]], [0.1]), ([1, 2], [[0.1, 0.2]], [0.1, 0.2]), ([], [[]], [1])],
)
def test_curves_are_checked(samples: list[int], smaller: list[list[float]], larger: list[float]) -> None:
    """Curves that fall, samples that do not rise, and sizes that do not fit are refused."""
    with pytest.raises(InputError):
        exchange(samples, smaller, larger, size_ratio=4, inference_share=1.0)


@pytest.mark.parametrize(("ratio", "share"), [(0.5, 1.0), (2.0, 0.0), (np.nan, 1.0)])
def test_ratios_are_checked(ratio: float, share: float) -> None:
    """A smaller "larger" model and a share of nothing are refused."""
    with pytest.raises(InputError):
        matched_inference(ratio, share)
