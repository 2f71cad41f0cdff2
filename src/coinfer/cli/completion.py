"""Completion: print a completion script for a shell."""

from __future__ import annotations

import argparse

from coinfer.cli import common
from coinfer.errors import BackendMissing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    parser.epilog = 'bash: eval "$(coinfer completion bash)"'


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    try:
        import shtab
    except ImportError as error:
        raise BackendMissing("completion scripts need the package shtab: pip install shtab") from error
    script = shtab.complete(arguments.whole, arguments.shell)
    if arguments.json:
        common.print_json({"script": script})
    else:
        print(script)
    return 0
