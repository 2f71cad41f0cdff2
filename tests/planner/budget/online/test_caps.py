"""Hard caps to the last digit: whatever order, amounts and threads, what is booked and reserved stays within them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.exact import exact
from coinfer.planner.budget.online.price import OnlinePrice
from coinfer.solver.program import FloatArray

VALUES = np.array([0.0, 0.5, 1.0])


def price_of(limits: list[float], *, unit: float = 1.0, prompts: int = 10) -> OnlinePrice:
    """Return a price for options that take 0, 1 or 2 units of every resource."""
    costs = np.broadcast_to(unit * np.arange(3.0), (len(limits), 5, 3))
    return OnlinePrice(values=np.tile(VALUES, (5, 1)), costs=costs, limits=np.array(limits), prompts=prompts)


def two(price: OnlinePrice, unit: float = 1.0) -> FloatArray:
    """Return the costs of one menu."""
    return np.broadcast_to(unit * np.arange(3.0), (len(price.limits), 3))


def test_decimal_caps_are_met_exactly() -> None:
    """Three prompts of a tenth use up three tenths, and not one more fits, though floats add up to more."""
    price = OnlinePrice(
        values=np.array([[0.0, 1.0]]), costs=np.array([[[0.0, 0.1]]]), limits=np.array([0.3]), prompts=4
    )
    given = []
    for _ in range(4):
        price.expect(1)
        choices = price.choose(np.array([0.0, 1.0]), np.array([[0.0, 0.1]]))
        given.append(int(choices.option[0]))
        price.finish(choices, choices.reserved)
    assert given == [1, 1, 1, 0]
    assert price.spent.tolist() == [0.3]
    assert not any(price.standing().passed)


def test_choices_are_finished_once() -> None:
    """A second finish, another price's choices and amounts that are none are refused, and nothing is booked."""
    price, other = price_of([10.0]), price_of([10.0])
    mine, foreign = (each.choose(VALUES, two(each)) for each in (price, other))
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="finite amounts"):
            price.finish(mine, np.array([[wrong]]))
    with pytest.raises(InputError, match="another object"):
        price.finish(foreign, foreign.expected)
    assert price.reserved.tolist() == mine.reserved[:, 0].tolist()
    price.finish(mine, mine.expected)
    spent = price.spent
    for again in (price.finish, lambda choices, _: price.lose(choices)):
        with pytest.raises(InputError, match="finished"):
            again(mine, mine.expected * 0.0)
    assert price.spent.tolist() == spent.tolist()
    assert (price.open_prompts, price.reserved.tolist()) == (0, [0.0])
    with pytest.raises(ValueError, match="read-only"):
        foreign.reserved[:] = 0.0


def test_nan_as_the_most_is_refused() -> None:
    """A worst case that is no number, or of another shape, gets a sentence; one without bound never fits a cap."""
    price = price_of([10.0])
    for worst in (np.full((1, 3), np.nan), np.ones((1, 1))):
        with pytest.raises(InputError, match="worst"):
            price.choose(VALUES, two(price), worst)
    assert price.choose(VALUES, two(price), np.array([[0.0, np.inf, np.inf]])).option.tolist() == [0]


def test_more_than_the_most_is_booked_and_told() -> None:
    """What took more than its reservation is booked as it is; the excess and what passes the cap are told."""
    price = price_of([4.0, np.inf])
    first = price.choose(VALUES, two(price))
    assert first.reserved.tolist() == [[2.0], [2.0]]
    price.finish(first, np.array([[3.0], [50.0]]))
    standing = price.standing()
    assert (standing.excess, standing.exceeding, standing.passed) == ((1.0, 0.0), 1, (0.0, 0.0))
    assert "the cap holds" in standing.sentences(["usd", "s"])[0]
    price.finish(price.choose(VALUES, two(price)), np.array([[9.0], [0.0]]))
    assert price.standing().passed == (8.0, 0.0)
    assert "the cap is passed by 8" in price.standing().sentences(["usd", "s"])[0]
    assert price.choose(VALUES, two(price)).option.tolist() == [-1]  # nothing fits what is below 0


AMOUNT = st.one_of(st.sampled_from([0.0, 0.1, 0.2, 0.3, 1e-100, 1e100]), st.floats(0.0, 9.0))


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data(), limits=st.lists(st.one_of(AMOUNT, st.just(np.inf)), min_size=1, max_size=2))
def test_caps_hold_exactly_at_every_moment(data: st.DataObject, limits: list[float]) -> None:
    """In any order of choosing and finishing, booked + reserved <= cap + excess exactly; the excess is told."""
    price = price_of(limits, prompts=data.draw(st.integers(1, 20)))
    booked, extra = [exact(0.0)] * len(limits), [exact(0.0)] * len(limits)
    waiting = []
    for _ in range(data.draw(st.integers(1, 8))):
        count = data.draw(st.integers(0, 3))
        table = st.lists(AMOUNT, min_size=3 * count * len(limits), max_size=3 * count * len(limits))
        costs, worst = (np.array(data.draw(table)).reshape(len(limits), count, 3) for _ in range(2))
        waiting.append(price.choose_many(np.tile(VALUES, (count, 1)), costs, worst))
        while waiting and data.draw(st.booleans()):
            done = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            share = data.draw(st.sampled_from([0.0, 0.25, 1.0, 1.5]))
            actual = done.reserved * share
            price.finish(done, actual)
            for i, limit in enumerate(limits):
                booked[i] += sum(map(exact, actual[i].tolist()))
                pairs = zip(actual[i].tolist(), done.reserved[i].tolist(), strict=True)
                extra[i] += sum(max(exact(a) - exact(r), exact(0.0)) for a, r in pairs) if limit < np.inf else 0
        for i, limit in enumerate(limits):
            held = sum((sum(map(exact, each.reserved[i].tolist())) for each in waiting), exact(0.0))
            assert exact(float(price.spent[i])) == exact(float(booked[i]))
            assert price.standing().excess[i] == float(extra[i])
            if limit < np.inf:
                assert booked[i] + held <= exact(limit) + extra[i]
    assert price.open_prompts == sum(len(each.option) for each in waiting)


def test_threads_share_one_price() -> None:
    """Four threads that choose and finish lose no booking, and the cap holds."""
    price = price_of([300.0], unit=0.1, prompts=2000)

    def serve(seed: int) -> float:
        random, took = np.random.default_rng(seed), 0
        for _ in range(250):
            choices = price.choose_many(np.tile(VALUES, (2, 1)), np.tile(two(price, 0.1)[:, None], (1, 2, 1)))
            share = random.integers(0, 11, 2)
            price.finish(choices, np.round(choices.reserved * share / 10.0, 3))
            took += int(np.round(choices.reserved * share * 100.0).sum())
        return took / 1000.0

    with ThreadPoolExecutor(4) as threads:
        took = sum(threads.map(serve, range(4)))
    assert price.spent[0] == pytest.approx(took, abs=1e-9)
    assert price.spent[0] <= 300.0
    assert (price.seen, price.open_prompts, price.in_flight) == (2000, 0, ())
