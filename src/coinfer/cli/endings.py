"""What the verbs print of every kind of plan: the claims of a check, and where a plan was written."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.planner.claims import Verification


def print_claims(checked: Verification, *, objective: str, json: bool) -> None:
    """Print what a verification found: a table of its claims, or with ``json`` one object with all of it."""
    from coinfer import jsonfile

    if json:
        common.print_json(
            {
                "proven": checked.proven,
                "objective": objective,
                "value": checked.value,
                "bound": checked.bound,
                "claims": [jsonfile.to_builtins(claim) for claim in checked.claims],
            }
        )
        return
    rows = [[claim.what, claim.standing, claim.method] for claim in checked.claims]
    common.table("Claims of the plan", ("claim", "standing", "how"), rows, left=3)


def print_written(arguments: argparse.Namespace) -> None:
    """Say where a plan was written, or that it was not."""
    if arguments.output is not None:
        print(f"\nWritten to {arguments.output}; check it with: coinfer verify {arguments.problem} {arguments.output}")
    else:
        print("\nNothing was written; -o FILE keeps the plan.", file=sys.stderr)
