"""Particle filter and particle Gibbs: their contract, what they take, and how they resample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled, Score, Scored
from coinfer.executor.strategies.particles import ParticleFilter, ParticleGibbs, resampled, weights
from coinfer.executor.strategies.stepwise import Path
from coinfer.executor.strategies.strategy import Prior, StrategyOption
from coinfer.testing.stepwise import StepWorld, mean_run
from coinfer.testing.strategies import check_contract, drive, question

PRIOR = Prior(prompt_tokens=60, output_tokens=120, max_tokens=400, output_s=0.01, extra={"steps": 5.0})
ASKED = question(max_tokens=400, tokens=60)


def world(seed: int) -> StepWorld:
    """Return solutions of five steps of 24 tokens."""
    return StepWorld(steps=5, rate=0.7, step_tokens=24, separation=1.5, seed=seed)


def option_of(strategy: ParticleFilter, **settings: float) -> StrategyOption:
    """Return an option as a plan names it."""
    return StrategyOption(strategy=strategy.name, settings=settings, value=None, expected={}, worst={})


@pytest.mark.parametrize("strategy", [ParticleFilter(), ParticleGibbs()])
def test_a_particle_method_keeps_the_contract_of_strategies(strategy: ParticleFilter) -> None:
    """It ends within its worst case whatever the replies are, missing and hostile ones among them."""
    small = [option for option in strategy.options(PRIOR) if option.settings["particles"] <= 16]
    check_contract(strategy, PRIOR, ASKED, respond=world, runs=4, options=small)


@pytest.mark.parametrize("strategy", [ParticleFilter(), ParticleGibbs()])
def test_what_a_particle_method_takes_is_what_its_menu_says(strategy: ParticleFilter) -> None:
    """Calls, prompt and output tokens of both roles are within 5 % of simulated prompts."""
    for option in strategy.options(PRIOR):
        if option.settings["particles"] > 16:
            continue
        _, used = mean_run(strategy, option, ASKED, world, runs=40)
        for role, mean in option.expected.items():
            assert used[role].calls == pytest.approx(mean.calls, rel=0.05)
            assert used[role].prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)
            assert used[role].output_tokens == pytest.approx(mean.output_tokens, rel=0.05)


def test_weights_are_the_softmax_of_the_logits_of_rewards() -> None:
    """Rewards 0.8 and 0.5 have odds 4 and 1; a reward of 1 or of 0 gives finite weights."""
    paths = [Path(steps=("a",), scores=(score,)) for score in (0.8, 0.5)]
    assert weights(paths).tolist() == pytest.approx([0.8, 0.2])
    extreme = weights([Path(steps=("a",), scores=(score,)) for score in (1.0, 0.0, 7.0)])
    assert np.isfinite(extreme).all()
    assert extreme.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("systematic", [True, False])
def test_resampling_is_unbiased_and_the_systematic_one_is_off_by_less_than_one(systematic: bool) -> None:
    """The mean number of copies is count x weight; systematic: every draw has it rounded down or up."""
    weight = np.array([0.5, 0.26, 0.2, 0.04])
    random = np.random.default_rng(3)
    copies = np.array(
        [np.bincount(resampled(weight, 8, random, systematic=systematic), minlength=4) for _ in range(3000)]
    )
    assert copies.mean(axis=0) == pytest.approx(8 * weight, abs=0.1)
    off = float(np.abs(copies - 8 * weight).max())
    assert (off < 1.0) is systematic


def test_particles_are_resampled_at_every_step_by_the_reward_of_their_whole_prefix() -> None:
    """Where one first step has nearly all the odds, every particle goes on from it."""

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Sample):
            end = " The answer is 0." if ask.prefix else ""
            return Sampled(completions=tuple(_completion(f"{i}{end}") for i in range(ask.count)))
        assert isinstance(ask, Score)
        return Scored(scores=tuple(tuple(0.9999 if "2" in step else 0.01 for step in each) for each in ask.answers))

    done = drive(ParticleFilter().start(ASKED, option_of(ParticleFilter(), particles=4)), respond)
    prefixes = [ask.prefix for ask in done.steps[2].asks if isinstance(ask, Sample)]
    assert prefixes == ["2\n\n"] * 4


def test_a_particle_that_has_ended_keeps_its_weight_and_is_written_no_further() -> None:
    """A short solution of a good reward takes others' places, and wins; nobody is asked to go on from it."""
    asked: list[str] = []

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Sample):
            asked.append(ask.prefix)
            texts = [" The answer is 7." if not ask.prefix and i == 0 else f"s{i}" for i in range(ask.count)]
            return Sampled(completions=tuple(_completion(text) for text in texts))
        assert isinstance(ask, Score)
        return Scored(scores=tuple(tuple(0.8 if "7" in step else 0.3 for step in each) for each in ask.answers))

    done = drive(ParticleFilter().start(ASKED, option_of(ParticleFilter(), particles=4)), respond)
    assert done.answer.value == "7"
    assert not [prefix for prefix in asked if "7" in prefix]
    assert done.usage["answer"].calls < 4 + 4 * 4


def test_resampling_depends_on_the_prompt_and_the_settings_alone() -> None:
    """The same replies give the same answer again; another prompt draws others, and so does the other resampling."""

    def prefixes(id: str, systematic: float) -> list[str]:  # noqa: A002
        option = option_of(ParticleFilter(), particles=8, systematic=systematic)
        done = drive(ParticleFilter().start(replace(ASKED, id=id), option), world(7))
        return [ask.prefix for ask in done.steps[2].asks if isinstance(ask, Sample)]

    assert prefixes("a", 0.0) == prefixes("a", 0.0)
    assert prefixes("a", 0.0) != prefixes("b", 0.0)
    assert prefixes("a", 0.0) != prefixes("a", 1.0)


def test_particle_gibbs_goes_on_from_a_reference_of_the_iteration_before_at_no_cost() -> None:
    """The second iteration writes one particle less, and its particles may take the reference's first step."""
    made = world(2)
    best: list[str] = []

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Score):
            # The first first step has nearly all the odds: it is the reference, and everybody's ancestor.
            best.append(best[0] if best else ask.answers[0][0])
            return Scored(scores=tuple((0.001 if s[0] != best[0] else 0.999,) * len(s) for s in ask.answers))
        return made(ask)

    option = option_of(ParticleGibbs(), particles=8, iterations=2, references=1)
    done = drive(ParticleGibbs().start(ASKED, option), respond)
    first = [ask for step in done.steps for ask in step.asks if isinstance(ask, Sample) and not ask.prefix]
    assert [ask.count for ask in first] == [4, 3]
    assert done.usage["answer"].calls == 5 * (4 + 3)
    later = [ask.prefix for step in done.steps for ask in step.asks if isinstance(ask, Sample) and ask.prefix]
    assert len(later) == 4 * 4 + 4 * 3
    assert all(prefix.startswith(best[0]) for prefix in later)


def test_settings_that_leave_no_particle_to_write_are_refused_in_a_sentence() -> None:
    """As many references as particles in an iteration is an error, and so is no particle."""
    for settings in ({"particles": 4.0, "iterations": 4.0, "references": 1.0}, {"particles": 0.0}):
        with pytest.raises(RequestError, match=r"references|particles"):
            ParticleGibbs().start(ASKED, option_of(ParticleGibbs(), **settings))


def test_a_filter_ends_with_what_there_is_where_nothing_more_comes() -> None:
    """After the first step every call fails: a first step is handed out; where all fail, nothing is."""
    made = world(4)

    def respond(ask: Ask) -> Reply:
        return Missing(why="cap") if isinstance(ask, Sample) and ask.prefix else made(ask)

    answer = drive(ParticleFilter().start(ASKED, option_of(ParticleFilter(), particles=4)), respond).answer
    assert answer.text is not None
    assert answer.value is None


def test_a_measured_value_is_handed_on_and_no_other() -> None:
    """An option has a value where the prior has one under its name."""
    plain = ParticleFilter().options(PRIOR)
    assert all(option.value is None for option in plain)
    known = ParticleFilter().options(replace(PRIOR, extra={**PRIOR.extra, plain[1].name: 0.61}))
    assert [option.value for option in known[:3]] == [None, 0.61, None]


def _completion(text: str) -> Completion:
    return Completion(text=text, output_tokens=max(1, len(text) // 4), finish="stop", logprobs=None)
