"""Spending to the budget with prompts in flight, with few kinds of prompts, and where prompts drift."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.planner.budget.online.pacing import allowance
from coinfer.planner.budget.online.price import OnlinePrice
from coinfer.solver.program import FloatArray

DRAWS = np.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


def menus(chance: FloatArray) -> FloatArray:
    """Return the values of so many draws for prompts with these chances."""
    values: FloatArray = 1.0 - (1.0 - chance[:, None]) ** DRAWS
    return values


def served(price: OnlinePrice, values: FloatArray, *, ratio: float = 1.0, late: int = 0) -> float:
    """Serve a stream in batches of 50, ``late`` batches in flight; return the value."""
    random, waiting, value = np.random.default_rng(5), [], 0.0
    for start in range(0, len(values), 50):
        part = values[start : start + 50]
        costs = np.tile(DRAWS, (1, len(part), 1))
        choices = price.choose_many(part, costs, ratio * costs)
        value += float(part[np.arange(len(part)), choices.option].sum())
        waiting.append((choices, choices.expected * (random.uniform(0.0, 2.0, len(part)) if ratio > 1.0 else 1.0)))
        if len(waiting) > late:
            price.finish(*waiting.pop(0))
    for each in waiting:
        price.finish(*each)
    return value


def test_prompts_in_flight_leave_little_unspent() -> None:
    """With one prompt in 40 in flight, which may take twice what is expected, 0.5 % is left at most, not 1.3 %."""
    random = np.random.default_rng(0)
    values = menus(random.beta(0.6, 1.2, 40_000))
    price = OnlinePrice(
        values=values[:1000],
        costs=np.tile(DRAWS, (1, 1000, 1)),
        limits=np.array([200_000.0]),
        prompts=40_000,
        period=200,
    )
    served(price, values, ratio=2.0, late=20)
    assert 0.995 * 200_000.0 <= price.spent[0] <= 200_000.0


def test_few_kinds_of_prompts_share_an_option() -> None:
    """With two kinds of prompts a price gives all of a kind an option or none; a part gets it, spread evenly."""
    random = np.random.default_rng(1)
    values = menus(np.where(random.random(2000) < 0.5, 0.6, 0.04))
    limits = np.array([2000.0 * 3.0])
    price = OnlinePrice(values=values[:200], costs=np.tile(DRAWS, (1, 200, 1)), limits=limits, prompts=2000, period=100)
    value = served(price, values)
    kinds = menus(np.array([0.6, 0.04]))
    best = max(  # each kind split between two options, all to the budget
        float(np.interp(6.0 - easy, DRAWS, kinds[1]) + np.interp(easy, DRAWS, kinds[0])) / 2.0
        for easy in np.linspace(0.0, 6.0, 601)
    )
    assert value / 2000.0 >= 0.99 * best
    assert price.spent[0] == pytest.approx(limits[0], rel=0.003)


@pytest.mark.parametrize("ratio", [1.5, 2.0, 4.0, 1e9])
def test_worst_cases_fit_while_spending_falls(ratio: float) -> None:
    """At the end, what lies idle for the prompts in flight is no more than what is left."""
    left, flight = 5000.0, 100
    window: list[float] = []
    for prompts in range(5000, 0, -1):
        ratios, share = np.array([ratio]), 0.1
        each = float(allowance(np.array([left]), prompts, flight, ratios, share)[0])
        left -= each
        window = [*window[-flight + 1 :], each]
        if ratio < 1e6:
            assert (ratio - 1.0) * sum(window) <= left * 1.03
    assert left >= 0.0


def test_drift_is_told() -> None:
    """Where easier prompts come first the price says so in a sentence; where they come in any order it does not."""
    random = np.random.default_rng(2)
    chance = random.beta(0.6, 1.2, 10_000)
    for order, expected in ((np.argsort(-chance), True), (np.arange(10_000), False)):
        values = menus(chance[order])
        price = OnlinePrice(
            values=menus(chance[:500]), costs=np.tile(DRAWS, (1, 500, 1)), limits=np.array([4e4]), prompts=10_000
        )
        served(price, values)
        told = price.standing().sentences(["usd"])
        assert [expected] == list(price.standing().noticed)
        assert bool(told) is expected
        assert not told or "random order" in told[0]


def test_a_share_of_nothing_is_refused() -> None:
    """The last prompts take a share above 0 and at most 1."""
    for share in (0.0, 1.1, float("nan")):
        with pytest.raises(InputError, match="last_share"):
            OnlinePrice(
                values=np.ones((1, 1)), costs=np.ones((1, 1, 1)), limits=np.ones(1), prompts=1, last_share=share
            )
