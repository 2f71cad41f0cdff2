"""Strategies that decode from logits: their contract, what they take of each model, and when they leave the menu."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Decode, Missing, Reply, RoleTokens, Sampled
from coinfer.executor.strategies.decode import (
    ACCEPTANCE,
    STRATEGIES,
    Contrastive,
    FsGen,
    Hogwild,
    Proxy,
    Speculative,
    share_name,
)
from coinfer.executor.strategies.decoding.costs import at_most, drafted
from coinfer.executor.strategies.menu import Stratum, menu
from coinfer.executor.strategies.single import Single
from coinfer.executor.strategies.strategy import Measured, Need, Prior, Strategy, StrategyOption, Usage
from coinfer.planner.budget.wording import remarks
from coinfer.testing.strategies import MARK, check_contract, drive, question, simulated_usage

SHARES = {
    share_name(threshold, entropy): share
    for (threshold, entropy), share in zip(FsGen.thresholds, (0.03, 0.1, 0.2, 0.5, 0.3, 0.1, 0.02), strict=True)
}
PRIOR = Prior(
    prompt_tokens=40,
    output_tokens=30,
    max_tokens=64,
    rate={"answer": 0.5},
    greedy={"answer": 0.6},
    output_s=0.01,
    extra={**SHARES, ACCEPTANCE: 0.7},
)
LOGITS: frozenset[Need] = frozenset({"completions", "logits"})


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("prior", [PRIOR, replace(PRIOR, extra={}, max_tokens=30)], ids=["measured", "unknown"])
def test_each_keeps_the_contract_of_strategies(strategy: Strategy, prior: Prior) -> None:
    """It ends, within its worst case of every role, whatever the replies."""
    check_contract(strategy, prior, runs=4)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_what_it_takes_of_each_model_is_what_its_menu_says(strategy: Strategy) -> None:
    """Expected usage within 5 % of texts that are written token by token, for every role and option."""
    for option in strategy.options(PRIOR):
        used = simulated_usage(strategy, option, PRIOR, runs=3000)
        assert set(used) == set(option.expected)
        for role, mean in option.expected.items():
            assert used[role].calls == mean.calls
            assert used[role].output_tokens == pytest.approx(mean.output_tokens, rel=0.05)
            assert used[role].prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)


def test_rounds_far_from_the_end_are_those_of_the_closed_form() -> None:
    """Tokens of a round tend to (1 - a^(g+1)) / (1 - a); sure drafts need a pass for g + 1 tokens, wrong ones each."""
    for acceptance, drafts in ((0.3, 4), (0.8, 2), (0.9, 8)):
        long, longer = (drafted(acceptance, drafts, prompt=9, tokens=size)[0].computed for size in (400, 500))
        assert 100 / (longer - long) == pytest.approx((1 - acceptance ** (drafts + 1)) / (1 - acceptance), rel=1e-6)
    target, draft = drafted(1.0, 3, prompt=9, tokens=40)
    assert (target.computed, target.read, draft.computed, draft.read) == (10, 9 + 30, 30, 9 + 9)
    target, draft = drafted(1.0, 8, prompt=9, tokens=3)  # nothing is drafted behind the end
    assert (target.computed, target.read, draft.computed, draft.read) == (1, 12, 3, 9)
    target, draft = drafted(0.0, 3, prompt=9, tokens=40)
    assert (target.computed, draft.computed, draft.read) == (40, 120, 9)


def test_speculation_is_worth_the_greedy_text_of_its_target_and_the_others_are_not_known() -> None:
    """Drafts change no text; what the other methods are worth must be tried."""
    assert {option.value for option in Speculative().options(PRIOR)} == {Single().options(PRIOR)[0].value} == {0.6}
    for strategy in (Contrastive(), Proxy(), FsGen(), Hogwild()):
        assert {option.value for option in strategy.options(PRIOR)} == {None}


def test_a_pass_takes_the_time_that_was_measured_of_its_model() -> None:
    """A fast draft makes speculation faster than the target alone; unknown speeds are those of a token."""
    fast = replace(PRIOR, extra={**PRIOR.extra, ACCEPTANCE: 0.9, "pass_s_draft": 0.0005})
    alone = Single().options(PRIOR)[0].latency_s
    assert alone is not None
    for option, sooner in ((Speculative().options(fast)[1], True), (Speculative().options(PRIOR)[1], False)):
        assert option.latency_s is not None
        assert (option.latency_s < alone) is sooner
    assert Hogwild().options(PRIOR)[2].latency_s == pytest.approx(alone)
    assert Speculative().options(replace(fast, output_s=None))[0].latency_s is None


def test_what_drafts_cost_is_an_upper_bound_until_it_is_known() -> None:
    """Without a measured acceptance the cost is called an upper bound, in the menu too; after a trial it is a mean."""
    unknown = replace(PRIOR, extra={})
    options = Speculative().options(unknown)
    assert all(option.upper_bound for option in options)
    assert not any(each.upper_bound for each in Speculative().options(replace(PRIOR, extra={ACCEPTANCE: 0.9})))
    usage = {"answer": Usage(calls=1, prompt_tokens=50, output_tokens=8), "draft": Usage(output_tokens=32)}
    tried = replace(unknown, measured={options[1].name: Measured(value=0.1, usage=usage)})
    offers = {role: frozenset[Need]({"completions", "logits"}) for role in ("answer", "draft")}
    made = menu("m", [Stratum(name="s", prompts=3, priors=(tried,))], [Speculative()], offers=offers).problem
    assert [option.upper_bound is None for option in made.options] == [False, True, False]
    assert made.menus.value.array.tolist() == [[0.6, 0.6, 0.6]]  # type: ignore[union-attr]
    assert made.menus.cost[0].amount.array[0, 1] == 40.0  # type: ignore[union-attr]
    assert any("upper bounds and no means" in remark for remark in remarks(made))


def option_of(strategy: Strategy, **settings: float) -> StrategyOption:
    """Return an option with some settings changed."""
    first = strategy.options(PRIOR)[0]
    return replace(first, settings={**first.settings, **settings})


def test_the_answer_tells_where_the_large_model_stepped_in() -> None:
    """Interventions and their share stand in the details; a missing reply is no answer."""
    reply = Sampled(
        completions=(Completion(text=f"{MARK}7", output_tokens=20, finish="stop", logprobs=None),),
        metered={
            "answer": RoleTokens(prompt_tokens=50, output_tokens=3),
            "small": RoleTokens(prompt_tokens=40, output_tokens=20),
        },
    )
    session = FsGen().start(question(), option_of(FsGen()))
    done = drive(session, lambda _: reply)
    assert done.answer.value == "7"
    assert done.answer.details == {"large_tokens": 3.0, "tokens": 20.0, "share": 0.15}
    assert done.usage["answer"].output_tokens == 3
    gone = drive(FsGen().start(question(), option_of(FsGen())), lambda _: Missing(why="cap"))
    assert gone.answer.text is None


def test_workers_vote() -> None:
    """Of four workers the answer of two wins, and they may write as much as four completions."""

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Decode)
        assert ask.max_tokens == 4 * 64
        texts = ("1", "2", "3", "2")
        return Sampled(
            completions=tuple(
                Completion(text=f"{MARK}{each}", output_tokens=5, finish="stop", logprobs=None) for each in texts
            ),
            metered={"answer": RoleTokens(prompt_tokens=50, output_tokens=20)},
        )

    done = drive(Hogwild().start(question(max_tokens=64), option_of(Hogwild(), workers=4.0)), respond)
    assert done.answer.value == "2"
    assert done.answer.votes == {"1": 1.0, "2": 2.0, "3": 1.0}


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        (Contrastive(), {"alpha": 1.5}),
        (Proxy(), {"strength": float("nan")}),
        (FsGen(), {"entropy": 0.5}),
        (Speculative(), {"drafts": 0.0}),
        (Hogwild(), {"workers": 2.5}),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_settings_that_make_no_sense_are_refused(strategy: Strategy, settings: dict[str, float]) -> None:
    """One sentence names the setting, before anything is asked."""
    with pytest.raises(RequestError, match=f"settings.{next(iter(settings))}: expected a"):
        next(strategy.start(question(), option_of(strategy, **settings)))


def test_options_leave_the_menu_where_a_model_offers_no_logits() -> None:
    """The reason names the role; where all roles offer them the option stays, and without the role it goes."""
    offers: dict[str, frozenset[Need]] = {"answer": LOGITS, "draft": LOGITS, "decoder": frozenset({"logits"})}
    strata = [Stratum(name="all", prompts=5, priors=(PRIOR,))]

    def reason(changed: dict[str, frozenset[Need]]) -> str | None:
        made = menu("m", strata, (Single(), Speculative()), offers=changed, missing={"logits": "it is far away"})
        return made.left_out.get("speculative (drafts 4)")

    assert reason(offers) is None
    assert reason({**offers, "draft": frozenset({"completions"})}) == "it needs logits of 'draft': it is far away"
    assert reason({"answer": LOGITS}) == "nobody serves the role 'draft'"


def test_no_more_drafts_than_tokens_are_left() -> None:
    """Of three tokens at most two, one and no drafts are made before each."""
    target, draft = at_most("speculative", {"drafts": 8.0}, prompt=10, tokens=3, header=0)
    assert (target.computed, target.read, draft.computed) == (3, 13, 3)
