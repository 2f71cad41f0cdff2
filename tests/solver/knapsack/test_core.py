"""The exact search on its own: without the first look for good choices it has to find and prove everything itself."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from coinfer.solver.knapsack import core
from coinfer.solver.knapsack.changes import Changes
from coinfer.solver.knapsack.exact import exact_product_sum, exact_sum
from coinfer.solver.knapsack.fill import Filled
from coinfer.solver.knapsack.items import Items
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.reprice import Node, repriced
from coinfer.solver.knapsack.rest import rest_of
from coinfer.solver.knapsack.single import solve_single
from coinfer.solver.knapsack.swaps import Swap, improve
from coinfer.solver.result import Status
from coinfer.testing.knapsack import best_by_cost


def items_like(generator: np.random.Generator, count: int) -> Items:
    """Items of up to 3 changes each, in order of their least loss."""
    sizes = generator.integers(1, 4, count)
    item = np.repeat(np.arange(count), sizes)
    cost = generator.integers(-20, 21, len(item))
    loss = generator.random(len(item))
    key = np.array([loss[item == number].min() for number in range(count)])
    rank = np.argsort(np.argsort(key))
    order = np.lexsort((loss, rank[item]))
    item, cost, loss = rank[item][order], cost[order], loss[order]
    nothing, none = np.zeros(len(item)), np.zeros(len(item), dtype=np.int64)
    changes = Changes(
        item=item,
        row=item,
        start=none,
        end=none + 1,
        count=none + 1,
        start_value=nothing,
        start_cost=nothing,
        end_value=0.5 * cost - loss,
        end_cost=cost.astype(float),
    )
    first = np.searchsorted(item, np.arange(count + 1))
    return Items(
        changes=changes,
        first=first,
        key=np.sort(key),
        cost=cost,
        gain=0.5 * cost - loss,
        loss=loss,
        slack=15,
        unit=1.0,
        exact=True,
        waste=0.0,
        grain=0.0,
        complete=True,
        low=np.zeros_like(cost),
    )


def sums_of(items: Items, begin: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cost, loss and gain of every choice of changes from item ``begin`` on."""
    cost, loss, gain = np.zeros(1), np.zeros(1), np.zeros(1)
    for number in range(begin, len(items.key)):
        own = slice(items.first[number], items.first[number + 1])
        cost = (cost[:, None] + np.append(0, items.cost[own])).ravel()
        loss = (loss[:, None] + np.append(0.0, items.loss[own])).ravel()
        gain = (gain[:, None] + np.append(0.0, items.gain[own])).ravel()
    return cost, loss, gain


def test_curves_are_below_every_choice() -> None:
    """For any distance from the budget no choice of later items loses less than the curves say, slack included."""
    generator = np.random.default_rng(0)
    tight = 0
    for _ in range(60):
        items = items_like(generator, 6)
        begin = int(generator.integers(0, 4))
        rest = rest_of(items, 0.5, begin, math.inf)
        cost, loss, _ = sums_of(items, begin)
        for left in range(-40, 41):
            fits = cost <= left
            least = (loss[fits] + 0.5 * (left - cost[fits])).min() if fits.any() else math.inf
            shown = float(rest.loss(np.array([float(left)]))[0])
            assert shown <= least + 1e-12
            tight += shown > 0.5 * least > 0.0
    assert tight > 100


def test_pricing_anew_keeps_every_choice_and_its_bound() -> None:
    """A branch's bound is above each of its choices; its items, counted anew, have the very same sums."""
    generator = np.random.default_rng(4)
    tight = 0
    for _ in range(80):
        items = items_like(generator, 6)
        node = Node(moves=(), gained=0.0, task=task_of(items))
        for choice in (None, *range(int(items.first[1]))):
            cost, _, gain = sums_of(items, 1)
            cost, gain = (cost, gain) if choice is None else (cost + items.cost[choice], gain + items.gain[choice])
            fits = cost <= items.slack
            best = gain[fits].max() if fits.any() else -math.inf
            child = repriced(node, choice, -100.0)
            if child is None:
                assert best == -math.inf
                continue
            assert child.room >= best - 1e-12
            assert sum(float(move.gain) for move in child.moves) == pytest.approx(child.gained)
            assert float(child.task.filled.slack) == child.task.items.slack
            again, _, more = sums_of(child.task.items, 0)
            assert child.gained + more[again <= child.task.items.slack].max(initial=-math.inf) == pytest.approx(best)
            assert repriced(node, choice, child.room + 1e-9) is None
            tight += child.room - best < 0.05
    assert tight > 40


def task_of(items: Items) -> core.Task:
    """A search of the items alone."""
    filled = Filled(
        price=0.5,
        option=np.zeros(1, dtype=np.int32),
        value=np.zeros(1),
        cost=np.zeros(1),
        copies=None,
        split=None,
        slack=Fraction(items.slack),
        fits=(),
    )
    room = 0.5 * items.slack
    return core.Task(filled=filled, items=items, room=room, best=0.0, tolerance=0.0, most_states=1000)


def test_swaps_are_within_the_slack_and_no_better_than_the_best() -> None:
    """What the quick look finds keeps the budget, takes one change of an item, and is often the optimum."""
    generator = np.random.default_rng(1)
    found = 0
    for _ in range(60):
        items = items_like(generator, 7)
        swap = improve(items, 100.0, 0.0, 0.0)
        cost, _, gain = sums_of(items, 0)
        own = list(swap.places)
        assert len(set(items.changes.item[own].tolist())) == len(own)
        assert int(items.cost[own].sum()) == swap.cost <= items.slack
        best = gain[cost <= items.slack].max()
        assert swap.gain == pytest.approx(float(items.gain[own].sum()))
        assert swap.gain <= best + 1e-12
        found += swap.gain >= best - 1e-12
    assert found >= 30


@pytest.mark.parametrize("branched", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_search_finds_and_proves_the_optimum_alone(
    monkeypatch: pytest.MonkeyPatch, branched: bool, scale: float
) -> None:
    """Without any swap, with and without branches, whole or decimal numbers: the optimum of a table over costs."""
    monkeypatch.setattr(core, "improve", lambda *_, **__: Swap(places=(), gain=0.0, cost=0))
    monkeypatch.setattr("coinfer.solver.knapsack.branch.FEW", 0 if branched else 10**9)
    monkeypatch.setattr("coinfer.solver.knapsack.branch.WORTH", -1.0 if branched else 2.0)
    generator = np.random.default_rng(2)
    for number in range(40):
        rows, options = int(generator.integers(10, 60)), int(generator.integers(2, 8))
        cost = generator.integers(1, 400, (rows, options))
        cost[: number % 4] *= 12
        value = generator.integers(1, 400, (rows, options)) * scale
        value[: number % 4] *= 10
        budget = int(cost.min(axis=1).sum() + generator.uniform(0.1, 0.6) * np.ptp(cost, axis=1).sum())
        copies = generator.integers(1, 4, rows) if number % 5 == 0 else None
        best = best_by_cost(
            np.repeat(value, 1 if copies is None else copies, axis=0),
            np.repeat(cost, 1 if copies is None else copies, axis=0),
            budget := budget if copies is None else 2 * budget,
        )
        menus = StoredMenus(value=value, cost=cost[None].astype(float), copies=copies)
        result = solve_single(MultipleChoiceKnapsack(menus=menus, budget=np.array([float(budget)])))
        if best == -math.inf:
            assert result.status is Status.INFEASIBLE
            continue
        assert result.status is Status.OPTIMAL
        assert result.value == pytest.approx(best, rel=1e-13)
        assert result.bound >= best * (1.0 - 1e-13)


def test_sums_are_exact() -> None:
    """Sums and products over copies come out as in rational arithmetic, however much cancels."""
    generator = np.random.default_rng(3)
    terms = generator.standard_normal(500) * 10.0 ** generator.integers(-12, 12, 500)
    terms = np.concatenate([terms, -terms[:250], [0.0, 1e-300, 1e300, -1e300]])
    assert exact_sum(terms) == sum(map(Fraction, terms.tolist()))
    copies = generator.integers(1, 1000, len(terms))
    moderate = np.where(np.abs(terms) > 1e100, 1.0, terms)
    expected = sum(Fraction(float(term)) * int(count) for term, count in zip(moderate, copies, strict=True))
    assert exact_product_sum(moderate, copies) == expected
    for numbers, counts in (([0.3, 0.9], [10, 10]), ([0.1], [10]), ([3.0, -7.0], [10, 2**40])):
        exactly = sum(Fraction(number) * count for number, count in zip(numbers, counts, strict=True))
        assert exact_product_sum(np.array(numbers), np.array(counts)) == exactly  # 0.3 * 10 is rounded to a whole 3
