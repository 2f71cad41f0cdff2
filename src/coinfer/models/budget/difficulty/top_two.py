r"""Two plausible answers per question: who is reliable, and how confusing is each question (arXiv 2301.00006).

A worker (a model, or one sample of it) of reliability :math:`r` that answers one of K choices gives the right answer of
a task with chance :math:`r q + (1 - r) / K`, the task's one confusing answer with :math:`r (1 - q) + (1 - r) / K`, and
each other with :math:`(1 - r) / K`; :math:`1 - q` is the confusion of the task, at most one half (section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.solver.program import FloatArray, IntArray

GRID = 51
"""Points on which likelihoods of one unknown in 0..1 are compared."""
_EDGE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopTwo:
    """What the answers of several workers say.

    Attributes
    ----------
    answer, second
        (tasks,): the likeliest answer and its rival, counted from 0.
    confusion
        (tasks,): chance, 0 to 0.5, that a reliable worker gives the rival; a measure of difficulty.
    reliability
        (workers,): in 0..1.
    """

    answer: IntArray
    second: IntArray
    confusion: FloatArray
    reliability: FloatArray


def top_two(answers: IntArray, *, choices: int, rounds: int = 2) -> TopTwo:
    """Estimate answers, rivals, confusion and reliabilities.

    Stage 1 is spectral: indicators of each choice, less their mean under guessing, have rank one in expectation, with
    the reliabilities as left factor (the paper splits choices by thresholds; the factor is the same). Stage 2 puts
    these into the likelihood of each task and takes its maximum over both answers and the confusion. Then
    reliabilities and tasks are fitted in turn.

    Parameters
    ----------
    answers
        (workers, tasks): a choice counted from 0, or -1 where none was given.
    choices
        How many there are, at least 2.
    rounds
        How often stage 2 is repeated with re-fitted reliabilities.

    Raises
    ------
    ProblemError
        For other numbers, or a task without any answer.
    """
    if answers.ndim != 2 or not answers.size or choices < 2:
        found = Plain(f"shape {answers.shape} and {choices} choice(s)")
        raise ProblemError("answers", expected="a matrix (workers, tasks) and at least 2 choices", found=found)
    if answers.min() < -1 or answers.max() >= choices:
        found = Plain(f"{answers.min()}..{answers.max()}")
        raise ProblemError("answers", expected=f"numbers in 0..{choices - 1}, or -1 for none", found=found)
    given = answers >= 0
    if not given.any(axis=0).all():
        task = int(np.argmin(given.any(axis=0)))
        raise ProblemError(f"answers[:][{task}]", expected="at least one answer", found=Plain("none"))
    reliability = _spectral(answers, choices)
    answer, second, confusion = _tasks(answers, choices, reliability)
    for _ in range(rounds - 1):
        reliability = _workers(answers, choices, answer, second, confusion)
        answer, second, confusion = _tasks(answers, choices, reliability)
    return TopTwo(answer=answer, second=second, confusion=confusion, reliability=reliability)


def majority(answers: IntArray, *, choices: int) -> IntArray:
    """Return the most frequent answer of each task, the first of equals."""
    found: IntArray = _counts(answers, choices).argmax(axis=1)
    return found


def _counts(answers: IntArray, choices: int) -> IntArray:
    counts: IntArray = np.stack([(answers == choice).sum(axis=0) for choice in range(choices)], axis=1)
    return counts


def _spectral(answers: IntArray, choices: int) -> FloatArray:
    """Return the leading left factor, scaled so that as many answers agree between workers as it says."""
    given = (answers >= 0).astype(np.float64)
    shared = given @ given.T
    agree = np.zeros_like(shared)
    for choice in range(choices):
        mine = np.where(answers >= 0, (answers == choice) - 1.0 / choices, 0.0)
        agree += mine @ mine.T
    kernel = np.divide(agree, shared, out=np.zeros_like(agree), where=shared > 0)
    factor = np.full(len(answers), np.sqrt(max(float(kernel.mean()), _EDGE)))
    for _ in range(20):  # the diagonal is no product of two workers: it is what the factor says, until both agree
        np.fill_diagonal(kernel, factor**2)
        values, vectors = np.linalg.eigh(kernel)
        factor = vectors[:, -1] * np.sqrt(max(float(values[-1]), 0.0))
        factor = np.abs(factor) if factor.sum() == 0 else factor * np.sign(factor.sum())
    rates = _counts(answers, choices) / given.sum(axis=0)[:, None]
    # E[factor_i factor_j] = r_i r_j (q^2 + (1-q)^2 - 1/K): the mean over tasks is taken from the most voted two
    best = np.sort(rates, axis=1)[:, -2:]
    share = best[:, 1] / best.sum(axis=1)
    spread = float(np.mean(share**2 + (1.0 - share) ** 2)) - 1.0 / choices
    reliability: FloatArray = np.clip(factor / np.sqrt(max(spread, _EDGE)), _EDGE, 1.0 - _EDGE)
    return reliability


def _tasks(answers: IntArray, choices: int, reliability: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the maximum of each task's likelihood over (answer, second, confusion)."""
    grid = np.linspace(0.0, 1.0, 2 * GRID - 1)  # of q and 1 - q alike
    guess = (1.0 - reliability) / choices
    logarithm = np.log(np.outer(reliability, grid) + guess[:, None])
    score = np.stack([(answers == choice).T.astype(np.float64) @ logarithm for choice in range(choices)], axis=1)
    rest = score[:, :, 0].sum(axis=1)
    best = np.full(answers.shape[1], -np.inf)
    answer, second = np.zeros(len(best), dtype=np.int64), np.zeros(len(best), dtype=np.int64)
    confusion = np.zeros(len(best))
    for first in range(choices):
        for other in range(choices):
            if first == other:
                continue
            own = score[:, first, GRID - 1 :] + score[:, other, GRID - 1 :: -1]
            own = own - (score[:, first, :1] + score[:, other, :1]) + rest[:, None]
            place = own.argmax(axis=1)
            value = own[np.arange(len(own)), place]
            better = value > best + 1e-12
            best[better] = value[better]
            answer[better], second[better] = first, other
            confusion[better] = 1.0 - grid[GRID - 1 :][place[better]]
    return answer, second, confusion


def _workers(answers: IntArray, choices: int, answer: IntArray, second: IntArray, confusion: FloatArray) -> FloatArray:
    """Return the maximum of each worker's likelihood, its tasks as they are."""
    chance = np.where(answers == answer, 1.0 - confusion, np.where(answers == second, confusion, 0.0))
    grid = np.linspace(_EDGE, 1.0 - _EDGE, GRID)
    likelihood = np.stack(
        [np.where(answers >= 0, np.log(r * chance + (1.0 - r) / choices), 0.0).sum(axis=1) for r in grid], axis=1
    )
    found: FloatArray = grid[likelihood.argmax(axis=1)]
    return found
