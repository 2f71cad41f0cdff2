"""A budget problem as a multiple-choice knapsack."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import Infeasible
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.parts import TableMenus
from coinfer.models.budget.posterior import columns, until_right
from coinfer.models.exact import exact
from coinfer.solver.knapsack.program import Block, FormulaMenus, MultipleChoiceKnapsack
from coinfer.solver.program import FloatArray, IntArray

FLOOR = "value_floor"
"""Name of the program's resource that keeps the floor."""
LARGEST_PASS = 1e30
"""Cost of a pass beyond which an option counts as never right."""
ROUNDING = Fraction(5, 10**13)
"""Relative: how much further than it is written a limit of more than twelve digits may reach."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MenuBlock:
    """The menus of consecutive strata in the words of the problem.

    Attributes
    ----------
    value
        (strata, options).
    cost
        (resources, strata, options), in the order of ``problem.resources``.
    present
        (strata, options): false where the stratum does not have the option, or it is too slow for its latency class.
    copies
        (strata,): prompts.
    """

    value: FloatArray
    cost: FloatArray
    present: NDArray[np.bool_]
    copies: IntArray


def menu_block(problem: BudgetProblem, start: int, stop: int) -> MenuBlock:
    """Return the menus of strata ``start`` to ``stop``."""
    menus = problem.menus
    if isinstance(menus, TableMenus):
        value = menus.value.array[start:stop]
        sheets = [_rows(cost.amount.array, start, stop, value.shape) for cost in menus.cost]
        cost = sheets[0][None] if len(sheets) == 1 else np.array(sheets).reshape(len(sheets), *value.shape)
        present = np.ones(value.shape, dtype=np.bool_)
        if menus.available is not None:
            present &= menus.available.array[start:stop] > 0.0
        seconds = None if menus.latency_s is None else _rows(menus.latency_s.array, start, stop, value.shape)
    else:
        value, cost, seconds = columns(menus, problem.options, problem.resources, start, stop)
        present = np.ones(value.shape, dtype=np.bool_)
    classes = problem.strata.latency_class
    if classes is not None and seconds is not None and problem.latency_classes:
        limits = np.array([*(each.limit_s for each in problem.latency_classes), np.inf])
        present &= seconds <= limits[classes.array[start:stop, 0].astype(np.int64)][:, None]  # -1 is the last: none
    prompts = problem.strata.prompts
    copies = np.ones(len(value), dtype=np.int64)
    if prompts is not None:
        copies = prompts.array[start:stop, 0].astype(np.int64)
    return MenuBlock(value=value, cost=cost, present=present, copies=copies)


def pass_block(problem: BudgetProblem, start: int, stop: int) -> MenuBlock:
    """Return the menus where each prompt is tried until it is right: costs are those of all its tries.

    In a table that is cost / value (arXiv 2504.13359, equation 2): tries of a prompt are independent, each with the
    chance that the table says. In posteriors they share a rate that is uncertain, see
    :func:`coinfer.models.budget.posterior.until_right`. Options whose cost is beyond
    :data:`LARGEST_PASS` are not present.
    """
    own, menus = menu_block(problem, start, stop), problem.menus
    if isinstance(menus, TableMenus):
        right = own.value > 0.0
        with np.errstate(over="ignore", under="ignore"):
            cost = own.cost / np.where(right, own.value, 1.0)
        present = own.present & right
    else:
        cost, present = until_right(menus, problem.options, problem.resources, start, stop), own.present
    present = present & (cost <= LARGEST_PASS).all(axis=0)
    return MenuBlock(value=own.value, cost=np.where(present, cost, 0.0), present=present, copies=own.copies)


def charged(problem: BudgetProblem, resource: str) -> float:
    """Return what finding out the strata takes of a resource over all prompts; 0 where that is not charged."""
    information = problem.information
    if information is None or not information.charged:
        return 0.0
    each = next((item.amount for item in information.cost if item.resource == resource), 0.0)
    return float(exact(each) * problem.prompts)


def limit_left(problem: BudgetProblem, index: int) -> float:
    """Return what the information leaves of a budget. A quota of an endpoint does not pay for information."""
    budget = problem.budgets[index]
    before = 0.0 if budget.endpoint is not None else charged(problem, budget.resource)
    return _meant(exact(budget.limit) - exact(before))


def _meant(limit: Fraction) -> float:
    """Return the shortest decimal within :data:`ROUNDING` above a limit.

    Limits that were computed, 0.7999999999999999 or a mean over three prompts, are met by the decimals that they mean;
    one of up to twelve digits is that already.
    """
    for places in range(13):
        unit = 10**places
        short = Fraction(-(-limit.numerator * unit // limit.denominator), unit)
        if short - limit <= ROUNDING * abs(limit):
            return float(short)
    return float(limit)


def formulate(problem: BudgetProblem) -> MultipleChoiceKnapsack:
    """State the problem as a program; its value and its costs are sums over all prompts.

    The program's resources are the budgets in their order, then the value floor where there is one; one that nothing
    takes where there is neither. The value is: the
    expected value; or the negated cost; or the negated cost of a pass. What information costs is taken off the budgets
    and is *not* in the value.

    Raises
    ------
    Infeasible
        If the information alone costs more than a budget, or a stratum has no option in time.
    """
    for i, budget in enumerate(problem.budgets):
        if limit_left(problem, i) < 0.0:
            need = charged(problem, budget.resource)
            raise Infeasible(
                f"finding out the strata takes {need:g} of {budget.resource}; its limit is {budget.limit:g}"
            )
    limits = [limit_left(problem, i) for i in range(len(problem.budgets))]
    if problem.value_floor is not None:
        limits.append(_meant(-exact(problem.value_floor) * problem.prompts))
    limits = limits or [np.inf]  # nothing is limited: one resource that nothing takes
    _check_present(problem)
    menus = FormulaMenus(
        rows=problem.rows,
        options=len(problem.options),
        resources=len(limits),
        formula=lambda start, stop: _block(problem, start, stop),
    )
    return MultipleChoiceKnapsack(menus=menus, budget=np.array(limits, dtype=np.float64))


def _own_block(problem: BudgetProblem, start: int, stop: int) -> MenuBlock:
    return (pass_block if problem.objective == "cost_of_pass" else menu_block)(problem, start, stop)


def _block(problem: BudgetProblem, start: int, stop: int) -> Block:
    own = _own_block(problem, start, stop)
    resources = problem.resources
    value, present = own.value, own.present
    sheets = [own.cost[resources.index(budget.resource)] for budget in problem.budgets]
    for i, budget in enumerate(problem.budgets):
        if budget.endpoint is not None:
            sheets[i] = sheets[i] * [float(option.endpoint == budget.endpoint) for option in problem.options]
    if problem.value_floor is not None:
        sheets.append(-value)
    if not sheets:
        sheets.append(np.zeros_like(value))
    if problem.objective != "value":
        assert problem.minimise is not None  # noqa: S101  # the problem was validated
        value = -own.cost[resources.index(problem.minimise)]
    if not present.all():
        value = np.where(present, value, -np.inf)
    cost = sheets[0][None] if len(sheets) == 1 else np.array(sheets).reshape(len(sheets), *value.shape)
    return Block(value=value, cost=cost, copies=own.copies)


def _check_present(problem: BudgetProblem) -> None:
    """Find strata that are left with no option: too slow, or never right where a pass is asked for."""
    timed = problem.strata.latency_class is not None and bool(problem.latency_classes)
    if not timed and problem.objective != "cost_of_pass":
        return
    for start in range(0, problem.rows, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, problem.rows)
        usable = _own_block(problem, start, stop).present.any(axis=1)
        if not usable.all():
            row = start + int(np.argmin(usable))
            raise Infeasible(f"no option of stratum {stratum_name(problem, row)} {_why_none(problem, row)}")


def _why_none(problem: BudgetProblem, row: int) -> str:
    own = menu_block(problem, row, row + 1)
    if not own.present.any():
        return "is in time for its latency class"
    if isinstance(problem.menus, TableMenus) or not (own.value[own.present] > 0.0).any():
        return "is ever right"
    return "has a finite cost of a pass: the mean number of tries exists only where an arm's alpha is above 1"


BLOCK_ROWS = 2**15
"""Strata that are looked at together, where it is this module that asks."""


def stratum_name(problem: BudgetProblem, row: int) -> str:
    """Return the name of a stratum, or its number."""
    return repr(problem.strata.names[row]) if problem.strata.names else str(row)


def _rows(array: FloatArray, start: int, stop: int, shape: tuple[int, ...]) -> FloatArray:
    return np.broadcast_to(array, shape) if array.shape[0] == 1 else array[start:stop]
