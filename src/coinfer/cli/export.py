"""Export: write a problem's integer program in a form that other solvers read."""

from __future__ import annotations

import argparse
from pathlib import Path

from coinfer.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="problem file (JSON)")
    parser.add_argument("--mps", type=Path, metavar="FILE", help="free-format MPS")
    parser.add_argument("--lp", type=Path, metavar="FILE", help="LP format")


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.errors import InputError, Plain
    from coinfer.models.problem import read_problem
    from coinfer.models.selection.formulate import formulate
    from coinfer.solver.export import write_lp, write_mps

    if arguments.mps is None and arguments.lp is None:
        raise InputError("arguments", expected="--mps FILE or --lp FILE", found=Plain("neither"))
    program = formulate(read_problem(arguments.problem))
    written = []
    for path, writer in ((arguments.mps, write_mps), (arguments.lp, write_lp)):
        if path is not None:
            writer(program, path)
            written.append(str(path))
    if arguments.json:
        common.print_json({"written": written, "variables": program.variables, "rows": program.rows})
    else:
        print(f"{program.variables} variables, {program.rows} rows, minimised; written to {' and '.join(written)}")
    return 0
