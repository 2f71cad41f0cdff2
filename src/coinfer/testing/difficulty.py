"""Synthetic outcomes whose truth is known: one factor of difficulty, and answers of the top-two model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import FloatArray, IntArray


def graded_outcomes(
    prompts: int, *, seed: int, arms: int = 3, samples: int = 10, spread: float = 2.0, informative: bool = True
) -> Outcomes:
    """Return outcomes of arms of rising ability and cost on prompts of one factor of difficulty.

    Parameters
    ----------
    prompts, arms, samples
        How many.
    seed
        Of the generator.
    spread
        Standard deviation of the difficulty, in logits.
    informative
        True: labels ``easy`` and ``hard`` follow the difficulty. False: they are thrown with a coin.
    """
    random = np.random.default_rng(seed)
    difficulty = random.normal(0.0, spread, prompts)
    ability = np.linspace(-1.5, 0.5, arms)
    rate = 1.0 / (1.0 + np.exp(difficulty[:, None] - ability))
    said = difficulty > 0.0 if informative else random.random(prompts) < 0.5
    return Outcomes(
        prompts=tuple(f"prompt {i}" for i in range(prompts)),
        arms=tuple(f"arm {i}" for i in range(arms)),
        successes=random.binomial(samples, rate).astype(np.int64),
        samples=np.full((prompts, arms), samples),
        resources=("usd",),
        sample_cost=np.broadcast_to(2.0 ** np.arange(arms), (1, prompts, arms)).copy(),
        labels=tuple("hard" if each else "easy" for each in said),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crowd:
    """Answers (workers, tasks), and what they were drawn from."""

    answers: IntArray
    truth: IntArray
    rival: IntArray
    confusion: FloatArray
    reliability: FloatArray


def crowd(workers: int, tasks: int, choices: int, *, seed: int, given: float = 1.0) -> Crowd:
    """Draw answers by the top-two model; each is there with chance ``given``, and at least one for each task."""
    random = np.random.default_rng(seed)
    reliability = random.beta(1.0, 2.0, workers)
    truth = random.integers(0, choices, tasks)
    rival = (truth + random.integers(1, choices, tasks)) % choices
    confusion = random.uniform(0.0, 0.5, tasks)
    shape = (workers, tasks)
    answers = np.where(random.random(shape) < confusion, rival, truth)
    answers = np.where(random.random(shape) < reliability[:, None], answers, random.integers(0, choices, shape))
    absent = random.random(shape) >= given
    absent[0] &= ~absent.all(axis=0)
    return Crowd(
        answers=np.where(absent, -1, answers),
        truth=truth,
        rival=rival,
        confusion=confusion,
        reliability=reliability,
    )
