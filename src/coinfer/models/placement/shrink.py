r"""How far counts of transitions are drawn toward a guess, and how the strength of that is chosen.

A plan that is fitted to a few hundred tokens follows their chances. Its objective is linear in the counts, so what it
should be fitted to is their mean under what is believed of tokens not seen yet. With a Dirichlet prior of weight
:math:`\kappa` on each expert's row that mean is :math:`n_e (n_{ef} + \kappa p_{ef}) / (n_e + \kappa)`, where :math:`p`
is the guess:

``independent``
    :math:`p_{ef} = q_f`, the next layer's share of tokens, whatever the expert.
``other choices``
    What the second and further experts of the same tokens say: where tokens go that have ``e`` among their top_k.
    For traces that are read as top-1 although their tokens have further choices.

The strength is the one under which the transitions of folds left out are likeliest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coinfer.errors import InputError, Plain, ProblemError
from coinfer.models.placement.parts import Shrinkage
from coinfer.solver.program import FloatArray

CANDIDATES = (0.0, *(step * 10.0**power for power in range(5) for step in (1.0, 2.0, 5.0)), 1e5)
"""Strengths that are tried."""
GUESS_TOKENS = 1.0
"""Tokens' weight of the next layer's shares in what the other choices say, so that none of its rows is empty."""


def other_choices(all_pairs: FloatArray) -> FloatArray:
    """Return the guess from the counts of all top_k x top_k pairs, (layers - 1, experts, experts); rows add up to 1."""
    share = _shares(all_pairs, smoothing=0.0)
    guess: FloatArray = (all_pairs + GUESS_TOKENS * share) / (all_pairs.sum(axis=2, keepdims=True) + GUESS_TOKENS)
    return guess


def drawn(counts: FloatArray, guess: FloatArray, strength: float) -> FloatArray:
    """Return counts drawn toward a guess; the sum of each row stays what it was.

    Parameters
    ----------
    counts
        (layers - 1, experts, experts).
    guess
        Of a shape that broadcasts to the counts'; rows add up to 1.
    strength
        Weight of the guess in each row, in tokens.
    """
    if strength == 0.0:
        return counts
    row = counts.sum(axis=2, keepdims=True)
    result: FloatArray = row * (counts + strength * guess) / (row + strength)
    return result


def choose_strength(
    folds: Sequence[FloatArray],
    *,
    all_pairs: Sequence[FloatArray] | None = None,
    candidates: Sequence[float] = CANDIDATES,
) -> Shrinkage:
    """Choose the strength by cross-validation.

    Each fold is scored by the mean log-likelihood of its transitions, of the next expert given the current one,
    under the counts of all other folds. There, every expert's share of the tokens counts half a token more than was
    seen, so that an expert met in one fold only is unlikely, but not impossible.

    Parameters
    ----------
    folds
        Counts of each fold, (layers - 1, experts, experts); folds are whole sequences, or stretches of a trace.
    all_pairs
        Counts of all top_k x top_k pairs in each fold; absent: the guess is that layers are independent.
    candidates
        Strengths to try; those under which a transition is impossible are left out of the result.

    Raises
    ------
    ProblemError
        If there are fewer than two folds with transitions, or no candidate has a finite score.
    """
    kept = [i for i, fold in enumerate(folds) if fold.sum() > 0.0]
    if len(kept) < 2:
        raise ProblemError("folds", expected="at least two with transitions", found=Plain(f"{len(kept)}"))
    if all_pairs is not None and len(all_pairs) != len(folds):
        raise InputError("all_pairs", expected=f"counts of {len(folds)} folds", found=len(all_pairs))
    total = np.sum(folds, axis=0)
    total_pairs = None if all_pairs is None else np.sum(all_pairs, axis=0)
    sums = np.zeros(len(candidates))
    for i in kept:
        seen = total - folds[i]
        guess = _shares(seen, smoothing=0.5)
        if all_pairs is not None and total_pairs is not None:
            pairs = total_pairs - all_pairs[i]
            guess = (pairs + GUESS_TOKENS * guess) / (pairs.sum(axis=2, keepdims=True) + GUESS_TOKENS)
        sums += _log_likelihoods(folds[i], seen, guess, candidates)
    finite: list[int] = np.flatnonzero(np.isfinite(sums)).tolist()
    if not finite:
        raise ProblemError("candidates", expected="a strength above 0", found=list(candidates))
    scores = sums[finite] / float(total.sum())
    return Shrinkage(
        strength=float(candidates[finite[int(np.argmax(scores))]]),
        toward="independent" if all_pairs is None else "other_choices",
        candidates=tuple(float(candidates[i]) for i in finite),
        scores=tuple(scores.tolist()),
        folds=len(kept),
    )


def next_shares(counts: FloatArray) -> FloatArray:
    """Return the next layer's share of tokens of each expert, (layers - 1, 1, experts)."""
    return _shares(counts, smoothing=0.0)


def _shares(counts: FloatArray, *, smoothing: float) -> FloatArray:
    """Return the next layer's share of each expert, (layers - 1, 1, experts)."""
    column = counts.sum(axis=1, keepdims=True) + smoothing
    total = column.sum(axis=2, keepdims=True)
    shares: FloatArray = np.divide(column, total, out=np.full(column.shape, 1.0 / column.shape[2]), where=total > 0.0)
    return shares


def _log_likelihoods(
    scored: FloatArray, seen: FloatArray, guess: FloatArray, candidates: Sequence[float]
) -> FloatArray:
    """Return the log-likelihood of the scored transitions under each strength, in nats; minus infinity where 0."""
    where = np.nonzero(scored)
    times, count = scored[where], seen[where]
    row = seen.sum(axis=2)[where[0], where[1]]
    expected = np.broadcast_to(guess, seen.shape)[where]
    result = np.zeros(len(candidates))
    for i, strength in enumerate(candidates):
        chance = np.divide(count + strength * expected, row + strength, out=expected.copy(), where=row + strength > 0.0)
        with np.errstate(divide="ignore"):
            result[i] = float(times @ np.log(chance))
    return result
