"""Parser, exit codes, and errors as sentences. Verbs import what they need when they run, so ``--help`` is quick."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from coinfer import __version__
from coinfer.cli import (
    accelerate,
    completion,
    demo,
    explore,
    export,
    gate,
    import_,
    outputs,
    pilot,
    plan,
    profile,
    replan,
    report,
    run,
    schema,
    serve,
    train_verifier,
    verify,
    workload,
)
from coinfer.errors import CoinferError

VERBS = (
    profile,
    import_,
    workload,
    pilot,
    train_verifier,
    plan,
    verify,
    run,
    serve,
    replan,
    report,
    explore,
    gate,
    accelerate,
    export,
    schema,
    demo,
    completion,
)

EPILOG = """\
exit codes: 0 done · 2 bad input, or a claim that is not true · 3 infeasible · 4 a limit was hit before any plan
            was found, or any request answered · 130 interrupted
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence; ``--help`` has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="coinfer",
        description="Plan collaborative LLM inference with a proof, run the plan, learn from what it measured.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"coinfer {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    for verb in VERBS:
        # import_: the bare word is Python's own
        name = verb.__name__.rpartition(".")[2].removesuffix("_").replace("_", "-")
        summary = (verb.__doc__ or "").splitlines()[0].rstrip(".")
        sub = verbs.add_parser(name, help=summary, description=verb.__doc__)
        sub.add_argument("--json", action="store_true", help="print one JSON object for machines")
        verb.add_arguments(sub)
        sub.set_defaults(execute=verb.execute, whole=parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every expected failure is one sentence on standard error."""
    if sys.stdout is None:  # closed by the caller: the exit code and the files are the answer
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    arguments = build_parser().parse_args(argv)
    try:
        outputs.check_outputs(arguments)
        code: int = arguments.execute(arguments)
        sys.stdout.flush()
    except CoinferError as error:
        return _fail(arguments, str(error), error.exit_code)
    except KeyboardInterrupt as stopped:
        return _fail(arguments, str(stopped) or "interrupted", 130)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # standard output is full or gone; files of ours have sentences of their own
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(arguments, f"cannot go on: {error}", 2)
    return code


def _fail(arguments: argparse.Namespace, message: str, code: int) -> int:
    if arguments.json:
        print(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
    print(f"coinfer {arguments.verb}: {message}", file=sys.stderr)
    return code
