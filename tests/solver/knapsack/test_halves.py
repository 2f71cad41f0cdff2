"""The search from both sides finds exactly the choices that fall short of the bound by less than asked."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from coinfer.solver.knapsack.base import Base, base_of, choice_of
from coinfer.solver.knapsack.halves import candidates
from coinfer.solver.knapsack.pieces import Pieces
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.knapsack.sweep import Wanted, sweep
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop


def watch() -> Watch:
    """Return one without limits."""
    return Watch(began=time.perf_counter(), limits=Limits(), stop=Stop())


def based(seed: int, resources: int, copies: IntArray) -> tuple[Base, FloatArray]:
    """Return the best options of a random program at random prices, and budgets near to what they take."""
    generator = np.random.default_rng(seed)
    rows = len(copies)
    value, cost = generator.normal(0.0, 1.0, (rows, 3)), generator.normal(0.3, 1.0, (resources, rows, 3))
    budget = generator.normal(0.3 * rows, 0.5, resources)
    program = MultipleChoiceKnapsack(menus=StoredMenus(value=value, cost=cost, copies=copies), budget=budget)
    prices = generator.random(resources) * (generator.random(resources) < 0.8)
    pieces = Pieces(program.menus, watch(), np.arange(resources))
    found = sweep(pieces, pieces.whole, budget, prices, Wanted(widths=None, reach=np.inf))
    return base_of(found, prices, 10**6), budget


def shortfalls(base: Base, budget: FloatArray) -> list[float]:
    """Return what every choice within the budgets falls short of the bound, by going through all."""
    near = base.near
    ways = []
    for first, last, copies in zip(
        near.first[:-1].tolist(), near.first[1:].tolist(), near.copies.tolist(), strict=True
    ):
        own = [np.array(counts) for counts in product(range(copies + 1), repeat=last - first) if sum(counts) == copies]
        change = [near.cost[:, first:last] - near.cost[:, [first]]] * len(own)
        ways.append(
            [(float(base.loss[first:last] @ count), part @ count) for count, part in zip(own, change, strict=True)]
        )
    loss, cost = np.zeros(1), np.array([[float(total)] for total in base.cost])
    for row in ways:
        loss = np.concatenate([loss + own for own, _ in row])
        cost = np.concatenate([cost + part[:, None] for _, part in row], axis=1)
    unused = budget[:, None] - cost
    kept = (unused >= 0.0).all(axis=0)
    return sorted((loss + base.prices @ unused)[kept].tolist())


@pytest.mark.parametrize("seed", range(40))
def test_exactly_the_choices_within_the_shortfall_are_listed(seed: int) -> None:
    """As many as enumeration finds, with the same shortfalls, copies included."""
    copies = np.ones(8, dtype=np.int64) if seed % 2 else np.array([2, 1, 3, 1, 2])
    base, budget = based(seed, 1 + seed % 4, copies)
    slack = np.array([float(Fraction(most) - total) for most, total in zip(budget.tolist(), base.cost, strict=True)])
    wanted = shortfalls(base, budget)
    for room in (wanted[min(len(wanted) - 1, place)] + 1e-6 for place in (0, 3, 40) if wanted):
        listed = candidates(base, slack, room, 1 << 16, watch())
        assert listed is not None
        expected = [short for short in wanted if short < room][:256]
        assert listed.shortfall.tolist() == pytest.approx(expected, abs=1e-9)
    if wanted:
        listed = candidates(base, slack, wanted[0] - 1e-9, 1 << 16, watch()) if wanted[0] > 1e-6 else None
        assert listed is None or not listed.changes


def test_too_many_sums_are_said_to_be_too_many() -> None:
    """A cap of a few sums gives nothing rather than a part."""
    base, budget = based(1, 2, np.ones(8, dtype=np.int64))
    assert candidates(base, budget, 100.0, 4, watch()) is None


def test_a_choice_above_a_budget_by_a_hair_is_none() -> None:
    """Sums are compared exactly: 0.1 and 0.2 are more than the float 0.3, by 2e-17."""
    cost = np.array([[[0.1, 9.0], [0.2, 9.0]]])
    pieces = Pieces(StoredMenus(value=np.zeros((2, 2)), cost=cost), watch(), np.arange(1))
    found = sweep(pieces, pieces.whole, np.array([0.3]), np.ones(1), Wanted(widths=None, reach=np.inf))
    base = base_of(found, np.ones(1), 10)
    counts = np.zeros(len(base.near.option), dtype=np.int64)
    counts[base.near.first[:-1]] = 1
    assert choice_of(base, counts, np.array([0.3])) is None
    assert choice_of(base, counts, np.array([0.31])) is not None
