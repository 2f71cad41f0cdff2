"""Explore: ask around the best selection: the next best, ties, budgets, why not this expert, what a group is worth."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.models.selection.data import SelectionProblem
    from coinfer.planner.explore.best import Candidate, Ranking
    from coinfer.planner.explore.budgets import Budget
    from coinfer.planner.explore.experts import Essential, WhyNot
    from coinfer.planner.explore.optimum import How
    from coinfer.planner.explore.sweep import BudgetPoint
    from coinfer.planner.explore.ties import Ties
    from coinfer.planner.explore.worth import More
    from coinfer.planner.explore.worth import Worth as BudgetWorth
    from coinfer.planner.wording import Worth

MOST_SELECTIONS = 10_000
MOST_ROWS = 20
NEGLIGIBLE = 1e-9
MINUS = "\N{MINUS SIGN}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="problem file (JSON)")
    parser.add_argument("--best", type=int, metavar="K", help="the K best selections")
    parser.add_argument("--within", type=float, metavar="E", help="the selections whose value is within E of the best")
    parser.add_argument("--tied", action="store_true", help="selections that the calibration prompts cannot tell apart")
    parser.add_argument(
        "--sweep",
        metavar="BUDGET:FROM:TO:N",
        help="best value at N limits: experts, energy_j, worst_case_energy_j, price_usd, "
        "memory:DEVICE, utilisation:DEVICE, latency:CATEGORY",
    )
    parser.add_argument("--worth", action="store_true", help="slack of each budget, and what more of it buys")
    parser.add_argument("--why-not", action="append", default=[], metavar="EXPERT", help="why it is not selected")
    parser.add_argument(
        "--essential", action="append", default=[], metavar="NAMES", help="value without these experts (commas between)"
    )
    common.add_solver_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer import jsonfile
    from coinfer.errors import InputError, Plain
    from coinfer.models.problem import read_problem_of
    from coinfer.models.selection.data import SelectionProblem
    from coinfer.planner.explore.optimum import How
    from coinfer.planner.wording import worth_of

    asked = (arguments.best, arguments.within, arguments.tied, arguments.sweep, arguments.worth)
    if all(item is None or item is False for item in asked) and not arguments.why_not and not arguments.essential:
        expected = "a question: --best, --within, --tied, --sweep, --worth, --why-not or --essential"
        raise InputError("arguments", expected=expected, found=Plain("none"))
    problem = read_problem_of(arguments.problem, SelectionProblem)
    how = How(engine=arguments.engine, limits=common.limits_from(arguments))
    answers = _answers(problem, how, arguments)
    if arguments.json:
        common.print_json({name: jsonfile.to_builtins(answer) for name, answer in answers.items()})
        return 0
    worth = worth_of(problem)
    for place, (name, answer) in enumerate(answers.items()):
        if place:
            print()
        _PRINTERS[name](answer, worth, problem)
    return 0


def _answers(problem: SelectionProblem, how: How, arguments: argparse.Namespace) -> dict[str, object]:
    """Answer each question that was asked, in the order of the help."""
    import math

    from coinfer.errors import InputError
    from coinfer.planner.explore.best import best_selections
    from coinfer.planner.explore.experts import essential, why_not
    from coinfer.planner.explore.optimum import solve
    from coinfer.planner.explore.sweep import sweep_budget
    from coinfer.planner.explore.ties import tied_selections
    from coinfer.planner.explore.worth import worth_of_budgets

    found: dict[str, object] = {}
    if arguments.best is not None or arguments.within is not None:
        count = MOST_SELECTIONS if arguments.best is None else arguments.best
        if not 1 <= count <= MOST_SELECTIONS:
            raise InputError("--best", expected=f"a number from 1 to {MOST_SELECTIONS}", found=count)
        within = math.inf if arguments.within is None else arguments.within
        found["best"] = best_selections(problem, count=count, within=within, how=how)
    if arguments.tied:
        found["tied"] = tied_selections(problem, how=how)
    if arguments.sweep is not None:
        budget, limits = _sweep_of(problem, arguments.sweep)
        points = sweep_budget(problem, budget, limits, how=how)
        found["sweep"] = {"budget": budget.name, "unit": budget.unit, "points": points}
    if arguments.worth or arguments.why_not or arguments.essential:
        solved = solve(problem, how)
        if arguments.worth:
            found["worth"] = worth_of_budgets(problem, how=how, solved=solved)
        if arguments.why_not:
            found["why_not"] = [why_not(problem, name, how=how, solved=solved) for name in arguments.why_not]
        if arguments.essential:
            groups = [text.split(",") for text in arguments.essential]
            found["essential"] = [essential(problem, group, how=how, solved=solved) for group in groups]
    return found


def _sweep_of(problem: SelectionProblem, text: str) -> tuple[Budget, list[float]]:
    """Read ``BUDGET:FROM:TO:N``; the budget may hold a colon itself."""
    import numpy as np

    from coinfer.errors import InputError
    from coinfer.planner.explore.budgets import budget_named
    from coinfer.planner.explore.sweep import MOST_POINTS

    name, *numbers = text.rsplit(":", 3)
    try:
        low, high, count = float(numbers[0]), float(numbers[1]), int(numbers[2])
    except (IndexError, ValueError) as error:
        raise InputError("--sweep", expected="BUDGET:FROM:TO:N, as in experts:1:8:8", found=text) from error
    if not 1 <= count <= MOST_POINTS or not 0.0 <= low <= high < float("inf"):
        expected = f"limits of at least 0 that rise, and 1 to {MOST_POINTS} of them"
        raise InputError("--sweep", expected=expected, found=text)
    return budget_named(problem, name), np.linspace(low, high, count).tolist()


def _best(ranking: Ranking, worth: Worth, _: SelectionProblem) -> None:
    rows = [
        [_names(item), worth.amount(item.value), _size(item.difference, item.value, worth) or "–"]
        for item in ranking.selections
    ]
    common.table("Best selections", ("experts", worth.title.lower(), "worse by"), rows)
    if not ranking.complete:
        print(common.clean("A limit was hit: there may be better ones that are not on the list."))
    elif ranking.bound is not None:
        print(common.clean(f"Proven: no other selection is {worth.beyond} {worth.amount(ranking.bound)}."))
    else:
        print("Proven: these are all there are.")


def _names(item: Candidate) -> str:
    """Name the experts of a selection, those that answer nothing apart."""
    busy = ", ".join(name for name in item.selected if name not in item.idle)
    return f"{busy}; idle: {', '.join(item.idle)}" if item.idle else busy


def _tied(found: Ties, worth: Worth, problem: SelectionProblem) -> None:
    rows = [[_names(found.best), worth.amount(found.best.value), "best", ""]]
    lean = [item for item in found.tied if set(item.selection.idle) <= set(problem.required)]
    for item in lean[:MOST_ROWS]:
        error = item.gap.standard_error or 0.0
        value = worth.amount(item.selection.value)
        rows.append([_names(item.selection), value, worth.size(item.gap.difference), worth.size(error)])
    common.table("Tied selections", ("experts", worth.title.lower(), "worse by", "standard error"), rows)
    if len(lean) > MOST_ROWS:
        print(f"... and {len(lean) - MOST_ROWS} more")
    if len(lean) < len(found.tied):
        print(f"Not shown: {len(found.tied) - len(lean)} in which some expert answers nothing.")
    print(f"{len(found.tied)} tied with the best of {found.looked_at} looked at; ", end="")
    print("proven to be all of them." if found.complete else "there may be more.")
    total = len(found.tied) + 1
    shares = ", ".join(f"{common.clean(name)} {held}" for name, held in found.contains.items())
    print(f"Of these {total} selections, so many hold each expert: {shares}.")
    sure = ", ".join(map(common.clean, found.sure)) or "none"
    print(f"Sure, whichever is taken: {sure}. Prompts count as {found.effective_prompts:.0f} of equal weight.")


def _sweep(found: dict[str, object], worth: Worth, _: SelectionProblem) -> None:
    from coinfer.planner.units import amount

    unit = str(found["unit"])
    points = cast("tuple[BudgetPoint, ...]", found["points"])
    rows = []
    for point in points:
        if point.optimum is None:
            rows.append([amount(point.limit, unit), "infeasible" if point.infeasible else "nothing found", "–", "", ""])
            continue
        proven = "yes" if point.optimum.proven else "no"
        used = "–" if point.used is None else amount(point.used, unit)
        names = ", ".join(point.optimum.selected)
        rows.append([amount(point.limit, unit), names, worth.amount(point.optimum.value), used, proven])
    head = (str(found["budget"]), "experts", worth.title.lower(), "used", "optimal")
    common.table("Best value by budget", head, rows, left=2)


def _worth(found: tuple[BudgetWorth, ...], worth: Worth, _: SelectionProblem) -> None:
    from coinfer.planner.units import amount

    if not found:
        print("The problem sets no limit that could be raised.")
        return
    rows = []
    for item in found:
        used = "–" if item.used is None else amount(item.used, item.unit)
        slack = "–" if item.slack is None else amount(item.slack, item.unit)
        first = [item.budget, used, amount(item.limit, item.unit), slack]
        bought = [[f"+{amount(part.added, item.unit)}", _gain(part, worth)] for part in item.more] or [["–", "–"]]
        rows += [[*(first if place == 0 else [""] * 4), *cells] for place, cells in enumerate(bought)]
    head = ("budget", "used", "limit", "slack", "so much more", "buys")
    common.table("What the budgets are worth", head, rows)


def _gain(part: More, worth: Worth) -> str:
    if part.proven:
        size = _size(part.gain, part.optimum.value, worth)
        return "nothing" if size is None else size if part.gain > 0.0 else f"{MINUS}{size}"
    return _range(part.at_least, part.at_most, worth)


def _size(difference: float, value: float, worth: Worth) -> str | None:
    """Write a difference of values without its sign; ``None`` where it is only rounding."""
    return None if abs(difference) <= NEGLIGIBLE * abs(value) else worth.size(difference)


def _beside(loss: float, value: float, worth: Worth, better: str) -> str:
    """Say how another optimum compares: worse, as good, or better for a reason."""
    size = _size(loss, value, worth)
    return "as good" if size is None else f"{size} worse" if loss > 0.0 else f"{size} better: {better}"


def _range(least: float | None, most: float | None, worth: Worth) -> str:
    """Write what is proven of a difference; a sign stands where it is below 0."""
    ends = ["?" if end is None else (MINUS if end < 0.0 else "") + worth.size(end) for end in (least, most)]
    return f"{ends[0]} to {ends[1]}"


def _why_not(found: list[WhyNot], worth: Worth, _: SelectionProblem) -> None:
    for item in found:
        name = common.clean(item.expert)
        if item.selected:
            print(f"{name} is selected.")
        elif item.optimum is None or item.loss is None:
            relief = f" Lifting one of these would make room: {', '.join(item.relief)}." if item.relief else ""
            print(common.clean(f"{name} cannot be selected: {item.reason}.{relief}"))
        else:
            proven = (
                "" if item.proven else f" as far as was found (proven: {_range(item.at_least, item.at_most, worth)})"
            )
            side = _beside(item.loss, item.optimum.value, worth, "the problem forbids it")
            told = f"With {name} the best is {worth.amount(item.optimum.value)}, {side}{proven}."
            out, came = ", ".join(item.pushed_out), ", ".join(item.brought_in)
            told += f" It would push out {out}." if out else " It would push out nothing."
            print(common.clean(told + (f" With it would come {came}." if came else "")))


def _essential(found: list[Essential], worth: Worth, _: SelectionProblem) -> None:
    for item in found:
        names = ", ".join(item.group)
        if item.optimum is None or item.loss is None:
            print(common.clean(f"Without {names}: {item.infeasible}."))
            continue
        proven = "" if item.proven else f" as far as was found (proven: {_range(item.at_least, item.at_most, worth)})"
        side = _beside(item.loss, item.optimum.value, worth, "the problem requires some of them")
        told = f"Without {names} the best is {worth.amount(item.optimum.value)}, {side}{proven}."
        if item.essentialness is not None:
            told += f" Essentialness {item.essentialness:.1%}."
        print(common.clean(told))


_PRINTERS: dict[str, Callable[..., None]] = {
    "best": _best,
    "tied": _tied,
    "sweep": _sweep,
    "worth": _worth,
    "why_not": _why_not,
    "essential": _essential,
}
