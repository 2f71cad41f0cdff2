"""Discussions by paradigm, sequence and graph, and the debate before a judge."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled
from coinfer.executor.strategies.debate import Debate, contentiousness
from coinfer.executor.strategies.discussion import DebateReflection, Discussion, GraphDiscussion
from coinfer.executor.strategies.graph import best_graphs, edges_of, gain_name
from coinfer.executor.strategies.strategy import Measured, Prior, Strategy, StrategyOption
from coinfer.testing.strategies import Driven, check_contract, drive, question, simulated_usage

GAINS = {gain_name(i, j): 0.1 + 0.1 * ((2 * i + j) % 4) for i in range(3) for j in range(3) if i != j}
PRIOR = Prior(
    prompt_tokens=40, output_tokens=30, max_tokens=64, rate={"answer": 0.6, "agent 2": 0.8}, extra=GAINS, output_s=0.01
)
STRATEGIES: tuple[Strategy, ...] = (Discussion(), DebateReflection(), GraphDiscussion(), Debate())


def option_of(strategy: str, **settings: float) -> StrategyOption:
    """Return an option as a plan names it."""
    return StrategyOption(strategy=strategy, settings=settings, value=None, expected={}, worst={})


def heard(strategy: Strategy, answers: dict[str, str] | None = None, **settings: float) -> tuple[Driven, list[str]]:
    """Return what a session does, and for each call "who<whom": the agents whose texts it was shown."""
    said: list[str] = []

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        text = ask.messages[-1].content
        shown = [name for name in ("agent 1", "agent 2", "agent 3", "judge") if f"I am {name}." in text]
        said.append(f"{ask.role}<{','.join(shown)}")
        mine = f"I am {ask.role}. The answer is {(answers or {}).get(ask.role, ask.role[-1])}."
        return Sampled(completions=(Completion(text=mine, output_tokens=9, finish="stop", logprobs=None),))

    return drive(strategy.start(question(), option_of(strategy.name, **settings)), respond), said


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_they_keep_the_contract_of_strategies(strategy: Strategy) -> None:
    """They end within their worst case whatever the replies are, missing and hostile ones among them."""
    check_contract(strategy, PRIOR, runs=4)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_what_they_take_is_what_their_menus_say(strategy: Strategy) -> None:
    """Calls and tokens of every role lie within 5 % of simulated prompts."""
    for option in strategy.options(PRIOR)[::2]:
        used = simulated_usage(strategy, option, PRIOR, runs=700)
        for role, expected in option.expected.items():
            assert used[role].calls == pytest.approx(expected.calls, rel=0.05)
            assert used[role].prompt_tokens == pytest.approx(expected.prompt_tokens, rel=0.05)
            assert used[role].output_tokens == pytest.approx(expected.output_tokens, rel=0.05)


ALONE = ["agent 1<", "agent 2<", "agent 3<"]
ALL = "agent 1,agent 2,agent 3"


@pytest.mark.parametrize(
    ("paradigm", "calls"),
    [
        (0, [f"agent {i}<{ALL}" for i in (1, 2, 3)]),
        (1, ["agent 1<agent 3", "agent 2<agent 1", "agent 3<agent 2"]),
        (2, [f"agent 1<{ALL}", "agent 2<agent 1", "agent 3<agent 1"]),
    ],
)
def test_each_paradigm_shows_the_texts_it_says(paradigm: int, calls: list[str]) -> None:
    """Memory shows all to all, relay the one before, report all to the first and the first to all."""
    _, said = heard(Discussion(), agents=3, rounds=1, paradigm=paradigm)
    assert said == ALONE + calls


def test_agents_who_agree_stop() -> None:
    """Equal answers end a discussion before its first round; a sequence goes through all rounds."""
    same = dict.fromkeys(("agent 1", "agent 2", "agent 3"), "7")
    done, said = heard(Discussion(), same, agents=3, rounds=5, paradigm=0)
    assert (said, done.answer.value) == (ALONE, "7")
    _, said = heard(DebateReflection(), same, agents=3, rounds=2, sequence=1)
    assert said == [*ALONE, *(f"agent {i}<agent {i}" for i in (1, 2, 3)), *(f"agent {i}<{ALL}" for i in (1, 2, 3))]


def test_a_graph_shows_each_agent_its_neighbours_and_itself() -> None:
    """Bit 3 i + j: agent 1 reads 2, agent 3 reads 1 and 2; agent 2 reads nobody and keeps its answer."""
    edges = 1 << 1 | 1 << 6 | 1 << 7
    assert edges_of(edges, 3) == ((1,), (), (0, 1))
    _, said = heard(GraphDiscussion(), agents=3, rounds=1, graph=edges)
    assert said == [*ALONE, "agent 1<agent 1,agent 2", f"agent 3<{ALL}"]


def worth(rates: list[float], gains: list[list[float]], edges: int) -> float:
    """Return what a graph is worth, by the formula."""
    values = []
    for i, reads in enumerate(edges_of(edges, len(rates))):
        wrong = np.prod([1.0 - gains[i][j] for j in reads])
        values.append(rates[i] + (1.0 - rates[i]) * (1.0 - wrong))
    return float(np.mean(values))


def test_graphs_are_the_best_of_their_number_of_edges() -> None:
    """Among all graphs of three agents none with as many edges is worth more, in forty random worlds."""
    random = np.random.default_rng(8)
    for _ in range(40):
        rates = random.random(3).tolist()
        gains = (random.random((3, 3)) * (random.random((3, 3)) < 0.8)).tolist()
        found = best_graphs(rates, gains)
        best: dict[int, float] = {}
        for bits in product((0, 1), repeat=6):
            places = [3 * i + j for i in range(3) for j in range(3) if i != j]
            edges = sum(bit << place for bit, place in zip(bits, places, strict=True))
            best[sum(bits)] = max(best.get(sum(bits), 0.0), worth(rates, gains, edges))
        for count, graph in enumerate(found):
            assert graph.edges.bit_count() == count
            assert graph.value == pytest.approx(worth(rates, gains, graph.edges)) == pytest.approx(best[count])
        assert best[6] == pytest.approx(found[-1].value)


def test_graphs_need_measured_gains_and_give_way_to_measured_values() -> None:
    """Without a gain there is no option of that size; a promise stands only where nothing was measured."""
    options = GraphDiscussion().options(PRIOR)
    assert {option.settings["agents"] for option in options} == {2.0, 3.0}
    assert all(option.value is not None for option in options)
    assert GraphDiscussion().options(replace(PRIOR, extra={})) == ()
    tried = replace(PRIOR, measured={options[0].name: Measured(value=0.5, usage={})})
    assert GraphDiscussion().options(tried)[0].value is None
    assert len({option.name for option in options}) == len(options)


def test_a_debate_goes_from_heat_to_agreement_and_the_judge_decides() -> None:
    """The second side reads the opening, both read both in every round, the judge reads both; its answer counts."""
    done, said = heard(Debate(), {"judge": "42"}, rounds=2, first=0.9, last=0.3)
    both = "agent 1,agent 2"
    assert said == ["agent 1<", "agent 2<agent 1", *(f"agent {i}<{both}" for i in (1, 2, 1, 2)), f"judge<{both}"]
    assert done.answer.value == "42"
    heats = [step.asks[0].messages[-1].content for step in done.steps[2:4]]  # type: ignore[union-attr]
    assert ["0.90" in heats[0], "0.30" in heats[1]] == [True, True]
    assert contentiousness(0.9, 0.3, 1) == [0.9]


def test_without_a_judge_both_sides_are_voted_on() -> None:
    """A missing verdict leaves the first of two different answers."""

    def respond(ask: Ask) -> Reply:
        assert isinstance(ask, Sample)
        if ask.role == "judge":
            return Missing(why="failed", reason="gone")
        text = f"The answer is {ask.role[-1]}."
        return Sampled(completions=(Completion(text=text, output_tokens=9, finish="stop", logprobs=None),))

    option = option_of("debate", rounds=1.0, first=0.9, last=0.3)
    assert drive(Debate().start(question(), option), respond).answer.value == "1"
