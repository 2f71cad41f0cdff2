"""Verify: re-check a plan against its problem, without any solver."""

from __future__ import annotations

import argparse
from pathlib import Path

from coinfer.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="problem file (JSON)")
    parser.add_argument("plan", type=Path, help="plan file (JSON)")


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer import jsonfile
    from coinfer.models.problem import read_problem
    from coinfer.planner.plan import read_plan
    from coinfer.planner.verify import verify

    checked = verify(read_problem(arguments.problem), read_plan(arguments.plan))
    if arguments.json:
        common.print_json(
            {
                "proven": checked.proven,
                "value": checked.value,
                "bound": checked.bound,
                "claims": [jsonfile.to_builtins(claim) for claim in checked.claims],
            }
        )
        return 0
    rows = [[claim.what, claim.standing, claim.method] for claim in checked.claims]
    common.table("Claims of the plan", ("claim", "standing", "how"), rows, left=3)
    if checked.proven:
        print(f"\nProven: value {checked.value:.9g} is optimal.")
    elif checked.bound is not None:
        print(f"\nHolds: value {checked.value:.9g}; the proof shows that nothing is above {checked.bound:.9g}.")
    else:
        print(f"\nHolds: value {checked.value:.9g}; the plan carries no proof of a bound.")
    return 0
