"""A judge among samples, and voters by reliability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Reply, Sample, Sampled
from coinfer.executor.strategies.judged import STRATEGIES, JudgedBestOf, TopTwoVote, chosen
from coinfer.executor.strategies.strategy import Prior, Strategy, StrategyOption
from coinfer.testing.strategies import Simulated, check_contract, drive, question, simulated_usage

RATES = {"answer": 0.6, "agent 1": 0.7, "agent 2": 0.9, "agent 3": 0.6, "agent 4": 0.8, "agent 5": 0.55}
PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, rate=RATES, output_s=0.01)


class TwoAnswers(Simulated):
    """Wrong answers are all the same."""

    def answer(self, role: str) -> str:
        """Return 0 or 1."""
        return "0" if super().answer(role) == "0" else "1"


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_they_keep_the_contract_of_strategies(strategy: Strategy) -> None:
    """They end within their worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(strategy, PRIOR, runs=5)


def test_what_a_judge_takes_is_what_its_menu_says() -> None:
    """Calls and tokens of both roles lie within 5 % of simulated prompts."""
    for option in JudgedBestOf().options(PRIOR):
        used = simulated_usage(JudgedBestOf(), option, PRIOR, runs=500)
        for role, expected in option.expected.items():
            assert used[role].calls == pytest.approx(expected.calls)
            assert used[role].prompt_tokens == pytest.approx(expected.prompt_tokens, rel=0.05)
            assert used[role].output_tokens == pytest.approx(expected.output_tokens, rel=0.05)


def judged(verdict: str) -> str | None:
    """Return the answer that a judge's words lead to, among 7, 8, 8."""
    answers = iter(["7", "8", "8"])

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        texts = [verdict] if ask.role == "judge" else [f"The answer is {next(answers)}." for _ in range(ask.count)]
        return Sampled(
            completions=tuple(Completion(text=text, output_tokens=5, finish="stop", logprobs=None) for text in texts)
        )

    option = StrategyOption(strategy="judged_best_of", settings={"samples": 3.0}, value=None, expected={}, worst={})
    return drive(JudgedBestOf().start(question(), option), respond).answer.value


def test_the_judge_decides_and_the_vote_where_it_does_not() -> None:
    """A named answer is taken, its last mention counts; a number that is no answer leaves it to the vote."""
    assert judged("Best: 1") == "7"
    assert judged("Best: 2, no: best: 1") == "7"
    assert judged("Best: 9") == judged("I cannot say.") == judged("") == "8"
    assert chosen("best is answer 3", 3) == 2
    assert chosen("0", 3) is None


def test_voters_take_and_are_worth_what_their_menu_says() -> None:
    """Where wrong votes agree, values lie within noise of simulated prompts, and calls of every voter within 5 %."""
    for option in TopTwoVote().options(PRIOR):
        done = [drive(TopTwoVote().start(question(), option), TwoAnswers(PRIOR, seed)) for seed in range(2500)]
        value = np.mean([each.answer.value == "0" for each in done])
        assert value == pytest.approx(option.value, abs=0.03)
        for role, expected in option.expected.items():
            calls = np.mean([each.usage[role].calls if role in each.usage else 0.0 for each in done])
            assert calls == pytest.approx(expected.calls, rel=0.05, abs=0.02)


def test_weights_beat_a_plain_vote_and_unknown_voters_have_no_option() -> None:
    """One voter of 0.9 with two of 0.6 is worth 0.9 by weights and less by heads."""
    prior = replace(PRIOR, rate={"agent 1": 0.9, "agent 2": 0.6, "agent 3": 0.6})
    three = next(each for each in TopTwoVote().options(prior) if each.settings["voters"] == 3.0)
    heads = 0.9 * (1 - 0.4 * 0.4) + 0.1 * 0.6 * 0.6
    assert three.value is not None
    assert three.value >= 0.9 > heads
    assert all(each.settings["voters"] < 5.0 for each in TopTwoVote().options(prior))
