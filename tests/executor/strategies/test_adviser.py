"""A model that follows an adviser's strategy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.adviser import ADVISE, ADVISER, FOLLOW, GO_ON, StrategyAdviser
from coinfer.executor.strategies.ask import ANSWER, Ask, Missing, Reply, Sample, Sampled
from coinfer.executor.strategies.strategy import Prior, StrategyOption
from coinfer.testing.strategies import MARK, Driven, check_contract, drive, question, simulated_usage

PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, answers=(0.5, 0.3), output_s=0.01)


def driven(strategies: int, turns: int, says: dict[str, list[str | None]]) -> Driven:
    """Return what a session does when each role says these texts in turn."""
    left = {role: iter(texts) for role, texts in says.items()}

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        texts = [text for text in (next(left[ask.role]) for _ in range(ask.count)) if text is not None]
        if not texts:
            return Missing(why="failed")
        return Sampled(
            completions=tuple(Completion(text=each, output_tokens=9, finish="stop", logprobs=None) for each in texts)
        )

    settings = {"strategies": float(strategies), "turns": float(turns)}
    option = StrategyOption(strategy="strategy_adviser", settings=settings, value=None, expected={}, worst={})
    return drive(StrategyAdviser().start(question(), option), respond)


def contents(done: Driven) -> list[list[str]]:
    """Return what was read in each step."""
    return [[ask.messages[-1].content for ask in step.asks if isinstance(ask, Sample)] for step in done.steps]


def test_advice_keeps_the_contract_of_strategies() -> None:
    """It ends within its worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(StrategyAdviser(), PRIOR, runs=8)


def test_what_advice_takes_is_what_its_menu_says() -> None:
    """Calls and tokens of both roles lie within 5 % of simulated prompts."""
    for option in StrategyAdviser().options(PRIOR):
        used = simulated_usage(StrategyAdviser(), option, PRIOR, runs=200)
        assert set(used) == {ADVISER, ANSWER}
        for role, mean in option.expected.items():
            assert used[role].calls == pytest.approx(mean.calls, rel=0.05)
            assert used[role].prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)
            assert used[role].output_tokens == pytest.approx(mean.output_tokens, rel=0.05)


def test_replies_that_are_too_long_stay_within_the_worst_prompt() -> None:
    """Prompts never pass the worst case, though every reply is far longer than its tokens say."""
    for option in StrategyAdviser().options(PRIOR):

        def respond(ask: Ask) -> Reply:
            assert isinstance(ask, Sample)
            one = Completion(text="long " * 900, output_tokens=64, finish="length", logprobs=None)
            return Sampled(completions=(one,) * ask.count)

        used = drive(StrategyAdviser().start(question(tokens=40), option), respond).usage
        assert all(each.prompt_tokens <= option.worst[role].prompt_tokens + 1e-9 for role, each in used.items())


def test_values_are_those_that_were_measured() -> None:
    """Nothing but a measurement of the option gives it a value."""
    name = "strategy_adviser (strategies 1, turns 1)"
    options = StrategyAdviser().options(replace(PRIOR, extra={name: 0.8}))
    assert {option.name: option.value for option in options if option.value is not None} == {name: 0.8}


def test_each_strategy_is_followed_in_a_call_of_its_own_and_the_answers_vote() -> None:
    """The adviser reads the question, the model its strategy as a quotation that cannot end itself."""
    done = driven(3, 1, {ADVISER: ["Plan A >>>", "Plan B", "Plan C"], ANSWER: [f"{MARK}1.", f"{MARK}2.", f"{MARK}2."]})
    assert done.answer.value == "2"
    (advised,), followed = contents(done)
    assert advised == question().text + ADVISE
    for plan, content in zip("ABC", followed, strict=True):
        assert content.startswith(question().text + FOLLOW)
        assert f"Plan {plan}" in content
        assert content.count("Plan") == content.count(">>>") == 1


def test_turn_by_turn_adviser_and_model_read_what_was_done() -> None:
    """Only the last turn asks for the answer; a line of work never reads that of another strategy."""
    done = driven(2, 2, {ADVISER: ["A0", "B0", "A1", "B1"], ANSWER: ["a0", "b0", f"a1 {MARK}1.", f"b1 {MARK}1."]})
    assert done.answer.votes == {"1": 2.0}
    _, first, advised, last = contents(done)
    assert all(GO_ON in each for each in first)
    assert all(ADVISE in each for each in advised)
    assert all(FOLLOW in each for each in last)
    for i, (mine, other) in enumerate((("A", "B"), ("B", "A"))):
        assert f"{mine.lower()}0\n" in advised[i]
        assert all(f"{word}\n" in last[i] for word in (f"{mine.lower()}0", f"{mine}1"))
        assert all(f"{other.lower()}0\n" not in each[i] for each in (advised, last))


def test_work_goes_on_without_advice_and_without_a_turn() -> None:
    """A missing strategy leaves the question and what was done; without any work there is no answer."""
    done = driven(1, 2, {ADVISER: [None, "A1"], ANSWER: [None, f"{MARK}7."]})
    assert done.answer.value == "7"
    steps = contents(done)
    assert steps[1][0] == question().text + GO_ON
    assert steps[2][0] == question().text + ADVISE
    assert driven(1, 1, {ADVISER: ["A"], ANSWER: [None]}).answer.text is None


def test_settings_that_are_none_are_refused_in_a_sentence() -> None:
    """A number out of range names its place."""
    for strategies, turns in ((0, 1), (1, 0), (99, 1), (1, 99)):
        with pytest.raises(RequestError, match=r"settings\.(strategies|turns)"):
            driven(strategies, turns, {})
