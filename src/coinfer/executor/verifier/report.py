"""How good a verifier is on held-out questions: ranking and calibration, with intervals over questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from coinfer.records import Record
from coinfer.solver.program import FloatArray

RESAMPLES = 400
BINS = 10


class Figure(Record, frozen=True, kw_only=True):
    """A figure with its 95 % interval: a bootstrap over questions, since answers to one question err together.

    Attributes
    ----------
    value, low, high
        The figure and the ends.
    """

    value: float
    low: float
    high: float


class VerifierReport(Record, frozen=True, kw_only=True):
    """What was seen on questions that were used neither for training nor for calibration.

    Attributes
    ----------
    training_prompts, calibration_prompts, test_prompts
        Different questions.
    test_answers
        Answers to the test questions.
    right
        Share of right ones among these.
    auc
        Chance that a right answer is scored above a wrong one, whatever their questions (ties count half); absent
        where all are right or all wrong.
    auc_within
        The same for answers to one question, the mean over questions that have both: what choosing between answers
        hangs on.
    brier
        Mean squared difference between score and outcome.
    calibration_error
        Mean difference between scores and the share of right answers, over tenths of the answers by score; it is not
        nought in expectation for a perfect verifier either, as each tenth is a finite sample.
    overconfidence
        Mean score minus share of right answers.
    """

    training_prompts: int
    calibration_prompts: int
    test_prompts: int
    test_answers: int
    right: float
    auc: Figure | None = None
    auc_within: Figure | None = None
    brier: Figure
    calibration_error: Figure
    overconfidence: Figure


def auc(scores: FloatArray, right: FloatArray) -> float | None:
    """Return the chance that a right answer is scored above a wrong one, ties counted half (Mann-Whitney).

    Parameters
    ----------
    scores, right
        (answers,); right where at least 0.5.
    """
    good, bad = np.sort(scores[right >= 0.5]), np.sort(scores[right < 0.5])
    if not len(good) or not len(bad):
        return None
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.sum() / (2.0 * len(good) * len(bad)))


def calibration_error(scores: FloatArray, right: FloatArray) -> float:
    """Return the expected calibration error over bins of equal size (Naeini 2015; Guo 1706.04599)."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(BINS, len(order)))
    return float(sum(abs(scores[part].mean() - right[part].mean()) * len(part) for part in parts) / len(order))


def measured(
    questions: Sequence[str],
    scores: FloatArray,
    right: FloatArray,
    *,
    training_prompts: int,
    calibration_prompts: int,
    seed: int = 0,
) -> VerifierReport:
    """Return the report of test answers.

    Parameters
    ----------
    questions, scores, right
        (answers,): the question of each, its score and how right it is.
    training_prompts, calibration_prompts
        Different questions used before.
    seed
        Of the bootstrap.
    """
    _, place = np.unique(np.asarray(questions, dtype=object).astype(str), return_inverse=True)
    own = [np.flatnonzero(place == i) for i in range(int(place.max()) + 1)]
    inside = [(i, value) for i, rows in enumerate(own) if (value := auc(scores[rows], right[rows])) is not None]
    inner = dict(inside)

    def of_rows(figure: Callable[[FloatArray, FloatArray], float | None]) -> Callable[[Sequence[int]], float | None]:
        def found(drawn: Sequence[int]) -> float | None:
            rows = np.concatenate([own[i] for i in drawn])
            return figure(scores[rows], right[rows])

        return found

    def within(drawn: Sequence[int]) -> float | None:
        values = [inner[i] for i in drawn if i in inner]
        return float(np.mean(values)) if values else None

    whole = range(len(own))
    brier = _figure(of_rows(lambda s, r: float(np.mean((s - r) ** 2))), whole, seed)
    error = _figure(of_rows(calibration_error), whole, seed)
    over = _figure(of_rows(lambda s, r: float(np.mean(s - r))), whole, seed)
    assert brier is not None and error is not None and over is not None  # noqa: S101, PT018  # never undefined
    return VerifierReport(
        training_prompts=training_prompts,
        calibration_prompts=calibration_prompts,
        test_prompts=len(own),
        test_answers=len(scores),
        right=float(right.mean()),
        auc=_figure(of_rows(auc), whole, seed),
        auc_within=_figure(within, whole, seed),
        brier=brier,
        calibration_error=error,
        overconfidence=over,
    )


def _figure(of: Callable[[Sequence[int]], float | None], whole: Sequence[int], seed: int) -> Figure | None:
    """Return a figure with its interval; ``None`` where it is not defined."""
    value = of(whole)
    if value is None:
        return None
    random = np.random.default_rng(seed)
    drawn = [of(random.integers(len(whole), size=len(whole)).tolist()) for _ in range(RESAMPLES)]
    low, high = np.quantile([each for each in drawn if each is not None], (0.025, 0.975))
    return Figure(value=value, low=float(low), high=float(high))
