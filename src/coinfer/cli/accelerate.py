"""Accelerate: choose an acceleration method per task from past measurements, and name what to measure next."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.models.acceleration.decision import AccelerationDecision, Estimate

_UNITS = {"runtime_s": "s", "energy_j": "J", "token_latency_s": "s", "price_usd": "USD"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="acceleration file (JSON)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the decision here")
    parser.add_argument("--stance", choices=("mean", "pessimistic"), help="default: as the file says")
    parser.add_argument(
        "--predictor",
        choices=("roofline+trees", "roofline", "trees"),
        default="roofline+trees",
        help="default: roofline+trees, which needs scikit-learn; roofline needs nothing more",
    )
    parser.add_argument("--suggestions", type=int, default=5, metavar="N", help="measurements to name; default: 5")
    parser.add_argument("--time-limit", type=float, metavar="S", help="seconds for each search")
    parser.add_argument("--seed", type=common.seed, default=0)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer import jsonfile
    from coinfer.models.acceleration import choose, read_acceleration
    from coinfer.solver.limits import Limits

    decision = choose(
        read_acceleration(arguments.problem),
        stance=arguments.stance,
        predictor=arguments.predictor,
        limits=Limits(time_s=arguments.time_limit),
        seed=arguments.seed,
        suggestions=arguments.suggestions,
    )
    if arguments.output is not None:
        jsonfile.write(arguments.output, decision)
    if arguments.json:
        common.print_json(jsonfile.to_builtins(decision))
        return 0
    _print(decision)
    if arguments.output is not None:
        print(f"\nWritten to {arguments.output}.")
    return 0


def _print(decision: AccelerationDecision) -> None:
    """Print a decision for a person."""
    objective = decision.objective
    planned = "upper ends of the intervals" if decision.stance == "pessimistic" else "predicted means"
    print(f"Least {objective} over all requests: {_amount(decision.value, objective)}, planned on {planned}.")
    if decision.status != "optimal":
        at_least = "" if decision.bound is None else f"; nothing is below {_amount(decision.bound, objective)}"
        print(f"The search ended at a limit{at_least}.")
    print()
    rows = [
        [choice.task, choice.model, choice.device, choice.method, *_shown(choice.figures[objective], objective)]
        for choice in decision.choices
    ]
    header = ("task", "model", "device", "method", f"{objective} per request", "interval", "basis")
    common.table("What serves each task", header, rows, left=4)
    print()
    if decision.single_value is not None:
        saved = 1.0 - decision.value / decision.single_value
        value = _amount(decision.single_value, objective)
        print(f"The best single method, {common.clean(str(decision.single_method))}: {value} ({saved:.0%} saved).")
    else:
        print("No single method serves every task within all limits.")
    if decision.best_case is not None:
        print(f"If all came out at its best: {_amount(decision.best_case, objective)}; no measurement gains more.")
    if decision.suggestions:
        print()
        named = [
            [s.task, s.model, s.device, s.method, s.reason, "–" if s.gain is None else _amount(s.gain, objective)]
            for s in decision.suggestions
        ]
        columns = ("task", "model", "device", "method", "why", "gain at most")
        common.table("What to measure next", columns, named, left=5)
    for note in decision.notes:
        print(f"\nNot on the menu: {common.clean(note)}.")


def _shown(known: Estimate, figure: str) -> tuple[str, str, str]:
    """Return value, interval and basis as words."""
    value = _amount(known.value, figure)
    if known.basis == "measured":
        return value, "–", "measured"
    if known.low is None or known.high is None or known.level is None:
        return value, "unknown", "predicted"
    return value, f"{known.low:.3g} to {known.high:.3g} ({known.level:.0%})", "predicted"


def _amount(value: float, figure: str) -> str:
    return f"{value:.4g} {_UNITS[figure]}"
