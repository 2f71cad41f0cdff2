"""Schema: print the JSON Schema of a file format, or list the formats."""

from __future__ import annotations

import argparse

from coinfer.cli import common

FILES = (
    "selection",
    "placement",
    "budget",
    "split",
    "plan",
    "placement-plan",
    "budget-plan",
    "split-plan",
    "profile",
    "gate",
    "acceleration",
    "acceleration-decision",
    "endpoints",
    "prompt-program",
)
LINES = ("measurement", "request")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    words = "kind of problem, or another file format; without it, the formats are listed"
    parser.add_argument("kind", choices=(*FILES, *LINES), nargs="?", help=words)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.executor.request import Request
    from coinfer.executor.strategies.endpoints import Endpoints
    from coinfer.executor.strategies.prompt_program import PromptProgram
    from coinfer.jsonfile import record_schema, schema
    from coinfer.models.acceleration.data import AccelerationProblem
    from coinfer.models.acceleration.decision import AccelerationDecision
    from coinfer.models.problem import KINDS
    from coinfer.models.selection.gate.document import Gate
    from coinfer.planner.plan import PLANS
    from coinfer.profiler.measurement import Measurement
    from coinfer.profiler.profile import Profile
    from coinfer.records import Document, Record

    files: dict[str, type[Document]] = {
        **KINDS,
        **{"plan" if name == "selection" else f"{name}-plan": document for name, document in PLANS.items()},
        "profile": Profile,
        "gate": Gate,
        "acceleration": AccelerationProblem,
        "acceleration-decision": AccelerationDecision,
        "endpoints": Endpoints,
        "prompt-program": PromptProgram,
    }
    lines: dict[str, type[Record]] = {"measurement": Measurement, "request": Request}
    kind = arguments.kind
    if kind in files:
        common.print_json(schema(files[kind], format_name=files[kind].file_format))
    elif kind in lines:
        common.print_json(record_schema(lines[kind]))
    else:
        rows = [[name, document.file_format, _first_line(document)] for name, document in files.items()]
        rows += [[name, "one JSON object a line", _first_line(record)] for name, record in lines.items()]
        if arguments.json:
            named = [dict(zip(("kind", "format", "what"), row, strict=True)) for row in rows]
            common.print_json({"schemas": named})
        else:
            common.table("Schemas, each printed by: coinfer schema KIND", ("kind", "format", "what"), rows, left=3)
    return 0


def _first_line(kind: type) -> str:
    """Return the sentence that says what a class is."""
    return (kind.__doc__ or "").partition("\n")[0]
