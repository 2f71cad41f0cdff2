"""Work that is passed along: segments of a text, critiques, rounds under a coordinator."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled
from coinfer.executor.strategies.relays import (
    STRATEGIES,
    ChainOfAgents,
    Coordinated,
    GenerateVerifyRefine,
    named_agents,
    segments,
)
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption
from coinfer.testing.strategies import Simulated, check_contract, drive, question, simulated_usage

DOCUMENT = " ".join(f"Fact number {i} is that {i} follows {i - 1}." for i in range(1, 400))
PRIOR = Prior(
    prompt_tokens=40,
    output_tokens=30,
    max_tokens=64,
    rate={"answer": 0.5},
    extra={"document_tokens": len(DOCUMENT) / 4.0},
    output_s=0.01,
)


def prompt() -> Prompt:
    """Return a question about the document."""
    return replace(question(max_tokens=64, tokens=40.0), extra={"document": DOCUMENT})


class Eager(Simulated):
    """A coordinator that always wants more agents than there are."""

    def __call__(self, ask: Ask) -> Reply:
        """Return a reply."""
        reply = super().__call__(ask)
        if not isinstance(ask, Sample) or ask.role != "coordinator":
            return reply
        assert isinstance(reply, Sampled)
        text = reply.completions[0].text[:-11] + " Agents: 99"
        return Sampled(completions=(replace(reply.completions[0], text=text),))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_they_keep_the_contract_of_strategies(strategy: Strategy) -> None:
    """They end within their worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(strategy, PRIOR, prompt(), runs=4)
    check_contract(strategy, PRIOR, prompt(), runs=3, respond=lambda seed: Eager(PRIOR, seed))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_what_they_take_is_what_their_menus_say(strategy: Strategy) -> None:
    """Calls and tokens of every role lie within 5 % of simulated prompts; of an eager coordinator too."""
    for option in strategy.options(PRIOR):
        if strategy.name == "coordinated":
            done = [drive(strategy.start(prompt(), option), Eager(PRIOR, seed)) for seed in range(3000)]
            used = {role: [each.usage[role] for each in done if role in each.usage] for role in option.expected}
            for role, expected in option.expected.items():
                assert sum(each.calls for each in used[role]) / 3000 == pytest.approx(expected.calls, rel=0.05)
                read = sum(each.prompt_tokens for each in used[role]) / 3000
                assert read == pytest.approx(expected.prompt_tokens, rel=0.05)
            continue
        found = simulated_usage(strategy, option, PRIOR, runs=400, prompt=prompt())
        for role, expected in option.expected.items():
            assert found[role].calls == pytest.approx(expected.calls, rel=0.05)
            assert found[role].prompt_tokens == pytest.approx(expected.prompt_tokens, rel=0.05)
            assert found[role].output_tokens == pytest.approx(expected.output_tokens, rel=0.06)


@given(text=st.text(alphabet="ab .!?\n", max_size=300), tokens=st.floats(0.5, 40.0))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_segments_hold_all_of_a_text_within_their_size(text: str, tokens: float) -> None:
    """No letter is lost, no segment is longer than allowed, and any two neighbours are longer together."""
    found = segments(text, tokens)
    room = max(1, int(tokens * 4.0))
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(len(each) <= room for each in found)
    assert all(len(first) + len(second) + 1 > room for first, second in itertools.pairwise(found))


def test_every_segment_is_read_once_and_findings_are_passed_on() -> None:
    """Workers see the pieces in order with what the one before wrote; the manager sees the last finding alone."""
    option = ChainOfAgents().options(PRIOR)[2]
    seen: list[tuple[str, str]] = []

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        text = f"Found {len(seen)}. The answer is {len(seen)}."
        seen.append((ask.role, ask.messages[-1].content))
        return Sampled(completions=(Completion(text=text, output_tokens=9, finish="stop", logprobs=None),))

    answer = drive(ChainOfAgents().start(prompt(), option), respond).answer
    workers = [text for role, text in seen if role == "worker"]
    assert len(workers) == len(segments(DOCUMENT, option.settings["segment_tokens"])) > 2
    for place, piece in enumerate(segments(DOCUMENT, option.settings["segment_tokens"])):
        assert piece in workers[place]
        assert (f"Found {place - 1}." in workers[place]) == (place > 0)
    assert answer.value == str(len(workers))
    assert f"Found {len(workers) - 1}." in seen[-1][1]


def test_segments_fit_the_context_and_without_a_document_there_is_no_option() -> None:
    """A small context leaves the small segments; a document that is not known leaves none."""
    small = replace(PRIOR, extra={**PRIOR.extra, "context_tokens": 700.0})
    assert [option.settings["segment_tokens"] for option in ChainOfAgents().options(small)] == [256.0, 512.0]
    assert ChainOfAgents().options(replace(PRIOR, extra={})) == ()


def test_the_refined_leaves_vote() -> None:
    """With two branches eight refinements are counted; without critiques the drafts are."""
    option = StrategyOption(
        strategy="generate_verify_refine", settings={"branches": 2.0}, value=None, expected={}, worst={}
    )
    answers = {"answer": "1", "refiner": "2"}

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        text = f"The answer is {answers.get(ask.role, '3')}."
        return Sampled(completions=(Completion(text=text, output_tokens=5, finish="stop", logprobs=None),) * ask.count)

    answer = drive(GenerateVerifyRefine().start(question(), option), respond).answer
    assert (answer.value, dict(answer.votes)) == ("2", {"2": 8.0})

    def silent(ask: Ask) -> Reply:
        return Missing(why="failed") if isinstance(ask, Sample) and ask.role == "verifier" else respond(ask)

    assert drive(GenerateVerifyRefine().start(question(), option), silent).answer.value == "1"


@pytest.mark.parametrize(("said", "again"), [("Agents: 2", 2), ("Agents: 0", 0), ("agents 9999", 3), ("go on!", 0)])
def test_the_coordinator_chooses_how_many_answer_again_within_the_option(said: str, again: int) -> None:
    """A number is cut to the agents there are; words without one end the rounds."""
    calls: list[str] = []
    random = np.random.default_rng(1)

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        calls.append(ask.role)
        text = said if ask.role == "coordinator" else f"The answer is {random.integers(10**6)}."
        return Sampled(completions=(Completion(text=text, output_tokens=5, finish="stop", logprobs=None),))

    option = StrategyOption(
        strategy="coordinated", settings={"agents": 3.0, "rounds": 1.0}, value=None, expected={}, worst={}
    )
    drive(Coordinated().start(question(), option), respond)
    assert calls == [*(f"agent {i}" for i in (1, 2, 3)), "coordinator", *(f"agent {i + 1}" for i in range(again))]
    assert named_agents("Agents: 1. Agents: 2") == 2
