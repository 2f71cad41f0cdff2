"""Majority of k votes."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.curves.majority import Drawing, majority

COUNTS = st.lists(st.integers(0, 3), min_size=2, max_size=4).filter(sum)


def share(votes: tuple[int, ...]) -> float:
    """Return the share of answer 0 in the win of some votes."""
    counts = np.bincount(votes, minlength=1)
    return float(counts[0] == counts.max()) / int((counts == counts.max()).sum())


@given(COUNTS)
def test_votes_without_replacement_are_the_mean_over_subsets(counts: list[int]) -> None:
    """The exact value is the mean over all subsets of k of the recorded votes, for all k."""
    votes = [answer for answer, count in enumerate(counts) for _ in range(count)]
    exact = [0.0] + [float(np.mean([share(each) for each in combinations(votes, k)])) for k in range(1, len(votes) + 1)]
    curve = majority([counts], [0], range(len(votes) + 1))
    assert curve.exact.all()
    np.testing.assert_allclose(curve.value[0], exact, atol=1e-13)


@given(COUNTS)
@settings(max_examples=40)
def test_votes_with_replacement_are_the_mean_over_sequences(counts: list[int]) -> None:
    """With the counts as chances it is the expectation over all sequences of k votes."""
    chance = np.array(counts) / sum(counts)
    exact = [0.0] + [
        sum(float(np.prod(chance[list(each)])) * share(each) for each in product(range(len(counts)), repeat=k))
        for k in range(1, 5)
    ]
    curve = majority([counts], [0], range(5), drawing="with_replacement")
    np.testing.assert_allclose(curve.value[0], exact, atol=1e-13)


@given(COUNTS, st.floats(0.05, 3.0))
@settings(max_examples=40)
def test_votes_of_a_dirichlet_posterior_are_polyas_urn(counts: list[int], prior: float) -> None:
    """With unknown chances it is the expectation over sequences in which each vote makes its answer likelier."""
    alpha = np.array(counts) + prior

    def chance(votes: tuple[int, ...]) -> float:
        urn, made = alpha.copy(), 1.0
        for vote in votes:
            made *= urn[vote] / urn.sum()
            urn[vote] += 1
        return made

    exact = [0.0] + [
        sum(chance(each) * share(each) for each in product(range(len(counts)), repeat=k)) for k in range(1, 5)
    ]
    np.testing.assert_allclose(majority([alpha], [0], range(5), drawing="dirichlet").value[0], exact, atol=1e-12)


def test_majority_falls_with_k_where_a_wrong_answer_is_likelier() -> None:
    """It is neither monotone nor concave: it may rise at first and then fall to nothing."""
    curve = majority([[30, 40, 5, 5, 5, 5, 5, 5]], [0], range(101)).value[0]
    assert curve[1] == pytest.approx(0.3)
    assert curve[2] == pytest.approx(curve[1])
    assert curve[5] > curve[1]
    assert curve[100] == 0
    steps = np.diff(curve[1:])
    assert (steps > 1e-6).any()
    assert (steps < -1e-6).any()


@pytest.mark.parametrize("drawing", ["without_replacement", "with_replacement", "dirichlet"])
@pytest.mark.parametrize("counts", [[20, 10, 5, 1, 1, 1, 1, 1], [150, 200, 50], [34, 33, 33, 1, 1]])
def test_resampling_agrees_with_enumeration(drawing: Drawing, counts: list[int]) -> None:
    """Drawn at random, the value lies within four of its stated errors of the exact one."""
    draws = [0, 1, 2, 7, 40]
    exact = majority([counts], [0], draws, drawing=drawing, exact=True)
    drawn = majority([counts], [0], draws, drawing=drawing, exact=False, resamples=4000, seed=1)
    assert exact.exact.all()
    assert not drawn.exact.any()
    assert (np.abs(exact.value - drawn.value) <= 4 * drawn.standard_error + 1e-9).all()
    again = majority([counts], [0], draws, drawing=drawing, exact=False, resamples=4000, seed=1)
    assert np.array_equal(again.value, drawn.value)


def test_prompts_at_once() -> None:
    """Padding, order of wrong answers and other prompts do not change a curve; an unseen answer is worth 0."""
    draws = [1, 3, 8]
    table = majority([[5, 3, 0, 0], [3, 5, 0, 0], [2, 4, 1, 1], [1, 4, 0, 3]], [0, 1, 0, -1], draws).value
    assert np.array_equal(table[0], table[1])
    assert np.array_equal(table[0], majority([[3, 5]], [1], draws).value[0])
    assert np.array_equal(table[2], majority([[1, 2, 1, 4]], [1], draws).value[0])
    assert np.array_equal(table[3], np.zeros(3))


def test_long_tails_are_exact_and_large_votes_resampled() -> None:
    """Hundreds of answers given once cost nothing; thousands of votes are drawn at random, by themselves."""
    tail = majority([[10] + [1] * 200], [0], [1, 50, 210])
    assert tail.exact.all()
    assert tail.value[0, 0] == pytest.approx(10 / 210)
    assert tail.value[0, 2] == pytest.approx(1.0)
    large = majority([[6000, 4000]], [0], [5001], resamples=20)
    assert not large.exact.any()
    assert large.value[0, 0] == 1.0


def test_all_answers_equal_is_certain() -> None:
    """Where every vote is right, any number of votes but none is right."""
    np.testing.assert_allclose(majority([[40]], [0], [0, 1, 40]).value, [[0, 1, 1]], rtol=1e-12)


@pytest.mark.parametrize(
    ("counts", "right", "draws"),
    [([[1, 2]], [0], [4]), ([[1, -2]], [0], [1]), ([[1.5, 2]], [0], [1]), ([[1, 2]], [2], [1]), ([[1, 2]], [0], [-1])],
)
def test_counts_are_checked(counts: list[list[float]], right: list[int], draws: list[int]) -> None:
    """More draws than votes, and counts or columns that are none, are refused."""
    with pytest.raises(InputError):
        majority(counts, right, draws)


def test_one_resample_states_no_error() -> None:
    """A single resample is refused: its error could not be stated."""
    with pytest.raises(InputError):
        majority([[1, 2]], [0], [1], exact=False, resamples=1)
