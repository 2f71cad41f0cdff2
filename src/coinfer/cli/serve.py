"""Serve: answer OpenAI-compatible requests as a budget plan says, under hard caps."""

from __future__ import annotations

import argparse
from pathlib import Path

from coinfer.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("plan", type=Path, help="budget plan (JSON)")
    parser.add_argument("--problem", type=Path, required=True, metavar="FILE", help="the problem that it is for")
    parser.add_argument("--endpoints", type=Path, required=True, metavar="FILE", help="who serves which role (JSON)")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, which only this machine can reach")
    parser.add_argument("--port", type=int, default=8080, help="default: 8080; 0: any free one")
    parser.add_argument(
        "--key-env", metavar="NAME", help="environment variable with the bearer key; needed where others can reach it"
    )
    parser.add_argument("--journal", type=Path, metavar="FILE", help="default: the plan's name with .served")
    parser.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="most of one completion")
    parser.add_argument("--concurrency", type=int, default=16, help="calls in flight at once (default: 16)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds per attempt (default: 60)")
    parser.add_argument("--attempts", type=int, default=3, help="attempts per call (default: 3)")
    parser.add_argument("--seed", type=common.seed, default=0)
    caps = parser.add_argument_group("hard caps over the life of the journal, checked before each call")
    caps.add_argument("--max-requests", type=int, metavar="N")
    caps.add_argument("--max-output-tokens", type=int, metavar="N")
    caps.add_argument("--max-seconds", type=float, metavar="S")
    caps.add_argument("--max-price", type=float, metavar="USD")


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb until it is interrupted."""
    import asyncio
    import os

    from coinfer.cli.pilot import options_from
    from coinfer.errors import InputError, Plain
    from coinfer.executor.serve.server import serve
    from coinfer.executor.strategies.endpoints import read_endpoints
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.models.problem import read_problem_of
    from coinfer.planner.budget.document import BudgetPlan
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.verify import verify

    problem = read_problem_of(arguments.problem, BudgetProblem)
    plan = read_plan_of(arguments.plan, BudgetPlan)
    verify(problem, plan)
    if not 0 <= arguments.port < 2**16:
        raise InputError("--port", expected="a number in 0..65535", found=arguments.port)
    if arguments.max_tokens < 1:
        raise InputError("--max-tokens", expected="at least 1", found=arguments.max_tokens)
    key = None
    if arguments.key_env is not None:
        key = os.environ.get(arguments.key_env)
        if not key:
            raise InputError(
                "--key-env", expected=f"the variable {arguments.key_env} to hold a key", found=Plain("none")
            )

    def ready(address: str) -> None:
        if arguments.json:
            common.print_json({"address": address})
        else:
            print(f"Serving {common.clean(plan.problem)} at {address}; stop with Ctrl-C.", flush=True)

    asyncio.run(
        serve(
            problem,
            plan.decision,
            read_endpoints(arguments.endpoints),
            journal_path=arguments.journal or arguments.plan.with_suffix(".served"),
            host=arguments.host,
            port=arguments.port,
            key=key,
            options=options_from(arguments),
            max_tokens=arguments.max_tokens,
            on_ready=ready,
        )
    )
    return 0
