"""Best of k under a scorer, from n scored samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import InputError
from coinfer.solver.program import FloatArray, IntArray

TIE = 1e-9


def best_of(correct: ArrayLike, scores: ArrayLike, draws: ArrayLike) -> FloatArray:
    r"""Return what the best-scored of k samples is worth, exactly: the mean over all subsets of k of the n samples.

    With the samples sorted by score, best first, it is :math:`\sum_j y_{(j)} \binom{n-j}{k-1} / \binom{n}{k}`: sample j
    is picked where it is drawn and none before it. It need not rise with k: a scorer that likes wrong answers makes it
    fall.

    Parameters
    ----------
    correct
        Worth y of each sample, 0 or 1 or a grade, (..., n).
    scores
        Its score, (..., n), higher is better. Equal scores: one of them at random, each as likely.
    draws
        Numbers of samples k, (draws,), from 0 (worth nothing) to n.

    Returns
    -------
    FloatArray
        (..., draws).

    Raises
    ------
    InputError
        If a k is above n, or a score is no number.

    Notes
    -----
    A U-statistic, thus without bias and of least variance (Hoeffding 1948).

    >>> best_of([1, 0, 1], [0.9, 0.5, 0.1], [1, 2, 3]).round(12).tolist()
    [0.666666666667, 0.666666666667, 1.0]
    """
    y, s = np.asarray(correct, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if y.shape != s.shape or not y.ndim or not y.shape[-1]:
        raise InputError("scores", expected=f"one number per sample, {y.shape}", found=s.shape)
    if np.isnan(s).any() or not np.isfinite(y).all():
        raise InputError("scores", expected="numbers", found="not a number")
    order = np.argsort(-s, axis=-1, kind="stable")
    y, s = np.take_along_axis(y, order, axis=-1), np.take_along_axis(s, order, axis=-1)
    picked: FloatArray = _tied_means(y, s) @ rank_weights(y.shape[-1], draws)
    return picked


def rank_weights(samples: int, draws: ArrayLike) -> FloatArray:
    r"""Return the chance that the best of k is the j-th best of n, :math:`\binom{n-j}{k-1} / \binom{n}{k}`, (n, draws).

    By the recurrence over j, whose factors are at most 1: nothing overflows, and what underflows is nought.
    """
    k = np.atleast_1d(np.asarray(draws, dtype=np.float64))
    if k.ndim != 1 or not ((k >= 0) & (k <= samples) & (k == np.floor(k))).all():
        raise InputError("draws", expected=f"whole numbers from 0 to {samples}, the samples", found=k.tolist())
    left = samples - np.arange(1, samples, dtype=np.float64)[:, None]  # n - j
    factors = np.concatenate([k[None] / samples, np.maximum((left - k + 1) / left, 0.0)])
    weights: FloatArray = np.cumprod(factors, axis=0)
    return weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResampledCurve:
    """A curve found by drawing at random, (draws,) each.

    Attributes
    ----------
    value
        Mean over the resamples.
    standard_error
        Of ``value`` as the mean over *all* subsets: the error of resampling, not that of having only n samples.
    """

    value: FloatArray
    standard_error: FloatArray


def weighted_best_of(
    answers: ArrayLike,
    scores: ArrayLike,
    right: int,
    draws: ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> ResampledCurve:
    """Return how often the answer with the largest sum of scores among k samples is the right one.

    Each resample is one order of the n samples, drawn without replacement; its first k stand for every k, so the
    values of different k share their noise and a difference between them is better known than either.

    Parameters
    ----------
    answers
        Answer of each sample, (n,), numbered from 0.
    scores
        Its score, (n,). Negative ones count against the answer. Sums within 1e-9 of each other, relative to the scores'
        total size, are ties, split evenly.
    right
        The right answer; -1 if no sample has it.
    draws
        Numbers of samples k, (draws,), from 0 (worth nothing) to n.
    resamples, seed
        How many orders, and from which seed.

    Notes
    -----
    "Best-of-N weighted" of Snell et al. 2408.03314, section 5.1, after Li et al. 2206.02336.
    """
    a, s = np.asarray(answers, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    k = np.atleast_1d(np.asarray(draws, dtype=np.int64))
    if a.ndim != 1 or a.shape != s.shape or not np.isfinite(s).all() or (a < 0).any():
        raise InputError("scores", expected=f"one finite number per answer, {a.shape}", found=s.shape)
    if not ((k >= 0) & (k <= len(a))).all():
        raise InputError("draws", expected=f"whole numbers from 0 to {len(a)}, the samples", found=k.tolist())
    if resamples < 2:
        raise InputError("resamples", expected="at least 2, else there is no error to state", found=resamples)
    generator = np.random.default_rng(seed)
    order = generator.permuted(np.tile(np.arange(len(a)), (resamples, 1)), axis=1)
    hits = _prefix_winners(a[order], s[order], right, k)
    return ResampledCurve(value=hits.mean(axis=0), standard_error=hits.std(axis=0, ddof=1) / np.sqrt(resamples))


def _prefix_winners(answers: IntArray, scores: FloatArray, right: int, draws: IntArray) -> FloatArray:
    """Return the right answer's share of the win after the first k of each row, (rows, draws)."""
    rows = len(answers)
    kinds = int(answers.max(initial=-1)) + 1
    hits = np.zeros((rows, len(draws)))
    if not 0 <= right < kinds:
        return hits
    sums, drawn = np.zeros((rows, kinds)), np.zeros((rows, kinds), dtype=np.bool_)
    near = TIE * float(np.abs(scores[0]).sum())
    row, done = np.arange(rows), 0
    for place in np.argsort(draws, kind="stable"):
        while done < draws[place]:
            sums[row, answers[:, done]] += scores[:, done]
            drawn[row, answers[:, done]] = True
            done += 1
        if done:
            standing = np.where(drawn, sums, -np.inf)
            first = standing >= standing.max(axis=1, keepdims=True) - near
            hits[:, place] = first[:, right] / first.sum(axis=1)
    return hits


def _tied_means(y: FloatArray, scores: FloatArray) -> FloatArray:
    """Return each worth replaced by the mean over the samples with the same score; rows are sorted by score."""
    new = np.ones(y.shape, dtype=np.bool_)
    new[..., 1:] = scores[..., 1:] != scores[..., :-1]
    group = np.cumsum(new.ravel()) - 1  # every row begins a group, so no group spans two rows
    means: FloatArray = (np.bincount(group, weights=y.ravel()) / np.bincount(group))[group].reshape(y.shape)
    return means
