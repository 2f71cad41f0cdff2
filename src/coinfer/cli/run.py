"""Run: answer requests as a plan says, within hard budgets, resumable after a crash."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import budget_live, budget_run, common, placement_run

if TYPE_CHECKING:
    from coinfer.executor.run import RunOptions, RunSummary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("plan", type=Path, help="plan file (JSON)")
    parser.add_argument("requests", type=Path, help="requests (JSON Lines: id, prompt, category, ...)")
    parser.add_argument("--problem", type=Path, metavar="FILE", help="verify the plan against this problem first")
    parser.add_argument("--gate", type=Path, metavar="FILE", help="trained gate that decides who answers new prompts")
    parser.add_argument(
        "--journal", type=Path, metavar="FILE", help="default: the requests' name with .journal; run again to resume"
    )
    parser.add_argument(
        "--stop-by-price",
        action="store_true",
        help="with --endpoints: leave steps that gain less than they cost at the plan's prices",
    )
    parser.add_argument("--answers", type=Path, metavar="FILE", help="write the answers here (JSON Lines)")
    parser.add_argument("--measurements", type=Path, metavar="FILE", help="write the measurement rows here")
    parser.add_argument(
        "--endpoints", type=Path, metavar="FILE", help="who serves which role of a budget plan's strategies (JSON)"
    )
    parser.add_argument("--concurrency", type=int, default=4, help="requests in flight at once (default: 4)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds per attempt (default: 60)")
    parser.add_argument("--attempts", type=int, default=3, help="attempts per expert (default: 3)")
    parser.add_argument("--seed", type=common.seed, default=0)
    placement_run.add_arguments(parser)
    caps = parser.add_argument_group("hard budgets, checked before each call")
    caps.add_argument("--max-requests", type=int, metavar="N")
    caps.add_argument("--max-output-tokens", type=int, metavar="N")
    caps.add_argument("--max-energy", type=float, metavar="J")
    caps.add_argument("--max-seconds", type=float, metavar="S")
    caps.add_argument("--max-price", type=float, metavar="USD")


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.errors import InputError, Plain
    from coinfer.executor.request import read_requests
    from coinfer.executor.run import run
    from coinfer.models.problem import read_problem
    from coinfer.models.selection.gate import read_gate
    from coinfer.planner.budget.document import BudgetPlan
    from coinfer.planner.placement.document import PlacementPlan
    from coinfer.planner.plan import read_plan
    from coinfer.planner.split.document import SplitPlan
    from coinfer.planner.verify import verify

    journal = arguments.journal or arguments.requests.with_suffix(".journal")
    files = [arguments.plan, arguments.requests, journal, arguments.answers, arguments.measurements]
    files.append(arguments.gate)
    named = [path.resolve() for path in files if path is not None]
    if len(set(named)) != len(named):
        raise InputError("arguments", expected="a file of its own for each input and output", found=Plain("one twice"))
    plan = read_plan(arguments.plan)
    if isinstance(plan, BudgetPlan) and arguments.endpoints is not None:
        return budget_live.execute(arguments, plan, journal)
    if arguments.endpoints is not None or arguments.stop_by_price:
        raise InputError("--endpoints", expected="the plan of a budget with this option", found=Plain("another kind"))
    if isinstance(plan, BudgetPlan):
        return budget_run.execute(arguments, plan)
    requests = read_requests(arguments.requests)
    if isinstance(plan, PlacementPlan):
        return placement_run.execute(arguments, plan, requests)
    if isinstance(plan, SplitPlan):
        expected = "a plan of a selection, a placement or a budget; a split runs on the engines of `coinfer export`"
        raise InputError(str(arguments.plan), expected=expected, found=Plain("a split"))
    placement_run.refuse(arguments)
    gate = None if arguments.gate is None else read_gate(arguments.gate)
    if arguments.problem is not None:
        verify(read_problem(arguments.problem), plan)
    with common.progress_bar("Answering", quiet=arguments.json) as advance:
        summary = run(
            plan,
            requests,
            journal_path=journal,
            answers_path=arguments.answers,
            measurements_path=arguments.measurements,
            options=_options(arguments),
            gate=gate,
            on_progress=advance,
        )
    return _finish(arguments, summary, journal)


def _options(arguments: argparse.Namespace) -> RunOptions:
    """Return the options given on the command line."""
    from coinfer.executor.run import RunOptions

    return RunOptions(
        concurrency=arguments.concurrency,
        timeout_s=arguments.timeout,
        attempts=arguments.attempts,
        seed=arguments.seed,
        max_requests=arguments.max_requests,
        max_output_tokens=arguments.max_output_tokens,
        max_energy_j=arguments.max_energy,
        max_seconds=arguments.max_seconds,
        max_price_usd=arguments.max_price,
    )


def _finish(arguments: argparse.Namespace, summary: RunSummary, journal: Path) -> int:
    """Print what became of the requests; a run with failed requests is no success."""
    from coinfer.errors import EndpointError

    graded = [answer.correct for answer in summary.answers if answer.correct is not None]
    quality = sum(graded) / len(graded) if graded else None
    if arguments.json:
        common.print_json(
            {
                "answered": summary.answered,
                "failed": summary.failed,
                "skipped": summary.skipped,
                "resumed": summary.resumed,
                "seconds": summary.seconds,
                "output_tokens": summary.output_tokens,
                "energy_j": summary.energy_j,
                "quality": quality,
                "journal": str(journal),
            }
        )
        return 2 if summary.failed else 0
    print(
        f"{summary.answered} answered ({summary.resumed} of them before), {summary.failed} failed, "
        f"{summary.skipped} left out by a budget"
    )
    for note in summary.notes:
        print(note)
    if quality is not None:
        print(f"Mean quality of {len(graded)} graded answers: {quality:.4f}")
    if arguments.answers is None:
        print(f"The answers stand in the journal {journal}; --answers FILE writes them apart.")
    if summary.failed:
        reason = next(lost.reason for lost in summary.unanswered if lost.state == "failed")
        raise EndpointError(
            f"{summary.failed} requests failed, the first because: {reason}; run again to try them again"
        )
    return 0
