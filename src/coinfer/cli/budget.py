"""What the verbs do with a budget problem."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from coinfer.cli import common, endings

if TYPE_CHECKING:
    from coinfer.models.budget.data import BudgetProblem
    from coinfer.planner.budget.document import BudgetPlan

MOST_OPTIONS = 20
"""Options that are printed: those that most prompts get."""
MOST_ROWS = 30
"""Strata that are printed; the plan file has all."""


def plan(arguments: argparse.Namespace, problem: BudgetProblem) -> int:
    """Find and print who gets what."""
    from coinfer import arrayfile, jsonfile
    from coinfer.errors import InputError, Plain
    from coinfer.planner.budget.document import BudgetPlan
    from coinfer.planner.make import plan as make_plan
    from coinfer.planner.plan import read_plan_of

    if arguments.front is not None:
        raise InputError("--front", expected="a selection problem with this option", found=Plain("a budget"))
    start = None if arguments.start is None else read_plan_of(arguments.start, BudgetPlan).decision
    made = make_plan(
        problem,
        engine=arguments.engine,
        limits=common.limits_from(arguments),
        start=start,
        with_proof=not arguments.no_proof,
    )
    if arguments.output is not None:
        arrayfile.write(arguments.output, made)
    if arguments.json:
        common.print_json(jsonfile.to_builtins(made))
        return 0
    print_plan(made, problem)
    endings.print_written(arguments)
    return 0


def print_plan(made: BudgetPlan, problem: BudgetProblem) -> None:
    """Print a plan for a person: the sentence, the evidence, what was known, the budgets, who gets what."""
    from coinfer.planner.budget.wording import between, ended, evidence, gain, information, sentence, spend_row

    told = [sentence(made, problem), evidence(made)]
    told += [] if made.certificate.limit is None else [ended(made.certificate.limit)]
    told += [information(problem)]
    told += [line for line in (gain(made, problem), between(made)) if line is not None]
    for line in told:
        print(common.clean(line))
    print()
    header = ("resource", "expected", "at most", "limit", "used", "price")
    common.table("Budgets (price: value of one more unit)", header, [spend_row(each) for each in made.spend])
    print()
    most = sorted((use.prompts for use in made.used), reverse=True)[:MOST_OPTIONS][-1]
    shown = [use for use in made.used if use.prompts >= most][:MOST_OPTIONS]
    rows = [
        [use.option, f"{use.prompts:,}", f"{use.prompts / problem.prompts:.1%}", f"{use.value / use.prompts:.4f}"]
        for use in shown
    ]
    common.table("Options used", ("option", "prompts", "share", "mean value"), rows)
    if len(shown) < len(made.used):
        print(f"  ... and {len(made.used) - len(shown)} more that few prompts get (all of them stand in the plan file)")
    _print_strata(made, problem)
    for note in made.notes:
        print(f"  {common.clean(note)}")


def _print_strata(made: BudgetPlan, problem: BudgetProblem) -> None:
    """Print who gets what, where the strata are few enough to be read."""
    if not problem.strata.names or not 1 < problem.rows <= MOST_ROWS:
        return
    by_stratum: dict[int, list[str]] = {}
    for stratum, option, prompts in made.decision.taken.array.astype(int).tolist():
        by_stratum.setdefault(stratum, []).append(f"{problem.options[option].name} ({prompts:,})")
    rows = [[problem.strata.names[stratum], ", ".join(options)] for stratum, options in by_stratum.items()]
    print()
    common.table("Who gets what (prompts)", ("stratum", "options"), rows, left=2)


def verify(arguments: argparse.Namespace, problem: BudgetProblem) -> int:
    """Check a plan and print what holds."""
    from coinfer.planner.budget.wording import holds
    from coinfer.planner.plan import read_plan
    from coinfer.planner.verify import verify as check

    checked = check(problem, read_plan(arguments.plan))
    endings.print_claims(checked, objective=problem.objective, json=arguments.json)
    if not arguments.json:
        print("\n" + common.clean(holds(checked, problem)))
    return 0


def export(arguments: argparse.Namespace, problem: BudgetProblem) -> int:
    """Write the integer program of the problem."""
    from coinfer.errors import InputError, Plain
    from coinfer.models.budget.formulate import formulate
    from coinfer.models.budget.integer_program import integer_program
    from coinfer.solver.export import write_lp, write_mps

    if arguments.plan is not None or arguments.litellm is not None:
        option = "--plan" if arguments.plan is not None else "--litellm"
        raise InputError(option, expected="a problem of another kind with this option", found=Plain("a budget"))
    program = integer_program(formulate(problem))
    told: dict[str, Any] = {"written": [], "variables": program.variables, "rows": program.rows}
    for path, writer in ((arguments.mps, write_mps), (arguments.lp, write_lp)):
        if path is not None:
            writer(program, path)
            told["written"].append(str(path))
    if arguments.json:
        common.print_json(told)
        return 0
    written = " and ".join(told["written"])
    print(f"{program.variables} variables, {program.rows} rows, minimised; written to {written}")
    return 0


def report(arguments: argparse.Namespace, problem: BudgetProblem) -> int:
    """Write the page about a plan."""
    from coinfer import jsonfile
    from coinfer.errors import InputError, Plain
    from coinfer.planner.budget.document import BudgetPlan
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.report import build_budget
    from coinfer.planner.verify import verify as check

    for option in ("measurements", "profile", "previous"):
        if getattr(arguments, option) is not None:
            expected = "a selection problem with this option"
            raise InputError(f"--{option}", expected=expected, found=Plain("a budget"))
    made = read_plan_of(arguments.plan, BudgetPlan)
    check(problem, made)  # a page about a plan that does not hold would only spread it
    jsonfile.write_text(arguments.output, build_budget(problem=problem, plan=made))
    if arguments.json:
        common.print_json({"written": str(arguments.output)})
    else:
        print(f"Written to {arguments.output}; open it in a browser.")
    return 0
