"""Multiple-choice knapsacks small enough to enumerate, and the referees that solve them otherwise."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.program import FloatArray, IntArray

MOST_CHOICES = 2_000_000
"""Most choices that are enumerated."""
NEAR = 1e-9
"""Share of a budget within which sums of floats are added up again, exactly."""


def random_knapsack(seed: int, kind: str, *, most_rows: int = 5, most_options: int = 4) -> MultipleChoiceKnapsack:
    """Draw a program of one budget.

    ``kind`` is ``whole`` (numbers of any sign, many ties), ``decimal``, ``equal`` (value is cost plus a constant), or
    one of these with ``-copies`` or ``-absent``.
    """
    generator = np.random.default_rng(seed)
    most_rows = min(most_rows, 3) if kind.endswith("copies") else most_rows  # of up to 3 copies each
    rows, options = int(generator.integers(1, most_rows + 1)), int(generator.integers(1, most_options + 1))
    cost = generator.integers(-2 if kind.startswith("whole") else 0, 8, (rows, options)).astype(float)
    value = generator.integers(-3, 10, (rows, options)).astype(float)
    if kind.startswith("decimal"):
        value, cost = generator.random((rows, options)), generator.random((rows, options))
    elif kind.startswith("equal"):
        value = cost + 3.0
    if kind.endswith("absent") and options > 1:
        value[generator.random(rows) < 0.5, -1] = -np.inf
        cost[np.isinf(value)] = np.nan
    copies = generator.integers(1, 4, rows) if kind.endswith("copies") else None
    weight = np.ones(rows) if copies is None else copies
    least, most = np.nanmin(cost, axis=1) @ weight, np.nanmax(cost, axis=1) @ weight
    budget = least + generator.uniform(-0.1, 1.0) * (most - least)
    budget = budget if kind.startswith("decimal") else np.floor(budget)
    menus = StoredMenus(value=value, cost=cost[None], copies=copies)
    return MultipleChoiceKnapsack(menus=menus, budget=np.array([budget]))


def enumerate_knapsack(program: MultipleChoiceKnapsack) -> tuple[float, IntArray | None]:
    """Look at every choice; return the best value and what it takes (``-inf`` and ``None`` where none is feasible).

    Sums near a budget are added up again without rounding.

    Raises
    ------
    ValueError
        If there are more than :data:`MOST_CHOICES` choices.
    """
    block = program.menus.block(0, program.menus.rows)
    owner = np.repeat(np.arange(program.menus.rows), block.copies)
    menus = [np.flatnonzero(block.value[row] > -np.inf) for row in owner]
    sizes = [len(options) for options in menus]
    if math.prod(sizes) > MOST_CHOICES:
        raise ValueError(f"{math.prod(sizes)} choices are too many to enumerate")
    value = np.zeros(1)
    cost = np.zeros((program.menus.resources, 1))
    for row, options in zip(owner, menus, strict=True):
        value = (value[:, None] + block.value[row, options]).ravel()
        cost = (cost[:, :, None] + block.cost[:, row][:, None, options]).reshape(len(cost), -1)
    slack = program.budget[:, None] - cost
    size = NEAR * (1.0 + np.abs(block.cost[:, block.value > -np.inf]).sum())
    for place in np.argsort(-value, kind="stable"):
        if (slack[:, place] < -size).any():
            continue
        chosen = [int(options[at]) for options, at in zip(menus, np.unravel_index(place, sizes), strict=True)]
        if (slack[:, place] > size).all() or _fits(program, block.cost, owner, chosen):
            pairs, counts = np.unique(np.stack([owner, chosen], axis=1), axis=0, return_counts=True)
            return float(value[place]), np.column_stack([pairs, counts])
    return -math.inf, None


def exact_totals(program: MultipleChoiceKnapsack, taken: IntArray) -> tuple[Fraction, list[Fraction]]:
    """Return value and costs of a choice, exactly; it must take an option for every copy of every row."""
    block = program.menus.block(0, program.menus.rows)
    counts = np.bincount(taken[:, 0], weights=taken[:, 2], minlength=program.menus.rows)
    assert (counts == block.copies).all()
    assert (taken[:, 2] >= 1).all()
    assert (np.diff(taken[:, 0] * program.menus.options + taken[:, 1]) > 0).all()
    value, costs = Fraction(0), [Fraction(0)] * program.menus.resources
    for row, option, count in taken.tolist():
        value += count * Fraction(float(block.value[row, option]))
        costs = [old + count * Fraction(float(own[row, option])) for old, own in zip(costs, block.cost, strict=True)]
    return value, costs


def price_bound(program: MultipleChoiceKnapsack, prices: tuple[float, ...]) -> Fraction:
    """Return the Lagrangian bound at ``prices``, exactly."""
    block = program.menus.block(0, program.menus.rows)
    exact = [Fraction(price) for price in prices]
    total = sum(
        (price * Fraction(float(own)) for price, own in zip(exact, program.budget, strict=True) if price), Fraction(0)
    )
    for row, count in enumerate(block.copies.tolist()):
        total += count * max(
            Fraction(float(block.value[row, option]))
            - sum(
                (price * Fraction(float(own[row, option])) for price, own in zip(exact, block.cost, strict=True)),
                Fraction(0),
            )
            for option in np.flatnonzero(block.value[row] > -np.inf)
        )
    return total


def best_by_cost(value: FloatArray, cost: IntArray, budget: int) -> float:
    """Return the best value of menus with whole costs of at least 0, by a table over every cost up to the budget."""
    table = np.zeros(budget + 1)
    for gains, costs in zip(value, cost, strict=True):
        further = np.full(budget + 1, -np.inf)
        for gain, taken in zip(gains.tolist(), costs.tolist(), strict=True):
            if taken <= budget:
                np.maximum(further[taken:], table[: budget + 1 - taken] + gain, out=further[taken:])
        table = further
    return float(table[budget])


def _fits(program: MultipleChoiceKnapsack, cost: FloatArray, owner: IntArray, chosen: list[int]) -> bool:
    for own, budget in zip(cost, program.budget.tolist(), strict=True):
        total = sum((Fraction(float(own[row, option])) for row, option in zip(owner, chosen, strict=True)), Fraction(0))
        if budget < math.inf and total > Fraction(budget):
            return False
    return True
