"""Stop rules, replayed."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta as beta_distribution

from coinfer.errors import InputError
from coinfer.models.budget.curves.majority import majority
from coinfer.models.budget.curves.stopping import (
    BetaLeader,
    FixedVotes,
    PriceRule,
    StopRule,
    UnanimousWindow,
    leader_chance,
    price_stops,
    replay,
)


def recorded(questions: int = 40, votes: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Return votes on made-up questions, some of which nobody gets right."""
    generator = np.random.default_rng(11)
    chance = generator.dirichlet([1.5, 0.5, 0.3, 0.2], size=questions)
    table = np.array([generator.choice(4, size=votes, p=each) for each in chance])
    return table, np.where(np.arange(questions) % 7 == 0, -1, 0)


def stop_of(sequence: list[int], rule: StopRule) -> int:
    """Return after how many votes a rule stops, by its definition."""
    for drawn in range(1, len(sequence)):
        seen = sequence[:drawn]
        ranked = [*sorted(Counter(seen).values(), reverse=True), 0]
        if isinstance(rule, FixedVotes):
            stop = drawn == rule.samples
        elif isinstance(rule, UnanimousWindow):
            stop = drawn % rule.window == 0 and len(set(seen[-rule.window :])) == 1
        elif isinstance(rule, BetaLeader):
            stop = beta_distribution.sf(0.5, ranked[0] + 1, ranked[1] + 1) >= rule.threshold
        else:
            stop = bool(price_stops(rule, len(sequence))[ranked[0], ranked[1]])
        if stop:
            return drawn
    return len(sequence)


@pytest.mark.parametrize(
    "rule",
    [
        FixedVotes(samples=1),
        FixedVotes(samples=9),
        UnanimousWindow(window=2),
        UnanimousWindow(window=5),
        BetaLeader(threshold=0.8),
        BetaLeader(threshold=0.95),
        PriceRule(price=0.004),
    ],
)
def test_replay_against_a_plain_loop(rule: StopRule) -> None:
    """The vectorised replay stops where a loop over single sequences does, with the share of the win it has there."""
    table, right = recorded()
    orders = np.random.default_rng(4).permuted(np.repeat(table, 3, axis=0), axis=1)
    shares, stops = [], []
    for sequence, answer in zip(orders.tolist(), np.repeat(right, 3).tolist(), strict=True):
        stop = stop_of(sequence, rule)
        counts = Counter(sequence[:stop])
        first = [each for each, count in counts.items() if count == max(counts.values())]
        shares.append((answer in first) / len(first))
        stops.append(stop)
    found = replay(table, right, rule, shuffles=3, seed=4)
    assert found.accuracy == pytest.approx(np.mean(shares))
    assert found.mean_samples == pytest.approx(np.mean(stops))
    np.testing.assert_allclose(found.question_accuracy, np.reshape(shares, (-1, 3)).mean(axis=1))
    np.testing.assert_allclose(found.question_paid_samples, np.reshape(stops, (-1, 3)).mean(axis=1))


def test_fixed_votes_agree_with_the_exact_majority() -> None:
    """Over many orders a fixed number of votes is worth what the enumeration of the majority says."""
    table, right = recorded(questions=12)
    counts = np.array([np.bincount(each, minlength=4) for each in table])
    exact = majority(counts, right, [5]).value.mean()
    assert replay(table, right, FixedVotes(samples=5), shuffles=2000).accuracy == pytest.approx(exact, abs=0.01)


def test_votes_in_flight_are_paid_for() -> None:
    """With c requests running, c - 1 more votes are paid than counted, never more than there are."""
    table, right = recorded()
    alone = replay(table, right, BetaLeader(threshold=0.9), seed=2)
    four = replay(table, right, BetaLeader(threshold=0.9), seed=2, in_flight=4)
    everything = replay(table, right, BetaLeader(threshold=0.9), seed=2, in_flight=24)
    assert alone.mean_paid_samples == alone.mean_samples == four.mean_samples
    assert alone.mean_samples < four.mean_paid_samples <= alone.mean_samples + 3
    assert everything.mean_paid_samples == 24
    assert four.accuracy == alone.accuracy


def test_price_orders_the_rules() -> None:
    """A higher price never buys more votes; at no price all that could matter are bought; cost scales the price."""
    table, right = recorded()
    spent = [replay(table, right, PriceRule(price=each)).mean_samples for each in (0.0, 0.001, 0.003, 0.01, 0.1, 1.0)]
    assert spent == sorted(spent, reverse=True)
    assert spent[-1] == 1
    dear = replay(table, right, PriceRule(price=0.001, vote_cost=3.0)).mean_samples
    assert dear == spent[2]


def test_price_rule_is_the_optimum_of_its_model() -> None:
    """By its own Beta model no other of all stop tables for four votes is worth more, price counted."""
    most, price, prior = 4, 0.02, 1.0
    chance = leader_chance(most, prior=prior)
    states = [(i, j) for i in range(most) for j in range(most - i) if i + j < most]

    def worth(stops: dict[tuple[int, int], bool], i: int, j: int) -> float:
        if i + j == most or stops[i, j]:
            return float(max(chance[i, j], chance[j, i]))
        up = (prior + i) / (2 * prior + i + j)
        return up * worth(stops, i + 1, j) + (1 - up) * worth(stops, i, j + 1) - price

    best = max(
        worth(dict(zip(states, _bits(code, len(states)), strict=True)), 0, 0) for code in range(2 ** len(states))
    )
    table = price_stops(PriceRule(price=price, prior=prior), most)
    assert worth({each: bool(table[each]) for each in states}, 0, 0) == pytest.approx(best, rel=1e-12)
    assert not table[0, 0]


def _bits(code: int, count: int) -> list[bool]:
    return [bool(code >> i & 1) for i in range(count)]


def test_leader_chance_is_the_upper_half_of_a_beta() -> None:
    """The table is 1 - I_0.5(v1 + 1, v2 + 1)."""
    table = leader_chance(6)
    assert table[4, 0] == pytest.approx(1 - 1 / 32)
    assert table[3, 2] == pytest.approx(beta_distribution.sf(0.5, 4, 3))
    np.testing.assert_allclose(table + table.T, 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    "rule",
    [
        FixedVotes(samples=0),
        FixedVotes(samples=25),
        UnanimousWindow(window=1),
        BetaLeader(threshold=0.5),
        PriceRule(price=-1.0),
        PriceRule(price=0.1, prior=0.0),
    ],
)
def test_rules_are_checked(rule: StopRule) -> None:
    """A rule that cannot be used is refused."""
    table, right = recorded()
    with pytest.raises(InputError):
        replay(table, right, rule)


def test_votes_are_checked() -> None:
    """Votes that are no answers, and settings that replay nothing, are refused."""
    with pytest.raises(InputError):
        replay([[0, -1]], [0], FixedVotes(samples=1))
    with pytest.raises(InputError):
        replay([[0, 1]], [0], FixedVotes(samples=1), in_flight=0)
    assert replay([[0, 0]], [0], FixedVotes(samples=1)).standard_error is None


def test_forty_real_votes_become_seven(shared_data: Path) -> None:
    """On 500 real questions two rules keep the accuracy of 40 votes within 0.2 points at 7 votes or fewer."""
    file = shared_data / "last_letters_gpt35_40votes.jsonl"
    if not file.is_file():
        pytest.skip(f"{file.name} is absent")
    table, right = [], []
    for line in file.read_text(encoding="utf-8").splitlines():
        question = json.loads(line)
        ids: dict[str, int] = {}
        said = [re.findall(r"answer is\s*[\"']?([A-Za-z]+)", each) for each in question["generated_answer"]]
        table.append([ids.setdefault(each[-1].lower() if each else "", len(ids)) for each in said])
        right.append(ids.get(question["answer"].lower(), -1))
    every = replay(table, right, FixedVotes(samples=40), shuffles=1)
    assert every.accuracy == pytest.approx(0.816, abs=0.003)
    for rule in (BetaLeader(threshold=0.95), PriceRule(price=0.002, prior=0.3)):
        stopped = replay(table, right, rule)
        assert stopped.accuracy >= every.accuracy - 0.002
        assert stopped.mean_samples <= 7
