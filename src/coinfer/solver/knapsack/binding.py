"""Which budgets can bind at all, and programs with fewer of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.exact import exact_product_sum
from coinfer.solver.knapsack.pieces import FETCHED, RUNS
from coinfer.solver.knapsack.program import (
    Block,
    FormulaMenus,
    Menus,
    MultipleChoiceKnapsack,
    check_block,
)
from coinfer.solver.program import FloatArray, IntArray

LIKELY = 0.1
"""A sample that overshoots the budget by this share of its size settles that the budget may bind."""


def binding(program: MultipleChoiceKnapsack) -> IntArray:
    """Return the resources of which some choice takes more than the budget.

    A resource may be returned that no choice exceeds, by a hair; one that can be exceeded always is.

    Raises
    ------
    InputError
        For menus that are not what they should be.
    """
    kept = np.flatnonzero(program.budget < np.inf)
    if len(kept) < 2:
        return kept
    doubtful = [resource for resource in kept.tolist() if _may_be_loose(program, resource)]
    if not doubtful:
        return kept
    most = [Fraction(0)] * len(doubtful)
    for start in range(0, program.menus.rows, FETCHED):
        block = program.menus.block(start, min(start + FETCHED, program.menus.rows))
        check_block(block, start)
        for place, resource in enumerate(doubtful):
            dearest = np.where(block.value > -np.inf, block.cost[resource], -np.inf).max(axis=1)
            most[place] += exact_product_sum(dearest, block.copies)
    budget = program.budget.tolist()
    loose = [
        resource
        for resource, total in zip(doubtful, most, strict=True)
        if budget[resource] > -np.inf and total <= Fraction(budget[resource])
    ]
    return np.setdiff1d(kept, loose)


def _may_be_loose(program: MultipleChoiceKnapsack, resource: int) -> bool:
    """Tell from a few rows whether it is worth asking all of them."""
    rows, budget = program.menus.rows, float(program.budget[resource])
    length = max(1, min(rows, 2048) // RUNS)
    total, seen = 0.0, 0
    for start in dict.fromkeys(np.linspace(0, rows - length, RUNS).astype(np.int64).tolist()):
        block = program.menus.block(start, start + length)
        check_block(block, start)
        dearest = np.where(block.value > -np.inf, block.cost[resource], -np.inf).max(axis=1)
        total += float(dearest @ block.copies)
        seen += length
    expected = total * rows / seen
    return expected <= budget + LIKELY * max(abs(expected), abs(budget))


def only(program: MultipleChoiceKnapsack, kept: IntArray) -> MultipleChoiceKnapsack:
    """Return the program with the resources ``kept``."""
    menus = program.menus
    if len(kept) == menus.resources:
        return program

    def formula(start: int, stop: int) -> Block:
        block = menus.block(start, stop)
        return Block(value=block.value, cost=block.cost[kept], copies=block.copies)

    own = FormulaMenus(rows=menus.rows, options=menus.options, resources=len(kept), formula=formula)
    return MultipleChoiceKnapsack(menus=own, budget=program.budget[kept])


def taken_cost(menus: Menus, taken: IntArray) -> FloatArray:
    """Return what a choice takes of each resource, (resources,): exact sums, rounded once."""
    total = [Fraction(0)] * menus.resources
    for start in range(0, menus.rows, FETCHED):
        stop = min(start + FETCHED, menus.rows)
        own = taken[np.searchsorted(taken[:, 0], start) : np.searchsorted(taken[:, 0], stop)]
        block = menus.block(start, stop)
        for resource in range(menus.resources):
            total[resource] += exact_product_sum(block.cost[resource, own[:, 0] - start, own[:, 1]], own[:, 2])
    return np.array([float(number) for number in total])
