"""Run a budget plan on recorded outcomes: prompts arrive, the price decides, caps are kept."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.planner.budget.document import BudgetPlan

UNUSED = ("journal", "answers", "measurements", "gate")


def execute(arguments: argparse.Namespace, plan: BudgetPlan) -> int:
    """Run this verb for a budget."""
    from coinfer.errors import InputError, Plain
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.models.budget.imports import read_outcomes
    from coinfer.models.problem import read_problem_of
    from coinfer.planner.budget.replay import replay
    from coinfer.planner.budget.wording import quantity
    from coinfer.planner.units import digits
    from coinfer.planner.verify import verify

    for option in UNUSED:
        if getattr(arguments, option) is not None:
            raise InputError(f"--{option}", expected="a plan of another kind with this option", found=Plain("a budget"))
    if arguments.problem is None:
        raise InputError("--problem", expected="the problem that the plan is for", found=Plain("none"))
    problem = read_problem_of(arguments.problem, BudgetProblem)
    verify(problem, plan)
    outcomes, notes = read_outcomes([arguments.requests])
    made = replay(problem, outcomes, seed=arguments.seed)
    if arguments.json:
        common.print_json({name: getattr(made, name) for name in made.__slots__})
        return 0
    print(
        f"{made.prompts:,} prompt{'s' * (made.prompts != 1)} answered from recorded samples, {made.refused:,} refused, "
        f"{made.left_out:,} of no stratum."
    )
    print(f"Mean value {digits(made.value, 4)}; the menus promised {digits(made.predicted, 4)}.")
    if plan.interval is not None:
        low, high = digits(plan.interval.low, 4), digits(plan.interval.high, 4)
        print(f"The plan expected {low} to {high} for the whole workload.")
    print()
    rows = [
        [budget.resource, quantity(spent, budget.resource), quantity(cap, budget.resource), f"{price:.4g}"]
        for budget, spent, cap, price in zip(problem.budgets, made.spent, made.caps, made.prices, strict=True)
    ]
    common.table("Hard caps, for so many prompts", ("resource", "spent", "cap", "price at the end"), rows)
    print()
    counts = [[option.name, f"{used:,}"] for option, used in zip(problem.options, made.used, strict=True) if used]
    common.table("Options given", ("option", "prompts"), counts)
    for note in (*made.notes, *notes):
        print(f"  {common.clean(note)}")
    return 0
