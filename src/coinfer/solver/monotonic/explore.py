"""Questions around an optimum: the next best points, ties, a budget swept, what a budget is worth, why not this one."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coinfer.errors import InputError
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.facility import search_facility
from coinfer.solver.monotonic.kernels import Choice
from coinfer.solver.monotonic.maximise import maximise
from coinfer.solver.monotonic.pool import Pool
from coinfer.solver.monotonic.program import FacilityLocation, FloatArray, IntArray, LinearRows, MonotonicProgram
from coinfer.solver.monotonic.result import SearchResult, SearchStatus
from coinfer.solver.progress import Stop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """The best points, best first.

    Attributes
    ----------
    values, points
        Value and point of each.
    bound
        No feasible point that is not on the list is worth more.
    complete
        True when no limit was hit: the list is then exactly the best points (of equal ones at the end, any).
    """

    values: tuple[float, ...]
    points: tuple[IntArray, ...]
    bound: float
    complete: bool


def best_points(
    program: MonotonicProgram,
    *,
    count: int,
    within: float = math.inf,
    limits: Limits | None = None,
    stop: Stop | None = None,
) -> Ranking:
    """Return the ``count`` best points, or those of them whose value is within a distance of the best.

    A facility location under linear rows is searched once, with a pool. Anything else is solved again and again on
    the parts of the box that the points found so far leave (E. L. Lawler, "A procedure for computing the k best
    solutions to discrete optimization problems", Management Science 18, 1972).

    Raises
    ------
    InputError
        If ``count`` is below 1 or ``within`` below 0.
    """
    if count < 1 or within < 0.0 or math.isnan(within):
        raise InputError("count and within", expected="at least 1, and at least 0", found=(count, within))
    if isinstance(program.objective, FacilityLocation) and _only_rows(program):
        pool = Pool(count=count, within=within)
        result = search_facility(program, limits=limits, stop=stop, keep_proof=False, pool=pool)
        done = result.limit is None
        values = tuple(value for value, _ in pool.points)
        left = min(values, default=-math.inf) if len(values) == count else max(values, default=-math.inf) - within
        return Ranking(
            values=values,
            points=tuple(point for _, point in pool.points),
            bound=left if done and values else result.bound,
            complete=done,
        )
    return _partitioned(program, count, within, limits, stop)


def _only_rows(program: MonotonicProgram) -> bool:
    return all(isinstance(part, LinearRows) for part in program.constraints)


def _partitioned(
    program: MonotonicProgram, count: int, within: float, limits: Limits | None, stop: Stop | None
) -> Ranking:
    """Solve, split what is left around the point found, and go on with the best part."""
    order = itertools.count()
    heap: list[tuple[float, int, SearchResult, MonotonicProgram]] = []
    complete = True

    def solve(part: MonotonicProgram) -> None:
        nonlocal complete
        result = maximise(part, limits=limits, stop=stop, keep_proof=False)
        complete &= result.status in (SearchStatus.OPTIMAL, SearchStatus.INFEASIBLE)
        if result.incumbent is not None:
            heapq.heappush(heap, (-result.value, next(order), result, part))

    solve(program)
    values: list[float] = []
    points: list[IntArray] = []
    while heap and len(points) < count and -heap[0][0] >= (values[0] if values else -math.inf) - within:
        value, _, result, part = heapq.heappop(heap)
        if result.incumbent is None:
            continue
        values.append(-value)
        points.append(result.incumbent)
        for rest in _around(part, result.incumbent):
            solve(rest)
    left = max((result.bound for _, _, result, _ in heap), default=-math.inf)
    return Ranking(values=tuple(values), points=tuple(points), bound=left if complete else math.inf, complete=complete)


def _around(program: MonotonicProgram, point: IntArray) -> Iterator[MonotonicProgram]:
    """Yield disjoint boxes that hold everything but ``point``."""
    lower, upper = program.lower.copy(), program.upper.copy()
    for i, level in enumerate(point):
        if level > lower[i]:
            below = upper.copy()
            below[i] = level - 1
            yield replace(program, lower=lower.copy(), upper=below)
        if level < upper[i]:
            above = lower.copy()
            above[i] = level + 1
            yield replace(program, lower=above, upper=upper.copy())
        lower[i] = upper[i] = level


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepPoint:
    """The optimum under one limit.

    Attributes
    ----------
    limit
        Limit of the row.
    value, bound
        Value of the best point found; no feasible point is worth more than the bound.
    point
        The point; ``None`` where no point is feasible, or none was found.
    used
        What the point uses of the limit; ``None`` without one.
    searched
        False where the point of a larger limit fits and so is best here too.
    status
        As of the search.
    """

    limit: float
    value: float
    bound: float
    point: IntArray | None
    used: float | None
    searched: bool
    status: SearchStatus


def sweep(
    program: MonotonicProgram,
    *,
    row: int,
    budgets: Sequence[float],
    limits: Limits | None = None,
    stop: Stop | None = None,
    kernel: Choice = "auto",
) -> tuple[SweepPoint, ...]:
    """Solve the program for each limit of one linear row, largest first, and return the points by rising limit.

    A point that fits a smaller limit is best there too, without a search. A search begins from the assignment prices
    of the one before, and from the best point known that fits.

    Parameters
    ----------
    program
        Its own limit of the row is not used.
    row
        Number of the linear row, over all blocks in their order.
    budgets
        Limits to solve for.
    limits, stop, kernel
        Of each search.
    """
    found: list[SweepPoint] = []
    prices: FloatArray | None = None
    cost = program.rows.coefficients[row]
    facility = isinstance(program.objective, FacilityLocation) and _only_rows(program)
    for budget in sorted(set(budgets), reverse=True):
        last = found[-1] if found else None
        if last is not None and last.used is not None and last.used <= budget and last.status is SearchStatus.OPTIMAL:
            found.append(replace(last, limit=budget, searched=False))
            continue
        if last is not None and last.status is SearchStatus.INFEASIBLE and (cost >= 0.0).all():
            found.append(replace(last, limit=budget, searched=False))
            continue
        variant = with_limit(program, row=row, limit=budget)
        start = last.point if last is not None else None
        if facility:
            result = search_facility(
                variant, limits=limits, stop=stop, start=start, prices=prices, keep_proof=False, kernel=kernel
            )
            prices = result.prices
        else:
            result = maximise(variant, limits=limits, stop=stop, start=start, keep_proof=False)
        found.append(
            SweepPoint(
                limit=budget,
                value=result.value,
                bound=result.bound,
                point=result.incumbent,
                used=None if result.incumbent is None else float(cost @ result.incumbent),
                searched=True,
                status=result.status,
            )
        )
    return tuple(reversed(found))


def with_limit(program: MonotonicProgram, *, row: int, limit: float) -> MonotonicProgram:
    """Return the program with another limit of one linear row, counted over all blocks in their order.

    Raises
    ------
    InputError
        If there is no such row.
    """
    left, parts = row, list(program.constraints)
    for i, part in enumerate(parts):
        if not isinstance(part, LinearRows):
            continue
        if 0 <= left < len(part.limits):
            changed = part.limits.copy()
            changed[left] = limit
            parts[i] = replace(part, limits=changed)
            return replace(program, constraints=tuple(parts))
        left -= len(part.limits)
    raise InputError("row", expected=f"a linear row below {len(program.rows.limits)}", found=row)


def forced(program: MonotonicProgram, *, variable: int, level: int = 1) -> MonotonicProgram:
    """Return the program in which a variable is at least ``level``: its optimum says why it was not chosen."""
    lower = program.lower.copy()
    lower[variable] = max(level, int(lower[variable]))
    return replace(program, lower=lower, upper=np.maximum(program.upper, lower))


def excluded(program: MonotonicProgram, *, variables: Sequence[int]) -> MonotonicProgram:
    """Return the program in which variables stay at their lower ends: its optimum says what they are worth."""
    upper = program.upper.copy()
    upper[list(variables)] = program.lower[list(variables)]
    return replace(program, upper=upper)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWorth:
    """What a linear row costs the optimum.

    Attributes
    ----------
    name
        Of the row.
    limit, used, slack
        The limit, what the point uses of it, and what it leaves.
    more
        By added limit: the value then reached and the bound proven for it.
    """

    name: str
    limit: float
    used: float
    slack: float
    more: tuple[tuple[float, float, float], ...]


def worth_of_budgets(
    program: MonotonicProgram,
    point: IntArray,
    *,
    steps: Sequence[float] = (0.05, 0.1, 0.25),
    limits: Limits | None = None,
    stop: Stop | None = None,
) -> tuple[BudgetWorth, ...]:
    """Return slack and shadow price of each linear row: the optimum under the limit raised by each share of it.

    Integer programs have no derivative, so the price is stated as what a given addition buys. Rows of limit 0 or
    below are structure (groups, needs) and are left out, and so are rows that the upper corner keeps.
    """
    rows, answers = program.rows, []
    for row, (name, limit) in enumerate(zip(rows.names, rows.limits.tolist(), strict=True)):
        own = rows.coefficients[row]
        if limit <= 0.0 or float(np.where(own > 0.0, own * program.upper, own * program.lower).sum()) <= limit:
            continue
        swept = sweep(program, row=row, budgets=[limit * (1.0 + step) for step in steps], limits=limits, stop=stop)
        used = float(own @ point)
        more = tuple((item.limit - limit, item.value, item.bound) for item in swept)
        answers.append(BudgetWorth(name=name, limit=limit, used=used, slack=limit - used, more=more))
    return tuple(answers)
