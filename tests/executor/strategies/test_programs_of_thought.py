"""Reasoning in words and in programs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from coinfer.errors import RequestError
from coinfer.executor import sandbox
from coinfer.executor.backends.base import Completion
from coinfer.executor.checkers.numbers import Numeric
from coinfer.executor.strategies.ask import SANDBOX, Ask, Missing, Ran, Reply, RunProgram, Sample, Sampled
from coinfer.executor.strategies.programs_of_thought import PROGRAM, ChainAndProgram
from coinfer.executor.strategies.session import Answer
from coinfer.executor.strategies.strategy import Prior, Prompt, StrategyOption
from coinfer.testing.measured import measured
from coinfer.testing.strategies import (
    MARK,
    Simulated,
    check_contract,
    drive,
    question,
    simulated_usage,
)

PRIOR = Prior(prompt_tokens=40, output_tokens=30, max_tokens=64, answers=(0.4, 0.3), output_s=0.01)


def option_of(chains: float, programs: float) -> StrategyOption:
    """Return an option as a plan names it."""
    settings = {"chains": chains, "programs": programs}
    return StrategyOption(strategy="chain_and_program", settings=settings, value=None, expected={}, worst={})


def texts(found: list[str]) -> Reply:
    """Return completions."""
    if not found:
        return Missing(why="failed")
    return Sampled(
        completions=tuple(Completion(text=each, output_tokens=9, finish="stop", logprobs=None) for each in found)
    )


def compared(chains: list[str], printed: list[Reply]) -> Answer:
    """Return the answer where chains end with these answers, and programs run like this."""
    left = iter(printed)

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, RunProgram):
            return next(left)
        assert isinstance(ask, Sample)
        if PROGRAM in ask.messages[-1].content:
            return texts(["```python\nprint()\n```"] * len(printed))
        return texts([f"Words. {MARK}{each}." for each in chains])

    option = option_of(max(1, len(chains)), max(1, len(printed)))
    return drive(ChainAndProgram().start(question(), option), respond).answer


def ran(value: str) -> Reply:
    """Return a run that prints an answer."""
    return Ran(stdout=f"{MARK}{value}.\n", ended="ok")


def test_it_keeps_the_contract_of_strategies() -> None:
    """It ends within its worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(ChainAndProgram(), PRIOR, runs=8)


def test_what_it_takes_is_what_its_menu_says() -> None:
    """Calls and tokens of the model, and programs that are run, lie within 5 % of simulated prompts."""
    for option in ChainAndProgram().options(PRIOR):
        assert "sandbox" in option.needs
        used = simulated_usage(ChainAndProgram(), option, PRIOR, runs=200)
        assert set(used) == set(option.expected)
        for role, mean in option.expected.items():
            assert used[role].calls == pytest.approx(mean.calls, rel=0.05)
            assert used[role].prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)
            assert used[role].output_tokens == pytest.approx(mean.output_tokens, rel=0.05)


def test_values_are_those_that_were_measured() -> None:
    """Nothing but a measurement of the option gives it a value."""
    name = "chain_and_program (chains 2, programs 2)"
    options = ChainAndProgram().options(replace(PRIOR, extra={name: 0.8}))
    assert {option.name: option.value for option in options if option.value is not None} == {name: 0.8}


def test_agreement_beats_a_vote_where_words_and_programs_err_in_different_ways() -> None:
    """With wrong words mostly alike and programs wrong each in its own way, programs lift what words alone reach."""
    prior = replace(PRIOR, answers=(0.35, 0.45))

    class Apart(Simulated):
        def __call__(self, ask: Ask) -> Reply:
            if not isinstance(ask, RunProgram):
                return super().__call__(ask)
            right = self._random.random() < 0.5
            return ran("0" if right else f"p{self._random.integers(10**9)}")

    reached = measured(ChainAndProgram(), option_of(4, 4), lambda seed: Apart(prior, seed), question())
    assert reached.value > 0.7


def test_an_answer_that_a_program_agrees_with_beats_more_words_for_another() -> None:
    """Three chains are outvoted by one chain and a program; its words are handed out."""
    answer = compared(["1", "1", "1", "2"], [ran("2"), ran("9")])
    assert answer.value == "2"
    assert answer.text == f"Words. {MARK}2."
    assert answer.votes == {"2": 2.0}
    assert answer.details == {"kept": 1.0, "programs": 2.0}


def test_of_answers_that_are_kept_the_one_with_most_words_and_programs_wins() -> None:
    """Two answers are agreed on: chains and programs of each are counted together."""
    assert compared(["1", "1", "2"], [ran("1"), ran("2"), ran("2"), ran("2")]).votes == {"1": 3.0, "2": 4.0}


def test_without_agreement_all_vote_and_programs_that_fail_have_none() -> None:
    """A program that raised, ran out of time, printed nothing, or is missing, counts for nothing, whatever it says."""
    broken: list[Reply] = [
        Ran(stdout=f"{MARK}2.", ended="error"),
        Ran(stdout=f"{MARK}2.", ended="time"),
        Ran(stdout="  \n", ended="ok"),
        Missing(why="failed"),
    ]
    assert compared(["1", "3"], [*broken, ran("3")]).details == {"kept": 1.0, "programs": 1.0}
    assert compared(["2", "1", "1"], broken).value == "1"
    assert compared(["1", "1"], [ran("2")] * 3).value == "2"
    assert compared([], [ran("4")]).text == f"{MARK}4."
    assert compared(["1"], []).value == "1"
    assert compared([], []).text is None


def test_a_bare_number_that_a_program_prints_is_an_answer() -> None:
    """Where the workload's extractor reads nothing in the output, its last line is read as the end of a sentence."""
    answer = compared(["8"], [Ran(stdout="working\n5\n", ended="ok"), Ran(stdout="5\n", ended="ok")])
    assert answer.votes == {"8": 1.0, "5": 2.0}
    assert answer.text == "The answer is 5"


def test_real_programs_are_run_and_read_by_the_workload() -> None:
    """A fenced program computes what one chain says; one that fails and one that never ends do not count."""
    if (reason := sandbox.available()) is not None:
        pytest.skip(reason)
    programs = [
        "Here:\n```python\nprint('The answer is', sum(range(11)))\n```\nDone.",
        "```python\nraise SystemExit(3)\n```",
        "```python\nimport os\nprint(os.environ['HOME'] and 7)\nos._exit(1)\n```",
    ]
    chains = ["10 * 10 / 2 = 50. The answer is 50.", "The answer is 50.", "11 * 10 / 2 = 55. The answer is 55."]

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, RunProgram):
            return asyncio.run(sandbox.run(ask))
        assert isinstance(ask, Sample)
        return texts(programs if PROGRAM in ask.messages[-1].content else chains)

    prompt = Prompt(id="p", text="Sum 0 to 10.", max_tokens=64, answer_of=Numeric().answer_of)
    done = drive(ChainAndProgram().start(prompt, option_of(3, 3)), respond)
    assert done.answer.value == "55"
    assert done.answer.text == chains[2]
    assert done.usage[SANDBOX].calls == 3.0


@pytest.mark.parametrize(("chains", "programs"), [(0, 1), (1, 0), (1.5, 1), (1, float("nan"))])
def test_settings_that_are_none_are_refused_in_a_sentence(chains: float, programs: float) -> None:
    """A number that is broken or out of range names its place."""
    with pytest.raises(RequestError, match=r"settings\.(chains|programs)"):
        ChainAndProgram().start(question(), option_of(chains, programs))
