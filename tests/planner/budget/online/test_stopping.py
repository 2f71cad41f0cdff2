"""Stopping by the price: the index rule and the vote rules."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from coinfer.errors import InputError
from coinfer.planner.budget.online.stopping import cascade_order, next_arm
from coinfer.planner.budget.online.votes import VotePolicy

rates = st.floats(0.1, 8.0)
arm = st.tuples(rates, rates, st.floats(0.2, 3.0))


def optimum(arms: list[tuple[float, float, float]], price: float, most: int) -> float:
    """Return the best expected value - price * cost by going through every order of arms and every moment to stop."""

    @cache
    def best(failed: tuple[int, ...]) -> float:
        value = 0.0
        if sum(failed) < most:
            for i, (alpha, beta, cost) in enumerate(arms):
                right = alpha / (alpha + beta + failed[i])
                after = tuple(n + (i == j) for j, n in enumerate(failed))
                value = max(value, right - price * cost + (1.0 - right) * best(after))
        return value

    return best((0,) * len(arms))


def followed(arms: list[tuple[float, float, float]], price: float, most: int) -> float:
    """Return the expected value - price * cost of the index rule."""
    alpha, beta, cost = (np.array(column) for column in zip(*arms, strict=True))
    value, alive = 0.0, 1.0
    for i in cascade_order(alpha, beta, cost, price=price, most=most):
        right = alpha[i] / (alpha[i] + beta[i])
        value += alive * (right - price * cost[i])
        alive *= 1.0 - right
        beta[i] += 1.0
    return value


@given(st.lists(arm, min_size=1, max_size=3), st.floats(0.15, 1.0))
def test_index_rule_is_optimal(arms: list[tuple[float, float, float]], price: float) -> None:
    """Where the rule stops by itself before the last draw, no order of arms and no stopping time is worth more."""
    most = 9
    alpha, beta, cost = (np.array(column) for column in zip(*arms, strict=True))
    if len(cascade_order(alpha, beta, cost, price=price, most=most)) < most:
        assert followed(arms, price, most) == pytest.approx(optimum(arms, price, most), abs=1e-9)


def test_index_falls_with_failures() -> None:
    """One arm is sampled until its posterior mean over its cost falls to the price."""
    alpha, beta, cost = np.array([1.0]), np.array([1.0]), np.array([1.0])
    assert cascade_order(alpha, beta, cost, price=0.1, most=99) == [0] * 8  # 1 / (2 + n) > 0.1 while n < 8
    assert next_arm(alpha, beta + 8.0, cost, price=0.1).arm is None


def test_bad_arms_are_refused() -> None:
    """A cost of nothing has no rate."""
    with pytest.raises(InputError):
        next_arm(np.ones(1), np.ones(1), np.zeros(1), price=0.1)


def test_table_sees_past_the_even_vote() -> None:
    """With one vote, a second cannot change the answer and gains nothing; the table asks for two or more."""
    policy = VotePolicy(step=0.01, most=40)
    assert policy.more((1,)) >= 2
    assert VotePolicy(step=0.01, most=2).more((1,)) == 0
    assert policy.more((9, 1)) == 0
    assert VotePolicy(step=0.0, most=40).more((20, 20)) == 0


def test_bad_votes_are_refused() -> None:
    """A negative step is no cost."""
    with pytest.raises(InputError):
        VotePolicy(step=-0.1, most=3)


@cache
def leader_probability(first: int, second: int) -> float:
    """Return the probability, under the uniform prior, that the first answer is the likelier."""
    return float(binom.cdf(first, first + second + 1, 0.5))


def vote_value(step: float, most: int, rule: Callable[[int, int], int]) -> float:
    """Return what a rule is worth under the uniform prior: ``rule(a, b)`` is the number of votes to ask for."""

    @cache
    def worth(a: int, b: int, owed: int) -> float:
        if owed == 0:
            owed = min(rule(a, b), most - a - b)
        if owed <= 0:
            return max(leader_probability(a, b), 1.0 - leader_probability(a, b))
        share = (a + 1.0) / (a + b + 2.0)
        return -step + share * worth(a + 1, b, owed - 1) + (1.0 - share) * worth(a, b + 1, owed - 1)

    return worth(0, 0, 0)


@pytest.mark.parametrize("step", [0.03, 0.01, 0.003, 0.001])
def test_vote_table_is_optimal(step: float) -> None:
    """The table's own value is reached by following it; no threshold on the leader's probability is worth more."""
    most = 30
    policy = VotePolicy(step=step, most=most)
    assert vote_value(step, most, lambda a, b: policy.more((a, b))) == pytest.approx(policy.value[0, 0], abs=1e-9)
    for least in np.linspace(0.5, 0.999, 30):

        def threshold(a: int, b: int, least: float = float(least)) -> int:
            return int(leader_probability(max(a, b), min(a, b)) < least)

        assert vote_value(step, most, threshold) <= policy.value[0, 0] + 1e-9


def test_one_price_beats_one_threshold_over_strata() -> None:
    """Strata whose votes cost differently: one price is worth no less than the best single threshold for all."""
    steps, most = [0.0005, 0.005, 0.03], 24
    by_price = sum(VotePolicy(step=step, most=most).value[0, 0] for step in steps)
    best = max(
        sum(
            vote_value(
                step,
                most,
                lambda a, b, least=least: int(leader_probability(max(a, b), min(a, b)) < least),
            )
            for step in steps
        )
        for least in np.linspace(0.5, 0.999, 25)
    )
    assert by_price >= best


def test_table_asks_only_for_votes_that_are_needed() -> None:
    """Asking for several votes at once never goes past a state in which the rule would have stopped."""
    policy = VotePolicy(step=0.002, most=25)
    for a in range(12):
        for b in range(a + 1):
            count = policy.more((a, b))
            for part in range(count):
                assert all(policy.more((a + k, b + part - k)) > 0 for k in range(part + 1))
