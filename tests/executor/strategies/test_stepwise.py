"""What searches over steps are worth at equal charged tokens, where the reward tells steps apart and where not."""

from __future__ import annotations

import math
from functools import partial

import pytest

from coinfer.executor.strategies.beam import Beam, DiverseTrees
from coinfer.executor.strategies.particles import ParticleFilter, ParticleGibbs
from coinfer.executor.strategies.stepwise import StepRule
from coinfer.executor.strategies.strategy import StrategyOption, Usage
from coinfer.testing.stepwise import StepWorld, mean_run
from coinfer.testing.strategies import question

STEPS, STEP_TOKENS, PROMPT_TOKENS, RATE = 8, 24, 60, 0.6
WHOLE = 3 * STEPS * STEP_TOKENS
ASKED = question(max_tokens=WHOLE, tokens=PROMPT_TOKENS)
SEARCHES = (
    (Beam(), {"candidates": 8.0, "width": 4.0}),
    (ParticleFilter(), {"particles": 8.0}),
    pytest.param(DiverseTrees(), {"candidates": 16.0, "width": 4.0}, marks=pytest.mark.slow),
    pytest.param(ParticleGibbs(), {"particles": 16.0, "iterations": 2.0}, marks=pytest.mark.slow),
)
RUNS, RUNS_OF_NOUGHT = 60, 100  # values near nought need more runs to be told apart


def best_of(world: partial[StepWorld], tokens: float, runs: int = RUNS) -> float:
    """Return what best-of-N is worth at no fewer tokens, by the best or by the vote, whichever is better."""
    strategy = Beam(StepRule(step_tokens=WHOLE, rounds=1))  # whole solutions, scored once: best-of-N
    each = STEPS * STEP_TOKENS + (PROMPT_TOKENS + STEPS * STEP_TOKENS)
    n = float(math.ceil((tokens - PROMPT_TOKENS) / each))
    found = []
    for weighted in (0.0, 1.0):
        settings = {"candidates": n, "width": n, "weighted": weighted}
        value, used = mean_run(strategy, option(strategy, settings), ASKED, world, runs=runs)
        assert charged(used) >= 0.97 * tokens
        found.append(value)
    return max(found)


def option(strategy: Beam | ParticleFilter, settings: dict[str, float]) -> StrategyOption:
    """Return an option as a plan names it."""
    return StrategyOption(strategy=strategy.name, settings=settings, value=None, expected={}, worst={})


def charged(used: dict[str, Usage]) -> float:
    """Return all tokens that are read and written, by the model and by the reward model, each at the same price."""
    return sum(each.prompt_tokens + each.output_tokens for each in used.values())


def world(separation: float) -> partial[StepWorld]:
    """Return a world of a seed: right in 0.6^8, less than 2 %, of single solutions."""
    return partial(_world, separation)


def _world(separation: float, seed: int) -> StepWorld:
    return StepWorld(steps=STEPS, rate=RATE, step_tokens=STEP_TOKENS, separation=separation, seed=seed)


@pytest.mark.parametrize(("strategy", "settings"), SEARCHES)
def test_a_search_beats_best_of_n_at_equal_charged_tokens_where_the_reward_tells_steps_apart(
    strategy: Beam | ParticleFilter, settings: dict[str, float]
) -> None:
    """Prefixes read again and every score of every step charged, it is right in 25 points more of the prompts."""
    value, used = mean_run(strategy, option(strategy, settings), ASKED, world(1.0), runs=RUNS)
    assert value >= best_of(world(1.0), charged(used)) + 0.25


@pytest.mark.parametrize(("strategy", "settings"), SEARCHES)
def test_a_search_is_worth_nothing_where_the_reward_says_nothing(
    strategy: Beam | ParticleFilter, settings: dict[str, float]
) -> None:
    """It is right about as often as one solution, and less often than votes among solutions for the same tokens."""
    value, used = mean_run(strategy, option(strategy, settings), ASKED, world(0.0), runs=RUNS_OF_NOUGHT)
    assert value <= 0.1
    assert value <= best_of(world(0.0), charged(used), RUNS_OF_NOUGHT)
