"""Import recorded outcomes: who was right how often and at what cost in, a budget problem out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.models.budget.difficulty.strata import Partition
    from coinfer.models.budget.outcomes import Outcomes
    from coinfer.models.budget.parts import Budget

OUTCOME_FORMATS = ("rows", "livecodebench", "monkeys", "game24", "answers")
OPTIONS = (
    "outcome_format",
    "budget",
    "samples",
    "stop_on_success",
    "tell_apart",
    "bins",
    "past",
    "least",
    "per_pass",
    "value_floor",
)
"""Options that only outcomes have."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what outcomes do not say."""
    group = parser.add_argument_group("outcomes")
    group.add_argument("--outcome-format", choices=OUTCOME_FORMATS, help="default: rows (JSON Lines or CSV)")
    group.add_argument(
        "--budget", action="append", metavar="RESOURCE=LIMIT", help="limit over all prompts, as in usd=12; repeatable"
    )
    group.add_argument("--samples", metavar="N,N", help="numbers of samples offered (default: 1,2,4,...,128)")
    group.add_argument(
        "--stop-on-success",
        action="store_true",
        default=None,
        help="a verifier ends a prompt at its first right sample",
    )
    group.add_argument(
        "--tell-apart",
        metavar="HOW",
        help="what tells prompts apart: none, label (default where there are labels), prompt (its own past samples), "
        "oracle, or history:ARM,ARM (how these arms did on the same prompts)",
    )
    group.add_argument("--bins", type=int, metavar="N", help="strata of an oracle or a history (default: 5)")
    group.add_argument(
        "--past", action="store_true", default=None, help="the history was paid before: its cost is stated, not charged"
    )
    group.add_argument("--least", metavar="RESOURCE", help="the least of this resource for --value-floor")
    group.add_argument("--per-pass", metavar="RESOURCE", help="the least of this resource for each right answer")
    group.add_argument("--value-floor", type=float, metavar="X", help="least mean value")


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that the format would not look at.

    Raises
    ------
    InputError
        With the option.
    """
    from coinfer.errors import InputError

    if arguments.format == "outcomes":
        return
    for option in OPTIONS:
        if getattr(arguments, option) is not None:
            name = f"--{option.replace('_', '-')}"
            raise InputError(name, expected="the format outcomes with this option", found=arguments.format)


def execute(arguments: argparse.Namespace) -> int:
    """Read outcomes and write the problem."""
    from coinfer import arrayfile
    from coinfer.models.budget.imports import read_outcomes
    from coinfer.planner.budget.wording import information
    from coinfer.planner.units import count

    outcomes, notes = read_outcomes(arguments.files, format=arguments.outcome_format or "rows")
    problem = _problem(arguments, outcomes)
    beside = arrayfile.write(arguments.output, problem)
    written = [str(path) for path in (arguments.output, beside) if path is not None]
    counts = {"prompts": problem.prompts, "strata": problem.rows, "options": len(problem.options)}
    if arguments.json:
        common.print_json({"written": written, **counts, "notes": list(notes)})
        return 0
    print(
        f"{common.clean(problem.name)}: {problem.prompts:,} prompts in {count(problem.rows, 'stratum', 'strata')}, "
        f"{len(problem.options)} options, {int(outcomes.samples.sum()):,} samples behind them"
    )
    print(f"  {common.clean(information(problem))}")
    for note in notes:
        print(f"  {common.clean(note)}")
    print(f"Written to {' and '.join(written)}.")
    return 0


def _problem(arguments: argparse.Namespace, outcomes: Outcomes) -> BudgetProblem:
    import msgspec

    from coinfer.errors import InputError, Plain
    from coinfer.models.budget.difficulty.menus import stratum_problem
    from coinfer.models.budget.difficulty.strata import by_label, by_oracle, pooled
    from coinfer.models.budget.imports import problem_from
    from coinfer.models.budget.imports.problem import Strategy

    name = arguments.name or arguments.files[0].stem
    samples, stop = _counts(arguments.samples), bool(arguments.stop_on_success)
    how = arguments.tell_apart or ("label" if outcomes.labels else "none")
    if arguments.least is not None and arguments.per_pass is not None:
        raise InputError("--least", expected="this or --per-pass", found=Plain("both"))
    if how != "oracle" and not how.startswith("history:") and (arguments.bins is not None or arguments.past):
        option = "--bins" if arguments.bins is not None else "--past"
        raise InputError(option, expected="--tell-apart oracle or history:ARM with this option", found=how)
    bins, limits = 5 if arguments.bins is None else arguments.bins, _budgets(arguments.budget)
    if bins < 1:
        raise InputError("--bins", expected="an integer, at least 1", found=bins)
    if how == "prompt":
        strategy: Strategy = "stop_on_success" if stop else "samples"
        made = problem_from(outcomes, name=name, budgets=limits, samples=samples, strategy=strategy, per="prompt")
    else:
        rest = outcomes
        if how == "none":
            partition = pooled(len(outcomes.prompts))
        elif how == "label":
            partition = by_label(outcomes)
        elif how == "oracle":
            partition = by_oracle(outcomes, bins=bins)
        elif how.startswith("history:"):
            partition, rest = _history(outcomes, how.removeprefix("history:").split(","), bins, bool(arguments.past))
        else:
            expected = "none, label, prompt, oracle, or history:ARM"
            raise InputError("--tell-apart", expected=expected, found=how)
        made = stratum_problem(rest, partition, samples, name=name, budgets=limits, stop=stop)
    if stop:
        renamed = [
            msgspec.structs.replace(each, strategy="stop_on_success") if each.samples else each for each in made.options
        ]
        made = msgspec.structs.replace(made, options=tuple(renamed))
    minimise = arguments.least or arguments.per_pass
    objective = "cost" if arguments.least else "cost_of_pass" if arguments.per_pass else "value"
    return msgspec.structs.replace(made, objective=objective, minimise=minimise, value_floor=arguments.value_floor)


def _counts(text: str | None) -> tuple[int, ...]:
    from coinfer.errors import InputError
    from coinfer.models.budget.imports.problem import COUNTS

    if text is None:
        return COUNTS
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1 or max(found) > 10**6:
        raise InputError("--samples", expected="whole numbers in 1..1,000,000 with commas between", found=text)
    return found


def _budgets(given: list[str] | None) -> tuple[Budget, ...]:
    from coinfer.errors import InputError
    from coinfer.models.budget.parts import Budget

    found = []
    for text in given or []:
        resource, _, number = text.partition("=")
        try:
            limit = float(number)
        except ValueError as error:
            raise InputError("--budget", expected="RESOURCE=LIMIT, as in usd=12", found=text) from error
        found.append(Budget(resource=resource, limit=limit))
    return tuple(found)


def _history(outcomes: Outcomes, names: list[str], bins: int, past: bool) -> tuple[Partition, Outcomes]:
    """Split the outcomes: the arms named tell prompts apart, the others are what is planned with."""
    import numpy as np

    from coinfer.errors import InputError, Plain
    from coinfer.models.budget.difficulty.strata import by_history
    from coinfer.models.budget.outcomes import Outcomes
    from coinfer.models.budget.parts import Amount

    unknown = [name for name in names if name not in outcomes.arms]
    if unknown:
        raise InputError("--tell-apart", expected=f"arms of the outcomes: {', '.join(outcomes.arms)}", found=unknown[0])
    told = [outcomes.arms.index(name) for name in names]
    rest = [i for i in range(len(outcomes.arms)) if i not in told]
    if not rest:
        raise InputError("--tell-apart", expected="an arm that is left to plan with", found=Plain("none"))
    drawn = outcomes.samples[:, told]
    cost = []
    for r, resource in enumerate(outcomes.resources):
        spent = np.where(drawn > 0, outcomes.sample_cost[r][:, told] * drawn, 0.0).sum() / len(outcomes.prompts)
        if np.isfinite(spent):
            cost.append(Amount(resource=resource, amount=float(spent)))
    partition = by_history(outcomes.successes[:, told], drawn, models=names, cost=tuple(cost), past=past, bins=bins)
    kept = Outcomes(
        prompts=outcomes.prompts,
        arms=tuple(outcomes.arms[i] for i in rest),
        successes=outcomes.successes[:, rest],
        samples=outcomes.samples[:, rest],
        resources=outcomes.resources,
        sample_cost=outcomes.sample_cost[:, :, rest],
        labels=outcomes.labels,
    )
    return partition, kept
