"""What several verbs share: limits, progress on standard error, tables."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coinfer.models.selection.data import SelectionProblem
    from coinfer.planner.selection.document import Prediction, SelectionPlan
    from coinfer.planner.selection.replan import Replan
    from coinfer.solver.limits import Limits
    from coinfer.solver.progress import OnProgress

MOST_POINTS = 10_000

Advance = Callable[[int, int], None]


def seed(text: str) -> int:
    """Read the seed of an option; argparse puts the option's name before the sentence."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"expected an integer in 0..2^63 - 1; found {clean(text[:40])!r}")
    return int(text)


def add_solver_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the engine and its limits."""
    group = parser.add_argument_group("solver")
    group.add_argument(
        "--engine",
        choices=("auto", "monotonic", "search", "chain", "matching", "highs", "cp-sat", "scip", "cbc"),
        default="auto",
        help="default: auto. Selection: monotonic where no limit couples the routing, highs elsewhere. "
        "Placement: chain or matching where they are exact, search elsewhere",
    )
    group.add_argument("--time-limit", type=float, metavar="S", help="seconds for search and proof together")
    group.add_argument("--nodes", type=int, metavar="N", help="most nodes of the search tree")
    group.add_argument("--gap", type=float, default=0.0, metavar="G", help="relative gap that is good enough")
    group.add_argument("--absolute-gap", type=float, default=0.0, metavar="G", help="the same, in units of the value")
    group.add_argument("--oracle-calls", type=int, metavar="N", help="most points evaluated (monotonic engine)")
    group.add_argument("--threads", type=int, default=1, help="default: 1, which keeps a solve repeatable")
    group.add_argument("--seed", type=seed, default=0)


def front_points(count: int | None) -> int:
    """Return how many budgets to sweep; 0 for none.

    Raises
    ------
    InputError
        For a number that is no sensible count.
    """
    from coinfer.errors import InputError

    if count is not None and not 0 <= count <= MOST_POINTS:
        raise InputError("--front", expected=f"a number from 0 to {MOST_POINTS}", found=count)
    return count or 0


def limits_from(arguments: argparse.Namespace) -> Limits:
    """Return the limits given on the command line."""
    from coinfer.solver.limits import Limits

    return Limits(
        time_s=arguments.time_limit,
        nodes=arguments.nodes,
        oracle_calls=arguments.oracle_calls,
        relative_gap=arguments.gap,
        absolute_gap=arguments.absolute_gap,
        threads=arguments.threads,
        seed=arguments.seed,
    )


def write_both(arguments: argparse.Namespace, problem: Any, plan: Any) -> None:
    """Write a new problem and its plan where that is asked for: both or neither."""
    from coinfer import arrayfile

    asked = ((arguments.output_problem, problem), (arguments.output, plan))
    arrayfile.write_all([(path, record) for path, record in asked if path is not None])


def print_json(value: Any) -> None:
    """Print one JSON object on standard output, at once: whoever waits for it may read from a pipe."""
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False), flush=True)


def clean(text: str) -> str:
    """Return ``text`` without what would steer a terminal: files may come from anybody."""
    plain = text.replace("\N{NO-BREAK SPACE}", " ")  # which stands in our own figures
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in plain)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print a table; the first ``left`` columns are words, the others numbers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(header):
        shown.add_column(name, justify="left" if i < left else "right", header_style="dim", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(clean(cell)) for cell in row))
    console = Console(soft_wrap=False, highlight=False, width=None if sys.stdout.isatty() else 110)
    console.print(shown)


@contextmanager
def progress_bar(label: str, *, quiet: bool = False) -> Iterator[Advance]:
    """Show a bar on standard error: a live one on a terminal, a line at the end elsewhere, none when ``quiet``."""
    if quiet:
        yield lambda _done, _total: None
        return
    if not sys.stderr.isatty():
        last = [0, 0]

        def count(done: int, total: int) -> None:
            last[:] = [done, total]

        yield count
        print(f"{label}: {last[0]} of {last[1]}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def solver_progress(problem: SelectionProblem, *, quiet: bool) -> Iterator[OnProgress | None]:
    """Show value and bound of a running search for ``problem`` on standard error; only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    from coinfer.planner.wording import worth_of
    from coinfer.solver.progress import Progress

    worth = worth_of(problem)
    with Console(stderr=True).status("searching") as status:

        def show(progress: Progress) -> None:
            best, bound = worth.figure(-progress.value), worth.figure(-progress.bound)
            status.update(f"searching: best {best:.6g}, {worth.limit} {bound:.6g}; Ctrl-C keeps the best")

        yield show


@contextmanager
def lowest_progress(*, quiet: bool) -> Iterator[OnProgress | None]:
    """Show value and bound of a running minimisation on standard error; only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    from coinfer.solver.progress import Progress

    with Console(stderr=True).status("searching") as status:

        def show(progress: Progress) -> None:
            told = f"best {progress.value:.6g}, nothing below {progress.bound:.6g}"
            status.update(f"searching: {told}; Ctrl-C keeps the best")

        yield show


def summed(advance: Advance, names: Sequence[str]) -> Callable[[str, int, int], None]:
    """Return a callback that adds up what each of ``names`` has done and shows the sum."""
    done = dict.fromkeys(names, 0)

    def told(name: str, count: int, each: int) -> None:
        done[name] = count
        advance(sum(done.values()), each * len(done))

    return told


def describe(plan: SelectionPlan, problem: SelectionProblem) -> str:
    """Say in one sentence what a plan decides and how good it is."""
    from coinfer.planner.wording import worth_of

    worth = worth_of(problem)
    certificate = plan.certificate
    checked = {claim.what: claim.standing for claim in certificate.claims}
    experts = ", ".join(f"{item.expert} on {item.device}" for item in plan.deployments)
    if certificate.status == "optimal":
        how = "proven optimal" if checked["bound"] == "verified" else "optimal as the engine claims"
    elif certificate.bound is None:
        how = "with no bound on what is possible"
    else:
        how = f"at most {worth.apart(certificate.bound - certificate.value)} ({checked['bound']})"
    beside = next((item.value for item in plan.predictions if item.quantity == "quality"), None)
    at = f" at mean quality {beside:.4f}" if worth.cost and beside is not None else ""
    return clean(f"Select {experts}: {worth.phrase(certificate.value)}{at}, {how}.")


def evidence(plan: SelectionPlan) -> str:
    """Say in one sentence what kind of proof a plan carries, of how many leaves."""
    from coinfer.planner.wording import proof

    shown = proof(plan.certificate)
    if shown is None:
        return f"No proof is with it: the bound is what {clean(plan.engine)} claims."
    return clean(f"The proof has {shown}.")


def staleness(made: Replan) -> list[str]:
    """Say whether an old plan still stands under new figures, and what moved."""
    from coinfer.planner.wording import worth_of

    head = "The old plan is stale." if made.stale else "The old plan stands: nothing moved beyond the tolerance."
    lines = [head, *(f"  over a limit now: {sentence}" for sentence in made.broken)]
    lines += [f"  {clean(str(figure))}" for figure in made.moved]
    if made.previous_value is not None:
        value = worth_of(made.problem).phrase(made.previous_value)
        lines.append(clean(f"Under the new figures the old plan has {value}."))
    return lines


def print_plan(plan: SelectionPlan, problem: SelectionProblem) -> None:
    """Print a plan for a person: the sentence, the proof, the routes, the budgets, what left the menu."""
    from coinfer.planner.wording import regret, routers, worth_of

    print(describe(plan, problem))
    print(evidence(plan))
    if plan.certificate.limit is not None:
        ended = {"interrupt": "The search was interrupted.", "gap": "The search ended at the gap asked for."}
        print(ended.get(plan.certificate.limit, f"The search ended at its {plan.certificate.limit} limit."))
    by_category: dict[str, dict[str, float]] = {}
    for route in plan.decision.routes:
        shares = by_category.setdefault(route.category, {})
        shares[route.expert] = shares.get(route.expert, 0.0) + route.fraction
    rows = []
    for category, shares in by_category.items():
        total = sum(shares.values())
        for expert, share in sorted(shares.items(), key=lambda item: -item[1]):
            rows.append([category, expert, f"{share / total:.0%}"])
    print()
    single = any(route.prompt is not None for route in plan.decision.routes)
    table("Who answers", ("category", "expert", "of the prompts" if single else "share"), rows, left=2)
    budgets = [row for prediction in plan.predictions for row in _budget(prediction)]
    if budgets:
        print()
        table("Budgets", ("limit on", "where", "used", "limit", "slack"), budgets, left=2)
    told = [routers(plan.alternatives, worth_of(problem), problem)]
    told += [] if plan.gate_report is None else [regret(plan.gate_report)]
    if any(told):
        print("\n" + clean(" ".join(told)))
    if plan.notes:
        print("\nNot on the menu:")
        for note in plan.notes[:12]:
            print(f"  {clean(note)}")
        if len(plan.notes) > 12:
            print(f"  ... and {len(plan.notes) - 12} more (all of them stand in the plan file)")


def _budget(prediction: Prediction) -> list[list[str]]:
    """Return the row of a prediction in the table of budgets; none where it has no budget."""
    from coinfer.planner.units import amount, unit_of

    value, budget, unit = prediction.value, prediction.budget, unit_of(prediction)
    if budget is None:
        return []
    floor = prediction.quantity == "quality"
    slack = value - budget if floor else budget - value
    return [
        [
            "quality (least)" if floor else prediction.quantity.rpartition("_")[0],
            prediction.category or prediction.device or "all",
            amount(value, unit) + (" (declared power)" if prediction.basis == "declared" else ""),
            amount(budget, unit),
            amount(0.0 if math.isclose(value, budget) else slack, unit),
        ]
    ]
