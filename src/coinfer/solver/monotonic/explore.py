"""Questions around an optimum: the next best points, ties, a budget swept, what a budget is worth, why not this one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from coinfer.errors import InputError
from coinfer.solver.certificate.facility import shifted
from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.facility import search_facility
from coinfer.solver.monotonic.facility_box import EXACT
from coinfer.solver.monotonic.kernels import Choice
from coinfer.solver.monotonic.maximise import maximise
from coinfer.solver.monotonic.pool import Pool
from coinfer.solver.monotonic.program import FacilityLocation, FloatArray, IntArray, LinearRows, MonotonicProgram
from coinfer.solver.monotonic.ranking import Ranking, partitioned
from coinfer.solver.monotonic.result import SearchResult, SearchStatus
from coinfer.solver.progress import Stop


def best_points(
    program: MonotonicProgram,
    *,
    count: int,
    within: float = math.inf,
    limits: Limits | None = None,
    stop: Stop | None = None,
) -> Ranking:
    """Return the ``count`` best points, or those of them whose value is within a distance of the best.

    A facility location under linear rows is searched once, with a pool; anything else again and again on the parts
    of the box that the points found so far leave. The gaps of ``limits`` are not used: a list with gaps would not be
    the best.

    Raises
    ------
    InputError
        If ``count`` is below 1 or ``within`` below 0.
    """
    if count < 1 or within < 0.0 or math.isnan(within):
        raise InputError("count and within", expected="at least 1, and at least 0", found=(count, within))
    exact = msgspec.structs.replace(limits or Limits(), relative_gap=0.0, absolute_gap=0.0)
    stop = Stop() if stop is None else stop
    with interrupt_sets(stop):
        if not isinstance(program.objective, FacilityLocation) or not _only_rows(program):
            return partitioned(program, count=count, within=within, limits=exact, stop=stop)
        pool = Pool(count=count, within=within)
        result = search_facility(program, limits=exact, stop=stop, keep_proof=False, pool=pool)
    values = tuple(value for value, _ in pool.points)
    bound, complete = result.bound, not _cut_short(result, exact, stop)
    if complete:  # boxes were closed at the last value of the list, up to the tolerance of the search
        bound = (min(values) if len(values) == count else max(values) - within) if values else -math.inf
        bound += _tolerance(program.objective)
    return Ranking(values=values, points=tuple(point for _, point in pool.points), bound=bound, complete=complete)


def _cut_short(result: SearchResult, limits: Limits, stop: Stop) -> bool:
    """Return True where a limit may have ended a search with a pool, even one whose best point was proven by then."""
    late = limits.time_s is not None and result.seconds >= limits.time_s
    nodes = limits.nodes is not None and result.nodes >= limits.nodes
    calls = limits.oracle_calls is not None and result.oracle_calls >= limits.oracle_calls
    return result.limit is not None or bool(stop) or late or nodes or calls


def _tolerance(objective: FacilityLocation) -> float:
    """Return what the search leaves open when it says that it is done."""
    values, _, size = shifted(objective)
    return EXACT * max(float(values.max(axis=0, initial=0.0).sum()), size)


def _only_rows(program: MonotonicProgram) -> bool:
    return all(isinstance(part, LinearRows) for part in program.constraints)


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
    row: int | Sequence[int],
    budgets: Sequence[float],
    limits: Limits | None = None,
    stop: Stop | None = None,
    kernel: Choice = "auto",
) -> tuple[SweepPoint, ...]:
    """Solve the program for each limit of one linear row, largest first, and return the points by rising limit.

    A point that fits a smaller limit is best there too, without a search, and the bound of a larger limit holds for
    a smaller one. A search begins from the assignment prices of the one before, and from the best point known that
    fits. Values and bounds never fall as the limit rises, also where a search was cut short.

    Parameters
    ----------
    program
        Its own limit of the row is not used.
    row
        Number of the linear row, over all blocks in their order; several rows have the limit in common.
    budgets
        Limits to solve for.
    limits, stop, kernel
        Of each search.
    """
    rows = [row] if isinstance(row, int) else list(row)
    found: list[SweepPoint] = []
    prices: FloatArray | None = None
    cost = program.rows.coefficients[rows]
    facility = isinstance(program.objective, FacilityLocation) and _only_rows(program)
    stop = Stop() if stop is None else stop
    for budget in sorted(set(budgets), reverse=True):
        last = found[-1] if found else None
        if last is not None and _holds_below(last, budget):
            found.append(replace(last, limit=budget, searched=False))
            continue
        variant = program
        for number in rows:
            variant = with_limit(variant, row=number, limit=budget)
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
                bound=result.bound if last is None else min(result.bound, last.bound),
                point=result.incumbent,
                used=None if result.incumbent is None else float((cost @ result.incumbent).max()),
                searched=True,
                status=result.status,
            )
        )
    return _rising(found[::-1])


def _holds_below(last: SweepPoint, budget: float) -> bool:
    """Return True where what is known of a larger limit settles a smaller one."""
    fits = last.used is not None and last.used <= budget and last.status is SearchStatus.OPTIMAL
    return fits or last.status is SearchStatus.INFEASIBLE


def _rising(points: list[SweepPoint]) -> tuple[SweepPoint, ...]:
    """Let a search that was cut short take the point of a smaller limit where that is better."""
    for i in range(1, len(points)):
        below, here = points[i - 1], points[i]
        if below.point is not None and below.value > here.value and here.status is not SearchStatus.OPTIMAL:
            status = SearchStatus.FEASIBLE if here.status is SearchStatus.UNSOLVED else here.status
            points[i] = replace(here, value=below.value, point=below.point, used=below.used, status=status)
    return tuple(points)


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
    """Return the program in which a variable is at least ``level``: its optimum says why it was not chosen.

    Raises
    ------
    InputError
        If the box ends below ``level``.
    """
    if level > program.upper[variable]:
        raise InputError("level", expected=f"at most {program.upper[variable]}, where the box ends", found=level)
    lower = program.lower.copy()
    lower[variable] = max(level, int(lower[variable]))
    return replace(program, lower=lower)


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
