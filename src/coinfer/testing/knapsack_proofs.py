"""Small knapsacks for checkers of proofs, and their optimum in rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from coinfer.solver.certificate.knapsack_exact import decimal, whole_block
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus

PRICES = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e3)), min_size=2, max_size=2)
"""Two prices, 0 among them."""


@st.composite
def programs(draw: st.DrawFn, *, most_resources: int = 2) -> MultipleChoiceKnapsack:
    """Draw a small program: decimals or floats, copies, options that are not there, costs of any sign."""
    rows, options = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    resources = draw(st.integers(1, most_resources))
    digits = draw(st.sampled_from([0, 1, 2, None]))
    factor = np.pi if digits is None else 10.0**-digits

    def numbers(low: int, high: int, *shape: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        drawn = draw(st.lists(st.integers(low, high), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        scaled = np.array(drawn, dtype=np.float64) * factor
        return (scaled if digits is None else np.round(scaled, digits)).reshape(shape)

    value = numbers(-9, 30, rows, options)
    for row in range(rows):
        for option in range(1, options):
            if draw(st.integers(0, 4)) == 0:
                value[row, option] = -np.inf
    copies = np.array(draw(st.lists(st.integers(1, 2), min_size=rows, max_size=rows)))
    menus = StoredMenus(value=value, cost=numbers(-3, 20, resources, rows, options), copies=copies)
    return MultipleChoiceKnapsack(menus=menus, budget=numbers(-5, 60, resources))


def exact(program: MultipleChoiceKnapsack, number: float) -> Fraction:
    """Return what a float of the program stands for: its decimal, or itself where it is none of few places."""
    block = program.menus.block(0, program.menus.rows)
    return decimal(number) if whole_block(block) is not None else Fraction(float(number))


def optimum(program: MultipleChoiceKnapsack) -> Fraction | None:
    """Return the best value by going through every choice of every copy."""
    block = program.menus.block(0, program.menus.rows)
    best: Fraction | None = None
    menus = []
    for row, copies in enumerate(block.copies.tolist()):
        there = [j for j in range(program.menus.options) if block.value[row, j] > -np.inf]
        menus.append(list(combinations_with_replacement(there, copies)))
    for choice in product(*menus):
        picked = [(i, j) for i, options in enumerate(choice) for j in options]
        cost = [sum((exact(program, sheet[i, j]) for i, j in picked), Fraction(0)) for sheet in block.cost]
        if any(used > exact(program, limit) for used, limit in zip(cost, program.budget, strict=True)):
            continue
        value = sum((exact(program, block.value[i, j]) for i, j in picked), Fraction(0))
        best = value if best is None else max(best, value)
    return best


def tenths(limit: float) -> MultipleChoiceKnapsack:
    """Return three rows that may gain a tenth for a tenth each."""
    menus = StoredMenus(value=np.array([[0.0, 0.1]] * 3), cost=np.array([[[0.0, 0.1]] * 3]))
    return MultipleChoiceKnapsack(menus=menus, budget=np.array([limit]))
