"""Votes with and without early stopping."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import ANSWER, Ask, Reply, Sample, Sampled
from coinfer.executor.strategies.stops import Sure, Window, expected_gain, gain_per_vote, leads, needed
from coinfer.executor.strategies.strategy import Prior, Strategy, StrategyOption
from coinfer.executor.strategies.votes import STRATEGIES, AdaptiveConsistency, EarlyStopping, SelfConsistency
from coinfer.models.budget.curves.stopping import BetaLeader, UnanimousWindow, replay
from coinfer.testing.strategies import (
    Driven,
    check_contract,
    drive,
    question,
    simulated_usage,
    simulated_value,
)

PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, answers=(0.5, 0.3, 0.1), output_s=0.01)


def option_of(strategy: str, **settings: float) -> StrategyOption:
    """Return an option as a plan names it."""
    return StrategyOption(strategy=strategy, settings=settings, value=None, expected={}, worst={})


def driven(strategy: Strategy, answers: list[int], price: float | None = None, **settings: float) -> Driven:
    """Return what a session does that is told these answers, one after the other."""
    left = iter(answers)

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        texts = [f"The answer is {next(left)}." for _ in range(ask.count)]
        return Sampled(
            completions=tuple(Completion(text=text, output_tokens=5, finish="stop", logprobs=None) for text in texts)
        )

    return drive(strategy.start(question(), option_of(strategy.name, **settings)), respond, price=price)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
@pytest.mark.parametrize("prior", [PRIOR, replace(PRIOR, answers=None, rate={ANSWER: 0.6})], ids=["answers", "rate"])
def test_votes_keep_the_contract_of_strategies(strategy: Strategy, prior: Prior) -> None:
    """They end within their worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(strategy, prior, runs=4)


@pytest.mark.parametrize("answers", [(0.5, 0.3, 0.1), (0.9,), (0.2, 0.5)])
def test_what_votes_take_and_are_worth_is_what_their_menus_say(answers: tuple[float, ...]) -> None:
    """Calls and tokens lie within 5 % of simulated prompts, and values within their noise."""
    prior = replace(PRIOR, answers=answers)
    for strategy in STRATEGIES:
        for option in strategy.options(prior)[::2]:
            used, expected = simulated_usage(strategy, option, prior, runs=1500)[ANSWER], option.expected[ANSWER]
            assert used.calls == pytest.approx(expected.calls, rel=0.05)
            assert used.prompt_tokens == pytest.approx(expected.prompt_tokens, rel=0.05)
            assert used.output_tokens == pytest.approx(expected.output_tokens, rel=0.05)
            assert option.value is not None
            assert simulated_value(strategy, option, prior, runs=500) == pytest.approx(option.value, abs=0.075)


@pytest.mark.parametrize("rule", ["window", "sure"])
def test_batches_count_the_same_votes_as_one_by_one(rule: str) -> None:
    """The published rules, applied vote by vote, stop where the sessions do, with the same winner."""
    random = np.random.default_rng(3)
    for _ in range(60):
        votes = random.choice(4, size=16, p=[0.5, 0.3, 0.15, 0.05]).tolist()
        if rule == "window":
            done = driven(EarlyStopping(), votes, samples=16, window=4)
            known = replay([votes], [0], UnanimousWindow(window=4), shuffles=1, seed=0)
        else:
            done = driven(AdaptiveConsistency(), votes, samples=16, threshold=0.9, dirichlet=0)
            known = replay([votes], [0], BetaLeader(threshold=0.9), shuffles=1, seed=0)
        order = np.random.default_rng(0).permuted(np.array([votes]), axis=1)[0].tolist()
        strategy = EarlyStopping() if rule == "window" else AdaptiveConsistency()
        settings = {"window": 4.0} if rule == "window" else {"threshold": 0.9, "dirichlet": 0.0}
        again = driven(strategy, order, samples=16, **settings)
        assert again.usage[ANSWER].calls == known.mean_samples
        assert done.usage[ANSWER].calls <= 16


def test_needed_votes_are_the_fewest_that_can_stop() -> None:
    """With fewer votes than needed no outcome satisfies the rule; with so many for the leader it does."""
    for votes in [(), (1,), (2, 1), (3, 3), (4, 2, 1)]:
        for rule in (Sure(0.95), Sure(0.95, True), Sure(0.8)):
            more = needed(rule, votes, 0)
            first, rest = (votes or (0,))[0], votes[1:]
            assert leads(rule, (first + more, *rest)) >= rule.threshold
            if more:
                assert leads(rule, (first + more - 1, *rest)) < rule.threshold
    assert needed(Window(5), (5,), 5) == 0
    assert needed(Window(5), (4, 1), 0) == 5


def test_the_dirichlet_rule_asks_for_no_less_than_the_beta_rule() -> None:
    """A third answer makes the leader less sure; with two answers both rules are one; the chance is that of draws."""
    assert leads(Sure(0.9, True), (6, 2, 2)) < leads(Sure(0.9), (6, 2, 2))
    assert leads(Sure(0.9, True), (6, 2)) == leads(Sure(0.9), (6, 2))
    shares = np.random.default_rng(1).dirichlet([7.0, 3.0, 3.0], size=200_000)
    assert leads(Sure(0.9, True), (6, 2, 2)) == pytest.approx((shares.argmax(axis=1) == 0).mean(), abs=0.004)


def test_gains_are_those_of_drawn_votes() -> None:
    """The expected gain of a batch is the mean rise of the leader's chance over votes drawn from the posterior."""
    random = np.random.default_rng(2)
    rate = random.beta(4.0, 3.0, 100_000)
    mine = random.binomial(3, rate)
    chances = np.array([leads(Sure(0.9), (3 + j, 2 + 3 - j)) for j in range(4)])
    after = np.maximum(chances, 1.0 - chances)[mine].mean()
    assert expected_gain(3, 2, 3) == pytest.approx(after - leads(Sure(0.9), (3, 2)), abs=0.003)
    assert expected_gain(3, 1, 1) == pytest.approx(0.0, abs=1e-12)
    assert gain_per_vote(3, 1, 1) == pytest.approx(0.0, abs=1e-12)
    assert gain_per_vote(3, 1, 9) == max(expected_gain(3, 1, more) / more for more in range(1, 10)) > 0.001


def test_a_price_stops_a_vote_that_is_not_worth_it() -> None:
    """With a price above the gain per token the vote ends after its first batch, and the leader is the answer."""
    votes = [0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0]
    free = driven(AdaptiveConsistency(), votes, samples=12, threshold=0.95, dirichlet=0)
    dear = driven(AdaptiveConsistency(), votes, price=1.0, samples=12, threshold=0.95, dirichlet=0)
    assert free.usage[ANSWER].calls > dear.usage[ANSWER].calls == 4
    assert dear.answer.text is not None


@pytest.mark.parametrize("settings", [{}, {"samples": 0.0}, {"samples": 2.5}, {"samples": 1e9}])
def test_settings_that_are_none_are_a_sentence(settings: dict[str, float]) -> None:
    """A plan with such settings is refused with the name of the setting."""
    with pytest.raises(RequestError, match="samples"):
        drive(SelfConsistency().start(question(), option_of("self_consistency", **settings)), partial(driven))  # type: ignore[arg-type]
