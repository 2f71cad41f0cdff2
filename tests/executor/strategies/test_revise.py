"""Chains of revisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.agents import quoted
from coinfer.executor.strategies.ask import ANSWER, Ask, Missing, Reply, Sample, Sampled, Score, Scored
from coinfer.executor.strategies.revise import KEPT_ANSWERS, REVISE, Revise, revised_rate
from coinfer.executor.strategies.strategy import Prior, StrategyOption, estimated_tokens
from coinfer.models.budget.curves.costs import Request, revision_chains
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
    answers=(0.4, 0.3),
    repair_rate=0.3,
    scorer=((0.9, 1.0), (0.6, 1.0), (0.5, 0.0), (0.2, 0.0)),
    output_s=0.01,
    extra={"kept_rate": 0.9},
)


class Reviser(Simulated):
    """A model that keeps right answers and repairs wrong ones as the prior says, having read the last attempt."""

    before: str | None = None

    def completion(self, ask: Sample) -> Completion:
        """Return a completion."""
        self.before = answer_of(ask.messages[-1].content)
        return super().completion(ask)

    def answer(self, role: str) -> str:
        """Return an answer: a new one, or the revision of the last attempt."""
        if self.before is None:
            return super().answer(role)
        chance = self._prior.extra["kept_rate"] if self.before == "0" else self._prior.repair_rate
        assert chance is not None
        if self._random.random() < chance:
            return "0"
        while (other := super().answer(role)) == "0":
            pass
        return other


def option_of(**settings: float) -> StrategyOption:
    """Return an option as a plan names it."""
    return StrategyOption(strategy="revise", settings=settings, value=None, expected={}, worst={})


def driven(option: StrategyOption, answers: list[str | None], rewards: dict[str, float] | None = None) -> Driven:
    """Return what a session does whose completions give these answers, in turn; None is a missing one."""
    left = iter(answers)

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Score):
            if rewards is None:
                return Missing(why="failed")
            return Scored(scores=tuple((rewards[answer_of("".join(steps)) or ""],) for steps in ask.answers))
        assert isinstance(ask, Sample)
        said = [each for each in (next(left) for _ in range(ask.count)) if each is not None]
        if not said:
            return Missing(why="failed")
        texts = [f"{MARK}{each}." for each in said]
        return Sampled(
            completions=tuple(Completion(text=each, output_tokens=9, finish="stop", logprobs=None) for each in texts)
        )

    return drive(Revise().start(question(), option), respond)


def test_revisions_keep_the_contract_of_strategies() -> None:
    """They end within their worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(Revise(), PRIOR, runs=4)
    check_contract(Revise(), PRIOR, runs=2, respond=lambda seed: Reviser(PRIOR, seed))


def test_what_revisions_take_is_what_their_menu_says() -> None:
    """Calls and tokens of the model and of the verifier lie within 5 % of simulated prompts."""
    for option in Revise().options(PRIOR):
        used = simulated_usage(Revise(), option, PRIOR, runs=120)
        assert set(used) == set(option.expected)
        for role, mean in option.expected.items():
            assert used[role].calls == pytest.approx(mean.calls, rel=0.05)
            assert used[role].prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)
            assert used[role].output_tokens == pytest.approx(mean.output_tokens, rel=0.05)


def test_the_cost_of_chains_is_the_closed_form_of_the_planner() -> None:
    """Without instructions, tokens read and written are those of curves.costs, but for the first prompt, read once."""
    for option in Revise().options(PRIOR):
        chains, length = option.settings["chains"], option.settings["length"]
        request = Request(prompt_tokens=40, answer_tokens=30, answer_cap_tokens=64, answer_log_deviation=0.0)
        bill = revision_chains(request, [chains], [length], kept_answers=KEPT_ANSWERS)
        quotes = sum(
            estimated_tokens("".join(quoted(f"Attempt {place}", "", 1) for place in range(max(1, i - 3), i + 1)))
            for i in range(1, int(length))
        )
        told = chains * ((length - 1) * estimated_tokens(REVISE) + quotes)
        for usage, exact in ((option.expected, bill.expected), (option.worst, bill.worst)):
            read = float(exact.total.input[0]) - (chains - 1) * 40 + told
            assert usage[ANSWER].prompt_tokens == pytest.approx(read)
            assert usage[ANSWER].output_tokens == pytest.approx(float(exact.total.output[0]))
            assert usage[ANSWER].calls == float(exact.total.call[0])


def test_a_vote_of_last_answers_is_worth_what_its_menu_says() -> None:
    """Where revisions keep and repair with known chances, values are those of simulated chains; else there is none."""
    for option in Revise().options(PRIOR):
        if option.settings["select"] != 1.0:
            assert option.value is None
            continue
        reached = measured(Revise(), option, lambda seed: Reviser(PRIOR, seed), question(), runs=700)
        assert reached.value == pytest.approx(option.value, abs=0.055), option.name
    for prior in (replace(PRIOR, extra={}), replace(PRIOR, repair_rate=None), replace(PRIOR, answers=None)):
        assert all(option.value is None for option in Revise().options(prior))
    name = "revise (chains 2, length 2, select 0)"
    shown = replace(PRIOR, extra={name: 0.7})
    assert [option.value for option in Revise().options(shown) if option.name == name] == [0.7]


def test_long_chains_pay_where_revisions_repair_and_many_chains_where_they_do_not() -> None:
    """Of eight answers, one chain is worth most if wrong ones are repaired, four chains if right ones are spoilt."""

    def values(prior: Prior) -> dict[tuple[float, float], float | None]:
        options = [each for each in Revise().options(prior) if each.settings["select"] == 1.0]
        return {(each.settings["chains"], each.settings["length"]): each.value for each in options}

    repairs = values(replace(PRIOR, repair_rate=0.5, extra={"kept_rate": 1.0}))
    assert (repairs[1, 8] or 0.0) > (repairs[2, 4] or 0.0) > (repairs[4, 2] or 0.0)
    spoils = values(replace(PRIOR, answers=(0.6, 0.2), repair_rate=0.05, extra={"kept_rate": 0.8}))
    assert (spoils[1, 8] or 0.0) < (spoils[2, 4] or 0.0) < (spoils[4, 2] or 0.0)
    assert revised_rate(0.3, 0.0, 1.0, 5) == pytest.approx(0.3)


def test_a_revision_reads_the_last_four_answers_of_its_own_chain() -> None:
    """The first answer reads the question alone, later ones what stands in their chain, the latest last."""
    done = driven(option_of(chains=2, length=6, select=0), [f"{c}{i}" for i in range(6) for c in "ab"])
    (first, *later) = done.steps
    assert [ask.messages[-1].content for ask in first.asks if isinstance(ask, Sample)] == [question().text]
    for i, step in enumerate(later, start=1):
        for chain, ask in zip("ab", step.asks, strict=True):
            assert isinstance(ask, Sample)
            content = ask.messages[-1].content
            read = content.split(MARK)[1:]
            assert [each.split(".")[0] for each in read] == [f"{chain}{j}" for j in range(max(0, i - 4), i)]
            assert content.startswith(question().text + REVISE)


@pytest.mark.parametrize(("select", "wins"), [(0, "x"), (1, "z"), (2, "y")])
def test_votes_and_verifiers_select_in_their_way(select: float, wins: str) -> None:
    """All answers vote, or the last of each chain, or rewards pick in each chain and then among the picked."""
    rewards = {"x": 0.3, "y": 0.9, "z": 0.5, "v": 0.1, "w": 0.2}
    answers: list[str | None] = ["x", "y", "x", "v", "w", "x", "z", "z", "w"]  # three chains, column by column
    done = driven(option_of(chains=3, length=3, select=select), answers, rewards)
    assert done.answer.value == wins


def test_a_verifier_sums_rewards_of_equal_answers_within_a_chain() -> None:
    """Two weak answers that agree beat a stronger one; the chain is then worth its best text, not their sum."""
    rewards = {"x": 0.4, "y": 0.6, "z": 0.5}
    done = driven(option_of(chains=1, length=3, select=2), ["y", "x", "x"], rewards)
    assert done.answer.value == "x"
    two = driven(option_of(chains=2, length=2, select=2), ["x", "z", "x", "z"], rewards)
    assert two.answer.votes == pytest.approx({"x": 0.4, "z": 0.5})


def test_between_two_answers_of_a_chain_the_revised_one_counts() -> None:
    """Ties go to the later answer, in a vote, without a verifier's reply, and where it likes both alike."""
    for select in (0, 1, 2):
        for rewards in (None, {"old": 0.5, "new": 0.5}):
            answer = driven(option_of(chains=1, length=2, select=select), ["old", "new"], rewards).answer
            assert answer.value == "new"


def test_missing_answers_leave_their_chain_as_it_is() -> None:
    """A chain goes on from what it has, from the question where it has nothing; without any answer there is none."""
    done = driven(option_of(chains=1, length=3, select=1), [None, "a", None])
    contents = [ask.messages[-1].content for step in done.steps for ask in step.asks if isinstance(ask, Sample)]
    assert contents[0] == contents[1] == question().text
    assert contents[2].startswith(question().text + REVISE)
    assert done.answer.value == "a"
    assert driven(option_of(chains=2, length=2, select=2), [None] * 4, {}).answer.text is None


@pytest.mark.parametrize("settings", [{}, {"chains": 1, "length": 0.5, "select": 0}, {"chains": 1, "length": 2}])
def test_settings_that_are_none_are_refused_in_a_sentence(settings: dict[str, float]) -> None:
    """A number that is absent, broken or out of range names its place."""
    with pytest.raises(RequestError, match=r"settings\.(chains|length|select)"):
        Revise().start(question(), option_of(**settings))
