"""A planner that cannot tell prompts apart has the mean menu."""

from __future__ import annotations

import numpy as np

from coinfer.models.budget.pooled import pooled
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus


def test_the_mean_counts_every_copy() -> None:
    """A row of three copies counts three times, and the one row stands for all copies."""
    menus = StoredMenus(
        value=np.array([[1.0, 2.0], [5.0, 6.0]]), cost=np.array([[[0.0, 4.0], [8.0, 4.0]]]), copies=np.array([3, 1])
    )
    found = pooled(MultipleChoiceKnapsack(menus=menus, budget=np.array([7.0])))
    assert found is not None
    block = found.menus.block(0, 1)
    assert block.value.tolist() == [[2.0, 3.0]]
    assert block.cost.tolist() == [[[2.0, 4.0]]]
    assert block.copies.tolist() == [4]
    assert found.budget.tolist() == [7.0]


def test_an_option_that_some_row_lacks_is_not_for_all() -> None:
    """What is not on every menu cannot be given to all; where nothing is, there is no such program."""
    some = StoredMenus(value=np.array([[1.0, 2.0], [-np.inf, 6.0]]), cost=np.zeros((1, 2, 2)))
    found = pooled(MultipleChoiceKnapsack(menus=some, budget=np.array([7.0])))
    assert found is not None
    assert found.menus.block(0, 1).value.tolist() == [[-np.inf, 4.0]]
    none = StoredMenus(value=np.array([[1.0, -np.inf], [-np.inf, 6.0]]), cost=np.zeros((1, 2, 2)))
    assert pooled(MultipleChoiceKnapsack(menus=none, budget=np.array([7.0]))) is None
