"""Best of k under a scorer."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.curves.best_of import best_of, rank_weights, weighted_best_of
from coinfer.models.budget.curves.coverage import unbiased_coverage

SCORED = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 3)), min_size=1, max_size=7)


@given(SCORED)
def test_best_of_is_the_mean_over_subsets(samples: list[tuple[float, int]]) -> None:
    """With ties split evenly it is the mean over all subsets of k samples."""
    worth, score = (np.array(each, dtype=np.float64) for each in zip(*samples, strict=True))
    exact = [0.0]
    for k in range(1, len(worth) + 1):
        subsets = [list(each) for each in combinations(range(len(worth)), k)]
        exact.append(float(np.mean([worth[each][score[each] == score[each].max()].mean() for each in subsets])))
    np.testing.assert_allclose(best_of(worth, score, range(len(worth) + 1)), exact, atol=1e-13)


def test_perfect_scorer_gives_coverage() -> None:
    """A scorer that knows the right answers makes best-of-k the unbiased coverage, for many prompts at once."""
    right = np.random.default_rng(1).integers(0, 2, size=(5, 30))
    draws = [1, 2, 10, 30]
    np.testing.assert_allclose(
        best_of(right, right, draws), unbiased_coverage(right.sum(axis=1), 30, draws), rtol=1e-12
    )


def test_scorer_that_likes_wrong_answers_loses_with_k() -> None:
    """More samples are worth less where the scorer prefers wrong answers."""
    values = best_of([1, 1, 0, 1], [0.1, 0.2, 0.9, 0.3], [1, 2, 3, 4])
    assert (np.diff(values) < 0).all()


def test_rank_weights_are_chances_for_many_samples() -> None:
    """For n = 20,000 the weights neither overflow nor lose mass."""
    weights = rank_weights(20_000, [1, 100, 10_000, 20_000])
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, rtol=1e-11)


@pytest.mark.parametrize(
    ("worth", "score", "draws"), [([1, 0], [1.0], [1]), ([1], [np.nan], [1]), ([1, 0], [1.0, 2.0], [3]), ([], [], [0])]
)
def test_scores_are_checked(worth: list[int], score: list[float], draws: list[int]) -> None:
    """Scores that are missing or no numbers, and more draws than samples, are refused."""
    with pytest.raises(InputError):
        best_of(worth, score, draws)


def weighted_share(answers: list[int], scores: list[float], subset: tuple[int, ...]) -> float:
    """Return the share of answer 0 in the win of a subset."""
    sums: dict[int, float] = {}
    for i in subset:
        sums[answers[i]] = sums.get(answers[i], 0.0) + scores[i]
    first = [answer for answer, total in sums.items() if total > max(sums.values()) - 1e-12]
    return (0 in first) / len(first)


def test_weighted_best_of_against_all_subsets() -> None:
    """Its value lies within four of its stated errors of the exact one, and is exact where all samples are drawn."""
    answers, scores = [0, 1, 1, 2, 0, 3], [0.9, 0.3, 0.4, 0.8, -0.1, 0.8]
    draws = [0, 1, 2, 3, 5, 6]
    curve = weighted_best_of(answers, scores, 0, draws, resamples=4000, seed=2)
    exact = [0.0] + [
        float(np.mean([weighted_share(answers, scores, each) for each in combinations(range(6), k)])) for k in draws[1:]
    ]
    assert (np.abs(curve.value - exact) <= 4 * curve.standard_error + 1e-12).all()
    assert curve.standard_error[[0, -1]] == pytest.approx([0, 0], abs=1e-15)
    assert curve.standard_error[1] == pytest.approx(np.sqrt(1 / 3 * 2 / 3 / 4000), rel=0.05)


def test_weighted_best_of_splits_ties_of_sums() -> None:
    """Sums that are equal but for rounding are a tie."""
    curve = weighted_best_of([0, 0, 0, 1], [0.1, 0.1, 0.1, 0.3], 0, [4], resamples=50)
    assert curve.value[0] == 0.5


def test_weighted_best_of_never_finds_what_nobody_said() -> None:
    """A right answer that no sample has is worth nothing, and bad input is refused."""
    assert weighted_best_of([0, 1], [1.0, 1.0], -1, [2]).value[0] == 0
    for bad in ({"draws": [3]}, {"draws": [1], "resamples": 1}):
        with pytest.raises(InputError):
            weighted_best_of([0, 1], [1.0, 1.0], 0, **bad)
    with pytest.raises(InputError):
        weighted_best_of([0, 1], [1.0, np.nan], 0, [1])
