"""Claims by planning on one part of the data and scoring on the other: free of selection, whatever the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.models.budget.calibration.claim import LEVEL, Claimed, claimed
from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import FloatArray, IntArray

P = TypeVar("P")
FOLDS = 5
REPEATS = 4


def claim_by_cross_fitting(
    outcomes: Outcomes,
    plan: Callable[[Outcomes], P],
    score: Callable[[P, Outcomes], FloatArray],
    *,
    by: Literal["samples", "prompts"] = "prompts",
    folds: int = FOLDS,
    repeats: int = REPEATS,
    level: float = LEVEL,
    scored_prompts: int | None = None,
    seed: int = 0,
) -> Claimed:
    """Plan on all folds but one, score on that one, and average.

    ``by`` samples: the claim is the mean score of plans made on a share of (folds - 1) / folds of the data, rarely
    better than that of all. Folds are not independent, since each is used to plan for the others; the variance is
    corrected for that as Nadeau and Bengio (Machine Learning 52, 2003) do.

    ``by`` prompts: the claim is of the plan made on all, so it starts from its score on those; what fold plans score
    less on the fold left out than on their own prompts is taken off (Efron, JASA 78, 1983: the optimism), times the
    root of (folds - 1) / folds, since that of a pick falls with the root of the number of prompts. A plan that no fold
    changes loses nothing, and plans that differ in what they spend are not averaged. The optimism counts as one
    standard error more: it is known from few changes of plan.

    Parameters
    ----------
    outcomes
        All that there is.
    plan
        Makes a plan from outcomes.
    score
        Unbiased value of the plan on each prompt of other outcomes, (prompts,): of the same prompts with other samples
        (``by`` samples), or of other prompts of the same kind (``by`` prompts).
    by
        ``samples``: the claim is for the same prompts, and its interval is that of their samples. ``prompts``: for
        other prompts, and its interval holds the difference between prompts.
    folds
        Parts, at least 2.
    repeats
        With ``by`` prompts: times that the prompts are parted anew, at least 1.
    scored_prompts
        With ``by`` prompts: the value will be measured on so many others; absent: the interval is for the mean over all
        prompts of the kind.

    Raises
    ------
    InputError
        For fewer than 2 folds, fewer prompts than folds, or scores of another shape.
    """
    count = len(outcomes.prompts)
    if folds < 2 or (by == "prompts" and count < max(folds, 3)):
        raise InputError("folds", expected="at least 2 folds, and no more than there are prompts", found=folds)
    if not 0.0 < level < 1.0:
        raise InputError("level", expected="a probability above 0 and below 1", found=level)
    if by == "samples":
        scores = np.array([_scored(plan(rest), score, held) for rest, held in sample_folds(outcomes, folds, seed=seed)])
        share = 1.0 / folds + 1.0 / (folds - 1)  # each prompt's pick rests on the folds that score the other picks
        variance = float(scores.var(axis=0, ddof=1).sum()) * share / count**2
    else:
        scores = _scored(plan(outcomes), score, outcomes)
        optimism = _optimism(outcomes, plan, score, folds=folds, repeats=repeats, seed=seed)
        share = 1.0 / count + (0.0 if scored_prompts is None else 1.0 / scored_prompts)
        variance = float(scores.var(ddof=1)) * share + optimism**2
        return claimed(
            float(scores.mean()) - optimism, variance, level=level, basis=f"score less the optimism of {folds} folds"
        )
    return claimed(float(scores.mean()), variance, level=level, basis=f"planned and scored on {folds} folds of {by}")


def _optimism(
    outcomes: Outcomes,
    plan: Callable[[Outcomes], P],
    score: Callable[[P, Outcomes], FloatArray],
    *,
    folds: int,
    repeats: int,
    seed: int,
) -> float:
    """Return how much better a plan of all scores on its prompts than on others, as plans of all folds but one do."""
    count, random, lost = len(outcomes.prompts), np.random.default_rng(seed), 0.0
    for _ in range(repeats):
        order = random.permutation(count)
        for held in np.array_split(order, folds):
            rest = outcomes.only(np.setdiff1d(order, held))
            made = plan(rest)
            own, other = _scored(made, score, rest), _scored(made, score, outcomes.only(held))
            lost += float(own.mean() - other.mean()) * len(held)
    return lost / (count * repeats) * math.sqrt((folds - 1) / folds)


def sample_folds(outcomes: Outcomes, folds: int, *, seed: int) -> list[tuple[Outcomes, Outcomes]]:
    """Split the samples of each cell at random into folds of nearly one size; return (all others, the fold) of each."""
    random = np.random.default_rng(seed)
    right, drawn = outcomes.successes.copy(), outcomes.samples.copy()
    parts = []
    for left in range(folds, 0, -1):
        size = drawn // left
        hits = random.hypergeometric(right, drawn - right, size).astype(np.int64)
        parts.append((hits, size))
        right, drawn = right - hits, drawn - size
    pairs = []
    for hits, size in parts:
        rest = (outcomes.successes - hits, outcomes.samples - size)
        pairs.append((_with(outcomes, *rest), _with(outcomes, hits, size)))
    return pairs


def _scored(made: P, score: Callable[[P, Outcomes], FloatArray], held: Outcomes) -> FloatArray:
    values = score(made, held)
    if values.shape != (len(held.prompts),) or not np.isfinite(values).all():
        found = Plain(f"shape {values.shape}")
        raise InputError("score", expected=f"a finite value for each of {len(held.prompts)} prompts", found=found)
    return values


def _with(outcomes: Outcomes, successes: IntArray, samples: IntArray) -> Outcomes:
    return Outcomes(
        prompts=outcomes.prompts,
        arms=outcomes.arms,
        successes=successes.astype(np.int64),
        samples=samples.astype(np.int64),
        resources=outcomes.resources,
        sample_cost=outcomes.sample_cost,
        labels=outcomes.labels,
    )
