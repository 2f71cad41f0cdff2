"""The best points by partition: solve, split what is left around the point found, go on with the best part."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.maximise import maximise
from coinfer.solver.monotonic.program import IntArray, MonotonicProgram
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
        No feasible point that is not on the list is worth more; ``-inf`` where there is none.
    complete
        True when no limit was hit: the list is then exactly the best points (of equal ones at the end, any).
    """

    values: tuple[float, ...]
    points: tuple[IntArray, ...]
    bound: float
    complete: bool


def partitioned(
    program: MonotonicProgram, *, count: int, within: float, limits: Limits, stop: Stop | None = None
) -> Ranking:
    """Return the best points of any program.

    Source: E. L. Lawler, "A procedure for computing the k best solutions to discrete optimization problems",
    Management Science 18, 1972.

    Parameters
    ----------
    program, count, within, stop
        As for :func:`coinfer.solver.monotonic.explore.best_points`.
    limits
        ``time_s`` is for all searches together, the others for each.
    """
    began = time.perf_counter()
    order = itertools.count()
    heap: list[tuple[float, int, float, IntArray, MonotonicProgram]] = []
    lost = -math.inf  # what parts may still hold of which no point was found
    complete = True

    def solve(part: MonotonicProgram, most: float) -> None:
        nonlocal complete, lost
        result = maximise(part, limits=_remaining(limits, began), stop=stop, keep_proof=False)
        complete &= result.status in (SearchStatus.OPTIMAL, SearchStatus.INFEASIBLE)
        bound = min(most, _bound(result))
        if result.incumbent is not None:
            heapq.heappush(heap, (-result.value, next(order), bound, result.incumbent, part))
        else:
            lost = max(lost, bound)

    solve(program, math.inf)
    found: list[tuple[float, IntArray]] = []
    while heap and len(found) < count and -heap[0][0] >= (found[0][0] if found else -math.inf) - within:
        value, _, bound, point, part = heapq.heappop(heap)
        found.append((-value, point))
        for rest in _around(part, point):
            solve(rest, bound)
    found.sort(key=lambda item: -item[0])
    return Ranking(
        values=tuple(value for value, _ in found),
        points=tuple(point for _, point in found),
        bound=max([lost, *(bound for _, _, bound, _, _ in heap)]),
        complete=complete,
    )


def _remaining(limits: Limits, began: float) -> Limits:
    if limits.time_s is None:
        return limits
    return msgspec.structs.replace(limits, time_s=max(0.0, limits.time_s - (time.perf_counter() - began)))


def _bound(result: SearchResult) -> float:
    return -math.inf if result.status is SearchStatus.INFEASIBLE else result.bound


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
