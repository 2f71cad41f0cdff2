"""Report: one self-contained HTML page about a plan."""

from __future__ import annotations

import argparse
from pathlib import Path

from coinfer.cli import common, kinds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="problem file (JSON)")
    parser.add_argument("plan", type=Path, help="plan file (JSON)")
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="default: report.html")
    parser.add_argument("--measurements", type=Path, metavar="FILE", help="rows of a run, set beside the predictions")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="profile that the problem was assembled from")
    parser.add_argument("--previous", type=Path, metavar="PLAN", help="plan that this one replaces")
    parser.add_argument(
        "--front", type=int, default=24, metavar="N", help="budgets on the Pareto front (default: 24; 0: none)"
    )
    common.add_solver_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer import jsonfile
    from coinfer.models.problem import read_problem
    from coinfer.models.selection.data import SelectionProblem
    from coinfer.planner.front import FrontPoint, front
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.report import build
    from coinfer.planner.selection.document import SelectionPlan
    from coinfer.planner.verify import verify
    from coinfer.profiler.measurement import read_measurements
    from coinfer.profiler.profile import read_profile

    sweep = common.front_points(arguments.front)
    problem = read_problem(arguments.problem)
    if not isinstance(problem, SelectionProblem):
        return int(kinds.module_of(problem).report(arguments, problem))
    plan = read_plan_of(arguments.plan, SelectionPlan)
    rows = () if arguments.measurements is None else tuple(read_measurements(arguments.measurements))
    profile = None if arguments.profile is None else read_profile(arguments.profile)
    previous = None if arguments.previous is None else read_plan_of(arguments.previous, SelectionPlan)
    verify(problem, plan)  # a page about a plan that does not hold would only spread it
    points: tuple[FrontPoint, ...] = ()
    if sweep:
        limits = common.limits_from(arguments)
        with common.progress_bar("Pareto front", quiet=arguments.json) as advance:
            points = front(problem, plan=plan, points=sweep, engine=arguments.engine, limits=limits, on_point=advance)
    page = build(
        problem=problem,
        plan=plan,
        front=points,
        rows=rows,
        profile=profile,
        previous=previous,
    )
    jsonfile.write_text(arguments.output, page)
    if arguments.json:
        common.print_json({"written": str(arguments.output), "front": len(points)})
    else:
        print(f"Written to {arguments.output}; open it in a browser.")
    return 0
