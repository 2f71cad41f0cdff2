"""Strategies that read log-probabilities keep the contract and believe the likelier paths."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Reply, Sample, Sampled
from coinfer.executor.strategies.confidence import STRATEGIES, OneSampleGate, PerplexityConsistency, PerplexitySelection
from coinfer.executor.strategies.session import user
from coinfer.executor.strategies.strategy import Prior, Strategy, StrategyOption
from coinfer.executor.strategies.weibull import low_component
from coinfer.testing.strategies import MARK, Simulated, check_contract, drive, question, simulated_usage

PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, rate={"answer": 0.5}, output_s=0.01)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_each_keeps_the_contract_of_strategies(strategy: Strategy) -> None:
    """It ends, within its worst case, whatever the replies."""
    check_contract(strategy, PRIOR, runs=4)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_what_it_takes_is_what_its_menu_says(strategy: Strategy) -> None:
    """Expected usage within 5 % of simulated prompts; the gate with the chance that was measured."""
    threshold = 0.2
    sure = sum(_nll(Simulated(PRIOR, seed)) <= threshold for seed in range(400)) / 400
    prior = replace(PRIOR, extra={"gate_0.2": 1.0 - sure})
    for option in strategy.options(prior):
        if option.settings.get("threshold", threshold) != threshold or option.settings["samples"] > 8:
            continue
        used = simulated_usage(strategy, option, prior)["answer"]
        mean = option.expected["answer"]
        assert used.calls == pytest.approx(mean.calls, rel=0.05)
        assert used.output_tokens == pytest.approx(mean.output_tokens, rel=0.05)
        if strategy.name != "one_sample_gate":
            assert used.prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)


def _nll(simulated: Simulated) -> float:
    reply = simulated(Sample(messages=user("x"), max_tokens=64, logprobs=True))
    assert isinstance(reply, Sampled)
    known = reply.completions[0].logprobs
    assert known is not None
    return -float(np.mean(known))


def _option(strategy: Strategy, **settings: float) -> StrategyOption:
    return next(
        option
        for option in strategy.options(PRIOR)
        if all(option.settings[name] == number for name, number in settings.items())
    )


def _paths(*paths: tuple[str, float]) -> Reply:
    """Return completions with an answer and a probability per token."""
    return Sampled(
        completions=tuple(
            Completion(text=f"{i} {MARK}{value}", output_tokens=2, finish="stop", logprobs=(math.log(p), math.log(p)))
            for i, (value, p) in enumerate(paths)
        )
    )


def test_the_likeliest_path_is_selected() -> None:
    """Of four samples the one with the lowest perplexity is the answer, whatever the majority says."""
    option = _option(PerplexitySelection(), samples=4.0)
    reply = _paths(("1", 0.5), ("1", 0.4), ("2", 0.9), ("1", 0.3))
    assert drive(PerplexitySelection().start(question(), option), lambda _: reply).answer.value == "2"


def test_a_path_that_is_drawn_twice_counts_once() -> None:
    """Perplexity consistency sums over distinct paths: two copies of one path do not outweigh a likelier other one."""
    option = _option(PerplexityConsistency(), samples=4.0, prune=0.0)
    twice = _paths(("1", 0.5))
    assert isinstance(twice, Sampled)
    other = _paths(("2", 0.6))
    assert isinstance(other, Sampled)
    reply = Sampled(completions=(*twice.completions, *twice.completions, *twice.completions, *other.completions))
    answer = drive(PerplexityConsistency().start(question(), option), lambda _: reply).answer
    assert answer.value == "2"
    assert answer.votes == pytest.approx({"1": 0.5, "2": 0.6})


def test_unlikely_paths_are_pruned() -> None:
    """Many unlikely paths to one answer are dropped where likely ones to another stand apart; without pruning not."""
    paths = [("wrong", 0.10 + 0.005 * i) for i in range(10)] + [("right", 0.8), ("right", 0.82), ("right", 0.85)]
    reply = _paths(*paths, *[("wrong", 0.12)] * 3)
    settings = {"samples": 16.0}
    values = [
        drive(
            PerplexityConsistency().start(question(), _option(PerplexityConsistency(), prune=prune, **settings)),
            lambda _: reply,
        ).answer
        for prune in (0.0, 1.0)
    ]
    assert values[1].value == "right"
    assert values[1].details["kept"] < values[0].details["kept"] == 16.0


def test_the_lower_of_two_weibulls_is_found() -> None:
    """Numbers drawn from two Weibull distributions are told apart in nine of ten cases; equal numbers stay."""
    random = np.random.default_rng(3)
    low, high = 0.05 * random.weibull(3.0, 40), 0.6 * random.weibull(6.0, 60)
    found = low_component(np.concatenate([low, high]))
    assert found[:40].mean() > 0.9
    assert found[40:].mean() < 0.1
    assert not low_component(np.full(20, 0.5)).any()
    assert not low_component(np.zeros(3)).any()


def test_one_sure_sample_is_enough_and_an_unsure_one_is_not() -> None:
    """Below the threshold one call is made, above it all, and the first sample votes too."""
    option = _option(OneSampleGate(), samples=4.0, threshold=0.2)
    for p, calls in ((0.95, 1.0), (0.5, 5.0)):

        def respond(ask: Ask, p: float = p) -> Reply:
            assert isinstance(ask, Sample)
            return _paths(*[("7", p)] * ask.count)

        done = drive(OneSampleGate().start(question(), option), respond)
        assert done.answer.value == "7"
        assert done.usage["answer"].calls == calls
        assert sum(done.answer.votes.values()) == (0.0 if p > 0.9 else 5.0)
