"""What each budget is worth: slack, and what more of it buys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.evaluate import evaluate
from coinfer.planner.explore.budgets import Budget, budgets_of
from coinfer.planner.explore.optimum import How, Optimum, Solved, solve
from coinfer.planner.explore.sweep import OnPoint, sweep_budget

STEPS = (0.05, 0.1, 0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """What more of a budget buys.

    Attributes
    ----------
    added
        How much is added to the limit.
    gain, at_least, at_most
        How much the best value rises: as found, and within what that is proven; ``None`` where nothing is.
    proven
        True when both optima are proven, so that the three are the same.
    optimum
        The best with it.
    """

    added: float
    gain: float
    at_least: float | None
    at_most: float | None
    proven: bool
    optimum: Optimum


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a budget is worth.

    Attributes
    ----------
    budget, unit
        Its name, and the unit of its limit.
    limit, used, slack
        The limit, what the best selection uses of it, and what it leaves; ``None`` where a figure is absent.
    more
        What additions buy, by rising addition; integer programs have no derivative, so the shadow price is stated
        as gains.
    """

    budget: str
    unit: str
    limit: float
    used: float | None
    slack: float | None
    more: tuple[More, ...]


def worth_of_budgets(
    problem: SelectionProblem,
    *,
    steps: Sequence[float] = STEPS,
    how: How | None = None,
    solved: Solved | None = None,
    on_point: OnPoint | None = None,
) -> tuple[Worth, ...]:
    """Return slack and shadow price of each budget of the problem: what some more of it buys, all else kept.

    Parameters
    ----------
    problem
        The problem.
    steps
        Shares of each limit that are added, above 0; at least 1, 2, 3 ... of what is counted one by one.
    how
        Engine and limits, of each solve.
    solved
        The optimum of the problem, where it is known already.
    on_point
        Called after each budget with how many are done and how many there are.

    Raises
    ------
    Infeasible, LimitReached
        As in :func:`coinfer.plan`.
    """
    how = how or How()
    base = solved or solve(problem, how)
    evaluation = evaluate(problem, base.decision)
    budgets = budgets_of(problem)
    found = []
    for done, budget in enumerate(budgets, start=1):
        limit = budget.limit(problem) or 0.0
        used = budget.used(evaluation, base.decision.selected)
        points = sweep_budget(problem, budget, raised, how=how) if (raised := _raised(budget, limit, steps)) else ()
        nested = budget.nested(problem)
        more = tuple(
            _more(base.optimum, point.optimum, point.limit - limit, nested=nested) for point in points if point.optimum
        )
        slack = None if used is None else 0.0 if math.isclose(used, limit) else limit - used  # rounding is no slack
        found.append(Worth(budget=budget.name, unit=budget.unit, limit=limit, used=used, slack=slack, more=more))
        if on_point is not None:
            on_point(done, len(budgets))
    return tuple(found)


def _raised(budget: Budget, limit: float, steps: Sequence[float]) -> list[float]:
    """Return the limits to try; none for a budget of nothing, of which a share is nothing."""
    if budget.kind == "experts":
        return [limit + max(math.ceil(limit * step), i) for i, step in enumerate(sorted(steps), start=1)]
    most = 1.0 if budget.kind == "utilisation" else math.inf
    raised = [min(most, limit * (1.0 + step)) for step in steps]
    return [number for number in raised if number > limit]


def _more(base: Optimum, optimum: Optimum, added: float, *, nested: bool) -> More:
    gain, least, most = optimum.gap_to(base, nested=nested)
    return More(
        added=added,
        gain=gain,
        at_least=least,
        at_most=most,
        proven=base.proven and optimum.proven,
        optimum=optimum,
    )
