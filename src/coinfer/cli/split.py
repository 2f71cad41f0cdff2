"""What the verbs do with a split problem."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import common, endings

if TYPE_CHECKING:
    from coinfer.models.split.data import SplitProblem
    from coinfer.planner.split.document import SplitPlan

EXPORTS = {
    "device_map": "Accelerate and transformers: device_map (JSON)",
    "llama_cpp": "llama.cpp: arguments of its programs (JSON)",
    "layer_table": "dnet and distilp: layers by device (JSON)",
}
"""Options of ``export``, each with what it writes."""


def add_exports(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``export`` that are for splits."""
    group = parser.add_argument_group("splits, for the engine named")
    for name, what in EXPORTS.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="FILE", help=what)
    group.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME=TARGET",
        help="what the engine calls a device: 0, cpu, CUDA0, or host:port of an rpc-server; repeatable",
    )


def plan(arguments: argparse.Namespace, problem: SplitProblem) -> int:
    """Find and print a split."""
    from coinfer import jsonfile
    from coinfer.errors import InputError
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.split.document import SplitPlan
    from coinfer.planner.split.make import plan as make_plan

    if arguments.front is not None:
        raise InputError("--front", expected="a selection problem with this option", found="split")
    start = None if arguments.start is None else read_plan_of(arguments.start, SplitPlan).decision
    with common.lowest_progress(quiet=arguments.json) as on_progress:
        made = make_plan(
            problem,
            engine=arguments.engine,
            limits=common.limits_from(arguments),
            start=start,
            with_proof=not arguments.no_proof,
            on_progress=on_progress,
        )
    if arguments.output is not None:
        jsonfile.write(arguments.output, made)
    if arguments.json:
        common.print_json(jsonfile.to_builtins(made))
        return 0
    print_plan(made, problem)
    endings.print_written(arguments)
    return 0


def print_plan(made: SplitPlan, problem: SplitProblem) -> None:
    """Print a plan for a person: the sentence, who computes what, and what a request takes."""
    from coinfer.planner.split.wording import sentence
    from coinfer.planner.units import amount

    print(common.clean(sentence(made, problem)) + "\n")
    use = {each.device: each for each in made.figures.use}
    rows = [
        [
            common.clean(segment.device),
            f"{segment.first_layer}..{segment.last_layer}",
            common.clean(segment.quantisation),
            "–" if segment.codec is None else common.clean(segment.codec),
            amount(use[segment.device].weights_bytes + use[segment.device].kv_bytes, "bytes"),
            amount(use[segment.device].busy_s, "s"),
        ]
        for segment in made.decision.segments
    ]
    header = ("device", "layers", "weights", "arrive as", "memory of the device", "busy for a token")
    common.table("Who computes what", header, rows, left=4)
    figures = made.figures
    told = [
        ("time to the first token", figures.ttft_s, "s"),
        ("time for each further token", figures.tpot_s, "s"),
        ("time for a request", figures.request_s, "s"),
        ("energy of a request", figures.j_per_request, "J"),
        ("price of a request", figures.usd_per_request, "USD"),
        ("hidden states for a token", figures.hidden_bytes_per_token, "bytes"),
    ]
    known = [[name, amount(number, unit)] for name, number, unit in told if number is not None]
    plain = (("tokens a second, at most", figures.tokens_per_s), ("quality lost", figures.quality_loss))
    known += [[name, f"{number:,.4g}"] for name, number in plain if number is not None]
    print()
    common.table("What a request takes", ("figure", ""), known)


def verify(arguments: argparse.Namespace, problem: SplitProblem) -> int:
    """Check a split and print what holds."""
    from coinfer.planner.plan import read_plan
    from coinfer.planner.split.wording import holds
    from coinfer.planner.verify import verify as check

    checked = check(problem, read_plan(arguments.plan))
    endings.print_claims(checked, objective=problem.objective, json=arguments.json)
    if not arguments.json:
        print("\n" + common.clean(holds(checked, problem)))
    return 0


def export(arguments: argparse.Namespace, problem: SplitProblem) -> int:
    """Write a split for the engines that were named."""
    from coinfer import jsonfile
    from coinfer.errors import InputError, Plain
    from coinfer.planner.export.split import device_map, layer_table, llama_cpp
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.split.document import SplitPlan
    from coinfer.planner.verify import verify as check

    wanted = {name: path for name in EXPORTS if (path := getattr(arguments, name)) is not None}
    if not wanted or arguments.plan is None:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in EXPORTS)
        raise InputError("arguments", expected=f"--plan and one of {names} for a split", found=Plain("others"))
    targets = {name: int(text) if text.isdecimal() else text for name, text in map(_target, arguments.target)}
    made = read_plan_of(arguments.plan, SplitPlan)
    check(problem, made)  # no engine should load what does not hold
    writers = {
        "device_map": lambda: device_map(problem, made.decision, targets=targets or None),
        "llama_cpp": lambda: llama_cpp(problem, made.decision, targets=targets),
        "layer_table": lambda: layer_table(problem, made.decision),
    }
    exported = {name: writers[name]() for name in wanted}
    for name, path in wanted.items():
        jsonfile.write_text(path, jsonfile.to_text(exported[name].content))
    notes = [f"{name.replace('_', '-')}: {note}" for name, one in exported.items() for note in one.notes]
    if arguments.json:
        common.print_json({"written": [str(path) for path in wanted.values()], "notes": notes})
        return 0
    print(f"Written to {' and '.join(str(path) for path in wanted.values())}.")
    for note in notes:
        print(f"  {common.clean(note)}")
    return 0


def _target(text: str) -> tuple[str, str]:
    from coinfer.errors import InputError

    name, sign, target = text.rpartition("=")
    if not (name and sign and target):
        raise InputError("--target", expected="NAME=TARGET", found=text)
    return name, target


def report(arguments: argparse.Namespace, problem: SplitProblem) -> int:  # noqa: ARG001
    """Say that there is no page of a split yet."""
    from coinfer.errors import InputError, Plain

    raise InputError("problem", expected="a selection, placement or budget for a page", found=Plain("a split"))
