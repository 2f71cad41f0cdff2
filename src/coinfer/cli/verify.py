"""Verify: re-check a plan against its problem, without any solver."""

from __future__ import annotations

import argparse
from pathlib import Path

from coinfer.cli import common, endings, kinds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="problem file (JSON)")
    parser.add_argument("plan", type=Path, help="plan file (JSON)")


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.models.problem import read_problem
    from coinfer.models.selection.data import SelectionProblem
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.selection.document import SelectionPlan
    from coinfer.planner.verify import verify
    from coinfer.planner.wording import proof, routers, worth_of

    problem = read_problem(arguments.problem)
    if not isinstance(problem, SelectionProblem):
        return int(kinds.module_of(problem).verify(arguments, problem))
    plan = read_plan_of(arguments.plan, SelectionPlan)
    checked = verify(problem, plan)
    endings.print_claims(checked, objective=problem.objective, json=arguments.json)
    if arguments.json:
        return 0
    worth, shown = worth_of(problem), proof(plan.certificate)
    value = worth.exact(checked.value)
    if shown is not None:
        print("\n" + common.clean(f"The proof has {shown}."))
    if checked.proven:
        print(f"\nProven: {value} is optimal.")
    elif checked.bound is not None:
        print(f"\nHolds: {value}; the proof shows that nothing is {worth.beyond} {worth.exact(checked.bound)}.")
    else:
        print(f"\nHolds: {value}; the plan carries no proof of a bound.")
    print(common.clean(routers(plan.alternatives, worth, problem)))  # verified with the rest
    return 0
