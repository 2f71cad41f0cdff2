"""Workload: turn a benchmark file into requests with checkers, and recorded samples of it into graded outcomes.

The requests are what pilot, profile and run take; the outcomes are what import outcomes takes.
Checkers, layouts and columns: docs/workloads.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from coinfer.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("file", type=Path, help="the benchmark: JSON Lines, or CSV with names of columns")
    parser.add_argument("--kind", required=True, metavar="CHECKER", help="how answers are graded: numeric, choice ...")
    parser.add_argument(
        "--column", action="append", default=[], metavar="FIELD=NAME", help="the column of a field; repeatable"
    )
    parser.add_argument("--max-tokens", type=int, default=512, metavar="N", help="of one answer (default: 512)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the requests here")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="recorded completions, to be graded")
    parser.add_argument(
        "--sample-column", action="append", default=[], metavar="FIELD=NAME", help="the same for the samples' file"
    )
    parser.add_argument("--outcomes", type=Path, metavar="FILE", help="write the graded samples here")


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.errors import InputError, Plain
    from coinfer.executor.workload import read_samples, read_workload, write_outcomes, write_workload
    from coinfer.planner.units import count

    if (arguments.samples is None) != (arguments.outcomes is None):
        raise InputError("--samples", expected="together with --outcomes", found=Plain("one of them"))
    if arguments.output is None and arguments.outcomes is None:
        raise InputError("--output", expected="a file to write, here or with --outcomes", found=Plain("none"))
    if arguments.max_tokens < 1:
        raise InputError("--max-tokens", expected="at least 1", found=arguments.max_tokens)
    workload = read_workload(
        arguments.file,
        kind=arguments.kind,
        columns=_columns("--column", arguments.column),
        max_tokens=arguments.max_tokens,
    )
    graded: tuple[int, int] | None = None
    if arguments.samples is not None:
        samples = read_samples(arguments.samples, columns=_columns("--sample-column", arguments.sample_column))
        graded = write_outcomes(arguments.outcomes, workload, samples)
    if arguments.output is not None:
        write_workload(arguments.output, workload)
    if arguments.json:
        sampled = {} if graded is None else {"right_samples": graded[0], "samples": graded[1]}
        common.print_json({"requests": len(workload.requests), **sampled})
        return 0
    categories = len({request.category for request in workload.requests})
    print(f"{count(len(workload.requests), 'request')} in {count(categories, 'category', 'categories')}.")
    if arguments.output is not None:
        print(f"Requests written to {arguments.output}.")
    if graded is not None:
        print(f"Right: {graded[0]:,} of {count(graded[1], 'sample')}; written to {arguments.outcomes}.")
        print(f"Next: coinfer import outcomes {arguments.outcomes} -o problem.json")
    return 0


def _columns(where: str, given: list[str]) -> dict[str, str]:
    from coinfer.errors import InputError

    found: dict[str, str] = {}
    for text in given:
        field, sign, name = text.partition("=")
        if not sign or not field or not name or field in found:
            raise InputError(where, expected="FIELD=NAME, each field once", found=text)
        found[field] = name
    return found
