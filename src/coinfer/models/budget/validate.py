"""What a budget problem must hold to mean anything; each broken rule is one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.parts import PosteriorMenus, TableMenus
from coinfer.records import Matrix

if TYPE_CHECKING:
    from coinfer.models.budget.data import BudgetProblem

LARGEST = 1e15
"""Largest number of a problem: sums of counts up to here stay exact in float64."""
LEAST = 1e-12
"""Least parameter of a posterior, and least scale of a cost."""


def validate(problem: BudgetProblem) -> None:
    """Raise :class:`coinfer.errors.ProblemError` at the first field that does not fit the others."""
    if not problem.name.strip() or not problem.name.isprintable():
        raise ProblemError("name", expected="a name of printable characters", found=problem.name)
    if not problem.options:
        raise ProblemError("options", expected="at least one option", found=Plain("none"))
    _differ("options", [option.name for option in problem.options])
    _differ("latency_classes", [each.name for each in problem.latency_classes])
    if isinstance(problem.menus, TableMenus):
        _table(problem, problem.menus)
    else:
        _posterior(problem, problem.menus)
    _strata(problem)
    _budgets(problem)
    _objective(problem)
    _latency(problem)


def _table(problem: BudgetProblem, menus: TableMenus) -> None:
    rows, columns = menus.value.shape
    if columns != len(problem.options) or rows < 1:
        expected = f"at least one row of {len(problem.options)} numbers, one for each option"
        raise ProblemError("menus.value", expected=expected, found=Plain(f"shape {menus.value.shape}"))
    _within("menus.value", menus.value.array, 0.0, 1.0 if problem.objective == "cost_of_pass" else LARGEST)
    _differ("menus.cost", [cost.resource for cost in menus.cost], field="resource")
    for i, cost in enumerate(menus.cost):
        _amounts(f"menus.cost[{i}].amount", cost.amount, rows, columns)
        if cost.worst is not None:
            _amounts(f"menus.cost[{i}].worst", cost.worst, rows, columns)
            if (cost.worst.array < cost.amount.array).any():
                where = f"menus.cost[{i}].worst"
                raise ProblemError(where, expected="at least the expected amount", found=Plain("less somewhere"))
    if menus.latency_s is not None:
        _amounts("menus.latency_s", menus.latency_s, rows, columns)
    for name in ("value_error", "available"):
        matrix: Matrix | None = getattr(menus, name)
        if matrix is not None and matrix.shape != (rows, columns):
            expected, found = f"shape {(rows, columns)}, as the value", Plain(f"shape {matrix.shape}")
            raise ProblemError(f"menus.{name}", expected=expected, found=found)
    if menus.value_error is not None:
        _within("menus.value_error", menus.value_error.array, 0.0, LARGEST)
    if menus.available is not None:
        array = menus.available.array
        if not np.isin(array, (0.0, 1.0)).all():
            raise ProblemError("menus.available", expected="0 or 1 everywhere", found=Plain("other numbers"))
        if not array.any(axis=1).all():
            row = int(np.argmin(array.any(axis=1)))
            raise ProblemError(f"menus.available[{row}]", expected="at least one option", found=Plain("none"))


def _posterior(problem: BudgetProblem, menus: PosteriorMenus) -> None:
    arms = {arm.name: i for i, arm in enumerate(menus.arms)}
    _differ("menus.arms", [arm.name for arm in menus.arms])
    rows = menus.alpha.shape[0]
    named: list[tuple[str, Matrix | None]] = [("alpha", menus.alpha), ("beta", menus.beta), ("scale", menus.scale)]
    for i, refit in enumerate(menus.refits):
        named += [(f"refits[{i}].alpha", refit.alpha), (f"refits[{i}].beta", refit.beta)]
    if len(menus.refits) == 1:
        raise ProblemError("menus.refits", expected="at least two, or none", found=Plain("one"))
    for name, matrix in named:
        if matrix is None:
            continue
        if matrix.shape != (rows, len(arms)) or rows < 1:
            expected = f"shape {(max(rows, 1), len(arms))}: a row for each stratum, a column for each arm"
            raise ProblemError(f"menus.{name}", expected=expected, found=Plain(f"shape {matrix.shape}"))
        _within(f"menus.{name}", matrix.array, LEAST, LARGEST)
    for i, arm in enumerate(menus.arms):
        for field in ("per_sample", "per_prompt"):
            _differ(f"menus.arms[{i}].{field}", [each.resource for each in getattr(arm, field)], field="resource")
    for i, option in enumerate(problem.options):
        if option.arm not in arms:
            raise ProblemError(f"options[{i}].arm", expected=f"one of {', '.join(arms)}", found=option.arm)
        if option.samples is None:
            expected = "how many samples it draws, since the menus are posteriors"
            raise ProblemError(f"options[{i}].samples", expected=expected, found=Plain("none"))


def _strata(problem: BudgetProblem) -> None:
    rows, strata = problem.rows, problem.strata
    if strata.names:
        if len(strata.names) != rows:
            raise ProblemError("strata.names", expected=f"{rows} names, one for each row", found=len(strata.names))
        _differ("strata.names", list(strata.names), field="")
    for name, least, most in (("prompts", 1, LARGEST), ("latency_class", -1, len(problem.latency_classes) - 1)):
        matrix: Matrix | None = getattr(strata, name)
        if matrix is None:
            continue
        if matrix.shape != (rows, 1):
            expected = f"shape {(rows, 1)}, a number for each row of the menus"
            raise ProblemError(f"strata.{name}", expected=expected, found=Plain(f"shape {matrix.shape}"))
        _within(f"strata.{name}", matrix.array, least, most)
        if (matrix.array % 1.0).any():
            row = int(np.argmax((matrix.array % 1.0).any(axis=1)))
            found = float(matrix.array[row, 0])
            raise ProblemError(f"strata.{name}[{row}][0]", expected="a whole number", found=found)
    if problem.prompts > LARGEST:
        raise ProblemError("strata.prompts", expected=f"at most {LARGEST:g} in all", found=problem.prompts)


def _budgets(problem: BudgetProblem) -> None:
    resources = problem.resources
    endpoints = {option.endpoint for option in problem.options if option.endpoint is not None}
    seen: set[tuple[str, str | None]] = set()
    for i, budget in enumerate(problem.budgets):
        if budget.resource not in resources:
            expected = f"a resource that the menus have: {', '.join(resources) or 'none'}"
            raise ProblemError(f"budgets[{i}].resource", expected=expected, found=budget.resource)
        if budget.endpoint is not None and budget.endpoint not in endpoints:
            expected = f"an endpoint of an option: {', '.join(sorted(endpoints)) or 'none has one'}"
            raise ProblemError(f"budgets[{i}].endpoint", expected=expected, found=budget.endpoint)
        if (budget.resource, budget.endpoint) in seen:
            raise ProblemError(f"budgets[{i}]", expected="one limit for each resource", found=Plain("a second one"))
        seen.add((budget.resource, budget.endpoint))
    information = problem.information
    if information is not None:
        _differ("information.cost", [each.resource for each in information.cost], field="resource")
        if information.source == "oracle" and information.cost:
            expected = "no cost: an oracle cannot be bought"
            raise ProblemError("information.cost", expected=expected, found=Plain("one"))


def _objective(problem: BudgetProblem) -> None:
    floor, minimise = problem.value_floor, problem.minimise
    if problem.objective == "value":
        if minimise is not None:
            expected = "none, since the objective is 'value'"
            raise ProblemError("minimise", expected=expected, found=minimise)
    elif minimise not in problem.resources:
        expected = f"a resource that the menus have: {', '.join(problem.resources) or 'none'}"
        raise ProblemError("minimise", expected=expected, found=minimise)
    if problem.objective == "cost" and floor is None:
        expected = "a mean value to be reached, since the objective is 'cost'"
        raise ProblemError("value_floor", expected=expected, found=Plain("none"))
    if floor is not None and problem.objective == "cost_of_pass":
        expected = "none, since every prompt is tried until it is right"
        raise ProblemError("value_floor", expected=expected, found=floor)
    if floor is not None and not 0.0 <= floor <= LARGEST:
        raise ProblemError("value_floor", expected=f"a number in 0..{LARGEST:g}", found=floor)


def _latency(problem: BudgetProblem) -> None:
    classes = problem.strata.latency_class
    if classes is None or not (classes.array >= 0).any():
        return
    if isinstance(problem.menus, TableMenus):
        known = problem.menus.latency_s is not None
    else:
        known = all(arm.sample_s is not None for arm in problem.menus.arms)
    if not known:
        expected = "latencies in the menus, since strata have a latency class"
        raise ProblemError("strata.latency_class", expected=expected, found=Plain("none"))


def _amounts(where: str, matrix: Matrix, rows: int, columns: int) -> None:
    if matrix.shape not in ((rows, columns), (1, columns)):
        expected = f"shape {(rows, columns)} or {(1, columns)}"
        raise ProblemError(where, expected=expected, found=Plain(f"shape {matrix.shape}"))
    _within(where, matrix.array, 0.0, LARGEST)


def _within(where: str, array: NDArray[np.float64], least: float, most: float) -> None:
    if array.size and not least <= array.min() <= array.max() <= most:
        row, column = np.argwhere(~((array >= least) & (array <= most)))[0]
        expected = f"a number in {least:g}..{most:g}"
        raise ProblemError(f"{where}[{row}][{column}]", expected=expected, found=float(array[row, column]))


def _differ(where: str, names: list[str], *, field: str = "name") -> None:
    if len(set(names)) == len(names):
        return
    i = next(i for i, name in enumerate(names) if name in names[:i])
    raise ProblemError(f"{where}[{i}]" + (f".{field}" if field else ""), expected="names that differ", found=names[i])
