"""Beam search and diverse trees: their contract, what they take, and what they are worth in a world of steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled, Score, Scored
from coinfer.executor.strategies.beam import Beam, DiverseTrees
from coinfer.executor.strategies.stepwise import StepRule
from coinfer.executor.strategies.strategy import Prior, StrategyOption
from coinfer.models.budget.curves.costs import Request
from coinfer.models.budget.curves.search import beam_search
from coinfer.testing.stepwise import StepWorld, mean_run
from coinfer.testing.strategies import check_contract, drive, question

PRIOR = Prior(prompt_tokens=60, output_tokens=120, max_tokens=400, output_s=0.01, extra={"steps": 5.0})
ASKED = question(max_tokens=400, tokens=60)


def world(seed: int) -> StepWorld:
    """Return solutions of five steps of 24 tokens."""
    return StepWorld(steps=5, rate=0.7, step_tokens=24, separation=1.5, seed=seed)


def option_of(strategy: Beam, **settings: float) -> StrategyOption:
    """Return an option as a plan names it."""
    return StrategyOption(strategy=strategy.name, settings=settings, value=None, expected={}, worst={})


@pytest.mark.parametrize("strategy", [Beam(), DiverseTrees()])
def test_a_search_over_steps_keeps_the_contract_of_strategies(strategy: Beam) -> None:
    """It ends within its worst case whatever the replies are, missing and hostile ones among them."""
    small = [option for option in strategy.options(PRIOR) if option.settings["candidates"] <= 16]
    check_contract(strategy, PRIOR, ASKED, respond=world, runs=4, options=small)


@pytest.mark.parametrize("strategy", [Beam(), DiverseTrees()])
def test_what_a_search_takes_is_what_its_menu_says(strategy: Beam) -> None:
    """Calls, prompt and output tokens of both roles are within 5 % of simulated prompts, with lookahead too."""
    for option in strategy.options(PRIOR):
        if option.settings["candidates"] > 16:
            continue
        _, used = mean_run(strategy, option, ASKED, world, runs=40)
        for role, mean in option.expected.items():
            assert used[role].calls == pytest.approx(mean.calls, rel=0.05)
            assert used[role].prompt_tokens == pytest.approx(mean.prompt_tokens, rel=0.05)
            assert used[role].output_tokens == pytest.approx(mean.output_tokens, rel=0.05)


def test_the_cost_of_a_beam_of_single_continuations_is_the_closed_form_of_the_planner() -> None:
    """With M = 1 the sums are those of the planner's curve, but for the first round, which reads the prompt once."""
    strategy, request = (
        Beam(),
        Request(prompt_tokens=60, answer_tokens=24, answer_cap_tokens=400, answer_log_deviation=0),
    )
    kept = replace(strategy.options(PRIOR)[0])
    assert kept.settings["candidates"] == 4
    curve = beam_search(request, [4], [1], steps=5.0).expected.total
    found = kept.expected
    assert found["answer"].output_tokens == pytest.approx(curve.output[0])
    assert found["answer"].calls == pytest.approx(curve.call[0])
    assert found["reward"].output_tokens + found["reward"].prompt_tokens == pytest.approx(curve.scored[0])
    fewer = beam_search(request, [2], [1], steps=5.0).expected.total
    assert found["answer"].prompt_tokens == pytest.approx(fewer.input[0] - 60)


def test_a_mean_between_two_numbers_of_steps_is_priced_between_them() -> None:
    """Half the solutions of four steps and half of five cost the mean of both."""
    size = 24.0
    low, middle, high = (
        Beam().options(replace(PRIOR, output_tokens=size * steps, extra={"steps": steps}))[-1].expected
        for steps in (4.0, 4.5, 5.0)
    )
    for role in ("answer", "reward"):
        for name in ("calls", "prompt_tokens", "output_tokens"):
            between = (getattr(low[role], name) + getattr(high[role], name)) / 2
            assert getattr(middle[role], name) == pytest.approx(between)


def test_every_round_has_all_candidates_also_where_the_width_does_not_divide_them() -> None:
    """Seven candidates of width three: seven first steps, and seven continuations of two prefixes in every round."""
    done = drive(Beam().start(ASKED, option_of(Beam(), candidates=7, width=3)), world(0))
    counts = [[ask.count for ask in step.asks if isinstance(ask, Sample)] for step in done.steps]
    assert [each for each in counts if each] == [[7], [4, 3], [4, 3], [4, 3], [4, 3]]


def test_the_best_prefixes_are_gone_on_from_and_the_last_score_decides() -> None:
    """With rewards that say which step was drawn, only continuations of the best ones are asked for."""

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Sample):
            depth = ask.prefix.count("\n\n")
            end = "The answer is 0." if depth == 2 else ""
            texts = [f"{ask.prefix.count('7')}{i}{end}" for i in range(ask.count)]
            return Sampled(completions=tuple(_completion(text) for text in texts))
        assert isinstance(ask, Score)
        # The second of each group is best; the score of the first step is misleading on purpose.
        return Scored(scores=tuple(tuple(0.9 if "1" in step[:2] else 0.1 for step in each) for each in ask.answers))

    done = drive(Beam().start(ASKED, option_of(Beam(), candidates=4, width=4, weighted=0)), respond)
    prefixes = [ask.prefix for step in done.steps for ask in step.asks if isinstance(ask, Sample)]
    assert prefixes == ["", "01\n\n", "01\n\n01\n\n"]
    assert done.answer.text == "01\n\n01\n\n01The answer is 0."


def test_a_lookahead_scores_where_a_candidate_leads() -> None:
    """What is scored has the rolled steps in it, greedy ones; what is gone on from has not."""
    done = drive(Beam().start(ASKED, option_of(Beam(), candidates=4, width=2, lookahead=2)), world(1))
    scored = [ask for step in done.steps for ask in step.asks if isinstance(ask, Score)]
    assert [len(ask.answers[0]) for ask in scored] == [3, 4, 5, 5, 5]
    heats = [ask.temperature for ask in done.steps[1].asks if isinstance(ask, Sample)]
    assert heats == [0.0] * 4
    drawn = [ask for step in done.steps for ask in step.asks if isinstance(ask, Sample) and ask.temperature > 0]
    assert [ask.prefix.count("\n\n") for ask in drawn] == [0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_subtrees_of_diverse_search_do_not_crowd_each_other_out() -> None:
    """Every subtree goes on from its own best step, also where another subtree's steps are all better."""

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Sample):
            depth = ask.prefix.count("\n\n")
            end = " The answer is 0." if depth == 2 else ""
            return Sampled(completions=tuple(_completion(f"{i}{end}") for i in range(ask.count)))
        assert isinstance(ask, Score)
        return Scored(scores=tuple(tuple(int(step[0]) / 10 for step in each) for each in ask.answers))

    option = option_of(DiverseTrees(), candidates=4, width=2)
    done = drive(DiverseTrees().start(ASKED, option), respond)
    prefixes = [ask.prefix for step in done.steps for ask in step.asks if isinstance(ask, Sample)]
    assert prefixes == ["", "1\n\n", "3\n\n", "1\n\n1\n\n", "3\n\n1\n\n"]
    one_beam = drive(Beam().start(ASKED, replace(option, strategy="beam")), respond)
    prefixes = [ask.prefix for step in one_beam.steps for ask in step.asks if isinstance(ask, Sample)]
    assert prefixes[:3] == ["", "3\n\n", "2\n\n"]


def test_steps_of_so_many_tokens_need_no_separator_and_no_known_number_of_steps() -> None:
    """Steps by tokens: each asks for so many, without a stop; a completion that ends by itself ends the solution."""
    rule = StepRule(step_tokens=10)

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Score):
            return Scored(scores=tuple((0.5,) * len(each) for each in ask.answers))
        assert isinstance(ask, Sample)
        assert ask.stop == ()
        assert ask.max_tokens == 10
        left = 24 - len(ask.prefix) // 4
        text = "abc " * min(left, 10)
        finish = "stop" if left <= 10 else "length"
        one = Completion(text=text, output_tokens=min(left, 10), finish=finish, logprobs=None)
        return Sampled(completions=(one,) * ask.count)

    known = replace(PRIOR, output_tokens=24, extra={})
    assert Beam().options(known) == ()
    option = Beam(rule).options(known)[0]
    done = drive(Beam(rule).start(ASKED, option), respond)
    assert done.answer.text == "abc " * 24
    assert done.usage["answer"].output_tokens == option.expected["answer"].output_tokens
    assert done.usage["answer"].calls == option.expected["answer"].calls


def test_a_solution_without_an_end_mark_is_found_to_be_whole_by_a_call_that_writes_nothing() -> None:
    """Nothing more written: the solution is one candidate, scored once, and its text has no separator at its end."""

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Sample):
            text = "" if ask.prefix.count("\n\n") == 2 else "a step"
            return Sampled(completions=(_completion(text),) * ask.count)
        assert isinstance(ask, Score)
        return Scored(scores=tuple((0.5,) * len(each) for each in ask.answers))

    done = drive(Beam().start(ASKED, option_of(Beam(), candidates=4, width=4)), respond)
    assert done.answer.text == "a step\n\na step"
    assert done.answer.details["solutions"] == 1.0
    assert sum(isinstance(ask, Score) for step in done.steps for ask in step.asks) == 2


def test_a_search_goes_on_without_rewards_and_hands_out_what_there_is_without_continuations() -> None:
    """No score: all are alike and the search ends with an answer; no second step: the text of a first step."""
    blind = world(3)

    def no_scores(ask: Ask) -> Reply:
        return Missing(why="failed") if isinstance(ask, Score) else blind(ask)

    option = option_of(Beam(), candidates=4, width=2)
    assert drive(Beam().start(ASKED, option), no_scores).answer.value is not None

    made = world(4)

    def one_step(ask: Ask) -> Reply:
        return Missing(why="cap") if isinstance(ask, Sample) and ask.prefix else made(ask)

    answer = drive(Beam().start(ASKED, option), one_step).answer
    assert answer.text is not None
    assert answer.value is None


def test_a_reward_that_is_no_number_is_as_good_as_none() -> None:
    """Not a number and infinity move nothing: the candidate keeps the score that it had."""
    made = world(5)

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Score):
            return Scored(scores=tuple((0.9, float("nan") if i % 2 else float("inf")) for i in range(len(ask.answers))))
        return made(ask)

    answer = drive(Beam().start(ASKED, option_of(Beam(), candidates=4, width=2)), respond).answer
    assert sum(answer.votes.values()) == pytest.approx(4 * 0.5)


@pytest.mark.parametrize("lookahead", [0.0, 1.0])
def test_a_model_that_writes_as_much_as_it_may_does_not_pass_the_worst_case(lookahead: float) -> None:
    """One of each group writes a token and is liked, the others fill their limit: every round costs the most."""
    strategy = Beam(StepRule(rounds=12))

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Score):
            return Scored(scores=tuple((1.0 / len("".join(each)),) * len(each) for each in ask.answers))
        assert isinstance(ask, Sample)
        sizes = [1] + [ask.max_tokens] * (ask.count - 1)
        made = (Completion(text="w" * 4 * n, output_tokens=n, finish="stop", logprobs=None) for n in sizes)
        return Sampled(completions=tuple(made))

    settings = {"candidates": 8.0, "width": 4.0, "lookahead": lookahead, "weighted": 1.0}
    option = next(each for each in strategy.options(PRIOR) if each.settings == settings)
    used = drive(strategy.start(ASKED, option), respond).usage
    for role, most in option.worst.items():
        assert used[role].calls <= most.calls
        assert used[role].prompt_tokens <= most.prompt_tokens
        assert used[role].output_tokens <= most.output_tokens
    assert used["answer"].output_tokens >= 0.5 * option.worst["answer"].output_tokens


def test_texts_longer_than_their_tokens_say_are_not_scored_beyond_the_worst_case() -> None:
    """Steps of one token and many characters: the reward model reads no more than the option's worst case."""
    strategy = Beam(StepRule(rounds=12))
    option = strategy.options(PRIOR)[0]

    def respond(ask: Ask) -> Reply:
        if isinstance(ask, Score):
            return Scored(scores=tuple((0.5,) * len(each) for each in ask.answers))
        assert isinstance(ask, Sample)
        one = Completion(text="w" * 4000, output_tokens=1, finish="stop", logprobs=None)
        return Sampled(completions=(one,) * ask.count)

    used = drive(strategy.start(ASKED, option), respond).usage
    most = option.worst["reward"].output_tokens
    assert 0.5 * most <= used["reward"].output_tokens <= most


def _completion(text: str) -> Completion:
    return Completion(text=text, output_tokens=max(1, len(text) // 4), finish="stop", logprobs=None)
