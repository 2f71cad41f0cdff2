"""Choosing a method for each task, and comparing a choice with the truth once it is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from coinfer import jsonfile
from coinfer.errors import Infeasible, InputError, LimitReached, Plain
from coinfer.models.acceleration.data import AccelerationProblem, Figure, Row, Stance
from coinfer.models.acceleration.decision import AccelerationDecision, Choice
from coinfer.models.acceleration.estimate import Option, estimate, measured_options, needed
from coinfer.models.acceleration.formulate import End, Selected, end_of, select, served, total, usable
from coinfer.models.acceleration.measure_next import suggest
from coinfer.models.acceleration.predict import PREDICTORS, Predictor
from coinfer.models.acceleration.table import Cell
from coinfer.solver.limits import Limits
from coinfer.solver.result import Status

_TOTALS: tuple[Figure, ...] = ("runtime_s", "energy_j", "price_usd")


def choose(
    problem: AccelerationProblem,
    *,
    stance: Stance | None = None,
    predictor: Predictor = "roofline+trees",
    limits: Limits | None = None,
    seed: int = 0,
    suggestions: int = 10,
) -> AccelerationDecision:
    """Choose, for each task, the model, device and method with the least objective within all limits and budgets.

    Parameters
    ----------
    problem
        What was measured, and what is to be chosen.
    stance
        On what to plan; by default as the problem says.
    predictor
        How unmeasured cells are predicted; ``"roofline"`` needs no further package.
    limits
        Limits of each solve.
    seed
        Seed of the predictor.
    suggestions
        Most measurements to name.

    Raises
    ------
    Infeasible
        If some task has nothing to choose from, or no choice keeps all budgets.
    LimitReached
        If a limit was hit before any choice was found.
    BackendMissing
        If trees are wanted and scikit-learn is not installed.
    InputError
        If there is no such predictor or stance.
    """
    if predictor not in PREDICTORS:
        raise InputError("predictor", expected=f"one of {', '.join(PREDICTORS)}", found=predictor)
    if stance not in (None, "mean", "pessimistic"):
        raise InputError("stance", expected="mean or pessimistic", found=stance)
    if not served(problem):
        raise InputError("tasks", expected="a task that has something to choose from", found=Plain("none"))
    problem = problem if stance is None else msgspec.structs.replace(problem, stance=stance)
    options, notes = estimate(problem, predictor=predictor, seed=seed)
    end = end_of(problem.stance)
    chosen = select(problem, options, end=end, limits=limits)
    if not chosen.options:
        if chosen.status is Status.UNSOLVED:
            raise LimitReached("a limit was hit before any choice was found")
        raise Infeasible(_why_not(problem, options, end))
    name, single = _single_method(problem, options, end, limits)
    totals = {figure: total(problem, chosen.options, figure, end) for figure in _TOTALS}
    known = all(figure.low is not None for option in options for figure in option.figures.values())
    best_case = select(problem, options, end="low", limits=limits).bound if known else math.inf
    return AccelerationDecision(
        problem=problem.name,
        problem_sha256=jsonfile.sha256(problem),
        objective=problem.objective,
        stance=problem.stance,
        predictor=predictor,
        status="optimal" if chosen.status is Status.OPTIMAL else "feasible",
        value=chosen.value,
        bound=chosen.bound if math.isfinite(chosen.bound) else None,
        choices=tuple(Choice(**option.cell._asdict(), figures=option.figures) for option in chosen.options),
        totals={figure: number for figure, number in totals.items() if number is not None},
        single_method=name,
        single_value=single.value if name is not None else None,
        best_case=best_case if math.isfinite(best_case) else None,
        suggestions=suggest(problem, options, chosen, end=end, limits=limits, most=suggestions),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A choice beside what could have been chosen, on the true figures; ``inf`` where nothing keeps every limit.

    Attributes
    ----------
    chosen
        True objective of the choice.
    kept
        Whether the choice truly keeps every limit and budget.
    oracle
        True objective of the best choice.
    single_method
        True objective of the best single method for all tasks.
    """

    chosen: float
    kept: bool
    oracle: float
    single_method: float


def compare(problem: AccelerationProblem, decision: AccelerationDecision, truth: Iterable[Row]) -> Comparison:
    """Compare a decision with the best that ``truth`` allows, over the cells that are measured there.

    Raises
    ------
    InputError
        If ``truth`` lacks a figure of what was chosen.
    """
    full = msgspec.structs.replace(problem, history=(*problem.history, *truth))
    options = [option for option in measured_options(full) if _is_measured(problem, option)]
    cells = {option.cell: option for option in options}
    picked = []
    for choice in decision.choices:
        cell = Cell(choice.task, choice.model, choice.device, choice.method)
        if cell not in cells:
            where = f"truth: {choice.task}"
            raise InputError(where, expected="a measurement of what was chosen", found=Plain("none"))
        picked.append(cells[cell])
    value = total(problem, picked, problem.objective, "value")
    return Comparison(
        chosen=math.inf if value is None else value,
        kept=bool(select(problem, picked, end="value").options),
        oracle=select(problem, options, end="value").value,
        single_method=_single_method(problem, options, "value", None)[1].value,
    )


def _is_measured(problem: AccelerationProblem, option: Option) -> bool:
    """Say whether every figure that decides was measured."""
    task = next(task for task in problem.tasks if task.name == option.cell.task)
    known = [option.figures.get(figure) for figure in needed(problem, task)]
    return all(figure is not None and figure.basis == "measured" for figure in known)


def _single_method(
    problem: AccelerationProblem, options: Sequence[Option], end: End, limits: Limits | None
) -> tuple[str | None, Selected]:
    """Return the one method that is best for all tasks, and the choice it makes."""
    best: tuple[str | None, Selected] = (
        None,
        Selected(options=(), value=math.inf, bound=math.inf, status=Status.INFEASIBLE),
    )
    for method in problem.methods:
        group = [option for option in options if option.cell.method == method.name]
        found = select(problem, group, end=end, limits=limits)
        if found.value < best[1].value:
            best = (method.name, found)
    return best


def _why_not(problem: AccelerationProblem, options: Sequence[Option], end: End) -> str:
    """Say why nothing can be chosen."""
    for task in served(problem):
        mine = [option for option in options if option.cell.task == task.name]
        if any(usable(problem, task, option, end) for option in mine):
            continue
        ways = f"the {len(mine)} ways to serve task {task.name!r}"
        missing = sorted(figure for figure in needed(problem, task) if not any(figure in o.figures for o in mine))
        if missing:
            return f"{', '.join(missing)} is known for none of {ways}"
        return f"none of {ways} keeps its limits with figures that are known"
    shown = ", ".join(f"{figure} {budget:g}" for figure, budget in problem.budgets.items())
    return f"no choice keeps the budgets ({shown}), as the engine found"
