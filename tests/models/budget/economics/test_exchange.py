"""More samples of a small model against a larger model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.curves.coverage import expected_coverage
from coinfer.models.budget.economics.exchange import ALL, SHARES, exchange_table

SAMPLES = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512])


def test_the_matched_samples_are_those_of_equal_operations() -> None:
    """6 M N D_pre + 2 M N D_inf operations of the larger model are what the small one takes with its samples."""
    rows = exchange_table([1, 1e6], [[0.1, 0.9]], [0.5], size_ratio=14.0, names=["easy"])
    for row in rows:
        pretraining = 1.0
        inference = row.inference_share * pretraining
        larger = 6.0 * 14.0 * pretraining + 2.0 * 14.0 * inference
        smaller = 6.0 * pretraining + 2.0 * row.matched_samples * inference
        assert smaller == pytest.approx(larger)


def test_little_inference_and_easy_prompts_favour_samples() -> None:
    """As the paper finds: the small model wins easy strata where R is small, the larger one hard strata."""
    easy, hard = expected_coverage(8.0, 8.0, SAMPLES), expected_coverage(0.05, 9.0, SAMPLES)
    rows = exchange_table(SAMPLES, [easy, hard], [0.95, 0.2], size_ratio=14.0, names=["easy", "hard"])
    winner = {(row.stratum, row.inference_share): row.winner for row in rows}
    assert [winner["easy", share] for share in SHARES] == ["smaller", "smaller", "smaller"]
    assert [winner["hard", share] for share in SHARES] == ["larger", "larger", "larger"]
    assert {row.stratum for row in rows} == {"easy", "hard", ALL}


def test_the_break_even_share_is_where_both_are_equal() -> None:
    """At the share that a row names, both sides are worth the same."""
    curve = expected_coverage(0.5, 3.0, SAMPLES)
    (first, _) = exchange_table(SAMPLES, [curve], [0.6], size_ratio=5.0, names=["one"], shares=[0.79])
    assert first.break_even_share is not None
    (again, _) = exchange_table(SAMPLES, [curve], [0.6], size_ratio=5.0, names=["one"], shares=[first.break_even_share])
    assert again.smaller_value == pytest.approx(again.larger_value)


def test_beyond_the_curve_only_a_win_is_known() -> None:
    """A curve that ends too early decides where the small model is ahead already, and nothing else."""
    rows = exchange_table(
        [1, 2], [[0.1, 0.2], [0.8, 0.9]], [0.5, 0.5], size_ratio=14.0, names=["a", "b"], shares=[0.16]
    )
    assert [row.winner for row in rows] == [None, "smaller", "smaller"]


@given(st.lists(st.integers(0, 10), min_size=10, max_size=10), st.integers(1, 9))
def test_a_curve_that_falls_is_used_up_to_its_best(points: list[int], weight: int) -> None:
    """Fewer samples may be used: the value is the best up to the matched number, and the pooled row is the mean."""
    curve = np.array(points) / 10.0
    rows = exchange_table(
        SAMPLES, [curve, 0.0 * curve], [0.0, 0.0], size_ratio=4.0, names=["a", "b"], prompts=[weight, 1], shares=[22.0]
    )
    assert rows[0].smaller_value >= curve[:3].max() - 1e-12
    assert rows[2].smaller_value == pytest.approx(rows[0].smaller_value * weight / (weight + 1))


def test_names_and_curves_must_fit() -> None:
    """One curve, value and size for each name."""
    with pytest.raises(InputError, match="for each name"):
        exchange_table([1, 2], [[0.1, 0.2]], [0.5, 0.6], size_ratio=2.0, names=["a"])
    with pytest.raises(InputError):
        exchange_table([1, 2], [[0.1, 0.2]], [0.5], size_ratio=0.5, names=["a"])
