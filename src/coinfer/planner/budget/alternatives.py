"""What could be had without telling prompts apart: the figure that every gain is printed beside."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.formulate import formulate
from coinfer.models.budget.pooled import pooled
from coinfer.planner.budget.document import Alternative
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray

MOST_STATES = 10_000
"""Of the exact search: what all prompts alike would give is for comparison, and a mixture is within one prompt."""


def mean_program(problem: BudgetProblem) -> MultipleChoiceKnapsack | None:
    """Return the problem for a planner that does not tell prompts apart, and so pays for no information."""
    return pooled(formulate(msgspec.structs.replace(problem, information=None)))


def alternatives(problem: BudgetProblem, value: float, *, limits: Limits) -> tuple[Alternative, ...]:
    """Return the best plans found that treat all prompts alike, each prompt getting an option at random.

    Parameters
    ----------
    problem
        Of the plan that they are compared with.
    value
        Objective of that plan, as the program has it.
    limits
        Of each search.
    """
    mean = mean_program(problem)
    if mean is None or problem.rows == 1:
        return ()
    found = [_of(problem, mean, mean, "same_budgets", limits)]
    if problem.objective == "value" and problem.budgets:
        found.append(_of(problem, _cheapest(mean, value), mean, "same_value", limits))
    return tuple(each for each in found if each is not None)


def figures(problem: BudgetProblem, mean: MultipleChoiceKnapsack, prompts: FloatArray) -> tuple[float, float | None]:
    """Return the objective, and what is taken of the first budget's resource, if ``prompts`` get each option."""
    block = mean.menus.block(0, 1)
    chosen = prompts > 0.0
    objective = math.fsum(block.value[0, chosen] * prompts[chosen])
    spend = math.fsum(block.cost[0, 0, chosen] * prompts[chosen]) if problem.budgets else None
    return abs(objective) if problem.objective != "value" else objective, spend


def _cheapest(mean: MultipleChoiceKnapsack, value: float) -> MultipleChoiceKnapsack:
    """Return the program of the least spend of the first budget that reaches ``value``; other budgets stay."""
    block = mean.menus.block(0, 1)
    there = block.value > -np.inf
    cost = np.concatenate([np.where(there, -block.value, 0.0)[None], block.cost[1:]])
    gain = np.where(there, -block.cost[0], -np.inf)
    menus = StoredMenus(value=gain, cost=cost, copies=block.copies)
    return MultipleChoiceKnapsack(menus=menus, budget=np.array([-value, *mean.budget[1:]]))


def _of(
    problem: BudgetProblem, program: MultipleChoiceKnapsack, mean: MultipleChoiceKnapsack, what: str, limits: Limits
) -> Alternative | None:
    few = Limits(time_s=limits.time_s, relative_gap=1.0 / problem.prompts, seed=limits.seed)
    result = solve(program, limits=few, most_states=MOST_STATES)
    if result.taken is None:
        return None
    prompts = np.zeros(len(problem.options))
    prompts[result.taken[:, 1]] = result.taken[:, 2]
    value, spend = figures(problem, mean, prompts)
    used = np.flatnonzero(prompts)
    return Alternative(
        what="same_value" if what == "same_value" else "same_budgets",
        options=tuple(problem.options[i].name for i in used),
        prompts=tuple(int(prompts[i]) for i in used),
        value=value,
        spend=spend,
    )
