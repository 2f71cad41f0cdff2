"""Counts drawn toward a guess, and the strength chosen on folds left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coinfer.errors import InputError, ProblemError
from coinfer.models.placement.shrink import CANDIDATES, choose_strength, drawn, next_shares, other_choices
from coinfer.solver.program import FloatArray

COUNTS = hnp.arrays(np.float64, (2, 3, 3), elements=st.integers(0, 20).map(float))


def independent(counts: FloatArray) -> FloatArray:
    """Return the next layer's shares, computed plainly."""
    total = counts.sum(axis=(1, 2), keepdims=True)
    shares: FloatArray = counts.sum(axis=1, keepdims=True) / np.where(total > 0.0, total, 1.0)
    return shares


@given(counts=COUNTS, strength=st.floats(0.0, 1e4))
def test_row_sums_stay(counts: FloatArray, strength: float) -> None:
    """Whatever the strength, as many tokens visit each expert as before."""
    made = drawn(counts, other_choices(counts), strength)
    assert np.allclose(made.sum(axis=2), counts.sum(axis=2), rtol=1e-9, atol=1e-9)
    assert (made >= 0.0).all()


@given(counts=COUNTS, strength=st.sampled_from([0.0, 0.5, 3.0, 100.0]))
def test_toward_independence_is_the_problems_formula(counts: FloatArray, strength: float) -> None:
    """With independent layers as the guess the result is what a problem's shrinkage does."""
    assert np.allclose(drawn(counts, independent(counts), strength), drawn(counts, next_shares(counts), strength))


@given(counts=COUNTS)
def test_other_choices_are_shares(counts: FloatArray) -> None:
    """Every row of the guess adds up to 1 where the layer has counts, and none is negative."""
    guess = other_choices(counts)
    assert np.allclose(guess.sum(axis=2), 1.0)
    assert (guess >= 0.0).all()


def plain_score(folds: list[FloatArray], strength: float) -> float:
    """Return the cross-validated log-likelihood per transition, one transition at a time."""
    total, count = 0.0, 0.0
    for i, fold in enumerate(folds):
        seen = sum((other for j, other in enumerate(folds) if j != i), start=np.zeros_like(fold))
        for layer, e, f in np.argwhere(fold > 0):
            column = seen[layer].sum(axis=0) + 0.5
            chance = (seen[layer, e, f] + strength * column[f] / column.sum()) / (seen[layer, e].sum() + strength)
            total += fold[layer, e, f] * np.log(chance)
            count += fold[layer, e, f]
    return total / count


@settings(max_examples=40)
@given(folds=st.lists(COUNTS, min_size=2, max_size=4))
def test_scores_equal_counting_one_by_one(folds: list[FloatArray]) -> None:
    """Each score is the mean log-likelihood of the folds left out, and the chosen strength has the best."""
    if sum(fold.sum() > 0 for fold in folds) < 2:
        with pytest.raises(ProblemError, match="at least two"):
            choose_strength(folds)
        return
    made = choose_strength(folds, candidates=(1.0, 10.0))
    assert made.scores == pytest.approx([plain_score(folds, strength) for strength in made.candidates])
    assert made.strength == made.candidates[int(np.argmax(made.scores))]
    assert made.folds == sum(fold.sum() > 0 for fold in folds)


def sampled(rng: np.random.Generator, chances: FloatArray, tokens: int) -> FloatArray:
    """Draw transitions of tokens that start anywhere."""
    counts = np.zeros((1, len(chances), len(chances)))
    for e in rng.integers(0, len(chances), tokens):
        counts[0, e, rng.choice(len(chances), p=chances[e])] += 1.0
    return counts


def test_independent_layers_are_drawn_strongly_and_sure_ones_hardly() -> None:
    """Where the next expert does not depend on this one the strength is large, where it is certain it is small."""
    rng = np.random.default_rng(1)
    free = np.full((6, 6), 1 / 6)
    bound = 0.97 * np.eye(6) + 0.005
    loose = choose_strength([sampled(rng, free, 100) for _ in range(5)])
    tight = choose_strength([sampled(rng, bound / bound.sum(axis=1, keepdims=True), 100) for _ in range(5)])
    assert loose.strength >= 100.0
    assert tight.strength <= 10.0


def test_zero_is_a_candidate_only_where_it_is_finite() -> None:
    """A transition met in one fold only is impossible without shrinkage, so 0 has no score then."""
    same = [np.array([[[3.0, 1.0], [1.0, 3.0]]])] * 3
    assert 0.0 in choose_strength(same).candidates
    other = [*same, np.array([[[0.0, 0.0], [0.0, 0.0]]]), np.array([[[1.0, 0.0], [0.0, 0.0]]])]
    assert choose_strength(other).candidates == CANDIDATES
    apart = [np.array([[[3.0, 0.0], [0.0, 3.0]]]), np.array([[[0.0, 3.0], [3.0, 0.0]]])]
    assert 0.0 not in choose_strength(apart).candidates


def test_other_choices_that_tell_the_truth_are_followed() -> None:
    """Where further choices show the same affinity with more tokens, they are drawn to and beat independence."""
    rng = np.random.default_rng(2)
    chances = 0.7 * np.eye(8) + 0.3 / 8
    folds = [sampled(rng, chances, 40) for _ in range(5)]
    pairs = [fold + sampled(rng, chances, 400) for fold in folds]
    blind, told = choose_strength(folds), choose_strength(folds, all_pairs=pairs)
    assert max(told.scores) > max(blind.scores) + 0.02
    assert told.strength >= blind.strength


def test_bad_arguments_are_refused() -> None:
    """Too few folds, pairs of another number of folds and no possible candidate are one sentence each."""
    fold = np.ones((1, 2, 2))
    with pytest.raises(ProblemError, match="at least two"):
        choose_strength([fold, np.zeros((1, 2, 2))])
    with pytest.raises(InputError, match="counts of 2 folds"):
        choose_strength([fold, fold], all_pairs=[fold])
    with pytest.raises(ProblemError, match="a strength above 0"):
        choose_strength([np.eye(2)[None], 1.0 - np.eye(2)[None]], candidates=(0.0,))


def test_real_trace_prefers_what_other_choices_say(shared_data: Path) -> None:
    """On the real trace of Mixtral, a token's further choices make the first ones likelier than independence does."""
    path = shared_data / "routing_traces" / "mixtral_8x7b_gsm8k.npz"
    with np.load(path) as archive:
        experts = archive["experts"].astype(int)

    def counted(tokens: FloatArray, top_k: int) -> FloatArray:
        counts = np.zeros((31, 8, 8))
        for layer in range(31):
            met = Counter((e, f) for token in tokens for e in token[layer, :top_k] for f in token[layer + 1, :top_k])
            for (e, f), count in met.items():
                counts[layer, e, f] = count
        return counts

    folds = np.array_split(experts, 5)
    first = [counted(fold, 1) for fold in folds]
    blind = choose_strength(first)
    told = choose_strength(first, all_pairs=[counted(fold, 2) for fold in folds])
    assert 5.0 <= blind.strength <= 50.0
    assert max(told.scores) > max(blind.scores)
