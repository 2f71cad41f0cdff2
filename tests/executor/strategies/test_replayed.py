"""Strategies tried out on recorded samples."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import ANSWER, REWARD
from coinfer.executor.strategies.beam import Beam
from coinfer.executor.strategies.confidence import OneSampleGate, PerplexitySelection, mean_logprob
from coinfer.executor.strategies.discussion import Discussion
from coinfer.executor.strategies.menu import Stratum, menu
from coinfer.executor.strategies.panel import MixtureOfAgents
from coinfer.executor.strategies.replayed import replayed
from coinfer.executor.strategies.reward import WeightedBestOf
from coinfer.executor.strategies.single import Single
from coinfer.executor.strategies.strategy import Measured, Prior, StrategyOption, Usage
from coinfer.testing.strategies import answer_of, question

PROMPT = question()


def completion(answer: str, tokens: int, logprob: float) -> Completion:
    """Return a sample."""
    return Completion(
        text=f"The answer is {answer}.", output_tokens=tokens, finish="stop", logprobs=(logprob,) * tokens
    )


SAMPLES = tuple(
    completion(answer, tokens, logprob)
    for answer, tokens, logprob in [("0", 3, -0.1), ("1", 5, -0.05), ("0", 7, -0.4), ("2", 9, -0.2), ("0", 4, -0.15)]
)


AGREEING = {"agent 1": SAMPLES[:1], "agent 2": SAMPLES[2:3]}
"""Agents who say the same end a discussion at once: that tells nothing of what it takes elsewhere."""


def right(text: str) -> bool:
    """Return whether the answer is 0."""
    return answer_of(text) == "0"


def option_of(strategy: str, **settings: float) -> StrategyOption:
    """Return an option as a plan names it."""
    usage = {ANSWER: Usage()}
    return StrategyOption(strategy=strategy, settings=settings, value=None, expected=usage, worst=usage)


@pytest.mark.parametrize("count", [2, 4, 5])
def test_the_mean_over_orders_is_that_over_all_subsets(count: int) -> None:
    """The likeliest of n of five samples is right as often as over all subsets of n, and takes their mean tokens."""
    subsets = list(combinations(SAMPLES, count))
    value = np.mean([right(max(each, key=mean_logprob).text) for each in subsets])
    found = replayed(
        PerplexitySelection(),
        option_of("perplexity_selection", samples=count),
        PROMPT,
        {ANSWER: SAMPLES},
        right=right,
        prompt_tokens=30.0,
        runs=4000,
    )
    assert found is not None
    assert found.value == pytest.approx(value, abs=4.0 * 0.5 / 4000**0.5)
    used = found.usage[ANSWER]
    assert (used.calls, used.prompt_tokens) == (count, 30.0)
    assert used.output_tokens == pytest.approx(np.mean([each.output_tokens for each in SAMPLES]) * count, rel=0.03)


def test_a_gate_takes_more_samples_as_often_as_the_first_is_surprising() -> None:
    """Two of five samples lie above 0.18 nats per token: 1 + 0.4 * 2 calls in the mean, prompts in as many steps."""
    option = option_of("one_sample_gate", samples=2, threshold=0.18)
    made = replayed(OneSampleGate(), option, PROMPT, {ANSWER: SAMPLES}, right=right, prompt_tokens=30.0, runs=4000)
    assert made is not None
    assert made.usage[ANSWER].calls == pytest.approx(1.8, abs=0.07)
    assert made.usage[ANSWER].prompt_tokens == pytest.approx(30.0 * 1.4, abs=1.5)


def test_what_was_not_sampled_is_not_known() -> None:
    """More samples than there are, greedy completions, roles without samples, log-probabilities that are not there."""
    bare = tuple(Completion(text=each.text, output_tokens=3, finish="stop", logprobs=None) for each in SAMPLES)
    for strategy, option, recorded in [
        (PerplexitySelection(), option_of("perplexity_selection", samples=6), {ANSWER: SAMPLES}),
        (PerplexitySelection(), option_of("perplexity_selection", samples=2), {ANSWER: bare}),
        (PerplexitySelection(), option_of("perplexity_selection", samples=2), {"judge": SAMPLES}),
        (Single(), option_of("single"), {ANSWER: SAMPLES}),
        (MixtureOfAgents(), option_of("mixture_of_agents", agents=2, layers=1), {"agent 1": SAMPLES}),
        (Discussion(), option_of("discussion", agents=2, rounds=1, paradigm=0), AGREEING),
    ]:
        assert replayed(strategy, option, PROMPT, recorded, right=right, prompt_tokens=1.0) is None  # type: ignore[arg-type]


def test_greedy_completions_are_always_the_same() -> None:
    """A single completion is right exactly where the greedy one of the pilot was."""
    for sample in SAMPLES[:2]:
        made = replayed(
            Single(), option_of("single"), PROMPT, {}, greedy={ANSWER: sample}, right=right, prompt_tokens=4.0
        )
        assert made is not None
        assert made.value == float(right(sample.text))
        assert made.usage[ANSWER] == Usage(calls=1.0, prompt_tokens=4.0, output_tokens=sample.output_tokens)


def test_what_was_measured_stands_in_the_menu() -> None:
    """An option without a value gets the measured one; one with a formula keeps it. What was seen used, both have."""
    tried = Measured(value=0.7, usage={ANSWER: Usage(calls=2.0, prompt_tokens=5.0, output_tokens=11.0)})
    prior = Prior(
        prompt_tokens=30,
        output_tokens=8,
        max_tokens=16,
        rate={ANSWER: 0.5},
        measured={"perplexity_selection (samples 2)": tried, "single": tried},
    )
    made = menu(
        "m",
        [Stratum(name="s", prompts=3, priors=(prior,))],
        [Single(), PerplexitySelection()],
        offers={ANSWER: frozenset({"completions", "logprobs"})},
    ).problem
    assert [option.name for option in made.options] == ["single", "perplexity_selection (samples 2)"]
    assert made.menus.value.array.tolist() == [[0.5, 0.7]]  # type: ignore[union-attr]
    tokens = made.menus.cost[0].amount.array  # type: ignore[union-attr]
    assert tokens.tolist() == [[11.0, 11.0]]


@pytest.mark.parametrize("count", [2, 4])
def test_recorded_scores_stand_for_a_reward_model(count: int) -> None:
    """Rewards summed by answer are right as often as over all subsets, and each sample is read once with the prompt."""
    scores = {each.text: (0.1 * i + 0.2,) for i, each in enumerate(SAMPLES)}

    def decided(some: tuple[Completion, ...]) -> bool:
        sums: dict[str, float] = {}
        for each in some:
            answer = answer_of(each.text) or ""
            sums[answer] = sums.get(answer, 0.0) + scores[each.text][0]
        return max(sums, key=lambda answer: sums[answer]) == "0"

    usage = {ANSWER: Usage(), REWARD: Usage()}
    settings = {"samples": float(count), "aggregate": 0.0}
    option = StrategyOption(strategy="weighted_best_of", settings=settings, value=None, expected=usage, worst=usage)
    recorded, known = {ANSWER: SAMPLES}, {"right": right, "prompt_tokens": 30.0, "runs": 4000}
    found = replayed(WeightedBestOf(), option, PROMPT, recorded, scores=scores, **known)  # type: ignore[arg-type]
    assert found is not None
    value = np.mean([decided(each) for each in combinations(SAMPLES, count)])
    assert found.value == pytest.approx(value, abs=4.0 * 0.5 / 4000**0.5)
    used = found.usage[REWARD]
    assert (used.calls, used.prompt_tokens) == (count, 30.0 * count)
    assert used.output_tokens == pytest.approx(found.usage[ANSWER].output_tokens, rel=0.03)
    assert replayed(WeightedBestOf(), option, PROMPT, recorded, **known) is None  # type: ignore[arg-type]


def test_prefixes_that_were_not_scored_are_not_guessed() -> None:
    """A search that scores the beginnings of answers has no value from the scores of whole samples."""
    scores = {each.text: (0.5,) for each in SAMPLES}
    usage = {ANSWER: Usage(), REWARD: Usage()}
    settings = {"candidates": 4.0, "width": 2.0}
    option = StrategyOption(strategy="beam", settings=settings, value=None, expected=usage, worst=usage)
    assert replayed(Beam(), option, PROMPT, {ANSWER: SAMPLES}, scores=scores, right=right, prompt_tokens=1.0) is None
