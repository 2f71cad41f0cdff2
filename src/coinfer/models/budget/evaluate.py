"""What a decision of a budget problem is worth and takes, and which limits it breaks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.budget.formulate import BLOCK_ROWS, charged, limit_left, menu_block, pass_block, stratum_name
from coinfer.models.budget.parts import TableMenus
from coinfer.models.budget.posterior import worst
from coinfer.models.budget.validate import LARGEST
from coinfer.solver.program import FloatArray, IntArray

MARGIN = 1e-12
"""Relative: what sums of floats may be apart from a limit and still keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetEvaluation:
    """What a decision does.

    Attributes
    ----------
    objective
        The program's value: see :func:`coinfer.models.budget.formulate.formulate`.
    value
        Expected value summed over the prompts. With objective ``cost_of_pass`` each counts 1: all are right in the end.
    spend
        Expected amount of each of ``problem.resources`` over all prompts, information included.
    worst
        The most that can be taken of each; ``None`` where that is not known.
    quota
        What each budget's own count comes to: with an endpoint, only its options.
    prompts_by_option, value_by_option
        Prompts that get each option, and the value that they contribute.
    spend_by_option
        (options, resources).
    violations
        A sentence for each limit that is broken.
    """

    objective: float
    value: float
    spend: tuple[float, ...]
    worst: tuple[float | None, ...]
    quota: tuple[float, ...]
    prompts_by_option: tuple[int, ...]
    value_by_option: tuple[float, ...]
    spend_by_option: tuple[tuple[float, ...], ...]
    violations: tuple[str, ...]


def entries(problem: BudgetProblem, decision: BudgetDecision) -> IntArray:
    """Return the decision as whole numbers after checking that it gives every prompt one option.

    Raises
    ------
    ProblemError
        For numbers that are no stratum, option or count, a pair given twice, or counts that do not add up.
    """
    array = decision.taken.array
    if array.shape[1] != 3:
        found = Plain(f"{array.shape[1]} column(s)")
        raise ProblemError("decision.taken", expected="rows of stratum, option, prompts", found=found)
    taken = np.clip(array, -1.0, LARGEST).astype(np.int64)
    good = (taken == array).all(axis=1) & (taken >= [0, 0, 1]).all(axis=1)
    good &= (taken[:, 0] < problem.rows) & (taken[:, 1] < len(problem.options))
    if not good.all():
        row = int(np.argmin(good))
        expected = f"a stratum below {problem.rows}, an option below {len(problem.options)}, and at least one prompt"
        raise ProblemError(f"decision.taken[{row}]", expected=expected, found=array[row].tolist())
    key = taken[:, 0] * len(problem.options) + taken[:, 1]
    if (np.diff(key) <= 0).any():
        row = int(np.argmax(np.diff(key) <= 0)) + 1
        expected = "pairs of stratum and option in rising order, each once"
        raise ProblemError(f"decision.taken[{row}]", expected=expected, found=array[row].tolist())
    served = np.zeros(problem.rows, dtype=np.int64)
    np.add.at(served, taken[:, 0], taken[:, 2])
    held = problem.strata.prompts
    prompts = np.ones(problem.rows, dtype=np.int64) if held is None else held.array[:, 0].astype(np.int64)
    if (served != prompts).any():
        row = int(np.argmax(served != prompts))
        expected = f"{prompts[row]} prompt(s) of stratum {stratum_name(problem, row)} with an option"
        raise ProblemError("decision.taken", expected=expected, found=int(served[row]))
    return taken


def evaluate(problem: BudgetProblem, decision: BudgetDecision) -> BudgetEvaluation:
    """Return what a decision is worth and takes.

    Raises
    ------
    ProblemError
        See :func:`entries`.
    """
    taken = entries(problem, decision)
    options, resources = len(problem.options), problem.resources
    value, cost, violations = _chosen(problem, taken)
    copies = taken[:, 2].astype(np.float64)
    if problem.objective == "cost_of_pass":
        value = np.ones_like(value)
    spent = cost * copies
    by_option = np.zeros((options, len(resources)))
    for r in range(len(resources)):
        by_option[:, r] = np.bincount(taken[:, 1], weights=spent[r], minlength=options)
    spend = tuple(math.fsum([*spent[r], charged(problem, name)]) for r, name in enumerate(resources))
    total = math.fsum(value * copies)
    quota = tuple(
        spend[resources.index(budget.resource)]
        if budget.endpoint is None
        else math.fsum(
            by_option[i, resources.index(budget.resource)]
            for i, option in enumerate(problem.options)
            if option.endpoint == budget.endpoint
        )
        for budget in problem.budgets
    )
    violations += _broken(problem, quota, total)
    if problem.objective == "value":
        objective = total
    else:
        assert problem.minimise is not None  # noqa: S101  # the problem was validated
        objective = -math.fsum(spent[resources.index(problem.minimise)])
    return BudgetEvaluation(
        objective=objective,
        value=total,
        spend=spend,
        worst=_worst(problem, taken),
        quota=quota,
        prompts_by_option=tuple(
            int(number) for number in np.bincount(taken[:, 1], weights=taken[:, 2], minlength=options)
        ),
        value_by_option=tuple(np.bincount(taken[:, 1], weights=value * copies, minlength=options).tolist()),
        spend_by_option=tuple(tuple(row) for row in by_option.tolist()),
        violations=tuple(violations),
    )


def _chosen(problem: BudgetProblem, taken: IntArray) -> tuple[FloatArray, FloatArray, list[str]]:
    """Return value (entries,) and cost (resources, entries) of one prompt of each entry, and what is not on a menu."""
    value, cost = np.empty(len(taken)), np.empty((len(problem.resources), len(taken)))
    violations: list[str] = []
    until_right = problem.objective == "cost_of_pass"
    for start in range(0, problem.rows, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, problem.rows)
        first, last = np.searchsorted(taken[:, 0], [start, stop])
        own = (pass_block if until_right else menu_block)(problem, start, stop)
        row, option = taken[first:last, 0] - start, taken[first:last, 1]
        value[first:last] = own.value[row, option]
        cost[:, first:last] = own.cost[:, row, option]
        there = own.present[row, option]
        if not there.all():
            at = int(np.argmin(there))
            name = problem.options[int(option[at])].name
            where = stratum_name(problem, start + int(row[at]))
            why = "or is not right in a finite number of tries" if until_right else "or too slow for its latency class"
            violations.append(f"option {name!r} is not on the menu of stratum {where}, {why}")
    return value, cost, violations


def _broken(problem: BudgetProblem, quota: tuple[float, ...], total: float) -> list[str]:
    broken = []
    for i, (budget, used) in enumerate(zip(problem.budgets, quota, strict=True)):
        limit = budget.limit if budget.endpoint is None else limit_left(problem, i)
        if used > limit + MARGIN * max(abs(limit), abs(used)):
            at = "" if budget.endpoint is None else f" at endpoint {budget.endpoint!r}"
            broken.append(f"{budget.resource}{at}: {used:.9g} is more than the limit {limit:.9g}")
    floor = problem.value_floor
    if floor is not None and total < floor * problem.prompts * (1.0 - MARGIN):
        broken.append(f"value: a mean of {total / problem.prompts:.9g} is less than the floor {floor:.9g}")
    return broken


def _worst(problem: BudgetProblem, taken: IntArray) -> tuple[float | None, ...]:
    """Return the most of each resource that the decision can take; information is paid as expected."""
    resources, menus = problem.resources, problem.menus
    if problem.objective == "cost_of_pass":  # tries without end
        return (None,) * len(resources)
    row, option, copies = taken.T
    if isinstance(menus, TableMenus):
        found: list[float | None] = []
        for cost in menus.cost:
            array = None if cost.worst is None else cost.worst.array
            if array is None:
                found.append(None)
                continue
            amounts = array[0 if array.shape[0] == 1 else row, option]
            found.append(math.fsum([*(amounts * copies), charged(problem, cost.resource)]))
        return tuple(found)
    totals = np.array([charged(problem, name) for name in resources])
    for i in np.unique(option):
        mine = option == i
        totals += worst(menus, problem.options[i], resources)[:, row[mine]] @ copies[mine]
    return tuple(totals.tolist())
