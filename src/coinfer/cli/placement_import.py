"""Import routing traces: counted tokens in, a placement problem out."""

from __future__ import annotations

import argparse
from typing import Literal

from coinfer.cli import common

Objective = Literal["transitions", "fan_out", "imbalance"]

OPTIONS = (
    "devices",
    "trace_format",
    "experts",
    "pairs",
    "heldout",
    "objective",
    "load_cap",
    "load_cap_over",
    "replicas",
    "dispatch",
    "device_memory",
    "expert_bytes",
    "within_node",
    "between_nodes",
    "shrinkage",
    "model",
    "model_layers",
)
"""Options that only traces have."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what a trace does not say."""
    group = parser.add_argument_group("trace")
    group.add_argument("--devices", metavar="N", help="devices, or nodes x devices of each, as in 2x4")
    group.add_argument("--trace-format", choices=("npy", "npz", "jsonl", "json", "pt"), help="default: recognised")
    group.add_argument("--experts", type=int, metavar="N", help="experts of a layer (default: as the trace shows)")
    group.add_argument("--pairs", choices=("all", "first"), help="all choices of a token, or the first (default: all)")
    group.add_argument("--heldout", type=float, metavar="SHARE", help="tokens that are scored only (default: 0.2)")
    group.add_argument("--objective", choices=("transitions", "fan_out", "imbalance"), help="default: transitions")
    group.add_argument("--load-cap", type=float, metavar="X", help="most load of a device over the mean load")
    group.add_argument("--load-cap-over", choices=("worst_layer", "mean"), help="default: worst_layer")
    group.add_argument("--replicas", type=int, metavar="N", help="second and further copies in each layer")
    group.add_argument("--dispatch", choices=("split", "local"), help="how tokens choose a copy (default: split)")
    group.add_argument("--device-memory", type=int, metavar="BYTES", help="room for experts on each device")
    group.add_argument("--expert-bytes", type=int, metavar="BYTES", help="memory of one expert")
    group.add_argument("--within-node", type=float, metavar="C", help="cost of a move inside a node")
    group.add_argument("--between-nodes", type=float, metavar="C", help="cost of a move between nodes")
    group.add_argument("--shrinkage", metavar="X", help="strength in tokens, or auto for cross-validation")
    group.add_argument("--model", help="language model, for coinfer run: zoo:NAME, a path or a Hugging Face id")
    group.add_argument("--model-layers", type=int, metavar="N", help="layers of the model, dense ones too")


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that the format would not look at.

    Raises
    ------
    InputError
        With the option.
    """
    from coinfer.errors import InputError

    if arguments.format == "trace":
        return
    for option in OPTIONS:
        if getattr(arguments, option) is not None:
            raise InputError(_written(option), expected="the format trace with this option", found=arguments.format)


def _written(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def execute(arguments: argparse.Namespace) -> int:
    """Count traces and write the problem."""
    from coinfer import arrayfile
    from coinfer.errors import InputError, Plain
    from coinfer.models.placement.parts import LinkCost, LoadCap
    from coinfer.planner.placement.from_trace import PlacementOptions, problem_from_trace
    from coinfer.profiler.trace import TraceOptions

    if arguments.devices is None:
        raise InputError("--devices", expected="a number of devices, or nodes x devices", found=Plain("none"))
    costs = (arguments.within_node, arguments.between_nodes)
    if (costs[0] is None) != (costs[1] is None):
        raise InputError("--within-node", expected="--between-nodes beside it", found=Plain("one of them"))
    objective: Objective = arguments.objective or "transitions"
    trace = TraceOptions(
        format_name=arguments.trace_format,
        experts=arguments.experts,
        pairs=arguments.pairs or "all",
        heldout=0.2 if arguments.heldout is None else arguments.heldout,
        token_sets=objective == "fan_out",
    )
    cap = arguments.load_cap
    options = PlacementOptions(
        name=arguments.name,
        objective=objective,
        link_cost=None if costs[0] is None else LinkCost(within_node=costs[0], between_nodes=costs[1]),
        load_cap=None if cap is None else LoadCap(imbalance=cap, over=arguments.load_cap_over or "worst_layer"),
        replicas=arguments.replicas,
        dispatch=arguments.dispatch or "split",
        memory_bytes=arguments.device_memory,
        expert_bytes=arguments.expert_bytes,
        shrinkage=_shrinkage(arguments.shrinkage),
        model=arguments.model,
        model_layers=arguments.model_layers,
    )
    made = problem_from_trace(arguments.files, arguments.devices, trace=trace, options=options)
    problem, beside = made.problem, arrayfile.write(arguments.output, made.problem)
    written = [str(path) for path in (arguments.output, beside) if path is not None]
    counts = {
        "layers": problem.layers,
        "experts": problem.experts,
        "devices": len(problem.devices),
        "tokens": problem.tokens,
        "heldout_tokens": 0 if problem.heldout is None else problem.heldout.tokens,
    }
    if arguments.json:
        common.print_json({"written": written, **counts, "notes": list(made.notes)})
        return 0
    print(
        f"{common.clean(problem.name)}: {problem.layers} layers of {problem.experts} experts on "
        f"{len(problem.devices)} devices, {counts['tokens']:,} tokens to fit, {counts['heldout_tokens']:,} held out"
    )
    if problem.shrinkage is not None:
        print(f"  shrinkage toward {problem.shrinkage.toward.replace('_', ' ')}: {problem.shrinkage.strength:g} tokens")
    for note in made.notes:
        print(f"  {common.clean(note)}")
    print(f"Written to {' and '.join(written)}.")
    return 0


def _shrinkage(text: str | None) -> float | Literal["cross-validated"] | None:
    """Read the option: a number, or ``auto``."""
    from coinfer.errors import InputError

    if text is None or text == "auto":
        return None if text is None else "cross-validated"
    try:
        return float(text)
    except ValueError as error:
        raise InputError("--shrinkage", expected="a number, or auto", found=text) from error
