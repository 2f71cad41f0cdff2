"""A budget swept: the best value at other limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from coinfer.errors import Infeasible, InputError, LimitReached
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.from_selection import decode_selection
from coinfer.models.selection.monotonic import monotonic_program
from coinfer.planner.bound import closes, scale_of
from coinfer.planner.explore.budgets import COUNTED, Budget
from coinfer.planner.explore.optimum import How, Optimum, Solved, names_at, solve, without_idle
from coinfer.planner.rounding import value_margin, widened_rows
from coinfer.solver.monotonic.explore import SweepPoint, sweep
from coinfer.solver.monotonic.program import MonotonicProgram

OnPoint = Callable[[int, int], None]
MOST_POINTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPoint:
    """The best that a limit allows.

    Attributes
    ----------
    limit
        The limit.
    optimum
        Value, bound and selection; ``None`` where nothing is feasible, or nothing was found.
    infeasible
        True when it is proven that nothing is feasible.
    used
        What the selection uses of the limit; ``None`` where a figure is absent.
    """

    limit: float
    optimum: Optimum | None
    infeasible: bool
    used: float | None


def sweep_budget(
    problem: SelectionProblem,
    budget: Budget,
    limits: Sequence[float],
    *,
    how: How | None = None,
    on_point: OnPoint | None = None,
) -> tuple[BudgetPoint, ...]:
    """Solve the problem for each limit of one budget, and return the points by rising limit.

    A limit on the selection alone is swept by one search after the other, each from the prices of the one before.
    For others the problem is planned anew from the decision before. Either way a selection that fits a smaller limit
    is not searched for again, and values and bounds never fall where more of the budget allows more.

    Parameters
    ----------
    problem
        Its own limit of the budget is not used.
    budget
        See :func:`coinfer.planner.explore.budgets.budget_named`.
    limits
        Limits to solve for; those of whole numbers are rounded down.
    how
        Engine and limits, of each solve.
    on_point
        Called after each solve with how many are done and how many there are.

    Raises
    ------
    InputError
        If there are no limits or too many, or one is no limit.
    """
    how = how or How()
    if not 1 <= len(limits) <= MOST_POINTS or not all(math.isfinite(limit) for limit in limits):
        raise InputError("limits", expected=f"1 to {MOST_POINTS} finite numbers", found=list(limits))
    wanted = sorted({float(math.floor(limit)) if budget.kind in COUNTED else float(limit) for limit in limits})
    for limit in (wanted[0], wanted[-1]):
        budget.replaced(problem, limit)  # the sentence of the problem for what is no limit
    largest = budget.replaced(problem, wanted[-1])
    if budget.binds_the_selection() and how.monotonic(largest):
        return _searched(problem, budget, wanted, how)
    return _planned(problem, budget, wanted, how, on_point)


def _searched(problem: SelectionProblem, budget: Budget, limits: list[float], how: How) -> tuple[BudgetPoint, ...]:
    """Sweep rows of the program over the selection, stated for the largest limit."""
    largest = budget.replaced(problem, limits[-1])
    exact = monotonic_program(largest)
    program = widened_rows(exact)
    names = budget.rows(largest)
    rows = [i for i, name in enumerate(program.rows.names) if name in names]
    if not rows:  # nothing counts towards it
        return _same(problem, budget, limits, how)
    margin = float((program.rows.limits - exact.rows.limits)[rows].max())
    scale = limits[-1] if budget.kind != "experts" and limits[-1] > 0.0 else 1.0  # rows are divided by their limit
    stated = [limit / scale + margin for limit in limits]
    swept = sweep(program, row=rows, budgets=stated, limits=how.limits, stop=how.stop)
    found = dict(zip(stated, limits, strict=True))
    return tuple(_point(budget.replaced(problem, found[item.limit]), budget, program, item, how) for item in swept)


def _point(
    problem: SelectionProblem, budget: Budget, program: MonotonicProgram, item: SweepPoint, how: How
) -> BudgetPoint:
    """Turn a point of the search into a decision, and look at it by the problem alone."""
    limit = budget.limit(problem) or 0.0
    if item.point is None:
        return BudgetPoint(limit=limit, optimum=None, infeasible=item.status.value == "infeasible", used=None)
    decision = without_idle(problem, decode_selection(problem, names_at(problem, item.point)))
    evaluation = evaluate(problem, decision)
    if evaluation.violations:  # the search is loosened by rounding; the plan knows what to do then
        return _solved(problem, budget, how, None)[0]
    value, bound = evaluation.value, max(evaluation.value, item.bound + value_margin(program))
    proven = closes(value, bound, scale_of(problem))
    optimum = Optimum(
        value=value,
        bound=bound if math.isfinite(bound) else None,
        proven=proven,
        selected=decision.selected,
        limit=None if proven else item.status.value,
    )
    return BudgetPoint(limit=limit, optimum=optimum, infeasible=False, used=budget.used(evaluation, decision.selected))


def _same(problem: SelectionProblem, budget: Budget, limits: list[float], how: How) -> tuple[BudgetPoint, ...]:
    """Return the same point for all limits: no expert uses any of the budget."""
    point = _solved(budget.replaced(problem, limits[-1]), budget, how, None)[0]
    return tuple(replace(point, limit=limit) for limit in limits)


def _planned(
    problem: SelectionProblem, budget: Budget, limits: list[float], how: How, on_point: OnPoint | None
) -> tuple[BudgetPoint, ...]:
    """Plan for each limit, largest first."""
    found: list[BudgetPoint] = []
    last: Solved | None = None
    nested = budget.nested(problem)
    for limit in reversed(limits):
        variant = budget.replaced(problem, limit)
        point = _carried(variant, budget, found[-1], last) if nested and found else None
        if point is None:
            point, made = _solved(variant, budget, how, last)
            last = made or last
            if nested and found:
                point = _below(point, found[-1])
        found.append(point)
        if on_point is not None:
            on_point(len(found), len(limits))
    found.reverse()
    return _rising(found) if nested else tuple(found)


def _carried(variant: SelectionProblem, budget: Budget, above: BudgetPoint, last: Solved | None) -> BudgetPoint | None:
    """Return what is known of a larger limit where that settles ``variant``."""
    limit = budget.limit(variant) or 0.0
    if above.infeasible:
        return replace(above, limit=limit)
    fits = above.optimum is not None and above.optimum.proven and last is not None
    if not fits or last is None or evaluate(variant, last.decision).violations:
        return None
    return replace(above, limit=limit)


def _solved(
    variant: SelectionProblem, budget: Budget, how: How, last: Solved | None
) -> tuple[BudgetPoint, Solved | None]:
    """Plan for one limit."""
    limit = budget.limit(variant) or 0.0
    try:
        solved = solve(variant, how, start=None if last is None else last.decision)
    except Infeasible:
        return BudgetPoint(limit=limit, optimum=None, infeasible=True, used=None), None
    except LimitReached:
        return BudgetPoint(limit=limit, optimum=None, infeasible=False, used=None), None
    evaluation = evaluate(variant, solved.decision)
    used = budget.used(evaluation, solved.decision.selected)
    return BudgetPoint(limit=limit, optimum=solved.optimum, infeasible=False, used=used), solved


def _below(point: BudgetPoint, above: BudgetPoint) -> BudgetPoint:
    """Let the bound of a larger limit hold for a smaller one."""
    optimum, larger = point.optimum, above.optimum
    if optimum is None or larger is None or larger.bound is None:
        return point
    bound = larger.bound if optimum.bound is None else min(optimum.bound, larger.bound)
    return replace(point, optimum=replace(optimum, bound=max(optimum.value, bound)))


def _rising(points: list[BudgetPoint]) -> tuple[BudgetPoint, ...]:
    """Let a limit at which a search was cut short have the selection of a smaller one where that is better."""
    for i in range(1, len(points)):
        below, here = points[i - 1], points[i]
        if below.optimum is None or (here.optimum is not None and here.optimum.value >= below.optimum.value):
            continue
        if here.optimum is None:
            optimum = replace(below.optimum, bound=None, proven=False)
        else:
            optimum = replace(here.optimum, value=below.optimum.value, selected=below.optimum.selected)
            if optimum.bound is not None:
                optimum = replace(optimum, bound=max(optimum.bound, optimum.value))
        points[i] = replace(here, optimum=optimum, used=below.used)
    return tuple(points)
