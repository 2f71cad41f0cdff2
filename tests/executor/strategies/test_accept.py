"""Samples until tests or a verifier accept one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coinfer.executor import sandbox
from coinfer.executor.strategies.accept import STRATEGIES, AcceptedBestOf, TestedBestOf
from coinfer.executor.strategies.ask import ANSWER, Ask, Ran, Reply, RunProgram, Sample, Sampled
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption
from coinfer.testing.strategies import Simulated, answer_of, check_contract, drive, question, simulated_usage

PRIOR = Prior(
    prompt_tokens=40,
    output_tokens=30,
    max_tokens=64,
    rate={ANSWER: 0.3},
    scorer=(
        (0.9, 1.0),
        (0.6, 1.0),
        (0.55, 0.0),
        (0.3, 0.0),
        (0.2, 0.0),
        (0.2, 0.0),
        (0.7, 1.0),
        (0.1, 0.0),
        (0.35, 0.0),
        (0.4, 0.0),
    ),
    extra={"tests": 1.0},
    output_s=0.01,
)


class Graded(Simulated):
    """Programs pass where the sample that they come from is right."""

    def __call__(self, ask: Ask) -> Reply:
        """Return a reply."""
        if not isinstance(ask, RunProgram):
            return super().__call__(ask)
        word = ask.source.rpartition("print(); print('")[2].partition("'")[0]
        if answer_of(ask.source.partition("\n\n")[0]) == "0":
            return Ran(stdout=f"\n{word}\n", ended="ok")
        return Ran(stdout="", ended="error")


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_they_keep_the_contract_of_strategies(strategy: Strategy) -> None:
    """They end within their worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(strategy, PRIOR, runs=4)
    check_contract(strategy, PRIOR, runs=3, respond=lambda seed: Graded(PRIOR, seed))


def test_tested_samples_take_and_are_worth_what_their_menu_says() -> None:
    """Calls, programs and tokens lie within 5 % of simulated prompts, values within their noise."""
    for option in TestedBestOf().options(PRIOR):
        done = [drive(TestedBestOf().start(question(), option), Graded(PRIOR, seed)) for seed in range(1200)]
        value = np.mean([each.answer.value == "0" for each in done])
        assert value == pytest.approx(option.value, abs=0.045)
        for role, expected in option.expected.items():
            calls = np.mean([each.usage[role].calls for each in done])
            assert calls == pytest.approx(expected.calls, rel=0.05)
        tokens = np.mean([each.usage[ANSWER].output_tokens for each in done])
        assert tokens == pytest.approx(option.expected[ANSWER].output_tokens, rel=0.05)


def test_accepted_samples_take_and_are_worth_what_their_menu_says() -> None:
    """The same of a verifier's threshold, where scores are those of the pilot."""
    for option in AcceptedBestOf().options(PRIOR)[::2]:
        used = simulated_usage(AcceptedBestOf(), option, PRIOR, runs=1500)
        for role, expected in option.expected.items():
            assert used[role].calls == pytest.approx(expected.calls, rel=0.05)
            assert used[role].output_tokens == pytest.approx(expected.output_tokens, rel=0.05)
            assert used[role].prompt_tokens == pytest.approx(expected.prompt_tokens, rel=0.06)
        done = [drive(AcceptedBestOf().start(question(), option), Simulated(PRIOR, seed)) for seed in range(1500)]
        assert np.mean([each.answer.value == "0" for each in done]) == pytest.approx(option.value, abs=0.05)


def test_without_tests_or_scores_nothing_is_promised() -> None:
    """Prompts without tests have no option, and without scored samples the value is not known."""
    assert TestedBestOf().options(replace(PRIOR, extra={})) == ()
    assert all(option.value is None for option in AcceptedBestOf().options(replace(PRIOR, scorer=None)))


@pytest.mark.parametrize(
    ("programs", "passed"),
    [
        (["def double(x):\n    return x", "def double(x):\n    return 2 * x"], 1),
        (["```python\ndef double(x): return x + x\n```", "def double(x): pass"], 0),
        (["import os; os._exit(0)", "print('\\n' + 'a' * 64); raise SystemExit", "def double(x): return x"], None),
    ],
)
def test_real_programs_are_run_with_the_tests(tmp_path: Path, programs: list[str], passed: int | None) -> None:
    """The first program that passes is the answer; one that ends early, or prints words of its own, has not passed."""
    del tmp_path
    if (reason := sandbox.available()) is not None:
        pytest.skip(reason)
    left = iter(programs)

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Sample):
            return Sampled(completions=tuple(_completion(next(left)) for _ in range(ask.count)))
        assert isinstance(ask, RunProgram)
        return asyncio.run(sandbox.run(ask))

    prompt = Prompt(id="p", text="Write double.", max_tokens=64, extra={"tests": "assert double(3) == 6"})
    option = StrategyOption(
        strategy="tested_best_of",
        settings={"samples": float(len(programs)), "batch": 1.0},
        value=None,
        expected={},
        worst={},
    )
    answer = drive(TestedBestOf().start(prompt, option), respond).answer
    assert answer.text == programs[passed or 0]
    assert answer.details["passed"] == float(passed is not None)


def _completion(text: str):  # type: ignore[no-untyped-def]
    from coinfer.executor.backends.base import Completion

    return Completion(text=text, output_tokens=9, finish="stop", logprobs=None)
