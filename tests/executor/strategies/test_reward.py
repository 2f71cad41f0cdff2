"""Strategies with a reward model keep the contract, cost what they say, and follow the rewards."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sampled, Score, Scored
from coinfer.executor.strategies.reward import AGGREGATES, STRATEGIES, RewardBestOf, VerifierVote, aggregated, steps_of
from coinfer.executor.strategies.strategy import Prior, Strategy, StrategyOption
from coinfer.testing.strategies import (
    MARK,
    Respond,
    check_contract,
    drive,
    question,
    simulated_usage,
    simulated_value,
)

RANDOM = np.random.default_rng(1)
VERDICTS = [1, 0, 0, 1] * 50
PAIRS = tuple((float(np.clip(RANDOM.normal(0.4 + 0.25 * right, 0.15), 0.01, 0.99)), float(right)) for right in VERDICTS)
PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, rate={"answer": 0.5}, scorer=PAIRS, output_s=0.01)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_each_keeps_the_contract_of_strategies(strategy: Strategy) -> None:
    """It ends, within its worst case, whatever the replies."""
    check_contract(strategy, PRIOR, runs=4)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_what_it_takes_is_what_its_menu_says(strategy: Strategy) -> None:
    """Expected usage of the model and of the reward model is within 5 % of simulated prompts."""
    for option in strategy.options(PRIOR)[:6]:
        used = simulated_usage(strategy, option, PRIOR, runs=200)
        for role, mean in option.expected.items():
            assert used[role].calls == pytest.approx(mean.calls, rel=0.05)
            assert used[role].prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)
            assert used[role].output_tokens == pytest.approx(mean.output_tokens, rel=0.05)


def test_the_value_of_the_best_of_n_is_what_simulated_prompts_give() -> None:
    """The U-statistic of the pilot's scored samples is the share of right answers, within noise, and rises here."""
    options = [option for option in RewardBestOf().options(PRIOR) if option.settings["aggregate"] == 0.0][:4]
    values = [option.value for option in options]
    assert values == sorted(values)  # type: ignore[type-var]
    for option in options:
        assert simulated_value(RewardBestOf(), option, PRIOR, runs=600) == pytest.approx(option.value, abs=0.06)


def test_without_scored_samples_the_value_is_not_known() -> None:
    """A pilot without rewards, or with fewer samples than the option draws, gives no value."""
    plain = Prior(prompt_tokens=1, output_tokens=1, max_tokens=2, scorer=PAIRS[:3])
    known = {option.settings["samples"]: option.value for option in RewardBestOf().options(plain)[::3]}
    assert known[2.0] is not None
    assert known[4.0] is None


def _world(*answers: tuple[str, float]) -> Respond:
    """Return a model that gives these answers, and a reward model that scores them so, by their last step."""

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Score):
            scores = {f"{i}": reward for i, (_, reward) in enumerate(answers)}
            own = [(*(0.9 for _ in steps[:-1]), scores[steps[0][0]]) for steps in ask.answers]
            return Scored(scores=tuple(own))
        return Sampled(
            completions=tuple(
                Completion(text=f"{i} first\n\nthen {MARK}{value}", output_tokens=3, finish="stop", logprobs=None)
                for i, (value, _) in enumerate(answers)
            )
        )

    return respond


def _option(strategy: Strategy, count: int) -> StrategyOption:
    return next(each for each in strategy.options(PRIOR) if each.settings == {"samples": count, "aggregate": 0.0})


def test_the_best_the_most_and_the_surest_answer_win_each_in_their_way() -> None:
    """The best reward, the largest sum and the largest log-odds pick three different answers."""
    world = _world(("a", 0.9), ("b", 0.5), ("b", 0.5), ("c", 0.2))
    wins = {each.name: drive(each.start(question(), _option(each, 4)), world).answer for each in STRATEGIES}
    assert wins["reward_best_of"].value == "a"
    assert wins["weighted_best_of"].value == "b"
    assert wins["weighted_best_of"].votes == pytest.approx({"a": 0.9, "b": 1.0, "c": 0.2})
    assert wins["verifier_vote"].value == "a"


def test_answers_that_no_verdict_is_for_are_still_ranked() -> None:
    """Where every reward is below one half the largest sum decides, and none is thrown away."""
    world = _world(("a", 0.3), ("b", 0.2), ("b", 0.2), ("c", 0.1))
    answer = drive(VerifierVote().start(question(), _option(VerifierVote(), 4)), world).answer
    assert answer.value == "b"


def test_a_reward_model_that_fails_leaves_an_answer() -> None:
    """Without scores the first sample, or the vote, is what remains."""
    world = _world(("a", 0.9), ("b", 0.5), ("b", 0.5), ("c", 0.2))

    def respond(ask: Ask) -> Reply:
        return Missing(why="failed") if isinstance(ask, Score) else world(ask)

    for strategy in STRATEGIES:
        assert drive(strategy.start(question(), _option(strategy, 4)), respond).answer.text is not None


def test_steps_make_up_the_text_and_are_aggregated_as_named() -> None:
    """Steps end with their separator; last, min and product are what they say."""
    for text in ("", "one", "one\n\ntwo", "one\n\n\n\ntwo\n\n"):
        assert "".join(steps_of(text)) == text
    scores = (0.5, 0.4, 0.9)
    found = {name: aggregated(scores, number) for name, number in AGGREGATES.items()}
    assert found == pytest.approx({"last": 0.9, "min": 0.4, "product": 0.18})
    assert aggregated((), 0.0) == 0.0
