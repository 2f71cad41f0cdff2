"""The two-stage estimator of the top-two crowdsourcing model."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.errors import ProblemError
from coinfer.models.budget.difficulty.top_two import majority, top_two
from coinfer.testing.difficulty import crowd


@pytest.mark.parametrize(("workers", "choices", "given"), [(30, 5, 1.0), (50, 3, 1.0), (60, 6, 0.4)])
def test_it_beats_majority_on_its_own_model(workers: int, choices: int, given: float) -> None:
    """With workers of different reliability the estimate is right more often than the majority, over five draws."""
    better = []
    for seed in range(5):
        drawn = crowd(workers, 400, choices, seed=seed, given=given)
        found = top_two(drawn.answers, choices=choices)
        ours, votes = found.answer == drawn.truth, majority(drawn.answers, choices=choices) == drawn.truth
        better.append(ours.mean() - votes.mean())
    assert np.mean(better) > 0.01
    assert min(better) > -0.01


def test_it_recovers_what_the_answers_were_drawn_from() -> None:
    """With many workers answers, rivals, confusion and reliabilities come back."""
    drawn = crowd(150, 500, 6, seed=1)
    found = top_two(drawn.answers, choices=6)
    assert (found.answer == drawn.truth).mean() > 0.93
    apart = drawn.confusion > 0.15
    assert (found.second == drawn.rival)[apart & (found.answer == drawn.truth)].mean() > 0.9
    assert np.abs(found.reliability - drawn.reliability).mean() < 0.04
    assert np.corrcoef(found.confusion, drawn.confusion)[0, 1] > 0.85


def test_the_spectral_stage_alone_ranks_workers() -> None:
    """One round, before any re-fit, already orders workers by reliability."""
    drawn = crowd(40, 600, 5, seed=2)
    found = top_two(drawn.answers, choices=5, rounds=1)
    assert np.corrcoef(found.reliability, drawn.reliability)[0, 1] > 0.9


def test_unanimous_tasks_are_not_confusing() -> None:
    """Where all say the same, that is the answer and the confusion is 0; where they split evenly, it is one half."""
    answers = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 1], [0, 1, 1]])
    found = top_two(answers, choices=3)
    assert found.answer[:2].tolist() == [0, 1]
    assert found.confusion[:2] == pytest.approx([0.0, 0.0])
    assert {int(found.answer[2]), int(found.second[2])} == {0, 1}
    assert found.confusion[2] == pytest.approx(0.5)


def test_bad_answers_are_refused() -> None:
    """Choices out of range and tasks without answers are one sentence each."""
    with pytest.raises(ProblemError, match=r"answers: expected numbers in 0\.\.1"):
        top_two(np.array([[0, 2]]), choices=2)
    with pytest.raises(ProblemError, match=r"answers\[:\]\[1\]: expected at least one answer"):
        top_two(np.array([[0, -1], [1, -1]]), choices=2)
    with pytest.raises(ProblemError, match="at least 2 choices"):
        top_two(np.zeros((1, 1), dtype=np.int64), choices=1)
