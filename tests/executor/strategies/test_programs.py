"""The prompt programs of the package: they keep the contract, take what they say, and do what they are named for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Found, Missing, Reply, Sample, Sampled, Search
from coinfer.executor.strategies.programs import STRATEGIES, PromptStrategy
from coinfer.executor.strategies.strategy import Prior, Strategy, StrategyOption, Usage
from coinfer.testing.strategies import Driven, Simulated, check_contract, drive, question

NAMED = {strategy.name: strategy for strategy in STRATEGIES}
MEASURED = {
    "iep.candidates.items": 2.0,
    "iep.candidates.tokens": 10.0,
    "thinksum.facts.items": 2.0,
    "thinksum.facts.tokens": 10.0,
    "thinksum_vote.facts.items": 2.0,
    "thinksum_vote.facts.tokens": 10.0,
    "coin.rounds": 0.4,
    "coin.redo.sound": 0.4,
    "coin.redo.backtrack": 0.6,
    "idp.ways.direct": 0.5,
    "idp.ways.steps": 0.3,
    "idp.ways.parts": 0.2,
    "search_rank_extract.passages.tokens": 20.0,
    "search_rank_extract.passages.items": 3.0,
}
PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, rate={"answer": 0.6}, output_s=0.01, extra=MEASURED)


class Obedient(Simulated):
    """Simulated models that reply in the form that the programs ask for, with the chances of :data:`MEASURED`."""

    def __init__(self, prior: Prior, seed: int) -> None:
        super().__init__(prior, seed)
        self._own = np.random.default_rng([seed, 1])

    def __call__(self, ask: Ask) -> Reply:
        """Return a reply."""
        if isinstance(ask, Search):
            return Found(passages=tuple(f"{i} {'p' * 78}" for i in range(int(self._own.integers(2, 5)))))
        return super().__call__(ask)

    def completion(self, ask: Sample) -> Completion:
        """Return a completion, of the same length, that ends with lines or with a word where they are asked for."""
        made, asked = super().completion(ask), ask.messages[-1].content
        if "one a line and nothing else" in asked:
            return replace(made, text="\n".join(f"- {'x' * 40}" for _ in range(int(self._own.integers(1, 4)))))
        words: dict[str, float] = {}
        if "Say one word" in asked:
            words = {word: MEASURED[f"idp.ways.{word}"] for word in ("direct", "steps", "parts")}
        elif "Check each inference" in asked:
            words = {"sound": 0.4, "backtrack": 0.6}
        elif "Reply with a number" in asked:
            words = {str(i): 0.1 for i in range(10)}
        if not words:
            return made
        word = str(self._own.choice(list(words), p=list(words.values())))
        return replace(made, text=f"{made.text[: -len(word) - 1]} {word}")


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
@pytest.mark.parametrize("obedient", [True, False])
def test_programs_keep_the_contract_of_strategies(strategy: Strategy, obedient: bool) -> None:
    """They end within their worst case whatever the replies are: of the form that is asked for, or any other."""
    check_contract(strategy, PRIOR, runs=4, respond=lambda seed: (Obedient if obedient else Simulated)(PRIOR, seed))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_what_programs_take_is_what_their_stages_say(strategy: Strategy) -> None:
    """Calls and tokens of every role lie within 5 % of simulated prompts, with measured chances and lengths."""
    asked, runs = question(max_tokens=64, tokens=40), 900
    for option in strategy.options(PRIOR):
        total: defaultdict[str, Usage] = defaultdict(Usage)
        for seed in range(runs):
            for role, used in drive(strategy.start(asked, option), Obedient(PRIOR, seed)).usage.items():
                total[role] = total[role].plus(used.times(1.0 / runs))
        assert set(total) == set(option.expected)
        for role, expected in option.expected.items():
            assert total[role].calls == pytest.approx(expected.calls, rel=0.05)
            assert total[role].prompt_tokens == pytest.approx(expected.prompt_tokens, rel=0.05)
            assert total[role].output_tokens == pytest.approx(expected.output_tokens, rel=0.05)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_texts_that_are_too_long_stay_within_the_worst_prompt(strategy: Strategy) -> None:
    """Prompts never pass the worst case, though every reply, line and passage is far longer than it should be."""
    text = "\n".join(["1. " + "long " * 900] * 80) + " backtrack parts"

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Search):
            return Found(passages=(text,) * 50)
        assert isinstance(ask, Sample)
        one = Completion(text=text, output_tokens=ask.max_tokens, finish="length", logprobs=(-0.1,))
        return Sampled(completions=(one,) * ask.count)

    for option in strategy.options(replace(PRIOR, extra={})):
        used = drive(strategy.start(question(max_tokens=64, tokens=40), option), respond).usage
        for role, most in option.worst.items():
            assert used[role].prompt_tokens <= most.prompt_tokens + 1e-9
            assert used[role].calls <= most.calls
            if strategy.name != "idp":  # of its ways the longest asks most
                assert used[role].calls == most.calls


def test_a_value_is_what_was_measured_or_nothing() -> None:
    """An option is worth what the prior says of its name; others have no value."""
    shown = replace(PRIOR, extra={"coin (rounds 2)": 0.7})
    assert [option.value for option in NAMED["coin"].options(shown)] == [None, 0.7, None]


def told(name: str, *texts: str, **settings: float) -> tuple[Driven, list[str]]:
    """Return what a program does with these replies, one after the other, and what it asked."""
    left, asked = list(texts), []

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Search):
            asked.append(f"search {ask.count}: {ask.query}")
            return Found(passages=("Rome is old.", "Paris is the capital of France.", "Nice is warm.", "Lyon."))
        assert isinstance(ask, Sample)
        asked.append(ask.messages[-1].content)
        made = [left.pop(0) for _ in range(ask.count)]
        return Sampled(
            completions=tuple(
                Completion(text=text.partition("@")[0], output_tokens=9, finish="stop", logprobs=_logprobs(text))
                for text in made
            )
        )

    option = StrategyOption(strategy=name, settings=settings, value=None, expected={}, worst={})
    done = drive(NAMED[name].start(question(), option), respond)
    assert not left
    return done, asked


def _logprobs(text: str) -> tuple[float, ...] | None:
    return (float(np.log(float(text.partition("@")[2]))),) if "@" in text else None


def test_exclusion_judges_each_option_and_answers_with_the_verdicts() -> None:
    """Three of four listed options are checked, in parallel; the answer reads options and verdicts."""
    listed = "1. red\n\n2) green\n- blue\n* white"
    done, asked = told("iep", listed, "contradicted", "neutral", "entailed", "The answer is blue.", candidates=3)
    assert [len(step.asks) for step in done.steps] == [1, 3, 1]
    assert all(f"<<<\n{option}\n>>>" in text for option, text in zip(("red", "green", "blue"), asked[1:4], strict=True))
    assert "[1] red\n[2] green\n[3] blue" in asked[4]
    assert "[1] contradicted\n[2] neutral\n[3] entailed" in asked[4]
    assert done.answer.value == "blue"


def test_backtracking_goes_on_until_the_chain_is_sound() -> None:
    """A chain is redone where the check says so, and the rounds end with the first that is sound."""
    texts = ("The answer is 1.", "2 fails: backtrack", "The answer is 2.", "It is not so that I backtrack: sound")
    done, asked = told("coin", *texts, rounds=3)
    assert done.answer.value == "2"
    assert done.answer.details == {"rounds": 2.0, "redo.backtrack": 1.0, "redo.sound": 1.0}
    assert "The answer is 1." in asked[1]
    assert "The answer is 2." in asked[3]
    assert told("coin", "The answer is 1.", "backtrack", "The answer is 2.", rounds=1)[0].answer.value == "2"


@pytest.mark.parametrize(("said", "calls"), [("Direct.", 2), ("parts", 3), ("who knows", 2), ("steps or direct", 2)])
def test_the_first_call_chooses_the_prompt(said: str, calls: int) -> None:
    """The word said last chooses the way; where none is said it is that of steps."""
    done, asked = told("idp", said, *["The answer is 4."] * (calls - 1))
    assert len(asked) == calls
    assert ("step by step" in asked[1]) == (said == "who knows")
    assert done.answer.value == "4"


def test_sums_over_facts_weigh_probabilities_or_count() -> None:
    """One likely answer outweighs two unlikely ones by probability, and is outvoted in the plain vote."""
    answers = ("The answer is 7.@0.9", "The answer is 8.@0.3", "The answer is 8.@0.2")
    summed, _ = told("thinksum", "a\nb\nc", *answers, facts=3)
    assert summed.answer.value == "7"
    assert summed.answer.votes == pytest.approx({"7": 0.9, "8": 0.5})
    voted, asked = told("thinksum_vote", "a\nb\nc", *answers, facts=3)
    assert voted.answer.value == "8"
    assert ["<<< a >>>" in text for text in asked] == [False, True, False, False]


def test_foresight_is_read_by_each_reflection() -> None:
    """The reflections are samples of one prompt with what was foreseen, and vote."""
    reflected = ["The answer is 1.", "The answer is 2.", "The answer is 2."]
    done, asked = told("far", "It will rain.", *reflected, reflections=3)
    assert "It will rain." in asked[1]
    assert (len(asked), done.answer.value, done.answer.votes) == (2, "2", {"1": 1.0, "2": 2.0})


def test_passages_are_ranked_before_they_are_read() -> None:
    """The three passages with the highest numbers are extracted from, ties and silence in the retriever's order."""
    numbers = ("2", "10", "no idea", "I say 2 of 10: 7")
    done, asked = told(
        "search_rank_extract", "capital France", *numbers, "[1] Paris", "The answer is Paris.", passages=4
    )
    assert asked[1] == "search 4: capital France"
    assert "[1] Paris is the capital of France.\n[2] Lyon.\n[3] Rome is old." in asked[6]
    assert "[1] Paris" in asked[7]
    assert done.answer.value == "Paris"


def test_without_passages_or_the_last_call_there_is_still_an_answer() -> None:
    """A retriever that fails leaves the question; the latest text with an answer stands in for a missing end."""

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Search) or "Answer the question. Where" in ask.messages[-1].content:  # type: ignore[union-attr]
            return Missing(why="failed")
        one = Completion(text="The answer is 5.", output_tokens=5, finish="stop", logprobs=None)
        return Sampled(completions=(one,))

    strategy = NAMED["search_rank_extract"]
    done = drive(strategy.start(question(), strategy.options(PRIOR)[0]), respond)
    assert done.answer.value == "5"
    assert len(done.steps) == 4


def test_programs_are_strategies_by_their_names() -> None:
    """Each file of the package is a program of its own name, and among the strategies that plans may name."""
    from coinfer.executor.strategies.registry import strategies

    for strategy in STRATEGIES:
        assert isinstance(strategy, PromptStrategy)
        assert strategy.program.name == strategy.name
        assert strategies()[strategy.name] is strategy


def test_latency_adds_up_the_steps_that_wait_for_each_other() -> None:
    """Parallel calls count once, rounds and branches by their chances: 30 tokens of 0.01 s for each call in a row."""
    sure = replace(PRIOR, extra={"coin.rounds": 1.0, "coin.redo.sound": 1.0, "coin.redo.backtrack": 0.0})
    assert [each.latency_s for each in NAMED["coin"].options(sure)] == pytest.approx([0.6, 0.6, 0.6])
    a_round = 0.3 + 0.6 * 0.3  # a check, and a new chain in six of ten
    rounds = [0.3 + a_round, 0.3 + a_round * (1.0 + 0.6)]
    assert [each.latency_s for each in NAMED["coin"].options(PRIOR)][:2] == pytest.approx(rounds)
    assert [each.latency_s for each in NAMED["iep"].options(PRIOR)] == pytest.approx([0.9, 0.9])
    assert all(each.latency_s is None for each in NAMED["iep"].options(replace(PRIOR, output_s=None)))
