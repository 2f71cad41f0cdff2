"""The online price: spend to the budget, value near the offline optimum, caps never passed, resumable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import InputError
from coinfer.planner.budget.online.dual import best_options, mean_costs, prices_for
from coinfer.planner.budget.online.price import OnlinePrice
from coinfer.planner.budget.online.state import resumed, saved
from coinfer.planner.budget.online.state_records import FORMAT, PriceState
from coinfer.solver.program import FloatArray


def menus(rows: int, *, resources: int = 1, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return menus of best-of-k on two models, with a free option of no value."""
    random = np.random.default_rng(seed)
    draws = np.array([0, 1, 2, 4, 8, 16, 32])
    weak = random.beta(0.3, 1.5, (rows, 1))
    strong = np.clip(1.8 * weak, 0.0, 0.99)
    length = np.exp(random.normal(0.0, 0.5, (rows, 1)))
    values = np.concatenate([1.0 - (1.0 - weak) ** draws, 1.0 - (1.0 - strong) ** draws], axis=1)
    money = np.concatenate([length * draws, 5.0 * length * draws], axis=1)
    other = np.concatenate([2.0 * draws + 0.0 * length, 1.0 * draws + 0.0 * length], axis=1)
    return values, np.stack([money, other][:resources])


def streamed(price: OnlinePrice, values: FloatArray, costs: FloatArray, *, batch: int = 20) -> float:
    """Serve a stream whose costs are certain; return the value."""
    total = 0.0
    for start in range(0, len(values), batch):
        part, own = values[start : start + batch], costs[:, start : start + batch]
        choices = price.choose_many(part, own)
        assert (choices.option >= 0).all()
        total += float(part[np.arange(len(part)), choices.option].sum())
        price.finish(choices, choices.expected)
        assert (price.spent <= price.limits).all()
    return total


@pytest.mark.parametrize("resources", [1, 2])
def test_stream_spends_the_budget_and_is_near_the_optimum(resources: int) -> None:
    """After 20,000 prompts the budget is spent within 0.1 %, and the value is within 0.1 % of the offline optimum."""
    values, costs = menus(20_000, resources=resources)
    limits = np.array([6.0, 7.0][:resources]) * len(values)
    offline = prices_for(values, costs, limits / len(values), np.zeros(resources))
    optimum = values[np.arange(len(values)), best_options(values, costs, offline)].sum()
    pilot = menus(500, resources=resources, seed=1)
    price = OnlinePrice(values=pilot[0], costs=pilot[1], limits=limits, prompts=len(values), period=200)
    value = streamed(price, values, costs)
    tight = offline > 0.0
    assert tight.any()
    assert price.spent[tight] == pytest.approx(limits[tight], rel=1e-3)
    assert value >= optimum * 0.999


def test_sorted_stream_is_near_the_optimum() -> None:
    """With the easiest prompts first, a fair pilot keeps the value within 3 % and the spend within 0.1 %."""
    values, costs = menus(20_000)
    order = np.argsort(-values[:, 1])
    limits = np.array([6.0 * len(values)])
    offline = prices_for(values, costs, limits / len(values), np.zeros(1))
    optimum = values[np.arange(len(values)), best_options(values, costs, offline)].sum()
    pilot = menus(1000, seed=1)
    price = OnlinePrice(values=pilot[0], costs=pilot[1], limits=limits, prompts=len(values), period=200, order="any")
    value = streamed(price, values[order], costs[:, order])
    assert price.spent == pytest.approx(limits, rel=1e-3)
    assert value >= optimum * 0.97


def test_wrong_cost_means_are_learnt() -> None:
    """Where options really take 30 % more or less than said, at random, the budget is still spent within 1 %."""
    values, costs = menus(20_000)
    random = np.random.default_rng(3)
    error = random.choice([0.7, 1.3], size=values.shape[1])
    limits = np.array([6.0 * len(values)])
    pilot = menus(500, seed=1)
    price = OnlinePrice(values=pilot[0], costs=pilot[1], limits=limits, prompts=len(values), period=200)
    for start in range(0, len(values), 20):
        part = costs[:, start : start + 20]
        choices = price.choose_many(values[start : start + 20], part, 4.0 * part)
        actual = choices.expected * error[choices.option] * random.uniform(0.5, 1.5, choices.expected.shape)
        price.finish(choices, actual)
        assert (price.spent <= limits).all()
    assert price.spent == pytest.approx(limits, rel=1e-2)
    often = price.expected[0] > 0.05 * price.expected[0].max()
    assert price.cost_factors()[0][often] == pytest.approx(error[often], rel=0.1)


amounts = st.floats(0.0, 5.0)


@given(
    st.lists(st.tuples(st.lists(amounts, min_size=3, max_size=3), st.floats(1.0, 3.0)), min_size=1, max_size=25),
    st.floats(0.0, 30.0),
    st.integers(1, 40),
    st.integers(1, 6),
)
def test_cap_is_never_passed(stream: list[tuple[list[float], float]], limit: float, told: int, batch: int) -> None:
    """Whatever comes, however many prompts were announced, and with the worst case each time, the cap holds."""
    pilot = menus(20)
    costs = np.array([[row for row, _ in stream]])
    worst = costs * np.array([factor for _, factor in stream])[:, None]
    values = np.tile([0.1, 0.5, 1.0], (len(stream), 1))
    price = OnlinePrice(
        values=pilot[0][:, :3], costs=pilot[1][:, :, :3], limits=np.array([limit]), prompts=told, period=3
    )
    waiting = []
    for start in range(0, len(values), batch):
        here = slice(start, start + batch)
        choices = price.choose_many(values[here], costs[:, here], worst[:, here])
        assert ((choices.option < 0) <= (choices.reserved[0] == 0.0)).all()
        waiting.append(choices)
        if len(waiting) > 2:
            first = waiting.pop(0)
            price.finish(first, first.reserved)
    for first in waiting:
        price.finish(first, first.reserved)
    assert price.spent[0] <= limit * (1.0 + 1e-12)
    assert price.reserved[0] == 0.0


def test_nothing_fits_is_a_refusal() -> None:
    """Where even the cheapest option could pass the cap, the prompt is refused, not served."""
    price = OnlinePrice(values=np.ones((2, 1)), costs=np.ones((1, 2, 1)), limits=np.array([1.5]), prompts=3)
    first = price.choose(np.ones(1), np.ones((1, 1)))
    second = price.choose(np.ones(1), np.ones((1, 1)))
    assert (first.option[0], second.option[0]) == (0, -1)
    price.finish(first, np.array([[0.2]]))
    price.finish(second, np.zeros((1, 1)))
    assert price.choose(np.ones(1), np.ones((1, 1))).option[0] == 0  # what was reserved came back


def test_a_choice_is_finished_once_with_amounts_that_are_some() -> None:
    """Finishing twice, what was never chosen, or with a negative or endless amount is refused, and books nothing."""
    price = OnlinePrice(values=np.ones((2, 1)), costs=np.ones((1, 2, 1)), limits=np.array([5.0]), prompts=9)
    first, second = (price.choose(np.ones(1), np.ones((1, 1))) for _ in range(2))
    for amount in (-1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="at least 0"):
            price.finish(first, np.array([[amount]]))
    price.finish(first, np.array([[0.5]]))
    with pytest.raises(InputError, match="finished once"):
        price.finish(first, np.array([[0.0]]))
    with pytest.raises(InputError, match="finished once"):
        price.finish(dataclasses.replace(second, number=99), np.array([[0.0]]))
    assert price.spent.tolist() == [0.5]
    assert price.reserved.tolist() == [1.0]
    assert price.overrun.tolist() == [0.0]
    price.finish(second, np.array([[1.25]]))  # more than was said to be the most: booked, and told
    assert price.spent.tolist() == [1.75]
    assert price.overrun.tolist() == [0.25]


def test_a_cap_is_used_up_to_the_last_decimal() -> None:
    """Three prompts of 0.1 fit in a cap of 0.3, although the sum of the floats is above it; a fourth does not."""
    tenth = np.full((1, 1), 0.1)
    price = OnlinePrice(values=np.ones((2, 1)), costs=np.full((1, 2, 1), 0.1), limits=np.array([0.3]), prompts=3)
    given = [price.choose(np.ones(1), tenth) for _ in range(4)]
    assert [each.option[0] for each in given] == [0, 0, 0, -1]
    for each in given[:3]:
        price.finish(each, tenth)
    assert price.choose(np.ones(1), tenth).option[0] == -1


@pytest.mark.parametrize("order", ["random", "any"])
def test_a_router_resumes_where_it_stopped(order: str, tmp_path: Path) -> None:
    """Saved to a file in the middle and read back, it makes the same choices as one that never stopped."""
    values, costs = menus(3000)
    pilot = menus(100, seed=1)
    prices = [
        OnlinePrice(
            values=pilot[0],
            costs=pilot[1],
            limits=np.array([18_000.0]),
            prompts=3000,
            period=100,
            order="any" if order == "any" else "random",
        )
        for _ in range(2)
    ]
    for price in prices:
        streamed(price, values[:1470], costs[:, :1470])
    file = tmp_path / "price.json"
    jsonfile.write(file, saved(prices[1]))
    prices[1] = resumed(jsonfile.read(file, PriceState, format_name=FORMAT))
    ends = [streamed(price, values[1470:], costs[:, 1470:]) for price in prices]
    assert ends[0] == ends[1]
    assert prices[0].spent == pytest.approx(prices[1].spent, rel=1e-12)


def test_prices_meet_the_allowance() -> None:
    """At the prices found, a sample takes at most its allowance; a little below them, more."""
    values, costs = menus(400, resources=2)
    allowance = np.array([3.0, 4.0])
    prices = prices_for(values, costs, allowance, np.zeros(2))
    taken = mean_costs(values, costs, prices)
    assert (taken <= allowance * 1.02).all()
    assert (taken[prices > 0.0] >= 0.95 * allowance[prices > 0.0]).all()
    assert prices_for(values, costs, np.array([np.inf, 1e9]), np.ones(2)).tolist() == [0.0, 0.0]


def test_bad_menus_are_refused() -> None:
    """NaN, negative costs and menus of another width get a sentence."""
    price = OnlinePrice(values=np.ones((2, 2)), costs=np.ones((1, 2, 2)), limits=np.array([5.0]), prompts=3)
    for values, costs in ((np.array([np.nan, 1.0]), np.ones((1, 2))), (np.ones(2), -np.ones((1, 2)))):
        with pytest.raises(InputError):
            price.choose(values, costs)
    with pytest.raises(InputError):
        price.choose(np.ones(3), np.ones((1, 3)))
    with pytest.raises(InputError):
        OnlinePrice(values=np.ones((2, 2)), costs=np.ones((1, 2, 2)), limits=np.array([-1.0]), prompts=3)
