"""The figures of a plan that follow from its decision; planner and checker both derive them from the problem."""

from __future__ import annotations

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.evaluate import BudgetEvaluation
from coinfer.models.budget.formulate import charged
from coinfer.planner.budget.document import OptionUse, Spend
from coinfer.solver.certificate.knapsack import KnapsackProof


def certificate_value(problem: BudgetProblem, program_value: float) -> float:
    """Turn the program's value, which is maximised, into the problem's objective, and back."""
    return program_value if problem.objective == "value" else 0.0 - program_value


def capped(problem: BudgetProblem, bound: float) -> float:
    """Return a bound of the program that is no better than a cost of 0: nothing takes less than nothing."""
    return bound if problem.objective == "value" else min(bound, 0.0)


def used(problem: BudgetProblem, evaluation: BudgetEvaluation) -> tuple[OptionUse, ...]:
    """Return the options that are used."""
    return tuple(
        OptionUse(option=option.name, prompts=prompts, value=value)
        for option, prompts, value in zip(
            problem.options, evaluation.prompts_by_option, evaluation.value_by_option, strict=True
        )
        if prompts
    )


def spends(problem: BudgetProblem, evaluation: BudgetEvaluation, proof: KnapsackProof | None) -> tuple[Spend, ...]:
    """Return what is taken of each budget, and of each resource that has none."""
    resources = problem.resources
    prices = [None] * len(problem.budgets) if proof is None else list(proof.prices[: len(problem.budgets)])
    rows = [
        Spend(
            resource=budget.resource,
            endpoint=budget.endpoint,
            expected=taken,
            worst=None if budget.endpoint is not None else evaluation.worst[resources.index(budget.resource)],
            limit=budget.limit,
            information=None if budget.endpoint is not None else charged(problem, budget.resource) or None,
            price=price,
        )
        for budget, taken, price in zip(problem.budgets, evaluation.quota, prices, strict=True)
    ]
    limited = {budget.resource for budget in problem.budgets if budget.endpoint is None}
    rows += [
        Spend(
            resource=name,
            expected=evaluation.spend[r],
            worst=evaluation.worst[r],
            information=charged(problem, name) or None,
        )
        for r, name in enumerate(resources)
        if name not in limited
    ]
    return tuple(rows)
