"""What could be had without telling prompts apart: the figure that every gain is printed beside, with its proof."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.pooled import pooled
from coinfer.planner.budget.document import Alternative, Question
from coinfer.solver.certificate.knapsack import KnapsackProof, Shown, short_prices, shown_by
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray

MOST_STATES = 10_000
"""Of the exact search: what all prompts alike would give is for comparison, and a mixture is within one prompt."""
MARGIN = 1e-9
"""Relative: what a choice may be off its limits, and off its bound besides some prompts."""
ROUNDING = 1e-12
"""Relative: what limits are raised by."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """A question about plans that treat all prompts alike.

    Attributes
    ----------
    what
        See :class:`coinfer.planner.budget.document.Alternative`.
    program
        One row, the mean menu; its value is maximised.
    mean
        The same menu with the problem's own objective.
    """

    what: Question
    program: MultipleChoiceKnapsack
    mean: MultipleChoiceKnapsack

    def shown(self, prices: tuple[float, ...], *, infeasible: bool) -> Shown:
        """Return what prices show."""
        return shown_by(self.program, KnapsackProof(prices=prices, shows="infeasible" if infeasible else "bound"))

    def gained(self, prompts: FloatArray) -> float:
        """Return the program's value where so many prompts get each option."""
        block, chosen = self.program.menus.block(0, 1), prompts > 0.0
        return math.fsum(block.value[0, chosen] * prompts[chosen])

    def keeps_limits(self, prompts: FloatArray) -> bool:
        """Whether so many prompts on each option are on the menu and within every limit."""
        block, limits = self.program.menus.block(0, 1), self.program.budget
        there = block.value[0] > -np.inf
        if (prompts[~there] > 0.0).any():
            return False
        taken = np.where(there, block.cost[:, 0], 0.0) @ prompts
        return not (taken > limits + MARGIN * np.maximum(np.abs(limits), np.abs(taken))).any()

    @property
    def slack(self) -> float:
        """How far a rounded mixture may be from its bound: one prompt for each limit, and one."""
        value = self.program.menus.block(0, 1).value
        there = value[value > -np.inf]
        return (self.program.menus.resources + 1) * float(there.max() - there.min())

    def close(self, prompts: FloatArray, bound: float) -> bool:
        """Whether a choice is as good as its bound but for rounding to whole prompts."""
        return self.gained(prompts) >= bound - self.slack - MARGIN * abs(bound)


def comparisons(problem: BudgetProblem, value: float) -> tuple[Comparison, ...]:
    """Return what a plan is to be compared with; nothing where all prompts are alike, or share no option.

    Parameters
    ----------
    problem
        Of the plan.
    value
        Objective of the plan, as the program has it.
    """
    if problem.rows == 1:
        return ()
    mean = pooled(formulate(msgspec.structs.replace(problem, information=None)))  # it pays for no information
    if mean is None:
        return ()
    mean = replace(mean, budget=_roomy(mean.budget))
    same = Comparison(what="same_budgets", program=mean, mean=mean)
    if problem.objective != "value" or not problem.budgets:
        return (same,)
    return same, Comparison(what="same_value", program=_cheapest(mean, value), mean=mean)


def alternatives(problem: BudgetProblem, value: float, *, limits: Limits) -> tuple[Alternative, ...]:
    """Return the best plans that treat all prompts alike, each prompt getting an option at random.

    Parameters
    ----------
    problem, value
        As of :func:`comparisons`.
    limits
        Of each search.
    """
    return tuple(_of(problem, each, limits) for each in comparisons(problem, value))


def figures(problem: BudgetProblem, mean: MultipleChoiceKnapsack, prompts: FloatArray) -> tuple[float, float | None]:
    """Return the objective, and what is taken of the first budget's resource, if ``prompts`` get each option."""
    block = mean.menus.block(0, 1)
    chosen = prompts > 0.0
    objective = math.fsum(block.value[0, chosen] * prompts[chosen])
    spend = math.fsum(block.cost[0, 0, chosen] * prompts[chosen]) if problem.budgets else None
    return abs(objective) if problem.objective != "value" else objective, spend


def stated_bound(problem: BudgetProblem, what: Question, bound: float) -> float:
    """Turn the bound of a comparison's program into what an alternative states: a cost is at least 0."""
    return bound if what == "same_budgets" and problem.objective == "value" else max(0.0 - bound, 0.0)


def _cheapest(mean: MultipleChoiceKnapsack, value: float) -> MultipleChoiceKnapsack:
    """Return the program of the least spend of the first budget that reaches ``value``; other budgets stay."""
    block = mean.menus.block(0, 1)
    there = block.value > -np.inf
    cost = np.concatenate([np.where(there, -block.value, 0.0)[None], block.cost[1:]])
    gain = np.where(there, -block.cost[0], -np.inf)
    menus = StoredMenus(value=gain, cost=cost, copies=block.copies)
    return MultipleChoiceKnapsack(menus=menus, budget=np.array([*_roomy(np.array([-value])), *mean.budget[1:]]))


def _roomy(limits: FloatArray) -> FloatArray:
    """Return limits that means of floats, times the prompts, do not miss by their rounding."""
    return np.where(np.isfinite(limits), limits + ROUNDING * np.abs(limits), limits)


def _of(problem: BudgetProblem, asked: Comparison, limits: Limits) -> Alternative:
    few = Limits(time_s=limits.time_s, relative_gap=1.0 / problem.prompts, seed=limits.seed)
    result = solve(asked.program, limits=few, most_states=MOST_STATES)
    prices = (0.0,) * asked.program.menus.resources  # they show something always
    if result.proof is not None:
        prices = short_prices(result.proof.prices)
        if result.proof.shows == "infeasible" and asked.shown(prices, infeasible=True).infeasible:
            return Alternative(what=asked.what, prices=prices)
    bound = asked.shown(prices, infeasible=False).bound
    assert bound is not None  # noqa: S101  # it was asked for
    stated = stated_bound(problem, asked.what, bound)
    prompts = np.zeros(len(problem.options))
    if result.taken is not None:
        prompts[result.taken[:, 1]] = result.taken[:, 2]
    if result.taken is None or not asked.keeps_limits(prompts) or not asked.close(prompts, bound):
        return Alternative(what=asked.what, prices=prices, bound=stated)
    value, spend = figures(problem, asked.mean, prompts)
    used = np.flatnonzero(prompts)
    return Alternative(
        what=asked.what,
        prices=prices,
        bound=stated,
        options=tuple(problem.options[i].name for i in used),
        prompts=tuple(int(prompts[i]) for i in used),
        value=value,
        spend=spend,
    )
