"""Run a budget plan on live endpoints: every prompt gets its strategy, under hard caps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.executor.strategies.live import LiveRun
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.planner.budget.document import BudgetPlan

UNUSED = ("measurements", "gate", "mode", "new_tokens", "trace_out")
MOST_REASONS = 5
"""Reasons that are printed; ``--json`` has all."""


def execute(arguments: argparse.Namespace, plan: BudgetPlan, journal: Path) -> int:
    """Run this verb for a budget, with ``--endpoints``."""
    import asyncio

    from coinfer.cli.pilot import options_from
    from coinfer.errors import InputError, Plain
    from coinfer.executor.request import read_requests
    from coinfer.executor.strategies.endpoints import read_endpoints
    from coinfer.executor.strategies.live import run_plan, write_answers
    from coinfer.executor.strategies.prices import plan_prices, typical_tokens
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.models.problem import read_problem_of
    from coinfer.planner.verify import verify

    for option in UNUSED:
        if getattr(arguments, option) is not None:
            name = f"--{option.replace('_', '-')}"
            raise InputError(name, expected="a plan of another kind with this option", found=Plain("a budget"))
    if arguments.problem is None:
        raise InputError("--problem", expected="the problem that the plan is for", found=Plain("none"))
    problem = read_problem_of(arguments.problem, BudgetProblem)
    verify(problem, plan)
    requests = read_requests(arguments.requests)
    prices = plan_prices(plan, problem) if arguments.stop_by_price else None
    done = 0
    with common.progress_bar("Answering", quiet=arguments.json) as advance:

        def told(_: str, __: object) -> None:
            nonlocal done
            done += 1
            advance(done, len(requests))

        made = asyncio.run(
            run_plan(
                problem,
                plan.decision,
                requests,
                read_endpoints(arguments.endpoints),
                journal_path=journal,
                options=options_from(arguments),
                prices=prices,
                typical=typical_tokens(problem, plan) if prices else None,
                on_answer=told,
            )
        )
    if arguments.answers is not None:
        write_answers(arguments.answers, made)
    return _tell(arguments, plan, problem, made)


def _tell(arguments: argparse.Namespace, plan: BudgetPlan, problem: BudgetProblem, made: LiveRun) -> int:
    """Print what was reached beside what was planned; a run without a single answer is no success."""
    from coinfer.errors import EndpointError, LimitReached
    from coinfer.planner.units import count, digits

    answered = sum(each.text is not None for each in made.answers)
    code = 0 if answered or not made.answers else LimitReached.exit_code if made.capped else EndpointError.exit_code
    if arguments.json:
        common.print_json(
            {
                "answered": answered,
                "unanswered": len(made.answers) - answered,
                "reasons": dict(made.unanswered),
                "resumed_calls": made.resumed,
                "calls": made.spent.calls,
                "output_tokens": made.spent.tokens,
                "prompt_tokens": made.spent.prompt_tokens,
                "usd": made.spent.usd,
                "seconds": made.seconds,
                "accuracy": made.accuracy,
            }
        )
        return code
    print(f"{count(answered, 'request')} answered, {len(made.answers) - answered} not.")
    for reason, number in list(made.unanswered.items())[:MOST_REASONS]:
        print(common.clean(f"  {number} without an answer: {reason}"))
    if made.resumed:
        print(f"{count(made.resumed, 'reply', 'replies')} stood in the journal.")
    if made.accuracy is not None:
        between = ""
        if plan.interval is not None:
            between = f", {digits(plan.interval.low, 4)} to {digits(plan.interval.high, 4)}"
        print(f"Accuracy {digits(made.accuracy, 4)}; the plan expected {digits(plan.mean_value, 4)}{between}.")
    share = len(made.answers) / problem.prompts
    own = {"tokens": made.spent.tokens, "usd": made.spent.usd}
    rows = [
        [spend.resource, f"{own[spend.resource]:,.6g}", f"{(spend.expected - (spend.information or 0.0)) * share:,.6g}"]
        for spend in plan.spend
        if spend.endpoint is None and spend.resource in own
    ]
    common.table("Spent", ("resource", "spent", "planned for so many prompts"), rows)
    if code:
        error = LimitReached if made.capped else EndpointError
        raise error(f"not one request was answered: {next(iter(made.unanswered))}")
    return 0
