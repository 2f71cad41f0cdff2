"""Run a placement: real expert parallelism over processes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.executor.moe import MoeRun
    from coinfer.executor.request import Request
    from coinfer.models.placement.data import PlacementProblem
    from coinfer.planner.placement.document import PlacementPlan

REFUSED = ("gate", "max_requests", "max_output_tokens", "max_energy", "max_seconds", "max_price", "journal")
"""Options of runs of a selection."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only placements have."""
    group = parser.add_argument_group("placements (with --problem)")
    group.add_argument(
        "--mode",
        choices=("context_coherent", "two_alltoall"),
        help="context_coherent: tokens go on where their expert ran (default); two_alltoall: they return",
    )
    group.add_argument("--new-tokens", type=int, metavar="N", help="tokens generated for each request (default: 8)")
    group.add_argument("--trace-out", type=Path, metavar="FILE", help="write the routing of the run here (.npz)")


def refuse(arguments: argparse.Namespace) -> None:
    """Refuse these options for the plan of a selection."""
    from coinfer.errors import InputError, Plain

    for option in ("mode", "new_tokens", "trace_out"):
        if getattr(arguments, option) is not None:
            name = f"--{option.replace('_', '-')}"
            raise InputError(name, expected="the plan of a placement with this option", found=Plain("a selection"))


def execute(arguments: argparse.Namespace, plan: PlacementPlan, requests: Sequence[Request]) -> int:
    """Run this verb for a placement."""
    from coinfer.errors import InputError, Plain
    from coinfer.executor.moe import MoeOptions, run_placement
    from coinfer.executor.moe.measure import measurements, write_trace
    from coinfer.executor.moe.text import answers, encoded
    from coinfer.models.placement.data import PlacementProblem
    from coinfer.models.problem import read_problem_of
    from coinfer.planner.verify import verify
    from coinfer.profiler.moe import write_moe_measurements

    for option in REFUSED:
        if getattr(arguments, option) is not None:
            name = f"--{option.replace('_', '-')}"
            raise InputError(name, expected="the plan of a selection with this option", found=Plain("a placement"))
    if arguments.problem is None:
        raise InputError("--problem", expected="the problem of the placement, with its model", found=Plain("none"))
    problem = read_problem_of(arguments.problem, PlacementProblem)
    verify(problem, plan)
    options = MoeOptions(
        mode=arguments.mode or "context_coherent",
        new_tokens=8 if arguments.new_tokens is None else arguments.new_tokens,
        timeout_s=arguments.timeout,
    )
    prompts = encoded(problem, [request.prompt for request in requests])
    run = run_placement(problem, plan.decision, prompts, options=options)
    texts = answers(problem, run, prompts)
    if arguments.answers is not None:
        _write_answers(arguments.answers, requests, texts)
    if arguments.measurements is not None:
        names = tuple(device.name for device in problem.devices)
        write_moe_measurements(arguments.measurements, measurements(run, names))
    if arguments.trace_out is not None:
        write_trace(arguments.trace_out, run)
    _print(arguments, run, problem, dict(zip([request.id for request in requests], texts, strict=True)))
    return 0


def _write_answers(path: Path, requests: Sequence[Request], texts: Sequence[str]) -> None:
    from coinfer import jsonfile

    rows = [{"id": request.id, "text": text} for request, text in zip(requests, texts, strict=True)]
    jsonfile.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _print(arguments: argparse.Namespace, run: MoeRun, problem: PlacementProblem, texts: dict[str, str]) -> None:
    """Say what crossed, layer by layer, and whether the plan foresaw it."""
    from coinfer.planner.units import amount

    counted, predicted = run.counted.crossing.tolist(), run.predicted.crossing.tolist()
    back = run.counted.combined.sum(axis=(1, 2)).tolist()
    if arguments.json:
        told = {
            "answers": texts,
            "tokens": len(run.trace),
            "crossing": counted,
            "predicted_crossing": predicted,
            "results_sent_on": back,
            "bytes": int(run.sent_bytes.sum()),
            "context_bytes": int(run.context_bytes.sum()),
            "as_predicted": run.exact,
            "seconds": run.seconds_total,
        }
        common.print_json(told)
        return
    rows = [
        [
            f"layer {layer}",
            f"{counted[layer]:,}",
            f"{predicted[layer]:,}",
            f"{back[layer]:,}",
            amount(float(run.sent_bytes[layer].sum()), "bytes"),
            *(amount(float(seconds), "s") for seconds in run.seconds[layer].mean(axis=0)),
        ]
        for layer in range(len(counted))
    ]
    header = ("", "tokens sent", "predicted", "results sent on", "bytes", "dispatch", "experts", "way back")
    words = f"{len(run.trace):,} tokens on {len(problem.devices)} devices, counted where they were sent"
    common.table(words, header, rows)
    same = "Every count is the one that was predicted for these tokens."
    if run.context_bytes.any():
        context = amount(float(run.context_bytes.sum()), "bytes")
        print("\n" + common.clean(f"Keys, values and chosen tokens, once a step to every device: {context}."))
    print("\n" + (same if run.exact else "The counts differ from those predicted for these tokens."))
    if arguments.answers is None:
        for name, text in list(texts.items())[:5]:
            print(common.clean(f"  {name}: {text}"))
