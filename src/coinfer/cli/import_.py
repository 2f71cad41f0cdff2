"""Import: turn recorded outcomes, routing traces, and public routing and energy data into a problem file.

Formats: outcomes (who was right how often, for a test-time budget), trace (which experts each token visited, for a
placement), routerbench (CSV), llmrouter (routing rows, candidates, queries), ml-energy (leaderboard JSON), csv
(qualities and optionally experts), npz (numpy arrays Q and M).
What each of them may hold: docs/imports.md, docs/budget-imports.md and docs/traces.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import budget_import, common, placement_import

if TYPE_CHECKING:
    from coinfer.models.selection.imports import EnergyOptions, Imported

FORMATS = ("outcomes", "trace", "routerbench", "llmrouter", "ml-energy", "csv", "npz")
STATISTICS = ("mean", "p50", "p90", "p95", "p99")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("format", choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help="write the problem here")
    parser.add_argument("--name", help="name of the problem (default: the first file's)")
    parser.add_argument("--device", default="hosted", help="device of experts whose device is not known")
    parser.add_argument("--gate", choices=("category", "oracle"), default="category", help="default: category")
    parser.add_argument(
        "--missing", choices=("refuse", "drop"), default="refuse", help="prompts that lack a cell (default: refuse)"
    )
    parser.add_argument(
        "--latency-statistic", choices=STATISTICS, help="default: mean for llmrouter, p50 for ml-energy"
    )
    budgets = parser.add_argument_group("budgets")
    budgets.add_argument("--experts-budget", type=int, metavar="N", help="most experts selected")
    budgets.add_argument("--energy-budget", type=float, metavar="J", help="mean energy per request")
    budgets.add_argument("--price-budget", type=float, metavar="USD", help="mean price per request")
    energy = parser.add_argument_group("ml-energy")
    energy.add_argument("--serve", metavar="MODELS", help="serve all models, or those named (with commas between)")
    energy.add_argument("--quality", type=Path, metavar="FILE", help="route instead: CSV of model,quality[,category]")
    energy.add_argument("--itl-s", type=float, metavar="S", help="longest inter-token latency, seconds per token")
    energy.add_argument("--levels", type=int, metavar="N", help="most configurations of one model")
    energy.add_argument(
        "--gpus", action="append", default=[], metavar="GPU=COUNT", help="GPUs there are, as in H100=16; repeatable"
    )
    budget_import.add_arguments(parser)
    placement_import.add_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.errors import InputError, Plain
    from coinfer.models.selection.imports import write_problem

    for path in arguments.files:
        if arguments.output.resolve() == path.resolve():
            raise InputError("--output", expected="a file that is not imported itself", found=Plain(str(path)))
    placement_import.check(arguments)
    budget_import.check(arguments)
    if arguments.format == "outcomes":
        return budget_import.execute(arguments)
    if arguments.format == "trace":
        return placement_import.execute(arguments)
    made = _import(arguments)
    beside = write_problem(arguments.output, made.problem)
    written = [str(path) for path in (arguments.output, beside) if path is not None]
    problem = made.problem
    if arguments.json:
        counts = {field: len(getattr(problem, field)) for field in ("experts", "prompts", "categories", "devices")}
        common.print_json({"written": written, **counts, "notes": list(made.notes)})
        return 0
    print(
        f"{common.clean(problem.name)}: {len(problem.experts)} experts, {len(problem.prompts)} prompts, "
        f"{len(problem.categories)} categories, {len(problem.devices)} devices"
    )
    for note in made.notes:
        print(f"  {common.clean(note)}")
    print(f"Written to {' and '.join(written)}.")
    return 0


def _import(arguments: argparse.Namespace) -> Imported:
    """Call the reader of the format; refuse options that it would not look at."""
    from coinfer.errors import InputError
    from coinfer.models.selection import imports

    options = imports.ImportOptions(
        name=arguments.name,
        device=arguments.device,
        experts_budget=arguments.experts_budget,
        energy_budget_j=arguments.energy_budget,
        price_budget_usd=arguments.price_budget,
        gate=arguments.gate,
        missing=arguments.missing,
    )
    if arguments.format == "ml-energy":
        return imports.import_ml_energy(arguments.files, options, _energy_options(arguments))
    for option in ("serve", "quality", "itl_s", "levels", "gpus"):
        value = getattr(arguments, option)
        if value not in (None, []):
            name = f"--{option.replace('_', '-')}"
            raise InputError(name, expected="the format ml-energy with this option", found=arguments.format)
    if arguments.format == "llmrouter":
        statistic = arguments.latency_statistic or "mean"
        return imports.import_llmrouter(arguments.files, options, latency_statistic=statistic)
    if arguments.latency_statistic is not None:
        expected = "the format llmrouter or ml-energy with this option"
        raise InputError("--latency-statistic", expected=expected, found=arguments.format)
    readers = {"routerbench": imports.import_routerbench, "csv": imports.import_csv, "npz": imports.import_npz}
    return readers[arguments.format](arguments.files, options)


def _energy_options(arguments: argparse.Namespace) -> EnergyOptions:
    """Return the options that only the leaderboard has."""
    from coinfer.models.selection.imports import EnergyOptions, GpuBudget

    serve = None if arguments.serve is None else tuple(name.strip() for name in arguments.serve.split(","))
    return EnergyOptions(
        latency_statistic=arguments.latency_statistic or "p50",
        itl_s=arguments.itl_s,
        serve=serve,
        quality=arguments.quality,
        levels=arguments.levels,
        gpus=tuple(GpuBudget.parse(text) for text in arguments.gpus),
    )
