"""Replan a budget: new outcomes in, new plan out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.planner.budget.replan import BudgetReplan


def execute(arguments: argparse.Namespace, problem: BudgetProblem) -> int:
    """Run this verb for a budget."""
    from coinfer import jsonfile
    from coinfer.cli.budget import print_plan
    from coinfer.errors import InputError, Plain
    from coinfer.models.budget.imports import read_outcomes
    from coinfer.planner.budget.document import BudgetPlan
    from coinfer.planner.budget.replan import replan_budget
    from coinfer.planner.plan import read_plan_of

    for option in ("measurements", "trace", "links", "migration_cost"):
        if getattr(arguments, option) is not None:
            name = f"--{option.replace('_', '-')}"
            raise InputError(name, expected="a problem of another kind with this option", found=Plain("a budget"))
    if arguments.outcomes is None:
        raise InputError("--outcomes", expected="a file of new outcomes", found=Plain("none"))
    plan = read_plan_of(arguments.plan, BudgetPlan)
    outcomes, _ = read_outcomes(arguments.outcomes)
    made = replan_budget(
        problem,
        plan,
        outcomes,
        tolerance=arguments.tolerance,
        engine=arguments.engine,
        limits=common.limits_from(arguments),
    )
    common.write_both(arguments, made.problem, made.plan)
    if arguments.json:
        common.print_json(
            {
                "stale": made.stale,
                "moved": made.moved,
                "counted": made.counted,
                "left_out": made.left_out,
                "previous_value": made.previous.objective,
                "broken": list(made.previous.violations),
                "plan": jsonfile.to_builtins(made.plan),
            }
        )
        return 0
    print("\n".join(_staleness(made)))
    print_plan(made.plan, made.problem)
    return 0


def _staleness(made: BudgetReplan) -> list[str]:
    """Say whether the old plan still stands, and whom the new one treats differently."""
    from coinfer.planner.budget.figures import certificate_value
    from coinfer.planner.budget.wording import worth
    from coinfer.planner.units import count

    stands = "The old plan is stale." if made.stale else "The old plan stands within the tolerance."
    lines = [stands, *(f"  over a limit now: {common.clean(sentence)}" for sentence in made.previous.violations)]
    lines.append(
        f"Counted: {count(made.counted, 'sample')}" + (f"; {made.left_out:,} left out." if made.left_out else ".")
    )
    value = certificate_value(made.problem, made.previous.objective)
    lines.append(f"Under the new figures the old plan has {worth(made.problem, value)}.")
    lines.append(
        f"{count(made.moved, 'prompt')} get another option.\n" if made.moved else "The new plan is the same.\n"
    )
    return lines
