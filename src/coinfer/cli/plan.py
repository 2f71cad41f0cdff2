"""Plan: find the best decision of a problem file and prove how far from optimal it can be."""

from __future__ import annotations

import argparse
from pathlib import Path

from coinfer.cli import common, endings, kinds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="problem file (JSON)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the plan here")
    parser.add_argument("--start", type=Path, metavar="PLAN", help="begin from the decision of this plan")
    parser.add_argument("--no-proof", action="store_true", help="take the engine's word for the bound")
    parser.add_argument("--front", type=int, metavar="N", help="also print the Pareto front over about N budgets")
    common.add_solver_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer import jsonfile
    from coinfer.models.problem import read_problem
    from coinfer.models.selection.data import SelectionProblem
    from coinfer.planner.front import FrontPoint, front
    from coinfer.planner.make import plan
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.selection.document import SelectionPlan
    from coinfer.planner.units import amount

    sweep = common.front_points(arguments.front)
    problem = read_problem(arguments.problem)
    if not isinstance(problem, SelectionProblem):
        return int(kinds.module_of(problem).plan(arguments, problem))
    start = None if arguments.start is None else read_plan_of(arguments.start, SelectionPlan).decision
    limits = common.limits_from(arguments)
    with common.solver_progress(problem, quiet=arguments.json) as on_progress:
        made = plan(
            problem,
            engine=arguments.engine,
            limits=limits,
            start=start,
            with_proof=not arguments.no_proof,
            on_progress=on_progress,
        )
    if arguments.output is not None:
        jsonfile.write(arguments.output, made)
    points: tuple[FrontPoint, ...] = ()
    if sweep:
        with common.progress_bar("Pareto front", quiet=arguments.json) as advance:
            points = front(problem, plan=made, points=sweep, engine=arguments.engine, limits=limits, on_point=advance)
    if arguments.json:
        result = jsonfile.to_builtins(made)
        if sweep:
            result = {"plan": result, "front": [jsonfile.to_builtins(point) for point in points]}
        common.print_json(result)
        return 0
    common.print_plan(made, problem)
    if points:
        print()
        rows = [
            [
                ("> " if point.chosen else "  ") + ", ".join(point.selected),
                f"{point.quality:.4f}",
                "–" if point.latency_s is None else amount(point.latency_s, "s"),
                "–" if point.energy_j is None else amount(point.energy_j, "J"),
                "yes" if point.proven else "no",
            ]
            for point in points
        ]
        common.table("Pareto front (> is this plan)", ("experts", "mean quality", "latency", "energy", "optimal"), rows)
    endings.print_written(arguments)
    return 0
