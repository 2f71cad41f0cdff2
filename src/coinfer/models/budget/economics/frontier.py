"""Value against cost of a menu, as points for a chart: who holds each corner, in each stratum and for all prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.formulate import BLOCK_ROWS, menu_block
from coinfer.solver.knapsack.hull import walk
from coinfer.solver.program import FloatArray, IntArray

POOLED = -1
"""Stratum of the points of all prompts together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrontierPoints:
    """Corners of upper left hulls, sorted by stratum and cost; between two of one stratum it is straight.

    Attributes
    ----------
    stratum, option
        (points,): where, and the option that holds the corner.
    cost, value
        (points,): of one prompt.
    """

    stratum: IntArray
    option: IntArray
    cost: FloatArray
    value: FloatArray

    def of(self, stratum: int) -> FrontierPoints:
        """Return the points of one stratum."""
        mine = self.stratum == stratum
        return FrontierPoints(
            stratum=self.stratum[mine], option=self.option[mine], cost=self.cost[mine], value=self.value[mine]
        )


def stratum_frontiers(
    value: FloatArray, cost: FloatArray, *, present: NDArray[np.bool_] | None = None, first: int = 0
) -> FrontierPoints:
    """Return the hull of every stratum's menu: from its cheapest option to its best, what no mixture beats.

    Parameters
    ----------
    value, cost
        (strata, options).
    present
        (strata, options): false where an option does not count; absent: all do. A NaN never counts.
    first
        Number of the first stratum.

    Raises
    ------
    ProblemError
        If a stratum has no option.
    """
    if value.shape != cost.shape or value.ndim != 2:
        raise ProblemError("cost", expected=f"shape {value.shape}, as the value", found=Plain(f"shape {cost.shape}"))
    here = np.isfinite(value) & np.isfinite(cost)
    if present is not None:
        here &= present
    if not here.any(axis=1).all():
        row = int(np.argmin(here.any(axis=1)))
        raise ProblemError(f"value[{row}]", expected="at least one option that counts", found=Plain("none"))
    rows = np.arange(len(value))
    cheapest = np.lexsort((-np.where(here, value, -np.inf), np.where(here, cost, np.inf)), axis=1)[:, 0]
    best = np.lexsort((np.where(here, cost, np.inf), -np.where(here, value, -np.inf)), axis=1)[:, 0]
    # an option that does not count is a copy of the cheapest: no step leads to it
    filled_value = np.where(here, value, value[rows, cheapest, None])
    filled_cost = np.where(here, cost, cost[rows, cheapest, None])
    up = np.flatnonzero(value[rows, best] > value[rows, cheapest])
    steps = walk(filled_value[up], filled_cost[up], up, cheapest[up], best[up])
    stratum = np.concatenate([rows, steps.row.astype(np.int64)])
    option = np.concatenate([cheapest, steps.end.astype(np.int64)])
    spent, worth = cost[stratum, option], value[stratum, option]
    order = np.lexsort((spent, stratum))
    return FrontierPoints(stratum=stratum[order] + first, option=option[order], cost=spent[order], value=worth[order])


def pooled_frontier(
    value: FloatArray,
    cost: FloatArray,
    *,
    prompts: ArrayLike | None = None,
    present: NDArray[np.bool_] | None = None,
) -> FrontierPoints:
    """Return the hull of the options used alike for all prompts: the best that a fixed choice, or a mixture, gives.

    An option that some stratum does not have is left out.

    Parameters
    ----------
    value, cost, present
        As in :func:`stratum_frontiers`.
    prompts
        (strata,): prompts in each; absent: 1.
    """
    weights = np.ones(len(value)) if prompts is None else np.asarray(prompts, dtype=np.float64)
    if weights.shape != (len(value),) or not weights.sum() > 0.0:
        raise ProblemError("prompts", expected=f"{len(value)} numbers, some above 0", found=Plain("others"))
    everywhere = np.isfinite(value) & np.isfinite(cost)
    if present is not None:
        everywhere &= present
    share = weights / weights.sum()
    own = np.asarray(everywhere.all(axis=0))[None]
    means = [share[None] @ np.where(everywhere, each, 0.0) for each in (value, cost)]
    found = stratum_frontiers(means[0], means[1], present=own)
    return FrontierPoints(
        stratum=np.full(len(found.option), POOLED), option=found.option, cost=found.cost, value=found.value
    )


def problem_frontiers(problem: BudgetProblem, resource: str) -> tuple[FrontierPoints, FrontierPoints]:
    """Return the frontiers of every stratum of a problem, and that of fixed choices, against one resource.

    Raises
    ------
    ProblemError
        If no option takes the resource, or a stratum has no option in time; if no option is everywhere.
    """
    if resource not in problem.resources:
        expected = f"a resource that the menus have: {', '.join(problem.resources) or 'none'}"
        raise ProblemError("resource", expected=expected, found=resource)
    at = problem.resources.index(resource)
    parts = []
    total = np.zeros((2, len(problem.options)))
    everywhere = np.ones(len(problem.options), dtype=np.bool_)
    for start in range(0, problem.rows, BLOCK_ROWS):
        block = menu_block(problem, start, min(start + BLOCK_ROWS, problem.rows))
        parts.append(stratum_frontiers(block.value, block.cost[at], present=block.present, first=start))
        total += block.copies @ block.value, block.copies @ block.cost[at]
        everywhere &= block.present.all(axis=0)
    joined = FrontierPoints(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in FrontierPoints.__slots__}
    )
    mean = total[:, None] / problem.prompts
    return joined, pooled_frontier(mean[0], mean[1], present=everywhere[None])
