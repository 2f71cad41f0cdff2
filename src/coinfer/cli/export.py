"""Export: write a problem's program for other solvers, or a plan for the engines that follow it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coinfer.cli import budget, common, placement, split

if TYPE_CHECKING:
    from coinfer.models.selection.data import SelectionProblem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="problem file (JSON)")
    parser.add_argument("--mps", type=Path, metavar="FILE", help="the integer program in free-format MPS")
    parser.add_argument("--lp", type=Path, metavar="FILE", help="the integer program in LP format")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="plan of the problem, for all that follows")
    parser.add_argument(
        "--litellm", type=Path, metavar="DIR", help="the plan for LiteLLM: config.yaml and routing.json in this folder"
    )
    engines = parser.add_argument_group("placements, for the engine named")
    for name, what in placement.EXPORTS.items():
        engines.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="FILE", help=what)
    split.add_exports(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.errors import InputError, Plain
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.models.placement.data import PlacementProblem
    from coinfer.models.problem import read_problem
    from coinfer.models.split.data import SplitProblem

    placed = any(getattr(arguments, name) is not None for name in (*placement.EXPORTS, *split.EXPORTS))
    if not placed:
        if (arguments.plan is None) != (arguments.litellm is None):
            missing = "--plan" if arguments.plan is None else "--litellm"
            raise InputError(
                "arguments", expected="--plan FILE and --litellm DIR together", found=Plain(f"no {missing}")
            )
        if arguments.mps is None and arguments.lp is None and arguments.litellm is None:
            expected = "--mps FILE or --lp FILE, or --plan FILE and --litellm DIR"
            raise InputError("arguments", expected=expected, found=Plain("none of them"))
    problem = read_problem(arguments.problem)
    if isinstance(problem, SplitProblem):
        return split.export(arguments, problem)
    if isinstance(problem, PlacementProblem):
        return placement.export(arguments, problem)
    _refuse_engines(arguments)
    if isinstance(problem, BudgetProblem):
        return budget.export(arguments, problem)
    told: dict[str, Any] = {"written": []}
    if arguments.mps is not None or arguments.lp is not None:
        _export_program(problem, arguments, told)
    if arguments.litellm is not None:
        _export_litellm(problem, arguments, told)
    if arguments.json:
        common.print_json(told)
    return 0


def _refuse_engines(arguments: argparse.Namespace) -> None:
    """Refuse options that are for other kinds of problem."""
    from coinfer.errors import InputError, Plain

    for kind, names in (("split", split.EXPORTS), ("placement", placement.EXPORTS)):
        for name in names:
            if getattr(arguments, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise InputError(option, expected=f"a {kind} problem with this option", found=Plain("another kind"))


def _export_program(problem: SelectionProblem, arguments: argparse.Namespace, told: dict[str, Any]) -> None:
    """Write the integer program."""
    from coinfer.models.selection.formulate import formulate
    from coinfer.solver.export import write_lp, write_mps

    program = formulate(problem)
    for path, writer in ((arguments.mps, write_mps), (arguments.lp, write_lp)):
        if path is not None:
            writer(program, path)
            told["written"].append(str(path))
    told |= {"variables": program.variables, "rows": program.rows}
    if not arguments.json:
        written = " and ".join(told["written"])
        print(f"{program.variables} variables, {program.rows} rows, minimised; written to {written}")


def _export_litellm(problem: SelectionProblem, arguments: argparse.Namespace, told: dict[str, Any]) -> None:
    """Write the plan for LiteLLM."""
    from coinfer.planner.export import litellm_export, write_litellm
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.selection.document import SelectionPlan

    exported = litellm_export(problem, read_plan_of(arguments.plan, SelectionPlan))
    paths = [str(path) for path in write_litellm(arguments.litellm, exported)]
    told["written"] += paths
    told |= {"experts": list(exported.experts), "notes": list(exported.notes)}
    if not arguments.json:
        print(common.clean(f"{len(exported.experts)} experts for LiteLLM: {', '.join(exported.experts)}"))
        for note in exported.notes:
            print(f"  {common.clean(note)}")
        print(f"Written to {' and '.join(paths)}.")
