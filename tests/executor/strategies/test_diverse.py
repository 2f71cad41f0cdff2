"""Diverse approaches, in calls of their own and in one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import ANSWER, Ask, Missing, Reply, Sample, Sampled
from coinfer.executor.strategies.diverse import (
    FOLLOW,
    MOST_APPROACH_TOKENS,
    PROPOSE,
    STRATEGIES,
    TOGETHER,
    DivSe,
    IdivSe,
    known_approaches,
    parts_of,
)
from coinfer.executor.strategies.strategy import CHARACTERS_PER_TOKEN, Prior, Prompt, Strategy, StrategyOption
from coinfer.testing.measured import measured
from coinfer.testing.strategies import (
    MARK,
    Respond,
    Simulated,
    check_contract,
    drive,
    question,
)

PRIOR = Prior(prompt_tokens=40, output_tokens=60, max_tokens=128, answers=(0.5, 0.3), output_s=0.01)
GIVEN = replace(PRIOR, extra={"approaches": 9.0, "approach_tokens": 10.0})
LINES = tuple(f"by way {i} ".ljust(40, "x") for i in range(9))


class Lister(Simulated):
    """A model that names as many approaches as it is asked for in one completion, and follows several in n of them."""

    def completion(self, ask: Sample) -> Completion:
        """Return a completion of the form that was asked for."""
        content = ask.messages[-1].content
        if TOGETHER in content:
            count = int(content.split(TOGETHER)[1][0])
            parts = [super(Lister, self).completion(ask) for _ in range(count)]
            text = "\n".join(f"Approach {i}\n{each.text}" for i, each in enumerate(parts, start=1))
            tokens = min(sum(each.output_tokens for each in parts), ask.max_tokens)
            return Completion(text=text, output_tokens=tokens, finish="stop", logprobs=None)
        made = super().completion(ask)
        if PROPOSE not in content:
            return made
        count = int(content.split(PROPOSE)[1][0])
        room = int(made.output_tokens * CHARACTERS_PER_TOKEN) // count
        return replace(made, text="\n".join(f"{i}. ".ljust(room, "y") for i in range(1, count + 1)))


def asked(**extra: str) -> Prompt:
    """Return the prompt of the priors."""
    return replace(question(max_tokens=128, tokens=40), extra=extra)


def option_of(strategy: Strategy, **settings: float) -> StrategyOption:
    """Return an option as a plan names it."""
    return StrategyOption(strategy=strategy.name, settings=settings, value=None, expected={}, worst={})


def says(texts: list[str | None], contents: list[str]) -> Respond:
    """Return a model that says these texts one after the other, and notes what it reads."""
    left = iter(texts)

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        contents.append(ask.messages[-1].content)
        text = next(left)
        if text is None:
            return Missing(why="failed")
        return Sampled(completions=(Completion(text=text, output_tokens=9, finish="stop", logprobs=None),))

    return respond


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_they_keep_the_contract_of_strategies(strategy: Strategy) -> None:
    """They end within their worst case whatever the replies are, missing and hostile ones among them."""
    for prompt in (asked(), asked(approaches="\n".join(LINES))):
        check_contract(strategy, GIVEN, prompt, runs=3)
        check_contract(strategy, GIVEN, prompt, runs=3, respond=lambda seed: Lister(GIVEN, seed))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_what_they_take_is_what_their_menu_says(strategy: Strategy) -> None:
    """Calls and tokens lie within 5 % of simulated prompts, with approaches that are asked for and given."""
    prompt = asked(approaches="\n".join(LINES))
    options = strategy.options(GIVEN)
    assert {option.settings["given"] for option in options} == {0.0, 1.0}
    for option in options:
        used = measured(strategy, option, lambda seed: Lister(GIVEN, seed), prompt, runs=200).usage[ANSWER]
        mean = option.expected[ANSWER]
        assert used.calls == pytest.approx(mean.calls, rel=0.05)
        assert used.prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05), option.name
        assert used.output_tokens == pytest.approx(mean.output_tokens, rel=0.05)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_texts_that_are_too_long_stay_within_the_worst_prompt(strategy: Strategy) -> None:
    """Prompts never pass the worst case, though approaches, named or given, are far longer than their tokens say."""
    prompt = asked(approaches="\n".join(f"{i} {'long ' * 900}" for i in range(20)))
    text = "\n".join(f"{i}. {'long ' * 900}" for i in range(1, 20))

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        one = Completion(text=text, output_tokens=ask.max_tokens, finish="length", logprobs=None)
        return Sampled(completions=(one,) * ask.count)

    for option in strategy.options(GIVEN):
        used = drive(strategy.start(prompt, option), respond).usage[ANSWER]
        assert used.prompt_tokens <= option.worst[ANSWER].prompt_tokens + 1e-9


def test_values_are_those_that_were_measured() -> None:
    """Nothing but a measurement of the option gives it a value, and given approaches need prompts that have them."""
    for strategy, name in ((DivSe(), "div_se (approaches 3, given 0)"), (IdivSe(), "idiv_se (approaches 3, given 0)")):
        options = strategy.options(replace(PRIOR, extra={name: 0.8}))
        assert {option.name: option.value for option in options if option.value is not None} == {name: 0.8}
        assert all(option.settings["given"] == 0.0 for option in options)


def test_each_call_follows_an_approach_of_its_own_and_the_answers_vote() -> None:
    """Named lines beyond those asked for are left out; where there are fewer, calls read the question alone."""
    named = "Here they are:\n1. Draw it.\n2) Count it.\n3. Guess it.\n4. Skip it."
    contents: list[str] = []
    answers: list[str | None] = [named, f"{MARK}1.", f"{MARK}2.", f"{MARK}2."]
    done = drive(DivSe().start(asked(), option_of(DivSe(), approaches=3, given=0)), says(answers, contents))
    assert done.answer.value == "2"
    assert contents[0].endswith(f"{PROPOSE}3")
    for way, content in zip(("Draw", "Count", "Guess"), contents[1:], strict=True):
        assert content.startswith(asked().text + FOLLOW)
        assert f"{way} it." in content
        assert content.count(" it.") == 1
    for listed in ("I know none.", None):
        contents.clear()
        drive(DivSe().start(asked(), option_of(DivSe(), approaches=2, given=0)), says([listed, "a", "b"], contents))
        assert contents[1:] == [asked().text] * 2


def test_given_approaches_are_not_asked_for() -> None:
    """Lines of the prompt are followed in order, cut where they are long, without a call that names them."""
    contents: list[str] = []
    prompt = asked(approaches=f"Draw it.\n\n  zoom {'z' * 9999}\n")
    drive(DivSe().start(prompt, option_of(DivSe(), approaches=3, given=1)), says(["a", "b", "c"], contents))
    assert "Draw it." in contents[0]
    assert f"zoom {'z' * 251}\n" in contents[1]
    assert len(f"zoom {'z' * 251}") == MOST_APPROACH_TOKENS * CHARACTERS_PER_TOKEN
    assert contents[2] == prompt.text


def test_what_a_request_says_of_its_approaches_reaches_the_menu() -> None:
    """A pilot counts its lines, cut as prompts cut them; a request without any has no option that needs them."""
    found = known_approaches({"approaches": f"{'x' * 40}\n\n{'y' * 4000}\n"})
    assert found == {"approaches": 2.0, "approach_tokens": (10.0 + MOST_APPROACH_TOKENS) / 2}
    assert known_approaches({"approaches": " \n", "tests": "x"}) == {}
    for strategy in STRATEGIES:
        options = strategy.options(replace(PRIOR, extra=found))
        assert [each.settings["approaches"] for each in options if each.settings["given"]] == [2.0]


def test_parts_of_one_reply_vote() -> None:
    """The most frequent answer of the parts is handed out with its part; a list of headings before has no vote."""
    text = (
        f"Approach 1: draw\nApproach 2: count\n\nApproach 1: draw\n{MARK}5.\n"
        f"**Approach 2**\n{MARK}6.\nApproach 3\n{MARK}6.\nApproach 9\n{MARK}7.\nApproach 8\n{MARK}7."
    )
    contents: list[str] = []
    done = drive(IdivSe().start(asked(), option_of(IdivSe(), approaches=3, given=0)), says([text], contents))
    assert done.answer.votes == {"5": 1.0, "6": 2.0}
    assert done.answer.text == f"**Approach 2**\n{MARK}6.\n"
    (ask,) = done.steps[0].asks
    assert isinstance(ask, Sample)
    assert ask.max_tokens == 3 * asked().max_tokens
    assert contents[0].endswith(f"{TOGETHER}3")


def test_a_reply_without_parts_is_one_answer() -> None:
    """Its last answer stands; without a reply there is none."""
    text = f"{MARK}5. No: {MARK}6."
    option = option_of(IdivSe(), approaches=3, given=0)
    assert drive(IdivSe().start(asked(), option), says([text], [])).answer.value == "6"
    assert drive(IdivSe().start(asked(), option), says([None], [])).answer.text is None
    assert parts_of("", 3) == [""]


def test_given_approaches_stand_in_the_one_prompt() -> None:
    """They are quoted in order, and a quotation cannot end itself."""
    contents: list[str] = []
    prompt = asked(approaches="Draw it. >>>\nCount it.")
    drive(IdivSe().start(prompt, option_of(IdivSe(), approaches=2, given=1)), says(["a"], contents))
    assert contents[0].index("Draw it.") < contents[0].index("Count it.")
    assert contents[0].count(">>>") == 2


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
@pytest.mark.parametrize("settings", [{}, {"approaches": 0, "given": 0}, {"approaches": 2, "given": 2}])
def test_settings_that_are_none_are_refused_in_a_sentence(strategy: Strategy, settings: dict[str, float]) -> None:
    """A number that is absent, broken or out of range names its place."""
    with pytest.raises(RequestError, match=r"settings\.(approaches|given)"):
        strategy.start(asked(), option_of(strategy, **settings))
