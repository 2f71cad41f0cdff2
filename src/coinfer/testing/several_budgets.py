"""Small knapsacks with several budgets, and their optimum by going through every choice in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.result import KnapsackResult

KINDS = ("signed", "floats", "whole")


def small_program(seed: int, *, resources: int | None = None) -> MultipleChoiceKnapsack:
    """Return a random program of at most 6 copies: any signs, floats or whole numbers, absent options, no limit."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(2, 5)) if resources is None else resources
    rows, options = int(generator.integers(1, 6)), int(generator.integers(1, 5))
    kind = KINDS[generator.integers(3)]
    shape = (count, rows, options)
    if kind == "signed":
        value = generator.integers(-9, 10, shape[1:]).astype(np.float64)
        cost = generator.integers(-9, 10, shape).astype(np.float64)
    elif kind == "floats":
        value, cost = generator.normal(0.0, 1.0, shape[1:]), generator.normal(0.3, 1.0, shape)
    else:
        value = generator.integers(0, 20, shape[1:]).astype(np.float64)
        cost = generator.integers(0, 20, shape).astype(np.float64)
    copies = generator.integers(1, 3, rows) if generator.random() < 0.4 else np.ones(rows, dtype=np.int64)
    copies = copies if copies.sum() <= 6 else np.ones(rows, dtype=np.int64)
    absent = generator.random(shape[1:]) < 0.15
    absent[np.arange(rows), generator.integers(0, options, rows)] = False
    value[absent] = -np.inf
    cost[:, absent] = np.nan
    low = np.where(absent, np.inf, cost).min(axis=2) @ copies
    high = np.where(absent, -np.inf, cost).max(axis=2) @ copies
    budget = low + generator.uniform(-0.1, 0.9, count) * (high - low)
    budget = budget + generator.normal(0.0, 0.2, count) if kind == "floats" else np.floor(budget)
    if generator.random() < 0.1:
        budget[generator.integers(count)] = np.inf
    return MultipleChoiceKnapsack(menus=StoredMenus(value=value, cost=cost, copies=copies), budget=budget)


def optimum(program: MultipleChoiceKnapsack) -> Fraction | None:
    """Return the most that a choice within the budgets gains; ``None`` where there is none."""
    menus = program.menus
    block = menus.block(0, menus.rows)
    sums = {(Fraction(0),) * menus.resources: Fraction(0)}
    for row in range(menus.rows):
        present = [option for option in range(menus.options) if block.value[row, option] > -np.inf]
        for _ in range(int(block.copies[row])):
            longer: dict[tuple[Fraction, ...], Fraction] = {}
            for cost, value in sums.items():
                for option in present:
                    own = block.cost[:, row, option].tolist()
                    both = tuple(old + Fraction(new) for old, new in zip(cost, own, strict=True))
                    gained = value + Fraction(float(block.value[row, option]))
                    longer[both] = max(gained, longer.get(both, gained))
            sums = longer
    budget = program.budget.tolist()
    kept = [value for cost, value in sums.items() if all(own <= most for own, most in zip(cost, budget, strict=True))]
    return max(kept, default=None)


def check_choice(program: MultipleChoiceKnapsack, result: KnapsackResult) -> Fraction:
    """Assert that the choice is whole, sorted, within the budgets and worth what it says; return its value."""
    menus = program.menus
    block = menus.block(0, menus.rows)
    taken = result.taken
    assert taken is not None
    assert (np.bincount(taken[:, 0], weights=taken[:, 2], minlength=menus.rows) == block.copies).all()
    assert (taken[:, 2] >= 1).all()
    assert (np.lexsort((taken[:, 1], taken[:, 0])) == np.arange(len(taken))).all()
    entries = taken.tolist()
    value = sum((Fraction(float(block.value[row, own])) * count for row, own, count in entries), Fraction(0))
    assert float(value) == result.value
    for resource, most in enumerate(program.budget.tolist()):
        sheet = block.cost[resource]
        cost = sum((Fraction(float(sheet[row, own])) * count for row, own, count in entries), Fraction(0))
        assert cost <= most
        assert float(cost) == result.cost[resource]
    return value
