"""What the rows on measured outcomes share: what plans are worth on samples or prompts they were not made from."""

from __future__ import annotations

import numpy as np

from benchmarks.common import Row
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.difficulty.frontier import frontier
from coinfer.models.budget.difficulty.shrink import mean_per_stratum
from coinfer.models.budget.difficulty.strata import Partition
from coinfer.models.budget.parts import TableMenus
from coinfer.solver.program import FloatArray

RESOURCE = "parameter_samples_b"
"""Billions of parameters times samples."""


def curve(problem: BudgetProblem, own: Partition, table: FloatArray, grid: FloatArray) -> FloatArray:
    """Return the measured coverage of the plans at every budget of ``grid``, the information paid first.

    Parameters
    ----------
    problem
        What the plans are made by; its rows are the strata of ``own`` that hold prompts.
    own
        Strata of the prompts to be scored.
    table
        (prompts, options without "nothing"): what each was worth on those prompts.
    grid
        Mean spends for one prompt.
    """
    menus = problem.menus
    assert isinstance(menus, TableMenus)  # the rows make no other
    held = own.prompts
    truth = np.hstack([np.zeros((len(held), 1)), mean_per_stratum(table, own)])[held > 0]
    cost = np.broadcast_to(menus.cost[0].amount.array, menus.value.shape)
    made = frontier(menus.value.array, cost, held[held > 0].astype(np.float64), true_value=truth)
    information = problem.information
    paid = sum(each.amount for each in information.cost) if information is not None and information.charged else 0.0
    return np.where(paid <= grid, made.at(grid - paid), 0.0)


def row(
    claim: str, instance: str, figure: float, target: float | None, peer: str, seconds: float, unit: str = "x"
) -> Row:
    """Return a row whose figure must be at least the target."""
    holds = None if target is None else figure >= target
    return Row(
        claim=claim, instance=instance, figure=figure, unit=unit, target=target, holds=holds, peer=peer, seconds=seconds
    )
