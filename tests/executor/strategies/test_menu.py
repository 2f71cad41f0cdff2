"""Strategies and priors make a budget problem whose plan can be run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from coinfer.errors import InputError, PlanMismatch
from coinfer.executor.backends.base import Completion
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
from coinfer.executor.strategies.menu import Stratum, menu
from coinfer.executor.strategies.prior import prior_of
from coinfer.executor.strategies.provider import TokenPrice
from coinfer.executor.strategies.registry import strategies, strategy_named
from coinfer.executor.strategies.scheduler import SessionScheduler
from coinfer.executor.strategies.single import Single
from coinfer.executor.strategies.strategy import Need, Prior, StrategyOption, Usage
from coinfer.executor.strategies.work import planned_work, work_sha256
from coinfer.models.budget.decision import BudgetDecision
from coinfer.planner.make import plan
from coinfer.planner.verify import verify
from coinfer.records import Matrix
from coinfer.testing.strategies import answer_of, question

OFFERS: dict[str, frozenset[Need]] = {"answer": frozenset({"completions"})}


def prior(rate: float, length: float = 5.0) -> Prior:
    return Prior(prompt_tokens=10, output_tokens=length, max_tokens=9, rate={"answer": rate})


STRATA = (
    Stratum(name="easy", prompts=30, priors=(prior(0.8), prior(1.0))),
    Stratum(name="hard", prompts=10, priors=(prior(0.2, 8.0),)),
)


class Needy(Single):
    """A single completion that wants more than there is."""

    name = "needy"

    def __init__(self, *, need: Need | None = None, role: str | None = None, known: bool = True) -> None:
        self._need, self._role, self._known = need, role, known

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return the option with its wish."""
        (plain,) = super().options(prior)
        usage = {self._role or "answer": Usage(calls=1)}
        return (
            StrategyOption(
                strategy=self.name,
                settings={},
                value=plain.value if self._known else None,
                expected=usage,
                worst=usage,
                needs=frozenset({"completions", self._need} if self._need else {"completions"}),
            ),
        )


def test_menus_are_means_over_the_pilot_with_its_standard_error() -> None:
    """Value, tokens, money and the worst case of each cell are those of the priors of its stratum."""
    made = menu("m", STRATA, [Single()], offers=OFFERS, prices={"answer": TokenPrice(prompt_usd=1.0, output_usd=2.0)})
    table = made.problem.menus
    assert made.left_out == {}
    assert made.problem.prompts == 40
    assert table.value.array.ravel().tolist() == pytest.approx([0.9, 0.2])  # type: ignore[union-attr]
    assert table.value_error.array.ravel().tolist() == pytest.approx([0.5**0.5 / 3, 0.4])  # type: ignore[union-attr]
    amounts = {each.resource: each for each in table.cost}  # type: ignore[union-attr]
    assert amounts["tokens"].amount.array.ravel().tolist() == [5.0, 8.0]
    assert amounts["tokens"].worst.array.ravel().tolist() == [9.0, 9.0]  # type: ignore[union-attr]
    assert amounts["usd"].amount.array.ravel().tolist() == [20.0, 26.0]


def test_prompts_that_look_alike_do_not_show_that_all_are() -> None:
    """Ten prompts that all fail leave a standard error of 0.064, and a thousand one of 0.0007."""
    for count, error in ((10, 0.0643), (1000, 0.000706)):
        strata = [Stratum(name="s", prompts=5, priors=(prior(0.0),) * count)]
        table = menu("m", strata, [Single()], offers=OFFERS).problem.menus
        assert table.value_error.array.item() == pytest.approx(error, rel=1e-3)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        (Needy(need="sandbox"), "it needs sandbox: no namespaces here"),
        (Needy(need="reward"), "it needs reward: no endpoint offers it"),
        (Needy(role="judge"), "nobody serves the role 'judge'"),
        (Needy(known=False), "nothing is known of how often it is right; pilot with --try to measure it"),
    ],
)
def test_an_option_that_cannot_be_run_leaves_the_menu_with_the_reason(strategy: Needy, reason: str) -> None:
    """What is missing is named, and the other options stay; alone, it is refused in one sentence."""
    missing: dict[Need, str] = {"sandbox": "no namespaces here"}
    made = menu("m", STRATA, [Single(), strategy], offers=OFFERS, missing=missing)
    assert [option.name for option in made.problem.options] == ["single"]
    assert made.left_out == {"needy": reason}
    with pytest.raises(InputError, match="an option that can be run"):
        menu("m", STRATA, [strategy], offers=OFFERS, missing=missing)


def test_every_strategy_is_on_the_menu_or_left_out_with_a_reason() -> None:
    """With one poor endpoint and a prior that says little, no strategy is passed over in silence."""
    poor = Prior(prompt_tokens=10, output_tokens=5, max_tokens=64, rate={"answer": 0.5})
    made = menu("m", [Stratum(name="s", prompts=3, priors=(poor,))], strategies().values(), offers=OFFERS)
    told = {option.strategy for option in made.problem.options} | {name.partition(" (")[0] for name in made.left_out}
    assert told == set(strategies())
    assert all(made.left_out.values())
    assert "which blank lines end" in made.left_out["beam"]


def test_a_plan_of_strategies_verifies_and_names_who_answers_each_prompt() -> None:
    """Every prompt gets an option of its stratum, in the plan's proportions, whatever the order of the prompts."""
    problem = menu("m", STRATA, strategies().values(), offers=OFFERS).problem
    made = plan(problem)
    verify(problem, made)
    prompts = [question(id=f"q{i}") for i in range(40)]
    stratum_of = {prompt.id: "easy" if i < 30 else "hard" for i, prompt in enumerate(prompts)}
    work = planned_work(problem, made.decision, prompts, stratum_of)
    assert [item.prompt.id for item in work] == [prompt.id for prompt in prompts]
    turned = planned_work(problem, made.decision, prompts[::-1], stratum_of)
    assert {item.prompt.id: item.option for item in turned} == {item.prompt.id: item.option for item in work}
    assert work_sha256(work) != work_sha256(work[:-1])
    with pytest.raises(PlanMismatch, match="no stratum"):
        planned_work(problem, made.decision, prompts, {})


def test_prompts_of_a_stratum_with_two_options_share_them_as_planned() -> None:
    """Of 30 prompts with 20 and 10 planned, 20 and 10 get the options; of 15, 10 and 5."""
    both = menu("m", STRATA, [Single(), Needy()], offers=OFFERS).problem
    decision = BudgetDecision(taken=Matrix([[0, 0, 20], [0, 1, 10], [1, 0, 10]]))
    strategies()["needy"] = Needy()
    try:
        for count, first in ((30, 20), (15, 10)):
            prompts = [question(id=f"q{i}") for i in range(count)]
            work = planned_work(both, decision, prompts, dict.fromkeys((p.id for p in prompts), "easy"))
            assert sum(item.option.strategy == "single" for item in work) == first
    finally:
        del strategies()["needy"]


def test_an_unknown_strategy_is_named() -> None:
    """A plan that names what is not there is refused with what there is."""
    with pytest.raises(InputError, match="single"):
        strategy_named("telepathy")


def test_a_pilot_becomes_a_prior() -> None:
    """Rates, lengths and wrong answers are counted; a completion without an answer has none."""
    texts = ["The answer is 7.", "The answer is 7.", "The answer is 8.", "no idea"]
    samples = [Completion(text=text, output_tokens=i + 1, finish="stop", logprobs=None) for i, text in enumerate(texts)]
    found = prior_of(
        {"answer": samples}, answer_of=answer_of, right=lambda text: "7" in text, prompt_tokens=3, max_tokens=9
    )
    assert found.rate == {"answer": 0.5}
    assert found.answers == (0.5, 0.25)
    assert found.output_tokens == 2.5
    with pytest.raises(InputError):
        prior_of({}, answer_of=answer_of, right=bool, prompt_tokens=3, max_tokens=9)


def test_a_planned_run_ends_with_an_answer_for_each_prompt(tmp_path: Path) -> None:
    """From priors to a plan to sessions to answers; nobody serves here, so every answer is absent and costs nothing."""
    problem = menu("m", STRATA, [Single()], offers=OFFERS).problem
    made = plan(problem)
    prompts = [question(id=f"q{i}") for i in range(5)]
    work = planned_work(problem, made.decision, prompts, dict.fromkeys((p.id for p in prompts), "hard"))

    async def main() -> None:
        header = SessionsHeader(work_sha256=work_sha256(work), seed=0)
        with SessionJournal(tmp_path / "journal", header) as journal:
            scheduler = SessionScheduler(providers={}, journal=journal, options=RunOptions())
            answers = await scheduler.run(work)
        assert [answers[prompt.id].text for prompt in prompts] == [None] * 5
        assert scheduler.spent.calls == 0

    asyncio.run(main())
