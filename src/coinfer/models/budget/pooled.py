"""The same problem for a planner that cannot tell prompts apart: every prompt has the mean menu."""

from __future__ import annotations

import numpy as np

from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus

BLOCK_ROWS = 2**15


def pooled(program: MultipleChoiceKnapsack) -> MultipleChoiceKnapsack | None:
    """Return the program of one row, the mean over all copies of all rows; ``None`` where no option is in every row.

    Whatever number of prompts gets an option there, chosen at random, takes and gains this in expectation.
    """
    menus = program.menus
    value, cost = np.zeros(menus.options), np.zeros((menus.resources, menus.options))
    present, copies = np.ones(menus.options, dtype=np.bool_), 0
    for start in range(0, menus.rows, BLOCK_ROWS):
        block = menus.block(start, min(start + BLOCK_ROWS, menus.rows))
        weight, here = block.copies.astype(np.float64), block.value > -np.inf
        present &= here.all(axis=0)
        value += weight @ np.where(here, block.value, 0.0)
        cost += np.einsum("i,rij->rj", weight, np.where(here, block.cost, 0.0))
        copies += int(block.copies.sum())
    if not present.any():
        return None
    value = np.where(present, value / copies, -np.inf)
    made = StoredMenus(value=value[None], cost=(cost / copies)[:, None, :], copies=np.array([copies], dtype=np.int64))
    return MultipleChoiceKnapsack(menus=made, budget=program.budget)
