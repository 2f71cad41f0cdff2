"""A cheap model, and a specialist where it is unsure."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import ANSWER, Ask, Missing, Reply, Sample, Sampled
from coinfer.executor.strategies.cascade import SPECIALIST, Cascade, must_agree
from coinfer.executor.strategies.replayed import replayed
from coinfer.executor.strategies.session import user
from coinfer.executor.strategies.strategy import Prior, StrategyOption
from coinfer.testing.measured import measured
from coinfer.testing.strategies import (
    MARK,
    Driven,
    Simulated,
    answer_of,
    check_contract,
    drive,
    question,
    simulated_usage,
)

PRIOR = Prior(
    prompt_tokens=40,
    output_tokens=30,
    max_tokens=64,
    answers=(0.5, 0.3),
    rate={ANSWER: 0.5, SPECIALIST: 0.7},
    greedy={SPECIALIST: 0.8},
    output_s=0.01,
)


class Two(Simulated):
    """A specialist that is right as often as the prior says, beside the model with its answers."""

    def answer(self, role: str) -> str:
        """Return an answer."""
        if role != SPECIALIST:
            return super().answer(role)
        return "0" if self._random.random() < self._prior.greedy[SPECIALIST] else "special"


def option_of(**settings: float) -> StrategyOption:
    """Return an option as a plan names it."""
    return StrategyOption(strategy="cascade", settings=settings, value=None, expected={}, worst={})


def said(text: str, probability: float | None = None) -> Completion:
    """Return a completion of three tokens of the same probability."""
    known = None if probability is None else (math.log(probability),) * 3
    return Completion(text=text, output_tokens=3, finish="stop", logprobs=known)


def driven(option: StrategyOption, cheap: list[Completion], expert: Completion | None) -> Driven:
    """Return what a session does with these replies."""

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        if ask.role == SPECIALIST:
            return Missing(why="failed") if expert is None else Sampled(completions=(expert,))
        return Sampled(completions=tuple(cheap)) if cheap else Missing(why="failed")

    return drive(Cascade().start(question(), option), respond)


def test_cascades_keep_the_contract_of_strategies() -> None:
    """They end within their worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(Cascade(), PRIOR, runs=8)


def test_what_cascades_take_and_are_worth_is_what_their_menu_says() -> None:
    """Usage of both roles lies within 5 % of simulated prompts, and values within their noise."""
    for option in Cascade().options(PRIOR):
        if option.settings["samples"] not in {3.0, 8.0} or option.settings["threshold"] == 0.6:
            continue
        used = simulated_usage(Cascade(), option, PRIOR, runs=1200)
        for role, mean in option.expected.items():
            assert used[role].calls == pytest.approx(mean.calls, rel=0.05), option.name
            assert used[role].prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)
            assert used[role].output_tokens == pytest.approx(mean.output_tokens, rel=0.05)
        if option.settings["shown"]:
            assert option.value is None
            continue
        reached = measured(Cascade(), option, lambda seed: Two(PRIOR, seed), question(), runs=1200)
        assert reached.value == pytest.approx(option.value, abs=0.04), option.name


@pytest.mark.parametrize("answers", [(0.5, 0.3), (0.2, 0.5, 0.3), (0.9,), (0.0, 0.6)])
def test_the_chance_to_stay_is_that_of_an_enumeration(answers: tuple[float, ...]) -> None:
    """Over all outcomes of five votes, answers of their own among them, value and escalation are the formula's."""
    prior = replace(PRIOR, answers=answers)
    settings = [each.settings for each in Cascade().options(prior)]
    assert all(2 * must_agree(int(each["samples"]), each["threshold"]) > each["samples"] for each in settings)
    own = max(0.0, 1.0 - sum(answers))
    for option in Cascade().options(prior):
        if option.settings["samples"] != 5.0 or option.settings["shown"]:
            continue
        least, stays, right = must_agree(5, option.settings["threshold"]), 0.0, 0.0
        for votes in product(range(len(answers) + 1), repeat=5):
            chance = math.prod(answers[vote] if vote < len(answers) else own for vote in votes)
            counts = np.bincount(votes, minlength=len(answers) + 1)[:-1]
            stays += chance * bool(counts.max() >= least)
            right += chance * bool(counts[0] >= least)
        assert option.expected[SPECIALIST].calls == pytest.approx(1.0 - stays)
        assert option.value == pytest.approx(right + (1.0 - stays) * 0.8)


def test_one_completion_escalates_as_often_as_was_measured() -> None:
    """With the measured chance usage lies within 5 %; where it was not measured escalation is taken as certain."""
    threshold = 0.7
    drawn = [Simulated(PRIOR, seed).completion(_asked()).logprobs or () for seed in range(3000)]
    chance = float(np.mean([math.exp(np.mean(each)) < threshold for each in drawn]))
    assert 0.1 < chance < 0.9
    name = "cascade (samples 1, threshold 0.7, shown 0)"
    prior = replace(PRIOR, extra={"escalated 0.7": chance, name: 0.66})
    option = next(each for each in Cascade().options(prior) if each.name == name)
    assert option.value == 0.66
    assert "logprobs" in option.needs
    used = simulated_usage(Cascade(), option, prior, runs=3000)
    assert used[SPECIALIST].calls == pytest.approx(option.expected[SPECIALIST].calls, rel=0.05)
    assert used[SPECIALIST].prompt_tokens == pytest.approx(option.expected[SPECIALIST].prompt_tokens, rel=0.05)
    assert used[ANSWER].output_tokens == pytest.approx(option.expected[ANSWER].output_tokens, rel=0.05)
    unknown = next(each for each in Cascade().options(PRIOR) if each.name == name)
    assert unknown.expected[SPECIALIST].calls == 1.0
    assert unknown.value is None


def _asked() -> Sample:
    return Sample(messages=user("x"), max_tokens=64, logprobs=True)


def test_what_is_not_known_is_not_promised() -> None:
    """Without rates escalation is certain in the cost; with that of one answer others are taken to differ."""
    blank = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64)
    assert all(option.expected[SPECIALIST].calls == 1.0 for option in Cascade().options(blank))
    assert all(option.value is None for option in Cascade().options(blank))
    rated = Cascade().options(replace(blank, rate={ANSWER: 0.5}))
    found = next(each for each in rated if each.settings == {"samples": 2.0, "threshold": 1.0, "shown": 0.0})
    assert found.expected[SPECIALIST].calls == pytest.approx(0.75)
    assert found.value is None


@pytest.mark.parametrize(
    ("cheap", "asked"),
    [
        (["a", "a", "b"], False),
        (["a", "b", "c"], True),
        (["a", "a"], False),  # one is missing
        (["a"], True),  # two are missing
        (["a", None, None], True),  # two hold no answer
        ([], True),
    ],
)
def test_the_specialist_is_asked_where_too_few_agree(cheap: list[str | None], asked: bool) -> None:
    """Samples that are missing or unreadable agree with nothing; where two of three do, their answer stays."""
    texts = ["none" if each is None else f"{MARK}{each}." for each in cheap]
    option = option_of(samples=3, threshold=0.6, shown=0)
    done = driven(option, [said(each) for each in texts], said(f"{MARK}s."))
    assert done.answer.value == ("s" if asked else "a")
    assert done.answer.details["escalated"] == float(asked)
    assert (SPECIALIST in done.usage) is asked
    if asked:
        (ask,) = done.steps[1].asks
        assert isinstance(ask, Sample)
        assert ask.messages == user(question().text)


def test_an_unsure_completion_is_handed_on_and_a_sure_one_is_not() -> None:
    """The probability per token decides; without log-probabilities nothing is sure."""
    option = option_of(samples=1, threshold=0.8, shown=0)
    for probability, wins in ((0.9, "a"), (0.81, "a"), (0.7, "s"), (None, "s")):
        assert driven(option, [said(f"{MARK}a.", probability)], said(f"{MARK}s.")).answer.value == wins


def test_the_specialist_reads_what_was_answered_where_the_option_says_so() -> None:
    """Quotations of all samples stand in its prompt, and cannot end themselves; where it fails, the vote remains."""
    option = option_of(samples=3, threshold=1.0, shown=1)
    cheap = [said(f"first >>> {MARK}a."), said(f"second {MARK}b."), said(f"third {MARK}b.")]
    done = driven(option, cheap, None)
    assert done.answer.value == "b"
    assert done.answer.details["escalated"] == 1.0
    (ask,) = done.steps[1].asks
    assert isinstance(ask, Sample)
    content = ask.messages[-1].content
    assert all(word in content for word in ("first", "second", "third"))
    assert content.count(">>>") == 3


def test_a_pilot_knows_cascades_from_its_own_samples() -> None:
    """Those whose specialist reads the bare question are tried out on recorded replies; the others are not."""
    prompt = question()
    recorded = {ANSWER: [said(f"{MARK}{each}.", 0.5) for each in ("0", "0", "1", "0", "2", "1", "0", "0")]}
    greedy = {ANSWER: said(f"{MARK}1.", 0.75), SPECIALIST: said(f"{MARK}0.", 0.9)}
    found = {}
    for option in Cascade().options(PRIOR):
        found[option.name] = replayed(
            Cascade(),
            option,
            prompt,
            recorded,
            greedy=greedy,
            right=lambda text: answer_of(text) == "0",
            prompt_tokens=40.0,
        )
    assert all((measured is None) == (", shown 1" in name) for name, measured in found.items())
    sure, unsure = (found[f"cascade (samples 1, threshold {each}, shown 0)"] for each in (0.7, 0.8))
    assert sure is not None
    assert (sure.value, sure.usage[SPECIALIST].calls) == (0.0, 0.0)
    assert unsure is not None
    assert (unsure.value, unsure.usage[SPECIALIST].calls) == (1.0, 1.0)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_that_is_no_share_is_refused_in_a_sentence(threshold: float) -> None:
    """The sentence names the setting."""
    with pytest.raises(RequestError, match=r"settings\.threshold"):
        Cascade().start(question(), option_of(samples=2, threshold=threshold, shown=0))
