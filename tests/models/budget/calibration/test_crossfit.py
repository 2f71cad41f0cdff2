"""Claims for other prompts: what a plan owes to having been made on its own prompts is taken off, no more."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.models.budget.calibration.crossfit import claim_by_cross_fitting
from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import FloatArray

PROMPTS, ARMS = 60, 8


def outcomes_of(random: np.random.Generator, lead: float) -> Outcomes:
    """Draw ten samples of arms that are worth the same, but for the first, on prompts of one kind."""
    rates = np.clip(random.uniform(0.1, 0.8, (PROMPTS, ARMS)), 0.0, 1.0)
    rates[:, 0] += lead
    return Outcomes(
        prompts=tuple(str(i) for i in range(PROMPTS)),
        arms=tuple(str(i) for i in range(ARMS)),
        successes=random.binomial(10, rates).astype(np.int64),
        samples=np.full(rates.shape, 10, dtype=np.int64),
        resources=(),
        sample_cost=np.zeros((0, *rates.shape)),
    )


def best(part: Outcomes) -> int:
    """Return the arm that was right most often."""
    return int((part.successes / part.samples).mean(axis=0).argmax())


def score(arm: int, part: Outcomes) -> FloatArray:
    """Return how often it was right on each prompt."""
    return np.asarray(part.successes[:, arm] / part.samples[:, arm])


@pytest.mark.parametrize(("lead", "optimism"), [(0.0, 0.03), (0.19, -0.01)])
def test_claims_for_other_prompts_are_neither_too_high_nor_too_low(lead: float, optimism: float) -> None:
    """Over 300 draws the mean claim is what the arm picked is worth, be it luck that picked it or merit."""
    random, gap, plug, inside = np.random.default_rng(0), [], [], []
    for seed in range(300):
        outcomes = outcomes_of(random, lead)
        made = claim_by_cross_fitting(outcomes, best, score, by="prompts", repeats=2, seed=seed)
        truth = 0.45 + (lead if best(outcomes) == 0 else 0.0)
        gap.append(made.value - truth)
        plug.append(score(best(outcomes), outcomes).mean() - truth)
        inside.append(made.low <= truth <= made.high)
    assert abs(np.mean(gap)) < 0.006
    assert np.mean(plug) > optimism
    assert np.mean(inside) >= 0.9
