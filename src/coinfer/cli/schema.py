"""Schema: print the JSON Schema of a file format."""

from __future__ import annotations

import argparse

from coinfer.cli import common

FORMATS = ("selection", "plan", "profile", "measurement", "request")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("kind", choices=FORMATS, help="kind of problem, or another file format")


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.executor.request import Request
    from coinfer.jsonfile import record_schema, schema
    from coinfer.models.problem import KINDS
    from coinfer.planner.plan import Plan
    from coinfer.profiler.measurement import Measurement
    from coinfer.profiler.profile import Profile
    from coinfer.records import Document, Record

    files: dict[str, type[Document]] = {**KINDS, "plan": Plan, "profile": Profile}
    lines: dict[str, type[Record]] = {"measurement": Measurement, "request": Request}
    kind = arguments.kind
    common.print_json(
        schema(files[kind], format_name=files[kind].file_format) if kind in files else record_schema(lines[kind])
    )
    return 0
