"""Replan: put new measurements into a problem and plan again, starting from the old plan."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import budget_replan, common, placement_replan

if TYPE_CHECKING:
    from coinfer.models.selection.data import SelectionProblem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="problem file the old plan was made for")
    parser.add_argument("plan", type=Path, help="old plan file")
    parser.add_argument(
        "--measurements",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="measurement rows; name the calibration's file too, so that old and new count together",
    )
    parser.add_argument("--trace", type=Path, nargs="+", metavar="FILE", help="new routing traces, for a placement")
    parser.add_argument("--links", type=Path, metavar="FILE", help="measurements of a placement that ran: link costs")
    parser.add_argument("--outcomes", type=Path, nargs="+", metavar="FILE", help="new outcomes, for a budget")
    parser.add_argument(
        "--migration-cost",
        type=float,
        metavar="C",
        help="what bringing an expert to a device costs, in link costs times tokens of the trace (default: 0)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the new plan here")
    parser.add_argument(
        "--output-problem", type=Path, metavar="FILE", help="write the problem with the new figures here"
    )
    parser.add_argument("--tolerance", type=float, default=0.1, help="relative change that counts (default: 0.1)")
    common.add_solver_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.errors import InputError, Plain
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.models.placement.data import PlacementProblem
    from coinfer.models.problem import read_problem
    from coinfer.models.split.data import SplitProblem

    if not arguments.tolerance >= 0.0:
        raise InputError("--tolerance", expected="a number, at least 0", found=arguments.tolerance)
    problem = read_problem(arguments.problem)
    if isinstance(problem, BudgetProblem):
        return budget_replan.execute(arguments, problem)
    if arguments.outcomes is not None:
        raise InputError("--outcomes", expected="a budget problem with this option", found=Plain("another kind"))
    if isinstance(problem, PlacementProblem):
        return placement_replan.execute(arguments, problem)
    if isinstance(problem, SplitProblem):
        expected = "a problem that measurements of requests change; put a split's new times into its file, and plan it"
        raise InputError(str(arguments.problem), expected=expected, found=Plain("a split"))
    return _selection(arguments, problem)


def _selection(arguments: argparse.Namespace, problem: SelectionProblem) -> int:
    """Run this verb for a selection."""
    from coinfer import jsonfile
    from coinfer.errors import InputError, Plain
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.selection.document import SelectionPlan
    from coinfer.planner.selection.replan import replan
    from coinfer.profiler.fit import fit
    from coinfer.profiler.measurement import read_measurements

    for option, given in (
        ("--trace", arguments.trace),
        ("--links", arguments.links),
        ("--migration-cost", arguments.migration_cost),
    ):
        if given is not None:
            raise InputError(option, expected="a placement problem with this option", found=Plain("a selection"))
    if arguments.measurements is None:
        raise InputError("--measurements", expected="a file of measurement rows", found=Plain("none"))
    plan = read_plan_of(arguments.plan, SelectionPlan)
    rows = list(chain.from_iterable(map(read_measurements, arguments.measurements)))
    if not rows:  # no measurement is no evidence that the plan stands
        raise InputError("--measurements", expected="at least one row", found=Plain("none"))
    profile = fit(rows, devices=())
    with common.solver_progress(problem, quiet=arguments.json) as on_progress:
        made = replan(
            problem,
            plan,
            profile,
            tolerance=arguments.tolerance,
            engine=arguments.engine,
            limits=common.limits_from(arguments),
            on_progress=on_progress,
        )
    common.write_both(arguments, made.problem, made.plan)
    if arguments.json:
        common.print_json(
            {
                "stale": made.stale,
                "changed": made.changed,
                "previous_value": made.previous_value,
                "broken": list(made.broken),
                "moved": [str(figure) for figure in made.moved],
                "plan": jsonfile.to_builtins(made.plan),
            }
        )
        return 0
    print("\n".join(common.staleness(made)))
    print("The new plan decides differently.\n" if made.changed else "The new plan decides the same.\n")
    common.print_plan(made.plan, made.problem)
    return 0
