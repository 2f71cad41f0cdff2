"""Figures of a verifier on held-out questions are what their definitions say."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.executor.verifier.report import auc, calibration_error, measured


def test_auc_is_the_share_of_ordered_pairs() -> None:
    """It equals the count over all pairs, ties half; and is not defined with one kind of answers."""
    random = np.random.default_rng(0)
    scores, right = random.integers(0, 6, 60) / 5.0, (random.random(60) < 0.4).astype(float)
    pairs = [np.sign(a - b) for a in scores[right == 1.0] for b in scores[right == 0.0]]
    assert auc(scores, right) == pytest.approx((np.mean(pairs) + 1.0) / 2.0)
    assert auc(scores, np.ones(60)) is None


def test_calibration_error_is_small_where_scores_are_chances_and_large_where_they_are_not() -> None:
    """Outcomes drawn with the scores as chances give about the noise of their bins; shifted scores give the shift."""
    random = np.random.default_rng(1)
    scores = random.random(20_000)
    right = (random.random(20_000) < scores).astype(float)
    assert calibration_error(scores, right) < 0.015
    assert calibration_error(0.8 + 0.0 * scores, right) == pytest.approx(0.3, abs=0.02)


def test_intervals_are_over_questions_and_ranking_within_questions_is_told_apart() -> None:
    """A score that knows how hard a question is but nothing of its answers ranks all answers, and none within."""
    random = np.random.default_rng(2)
    hard = np.repeat(random.random(200), 8)
    right = (random.random(1600) < hard).astype(float)
    questions = [f"q{i // 8}" for i in range(1600)]
    report = measured(questions, hard, right, training_prompts=1, calibration_prompts=1)
    assert report.test_prompts == 200
    assert report.auc is not None
    assert report.auc_within is not None
    assert report.auc.low > 0.7
    assert report.auc_within.value == 0.5
    for figure in (report.auc, report.brier, report.calibration_error, report.overconfidence):
        assert figure.low < figure.high
    assert report.overconfidence.low < 0.0 < report.overconfidence.high
    alone = measured(questions, hard, np.ones(1600), training_prompts=1, calibration_prompts=1)
    assert alone.auc is None
    assert alone.auc_within is None
