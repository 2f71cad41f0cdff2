"""Drafts that are criticised and refined."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import ANSWER, Ask, Missing, Reply, Sample, Sampled
from coinfer.executor.strategies.reflect import REFINE, REFLECT, DraftReflectRefine, course, stands
from coinfer.executor.strategies.strategy import CHARACTERS_PER_TOKEN, Prior, StrategyOption
from coinfer.testing.measured import measured
from coinfer.testing.strategies import (
    MARK,
    Driven,
    Simulated,
    answer_of,
    check_contract,
    drive,
    question,
)

PRIOR = Prior(
    prompt_tokens=40,
    output_tokens=30,
    max_tokens=64,
    rate={ANSWER: 0.5},
    repair_rate=0.4,
    output_s=0.01,
    extra={"stands_right": 0.7, "stands_wrong": 0.3, "kept_rate": 0.9},
)


class Critic(Simulated):
    """A model that criticises and refines as often rightly as the prior says."""

    right = False

    def completion(self, ask: Sample) -> Completion:
        """Return a draft, a criticism or a refined answer, by what is asked."""
        content, known = ask.messages[-1].content, self._prior.extra
        made = super().completion(ask)
        if REFLECT in content:
            chance = known["stands"] if "stands" in known else known["stands_right" if self.right else "stands_wrong"]
            verdict = "\nVerdict: stands" if self._random.random() < chance else "\nVerdict: revise"
            room = max(0, int(made.output_tokens * CHARACTERS_PER_TOKEN) - len(verdict))
            return replace(made, text="c" * room + verdict)
        if REFINE in content and "kept_rate" in known:
            repair = self._prior.repair_rate
            assert repair is not None
            chance = known["kept_rate"] if self.right else repair
            value = "0" if self._random.random() < chance else "1"
            made = replace(made, text=made.text.replace(f"{MARK}{answer_of(made.text)}", f"{MARK}{value}"))
        self.right = answer_of(made.text) == "0"
        return made


def driven(depth: float, texts: list[str | None]) -> Driven:
    """Return what a session does with these replies."""
    left = iter(texts)

    def respond(ask: Ask) -> Reply:
        text = next(left)
        if text is None:
            return Missing(why="failed")
        return Sampled(completions=(Completion(text=text, output_tokens=9, finish="stop", logprobs=None),))

    option = StrategyOption(
        strategy="draft_reflect_refine", settings={"depth": depth}, value=None, expected={}, worst={}
    )
    return drive(DraftReflectRefine().start(question(), option), respond)


def test_reflection_keeps_the_contract_of_strategies() -> None:
    """It ends within its worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(DraftReflectRefine(), PRIOR, runs=8)
    check_contract(DraftReflectRefine(), PRIOR, runs=8, respond=lambda seed: Critic(PRIOR, seed))


@pytest.mark.parametrize("extra", [PRIOR.extra, {"stands": 0.4}, {}], ids=["by right and wrong", "overall", "unknown"])
def test_what_reflection_takes_is_what_its_menu_says(extra: dict[str, float]) -> None:
    """Calls and tokens lie within 5 % of simulated prompts; where nothing is known no verdict ends a session."""
    prior = replace(PRIOR, extra=extra)

    def make(seed: int) -> Simulated:
        return Critic(prior, seed) if extra else Simulated(prior, seed)

    for option in DraftReflectRefine().options(prior):
        used = measured(DraftReflectRefine(), option, make, question(tokens=40), runs=1500).usage[ANSWER]
        mean = option.expected[ANSWER]
        assert used.calls == pytest.approx(mean.calls, rel=0.05)
        assert used.prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)
        assert used.output_tokens == pytest.approx(mean.output_tokens, rel=0.05)


def test_it_is_worth_what_its_menu_says() -> None:
    """With all chances known values are those of simulated sessions; with one missing only a measurement gives one."""
    for option in DraftReflectRefine().options(PRIOR):
        reached = measured(DraftReflectRefine(), option, lambda seed: Critic(PRIOR, seed), question(), runs=1500)
        assert reached.value == pytest.approx(option.value, abs=0.04)
    for name in PRIOR.extra:
        lacking = replace(PRIOR, extra={key: value for key, value in PRIOR.extra.items() if key != name})
        assert all(option.value is None for option in DraftReflectRefine().options(lacking))
    shown = replace(PRIOR, extra={"draft_reflect_refine (depth 2)": 0.7})
    assert [option.value for option in DraftReflectRefine().options(shown)] == [None, 0.7, None, None]


def test_depth_helps_where_criticism_tells_right_from_wrong_and_harms_where_it_does_not() -> None:
    """A critic that lets right answers stand raises the value with depth; one that spoils them lowers it."""
    good = replace(PRIOR, extra={"stands_right": 0.9, "stands_wrong": 0.1, "kept_rate": 0.9})
    values = [course(good, depth).value or 0.0 for depth in range(5)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0.5)
    bad = replace(PRIOR, repair_rate=0.1, extra={"stands_right": 0.1, "stands_wrong": 0.9, "kept_rate": 0.5})
    values = [course(bad, depth).value or 0.0 for depth in range(5)]
    assert values == sorted(values, reverse=True)
    greedy = replace(good, greedy={ANSWER: 0.8})
    assert course(greedy, 0).value == pytest.approx(0.8)


def test_it_ends_when_the_reflection_says_that_the_answer_stands() -> None:
    """The criticism is of the latest answer, refining reads both, and after the verdict nothing more is asked."""
    texts: list[str | None] = [f"{MARK}1.", "Wrong. Verdict: revise", f"{MARK}2.", "Good. Verdict: stands"]
    done = driven(4, texts)
    assert done.answer.value == "2"
    assert done.answer.details == {"reflections": 2.0, "stood": 1.0}
    contents = [ask.messages[-1].content for step in done.steps for ask in step.asks if isinstance(ask, Sample)]
    assert contents[0] == question().text
    assert REFLECT in contents[1]
    assert f"{MARK}1." in contents[1]
    assert REFINE in contents[2]
    assert f"{MARK}1." in contents[2]
    assert "Wrong." in contents[2]
    assert f"{MARK}2." in contents[3]
    assert f"{MARK}1." not in contents[3]


def test_it_ends_at_its_depth_and_where_replies_are_missing() -> None:
    """The last answer that there is is handed out; without a draft there is none."""
    assert driven(1, [f"{MARK}1.", "no verdict", f"{MARK}2."]).answer.value == "2"
    assert driven(3, [f"{MARK}1.", None]).answer.value == "1"
    assert driven(3, [f"{MARK}1.", "Verdict: revise", None]).answer.value == "1"
    assert driven(3, [None]).answer.text is None
    assert driven(0, [f"{MARK}1."]).answer.value == "1"


def test_verdicts_are_read_defensively() -> None:
    """The last verdict counts; what is no verdict does not let an answer stand."""
    for text in ("Verdict: stands", "verdict - STANDS.", "**Verdict:** stands", "Verdict: revise\nVerdict: stands"):
        assert stands(text)
    for text in ("", "stands", "Verdict: standstill", "Verdict: stands\nVerdict: revise", "verdict" * 9999):
        assert not stands(text)


@pytest.mark.parametrize("depth", [-1, 1.5, 17, float("nan")])
def test_a_depth_that_is_none_is_refused_in_a_sentence(depth: float) -> None:
    """The sentence names the setting."""
    with pytest.raises(RequestError, match=r"settings\.depth"):
        driven(depth, [])
