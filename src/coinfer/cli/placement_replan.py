"""Replan a placement: new routing traces in, new placement out, from the one that runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.models.placement.data import PlacementProblem
    from coinfer.planner.placement.replan import PlacementReplan


def execute(arguments: argparse.Namespace, problem: PlacementProblem) -> int:
    """Run this verb for a placement."""
    from coinfer import jsonfile
    from coinfer.cli.placement import print_plan
    from coinfer.errors import InputError, Plain
    from coinfer.planner.placement.document import PlacementPlan
    from coinfer.planner.placement.replan import replan_placement
    from coinfer.planner.plan import read_plan_of
    from coinfer.profiler.moe import link_costs, read_moe_measurements
    from coinfer.profiler.trace import TraceOptions, count_traces

    if arguments.measurements is not None:
        found = Plain("a placement")
        raise InputError("--measurements", expected="a selection problem with this option", found=found)
    if arguments.trace is None and arguments.links is None:
        raise InputError("--trace", expected="new routing traces, or --links FILE", found=Plain("none"))
    if not arguments.tolerance >= 0.0:
        raise InputError("--tolerance", expected="a number, at least 0", found=arguments.tolerance)
    plan = read_plan_of(arguments.plan, PlacementPlan)
    costs = None
    if arguments.links is not None:
        names = tuple(device.name for device in problem.devices)
        costs = link_costs(read_moe_measurements(arguments.links), names)
    options = TraceOptions(
        experts=problem.experts,
        pairs="first" if problem.top_k == 1 else "all",
        heldout=0.0 if problem.heldout is None else 0.2,
        token_sets=problem.token_sets is not None,
    )
    counted = None if arguments.trace is None else count_traces(arguments.trace, options)
    with common.lowest_progress(quiet=arguments.json) as on_progress:
        made = replan_placement(
            problem,
            plan,
            counts=None if counted is None else counted.fit,
            heldout=None if counted is None else counted.heldout,
            cost_matrix=costs,
            migration_cost=arguments.migration_cost or 0.0,
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
                "previous_value": made.previous.value,
                "broken": list(made.previous.violations),
                "moved": made.plan.moved,
                "plan": jsonfile.to_builtins(made.plan),
            }
        )
        return 0
    print("\n".join(_staleness(made)))
    print_plan(made.plan, made.problem)
    return 0


def _staleness(made: PlacementReplan) -> list[str]:
    """Say whether the old placement still stands, and what the new one moves."""
    from coinfer.planner.units import count, digits

    stands = "The old placement is stale." if made.stale else "The old placement stands within the tolerance."
    lines = [stands, *(f"  over a limit now: {common.clean(sentence)}" for sentence in made.previous.violations)]
    lines.append(f"Under the new figures it has value {digits(made.previous.value, 4)}.")
    moved = made.plan.moved or 0
    lines.append(f"The new one moves {count(moved, 'copy', 'copies')}.\n" if moved else "The new one moves nothing.\n")
    return lines
