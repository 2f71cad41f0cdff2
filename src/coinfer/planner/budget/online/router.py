"""Prompts that a plan has not seen, by the plan's prices or by its shares."""

from __future__ import annotations

import msgspec
import numpy as np

from coinfer.errors import Infeasible, InputError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.evaluate import entries
from coinfer.models.budget.formulate import formulate, stratum_name
from coinfer.models.budget.parts import PosteriorMenus, Strata, TableMenus
from coinfer.planner.budget.online.dual import best_options
from coinfer.solver.program import FloatArray, IntArray


def route(
    problem: BudgetProblem, prices: FloatArray, menus: TableMenus | PosteriorMenus, strata: Strata | None = None
) -> IntArray:
    """Return the option with the largest value - price * cost for each prompt of new menus.

    Parameters
    ----------
    problem
        The problem that the prices belong to: its options, budgets and objective.
    prices
        Of the plan's proof: one for each budget, then one for the value floor where there is one.
    menus
        Menus of prompts that arrived, a row each, with the problem's options and resources.
    strata
        Their latency classes, if any.

    Returns
    -------
    (rows,)
        Positions of options.

    Raises
    ------
    Infeasible
        If a row has no option in time.
    InputError
        If the number of prices is not that of the limits, or the menus do not fit the problem.
    """
    own = msgspec.structs.replace(problem, menus=menus, strata=strata or Strata(), information=None)
    program = formulate(own)
    if prices.shape != program.budget.shape:
        raise InputError("prices", expected=f"{len(program.budget)} number(s), one for each limit", found=len(prices))
    block = program.menus.block(0, own.rows)
    there = block.value > -np.inf
    if not there.any(axis=1).all():
        raise Infeasible(f"no option of stratum {stratum_name(own, int(np.argmin(there.any(axis=1))))} is in time")
    return best_options(block.value, np.where(there, block.cost, 0.0), prices)


class ShareRouter:
    """Gives the prompts of a stratum its options in the proportions of the decision.

    At the critical price a stratum is split between two options; by the price alone all its prompts would get one.

    Parameters
    ----------
    problem, decision
        The plan.

    Raises
    ------
    ProblemError
        If the decision is none of the problem.
    """

    def __init__(self, problem: BudgetProblem, decision: BudgetDecision) -> None:
        taken = entries(problem, decision)
        self._options: list[IntArray] = []
        self._shares: list[FloatArray] = []
        self._given: list[FloatArray] = []
        for stratum in range(problem.rows):
            mine = taken[taken[:, 0] == stratum]
            self._options.append(mine[:, 1])
            self._shares.append(mine[:, 2] / mine[:, 2].sum())
            self._given.append(np.zeros(len(mine)))

    def choose(self, stratum: int) -> int:
        """Return the option of the next prompt of a stratum: the one that is furthest behind its share."""
        if not 0 <= stratum < len(self._options):
            raise InputError("stratum", expected=f"a number in 0..{len(self._options) - 1}", found=stratum)
        given, shares = self._given[stratum], self._shares[stratum]
        place = int(np.argmax(shares * (given.sum() + 1.0) - given))
        given[place] += 1.0
        return int(self._options[stratum][place])
