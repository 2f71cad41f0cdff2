"""Pilot: sample endpoints on some requests, and write the problem of choosing a strategy for each prompt."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coinfer.executor.options import RunOptions
    from coinfer.executor.strategies.endpoints import Endpoints
    from coinfer.executor.strategies.strategy import Strategy
    from coinfer.models.budget.parts import Budget

MOST_PROMPTS = 10**9
"""Of a category, for which a menu is made."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("requests", type=Path, help="requests with checkers (JSON Lines); categories are the strata")
    parser.add_argument("--endpoints", type=Path, required=True, metavar="FILE", help="who serves which role (JSON)")
    parser.add_argument("--samples", type=int, default=16, metavar="N", help="of each role and request (default: 16)")
    parser.add_argument(
        "--strategies", nargs="+", metavar="NAME", help="only these strategies; default: all that can be run"
    )
    parser.add_argument(
        "--try",
        dest="tries",
        action="append",
        default=[],
        metavar="NAME",
        help="run whole sessions of a strategy, or of an option by its name, to measure what it is worth; repeatable",
    )
    parser.add_argument(
        "--program",
        dest="programs",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a prompt program of your own, tried as by --try; repeatable; a run finds it in the file of endpoints",
    )
    parser.add_argument(
        "--prompts",
        nargs="+",
        default=[],
        metavar="CATEGORY=N",
        help="how many prompts of a category are to be planned for; default: as many as are piloted",
    )
    parser.add_argument(
        "--budget", nargs="+", default=[], metavar="RESOURCE=LIMIT", help="limits: tokens, completions or usd"
    )
    parser.add_argument("--name", help="of the problem; default: the name of the file of requests")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="default: the requests' name with .pilot")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="write the problem here")
    parser.add_argument("--concurrency", type=int, default=16, help="calls in flight at once (default: 16)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds per attempt (default: 60)")
    parser.add_argument("--attempts", type=int, default=3, help="attempts per call (default: 3)")
    parser.add_argument("--seed", type=common.seed, default=0)
    caps = parser.add_argument_group("hard caps of the pilot, checked before each call")
    caps.add_argument("--max-requests", type=int, metavar="N")
    caps.add_argument("--max-output-tokens", type=int, metavar="N")
    caps.add_argument("--max-seconds", type=float, metavar="S")
    caps.add_argument("--max-price", type=float, metavar="USD")


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    import asyncio

    from coinfer import arrayfile
    from coinfer.errors import InputError
    from coinfer.executor.request import read_requests
    from coinfer.executor.strategies.endpoints import read_endpoints
    from coinfer.executor.strategies.pilot import pilot
    from coinfer.planner.units import count

    if arguments.samples < 1:
        raise InputError("--samples", expected="at least 1", found=arguments.samples)
    requests = read_requests(arguments.requests)
    endpoints = read_endpoints(arguments.endpoints)
    chosen, tries = _chosen(arguments, endpoints)
    prompts = {name: int(number) for name, number in _pairs("--prompts", arguments.prompts)}
    unknown = next((name for name in prompts if all(each.category != name for each in requests)), None)
    if unknown is not None:
        raise InputError("--prompts", expected="categories of the requests", found=unknown)
    made = asyncio.run(
        pilot(
            requests,
            endpoints,
            chosen,
            name=arguments.name or arguments.requests.stem,
            samples=arguments.samples,
            prompts=prompts,
            tries=tries,
            journal_path=arguments.journal or arguments.requests.with_suffix(".pilot"),
            budgets=_budgets(arguments.budget),
            options=options_from(arguments),
        )
    )
    arrayfile.write(arguments.output, made.menu.problem)
    if arguments.json:
        common.print_json(
            {
                "options": [option.name for option in made.menu.problem.options],
                "left_out": dict(made.menu.left_out),
                "prompts": made.prompts,
                "calls": made.spent.calls,
                "output_tokens": made.spent.tokens,
                "prompt_tokens": made.spent.prompt_tokens,
            }
        )
        return 0
    spent = made.spent
    print(
        f"{count(made.prompts, 'request')} sampled: {count(spent.calls, 'call')}, {spent.prompt_tokens:,} tokens read, "
        f"{spent.tokens:,} generated."
    )
    problem = made.menu.problem
    print(f"{count(len(problem.options), 'option')} on the menu, in {len(problem.strata.names)} strata.")
    for line in _left_out(made.menu.left_out):
        print(f"  left out, {common.clean(line)}")
    print(f"\nWritten to {arguments.output}; plan it with: coinfer plan {arguments.output} -o plan.json")
    return 0


def _chosen(arguments: argparse.Namespace, endpoints: Endpoints) -> tuple[list[Strategy], list[str]]:
    """Return the strategies of the menu, and what is tried; a program of a user is named with or without its hash."""
    from coinfer.executor.strategies.endpoints import programs_of
    from coinfer.executor.strategies.programs import own_programs
    from coinfer.executor.strategies.registry import strategies, strategy_named

    added = own_programs(arguments.programs)
    own = programs_of(endpoints) | added
    full = {each.program.name: name for name, each in own.items() if each.program.name not in strategies()}
    names = [*(full.get(name, name) for name in arguments.strategies or [*strategies(), *own]), *added]
    tries = [*(full.get(name, name) for name in arguments.tries), *added]
    return [strategy_named(name, own) for name in dict.fromkeys(names)], tries


def _left_out(reasons: Mapping[str, str]) -> list[str]:
    """Return a line for each reason, with the strategies and how many options of each have left the menu."""
    from collections import Counter

    grouped: dict[str, Counter[str]] = {}
    for name, reason in reasons.items():
        grouped.setdefault(reason, Counter())[name.partition(" (")[0]] += 1
    return [
        f"{reason}: {', '.join(f'{name} ({number})' for name, number in names.items())}"
        for reason, names in grouped.items()
    ]


def options_from(arguments: argparse.Namespace) -> RunOptions:
    """Return the options given on the command line."""
    from coinfer.executor.options import RunOptions

    return RunOptions(
        concurrency=arguments.concurrency,
        timeout_s=arguments.timeout,
        attempts=arguments.attempts,
        seed=arguments.seed,
        max_requests=arguments.max_requests,
        max_output_tokens=arguments.max_output_tokens,
        max_seconds=arguments.max_seconds,
        max_price_usd=arguments.max_price,
    )


def _budgets(given: list[str]) -> tuple[Budget, ...]:
    from coinfer.errors import InputError
    from coinfer.executor.strategies.menu import RESOURCES
    from coinfer.models.budget.parts import Budget

    pairs = _pairs("--budget", given)
    for name, _ in pairs:
        if name not in RESOURCES:
            raise InputError("--budget", expected=f"one of {', '.join(RESOURCES)}", found=name)
    return tuple(Budget(resource=name, limit=limit) for name, limit in pairs)


def _pairs(where: str, given: list[str]) -> list[tuple[str, float]]:
    """Read NAME=NUMBER."""
    import math

    from coinfer.errors import InputError

    found = []
    for text in given:
        name, sign, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not sign or not name or not 0.0 <= value < math.inf:
            raise InputError(where, expected="NAME=NUMBER", found=text)
        if where == "--prompts" and not (1.0 <= value <= MOST_PROMPTS and value == int(value)):
            raise InputError(where, expected=f"a whole number of prompts in 1..{MOST_PROMPTS:,}", found=text)
        found.append((name, value))
    if len({name for name, _ in found}) < len(found):
        raise InputError(where, expected="each name once", found=" ".join(given))
    return found
