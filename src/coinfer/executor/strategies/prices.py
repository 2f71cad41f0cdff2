"""The prices of a plan, by which steps are left that gain less than they cost."""

from __future__ import annotations

from collections.abc import Mapping

from coinfer.errors import InputError, Plain
from coinfer.executor.budget import Amount
from coinfer.executor.strategies.ask import ANSWER
from coinfer.executor.strategies.menu import RESOURCES
from coinfer.executor.strategies.scheduler import Cost
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.evaluate import entries
from coinfer.models.budget.parts import TableMenus
from coinfer.planner.budget.document import BudgetPlan


def plan_prices(plan: BudgetPlan, problem: BudgetProblem) -> dict[str, float]:
    """Return what one more unit of each limited resource is worth, by the plan's proof.

    Raises
    ------
    InputError
        If the plan does not maximise value, or no resource that sessions take has a price.
    """
    if problem.objective != "value":
        raise InputError("--stop-by-price", expected="a plan that maximises value", found=problem.objective)
    found = {
        spend.resource: spend.price
        for spend in plan.spend
        if spend.endpoint is None and spend.resource in RESOURCES and spend.price
    }
    if not found:
        raise InputError(
            "--stop-by-price", expected=f"a plan with a price on {' or '.join(RESOURCES)}", found=Plain("none")
        )
    return found


def cost_by(prices: Mapping[str, float]) -> Cost:
    """Return the value that what a call takes is worth elsewhere.

    Parameters
    ----------
    prices
        Value of a unit of ``tokens`` generated, ``completions`` (a call is taken for one) and ``usd``.
    """

    def cost(amount: Amount) -> float:
        own = {"tokens": float(amount.tokens), "completions": float(amount.calls), "usd": amount.usd}
        return sum(price * own[resource] for resource, price in prices.items())

    return cost


def typical_tokens(problem: BudgetProblem, plan: BudgetPlan) -> dict[str, float]:
    """Return the mean tokens of a completion under a plan, by role; empty where the problem does not say."""
    menus = problem.menus
    if not isinstance(menus, TableMenus):
        return {}
    tables = {cost.resource: cost.amount.array for cost in menus.cost}
    if not {"tokens", "completions"} <= set(tables):
        return {}
    total = {"tokens": 0.0, "completions": 0.0}
    for stratum, option, prompts in entries(problem, plan.decision).tolist():
        for resource in total:
            table = tables[resource]
            total[resource] += prompts * float(table[stratum if len(table) > 1 else 0, option])
    return {ANSWER: total["tokens"] / total["completions"]} if total["completions"] else {}
