r"""Cost of a pass: what a right answer costs where a prompt is tried until it is right (arXiv 2504.13359).

An option of expected cost :math:`c` that is right with chance :math:`p` has :math:`v = c / p`; the frontier of a prompt
is the least of it over all options and the expert who is always right, for a price. An option that is never right has
no cost of a pass: it is infinite in arrays and ``None`` in everything that is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.curves.passes import expected_tries
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.formulate import menu_block, pass_block
from coinfer.solver.program import FloatArray, IntArray

FALLBACK = -1
"""Option of a stratum whose cheapest way is the expert who is always right."""
NOBODY = -2
"""Option of a stratum that nobody ever gets right."""
_ROUNDING = 1e-9


def cost_of_pass(cost: ArrayLike, value: ArrayLike) -> FloatArray:
    """Return cost / value, broadcast; infinite where the value is 0, NaN where either was not measured.

    Parameters
    ----------
    cost
        Expected cost of one try, at least 0.
    value
        Chance that the try is right, 0 to 1.

    >>> cost_of_pass([0.5, 0.5], [0.25, 0.0]).tolist()
    [2.0, inf]
    """
    spent, right = np.asarray(cost, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if (spent < 0.0).any():
        raise ProblemError("cost", expected="numbers of at least 0", found=float(np.nanmin(spent)))
    if ((right < 0.0) | (right > 1.0)).any():
        raise ProblemError("value", expected="chances in 0..1", found=Plain("another number"))
    spent, right = np.broadcast_arrays(spent, right)
    with np.errstate(over="ignore"):  # what is beyond all numbers is infinite
        found = np.divide(spent, right, out=np.full(spent.shape, np.inf), where=right > 0.0)
    unknown = np.isnan(spent) | np.isnan(right)
    return np.where(unknown, np.nan, found)


def expected_cost_of_pass(cost: ArrayLike, alpha: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Return the expected cost until a right answer, cost times :func:`expected_tries`, broadcast.

    For a free option it is 0 where it is ever right in expectation, infinite where the number of tries is.
    """
    spent, tries = np.broadcast_arrays(np.asarray(cost, dtype=np.float64), expected_tries(alpha, beta))
    if (spent < 0.0).any():
        raise ProblemError("cost", expected="numbers of at least 0", found=float(np.nanmin(spent)))
    found: FloatArray = np.multiply(spent, tries, out=np.full(spent.shape, np.inf), where=np.isfinite(tries))
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PassFrontier:
    """The cheapest way to a right answer in each stratum.

    Attributes
    ----------
    cost
        (strata,): cost of a pass; infinite where nobody is ever right.
    option
        (strata,): who holds it; :data:`FALLBACK` or :data:`NOBODY` where no option does.
    prompts
        (strata,): prompts in each.
    """

    cost: FloatArray
    option: IntArray
    prompts: FloatArray

    @property
    def mean(self) -> float | None:
        """Mean over the prompts; ``None`` where some of them are never answered."""
        here = self.prompts > 0.0
        if not np.isfinite(self.cost[here]).all():
            return None
        return math.fsum(self.cost[here] * self.prompts[here]) / math.fsum(self.prompts)

    @property
    def answered(self) -> float:
        """Share of the prompts that somebody answers."""
        return math.fsum(self.prompts[np.isfinite(self.cost)]) / math.fsum(self.prompts)


def pass_frontier(
    costs: FloatArray, *, prompts: ArrayLike | None = None, fallback: ArrayLike | None = None
) -> PassFrontier:
    """Return the frontier of some options and of the expert.

    Parameters
    ----------
    costs
        (strata, options): :func:`cost_of_pass`; what is NaN does not count.
    prompts
        (strata,): prompts in each; absent: 1.
    fallback
        Price of one answer of an expert who is always right, alike in all strata or (strata,); absent: there is none.
        Among equals an option comes before the expert, the first of options first.
    """
    if costs.ndim != 2 or not len(costs):
        raise ProblemError("costs", expected="a matrix (strata, options)", found=Plain(f"shape {costs.shape}"))
    weights = np.ones(len(costs)) if prompts is None else np.asarray(prompts, dtype=np.float64)
    if weights.shape != (len(costs),) or not (weights >= 0.0).all() or not weights.any():
        raise ProblemError("prompts", expected=f"{len(costs)} numbers, some above 0", found=Plain("others"))
    known = np.where(np.isnan(costs), np.inf, costs)
    price = np.full(len(costs), np.inf)
    if fallback is not None:
        given = np.asarray(fallback, dtype=np.float64)
        if given.shape not in ((), (len(costs),)) or not (np.isfinite(given) & (given >= 0.0)).all():
            raise ProblemError("fallback", expected="one price, or one for each stratum", found=Plain("something else"))
        price = np.broadcast_to(given, (len(costs),))
    option = np.full(len(costs), NOBODY)
    least = np.full(len(costs), np.inf)
    if costs.shape[1]:
        option = known.argmin(axis=1)
        least = known[np.arange(len(costs)), option]
    option = np.where(price < least, FALLBACK, np.where(np.isfinite(least), option, NOBODY)).astype(np.int64)
    return PassFrontier(cost=np.minimum(least, price), option=option, prompts=weights)


def gains_of_adding(
    costs: FloatArray,
    base: Sequence[int],
    *,
    prompts: ArrayLike | None = None,
    fallback: ArrayLike | None = None,
) -> tuple[float | None, ...]:
    """Return by how much each option lowers the mean frontier of the options in ``base``: before less after.

    ``None`` where there is no mean before: then it is finite for no reason but the option, or not at all.
    """
    held = list(base)
    before = pass_frontier(costs[:, held], prompts=prompts, fallback=fallback).mean
    if before is None:
        return tuple(None for _ in range(costs.shape[1]))
    gains: list[float | None] = []
    for option in range(costs.shape[1]):
        after = pass_frontier(costs[:, [*held, option]], prompts=prompts, fallback=fallback).mean
        gains.append(None if after is None else before - after)
    return tuple(gains)


def problem_costs(problem: BudgetProblem, resource: str) -> tuple[FloatArray, FloatArray]:
    """Return the cost of a pass of every option, (strata, options), and the prompts, (strata,); absent options are NaN.

    Raises
    ------
    ProblemError
        If no option takes the resource, or a value is above 1.
    """
    if resource not in problem.resources:
        expected = f"a resource that the menus have: {', '.join(problem.resources) or 'none'}"
        raise ProblemError("resource", expected=expected, found=resource)
    block = menu_block(problem, 0, problem.rows)
    if block.value.max() > 1.0 + _ROUNDING:
        raise ProblemError("menus.value", expected="chances in 0..1", found=float(block.value.max()))
    own = pass_block(problem, 0, problem.rows)
    cost = np.where(own.present, own.cost[problem.resources.index(resource)], np.inf)
    return np.where(block.present, cost, np.nan), block.copies.astype(np.float64)
