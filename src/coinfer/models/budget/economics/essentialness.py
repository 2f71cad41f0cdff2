"""Who is essential: what is lost when the options of one group of models are taken away, group by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.economics.cost_of_pass import pass_frontier
from coinfer.models.budget.parts import Option, TableMenus
from coinfer.records import Matrix
from coinfer.solver.program import FloatArray

Groups = Mapping[str, Sequence[int]]
"""Positions of options by name of a group; an option may be in several groups or in none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Essential:
    """What a group is worth.

    Attributes
    ----------
    group
        Its name.
    best
        With all options: the most value, or the least cost; ``None`` where nothing is feasible.
    without
        The same without the group's options.
    loss
        How much worse that is, at least 0 where both are optima; ``None`` where one of them is absent.
    essentialness
        Of a cost: the loss over the cost without the group (Cost-of-Pass, arXiv 2504.13359): 0 where the group is not
        missed, near 1 where little else will do. Of a value: the loss over the value with the group. ``None`` where
        that number is 0 or absent.
    """

    group: str
    best: float | None
    without: float | None
    loss: float | None
    essentialness: float | None


def by_model(options: Sequence[Option]) -> dict[str, tuple[int, ...]]:
    """Return the options of each model; those of none are in no group.

    >>> by_model([Option(name="a x 1", model="a"), Option(name="ask a person"), Option(name="a x 2", model="a")])
    {'a': (0, 2)}
    """
    return _by([option.model for option in options])


def by_strategy(options: Sequence[Option]) -> dict[str, tuple[int, ...]]:
    """Return the options of each strategy."""
    return _by([option.strategy for option in options])


def without_options(problem: BudgetProblem, removed: Sequence[int]) -> BudgetProblem | None:
    """Return the problem without some options; ``None`` where a stratum would have none left.

    Quotas of an endpoint that no option is left at are left out: nothing counts against them.
    """
    gone = set(removed)
    if not gone <= set(range(len(problem.options))):
        expected = f"positions of options, 0..{len(problem.options) - 1}"
        raise ProblemError("removed", expected=expected, found=sorted(gone))
    kept = [i for i in range(len(problem.options)) if i not in gone]
    options = tuple(problem.options[i] for i in kept)
    menus = problem.menus
    if not kept:
        return None
    if isinstance(menus, TableMenus):
        if menus.available is not None and not menus.available.array[:, kept].any(axis=1).all():
            return None
        menus = msgspec.structs.replace(
            menus,
            value=_columns(menus.value, kept),
            cost=tuple(
                msgspec.structs.replace(
                    cost,
                    amount=_columns(cost.amount, kept),
                    worst=None if cost.worst is None else _columns(cost.worst, kept),
                )
                for cost in menus.cost
            ),
            value_error=None if menus.value_error is None else _columns(menus.value_error, kept),
            latency_s=None if menus.latency_s is None else _columns(menus.latency_s, kept),
            available=None if menus.available is None else _columns(menus.available, kept),
        )
    endpoints = {option.endpoint for option in options}
    budgets = tuple(each for each in problem.budgets if each.endpoint is None or each.endpoint in endpoints)
    return msgspec.structs.replace(problem, options=options, menus=menus, budgets=budgets)


def essentialness(
    problem: BudgetProblem, groups: Groups, solve: Callable[[BudgetProblem], float | None]
) -> tuple[Essential, ...]:
    """Return what is lost without each group, most essential first.

    Parameters
    ----------
    problem
        With all options.
    groups
        See :func:`by_model` and :func:`by_strategy`.
    solve
        Returns the optimum of a problem: the value where its objective is ``value``, else the cost; ``None`` where
        nothing is feasible.
    """
    best = solve(problem)
    rows = []
    for name, removed in groups.items():
        left = without_options(problem, removed)
        without = None if left is None else solve(left)
        rows.append(_row(name, best, without, cost=problem.objective != "value"))
    return _sorted(rows)


def pass_essentialness(
    costs: FloatArray,
    groups: Groups,
    *,
    prompts: ArrayLike | None = None,
    fallback: ArrayLike | None = None,
) -> tuple[Essential, ...]:
    """Return by how much the frontier of the cost of a pass rises without each group, most essential first.

    Parameters
    ----------
    costs, prompts, fallback
        As in :func:`coinfer.models.budget.economics.cost_of_pass.pass_frontier`.
    groups
        Positions of options.
    """
    best = pass_frontier(costs, prompts=prompts, fallback=fallback).mean
    rows = []
    for name, removed in groups.items():
        left = np.delete(costs, list(removed), axis=1)
        without = pass_frontier(left, prompts=prompts, fallback=fallback).mean
        rows.append(_row(name, best, without, cost=True))
    return _sorted(rows)


def _row(name: str, best: float | None, without: float | None, *, cost: bool) -> Essential:
    if best is None or without is None:
        return Essential(group=name, best=best, without=without, loss=None, essentialness=None)
    loss, whole = (without - best, without) if cost else (best - without, best)
    return Essential(
        group=name, best=best, without=without, loss=loss, essentialness=loss / whole if whole > 0.0 else None
    )


def _sorted(rows: list[Essential]) -> tuple[Essential, ...]:
    """Put those first without which nothing is feasible, then the largest losses."""
    return tuple(sorted(rows, key=lambda row: (row.without is not None, -(row.loss or 0.0))))


def _by(names: Sequence[str | None]) -> dict[str, tuple[int, ...]]:
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        if name is not None:
            groups.setdefault(name, []).append(i)
    return {name: tuple(positions) for name, positions in groups.items()}


def _columns(matrix: Matrix, kept: list[int]) -> Matrix:
    return Matrix(matrix.array[:, kept])
