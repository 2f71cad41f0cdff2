"""The next best selections: the k best, or all that are nearly as good."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec

from coinfer.errors import Infeasible, InputError, LimitReached
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.monotonic import monotonic_program
from coinfer.models.selection.units import unselectable
from coinfer.planner.bound import TOLERANCE, scale_of
from coinfer.planner.explore.answers import Answers
from coinfer.planner.explore.optimum import How, Solved, fixed, infeasible, names_at, solve
from coinfer.planner.rounding import value_margin, widened_rows
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.explore import best_points

OnFound = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One selection of a ranking.

    Attributes
    ----------
    selected
        Names of its experts.
    idle
        Those of them that answer nothing: the selection without them is worth the same.
    value, difference
        Its value, and how much less that is than the best.
    """

    selected: tuple[str, ...]
    idle: tuple[str, ...]
    value: float
    difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The best selections, best first.

    Attributes
    ----------
    selections
        See :class:`Candidate`.
    bound
        No feasible selection off the list is worth more; ``None`` where there is no other, or nothing is proven
        (then ``complete`` is False).
    complete
        True when no limit was hit: these are the best selections; of equal ones at the end, any.
    """

    selections: tuple[Candidate, ...]
    bound: float | None
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A ranking with the decisions behind it; ``None`` where the decision follows from the selection.

    Attributes
    ----------
    ranking, decisions
        Of equal length.
    """

    ranking: Ranking
    decisions: tuple[SelectionDecision | None, ...]


def best_selections(
    problem: SelectionProblem,
    *,
    count: int,
    within: float = math.inf,
    how: How | None = None,
    on_found: OnFound | None = None,
) -> Ranking:
    """Return the ``count`` best selections of experts, or those of them that are within a distance of the best.

    Selections differ in the experts that are kept; each has its best routing. Where no limit couples the routing one
    search finds all of them. Elsewhere the integer program is solved again and again, on the parts that the
    selections found so far leave (Lawler, Management Science 18, 1972): about one solve per selection and expert.

    Parameters
    ----------
    problem
        The problem.
    count, within
        How many at most, and how much less than the best one a selection may be worth.
    how
        Engine and limits; gaps are not used. The time is for all solves together.
    on_found
        Called with how many selections are found and how many are asked for.

    Raises
    ------
    InputError
        If ``count`` is below 1, or ``within`` below 0.
    Infeasible
        No selection is feasible.
    LimitReached
        A limit was hit before any selection was found.
    """
    return ranked(problem, count=count, within=within, how=how or How(), on_found=on_found).ranking


def ranked(
    problem: SelectionProblem, *, count: int, within: float, how: How, on_found: OnFound | None = None
) -> Ranked:
    """Return the best selections with their decisions; see :func:`best_selections`."""
    if count < 1:
        raise InputError("count", expected="at least 1", found=count)
    if not within >= 0.0:
        raise InputError("within", expected="a number, at least 0", found=within)
    near = within + TOLERANCE * scale_of(problem)  # a difference of 0.65 and 0.6 is within 0.05
    limits = msgspec.structs.replace(how.limits, relative_gap=0.0, absolute_gap=0.0)
    how = replace(how, limits=limits)
    if how.monotonic(problem):
        return _searched(problem, count, near, how)
    return _planned(problem, count, near, how, on_found)


def _searched(problem: SelectionProblem, count: int, within: float, how: How) -> Ranked:
    """Rank by one search over the selections."""
    program = widened_rows(monotonic_program(problem))
    found = best_points(program, count=count, within=within, limits=how.limits, stop=how.stop)
    if not found.points:
        raise _nothing(problem, how, complete=found.complete)
    answers = Answers(problem)
    names = [names_at(problem, point) for point in found.points]
    listed = [
        _candidate(selected, answers.idle(selected), value, found.values[0])
        for selected, value in zip(names, found.values, strict=True)
    ]
    ranking = Ranking(
        selections=tuple(sorted(listed, key=lambda item: (-item.value, len(item.idle)))),
        bound=_finite(found.bound + value_margin(program)),
        complete=found.complete,
    )
    return Ranked(ranking=ranking, decisions=(None,) * len(names))


def _nothing(problem: SelectionProblem, how: How, *, complete: bool) -> Exception | KeyboardInterrupt:
    if complete:
        return infeasible(problem)
    if how.stop:
        return KeyboardInterrupt("interrupted before any selection was found")
    return LimitReached("a limit was hit before any selection was found")


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _candidate(selected: tuple[str, ...], idle: tuple[str, ...], value: float, best: float) -> Candidate:
    return Candidate(selected=selected, idle=idle, value=value, difference=best - value)


def _planned(problem: SelectionProblem, count: int, within: float, how: How, on_found: OnFound | None) -> Ranked:
    """Rank by solving the parts that the selections found so far leave."""
    parts = _Parts(problem, how)
    parts.take(problem, math.inf)
    if not parts.heap:
        raise _nothing(problem, how, complete=parts.complete)
    found: list[Solved] = []
    least = parts.value - within
    while parts.heap and len(found) < count and parts.value >= least:
        solved, part, bound = parts.next()
        found.append(solved)
        if on_found is not None:
            on_found(len(found), count)
        for rest in _around(part, solved.decision.selected):
            parts.take(rest, bound)
    found.sort(key=lambda item: -item.optimum.value)
    best = found[0].optimum.value
    ranking = Ranking(
        selections=tuple(
            _candidate(item.decision.selected, _idle(item.decision), item.optimum.value, best) for item in found
        ),
        bound=_finite(parts.bound),
        complete=parts.complete,
    )
    return Ranked(ranking=ranking, decisions=tuple(item.decision for item in found))


def _idle(decision: SelectionDecision) -> tuple[str, ...]:
    answering = {route.expert for route in decision.routes}
    return tuple(name for name in decision.selected if name not in answering)


class _Parts:
    """Disjoint parts of the selections, each solved; the best is next."""

    def __init__(self, problem: SelectionProblem, how: How) -> None:
        self.heap: list[tuple[float, int, float, Solved, SelectionProblem]] = []
        self.complete = True
        self._how, self._scale = how, scale_of(problem)
        self._began = time.perf_counter()
        self._order = itertools.count()
        self._lost = -math.inf  # what parts may still hold of which no selection was found

    @property
    def value(self) -> float:
        """Value of the best part."""
        return -self.heap[0][0]

    @property
    def bound(self) -> float:
        """Nothing in any open part is worth more."""
        return max([self._lost, *(bound for _, _, bound, _, _ in self.heap)])

    def next(self) -> tuple[Solved, SelectionProblem, float]:
        """Take the best part: its optimum, itself, its bound."""
        _, _, bound, solved, part = heapq.heappop(self.heap)
        return solved, part, bound

    def take(self, part: SelectionProblem, most: float) -> None:
        """Solve a part in which nothing is worth more than ``most``."""
        how = replace(self._how, limits=self._remaining())
        try:
            solved = solve(part, how)
        except Infeasible:
            return
        except (LimitReached, KeyboardInterrupt):
            self.complete = False
            self._lost = max(self._lost, most)
            return
        optimum = solved.optimum
        self.complete &= optimum.proven
        bound = min(most, math.inf if optimum.bound is None else optimum.bound)
        heapq.heappush(self.heap, (-optimum.value, next(self._order), bound, solved, part))

    def _remaining(self) -> Limits:
        limits = self._how.limits
        if limits.time_s is None:
            return limits
        spent = time.perf_counter() - self._began
        return msgspec.structs.replace(limits, time_s=max(0.0, limits.time_s - spent))


def _around(problem: SelectionProblem, selected: tuple[str, ...]) -> Iterator[SelectionProblem]:
    """Yield disjoint problems that allow every selection that ``problem`` does, but ``selected``."""
    inside: list[str] = []
    outside: list[str] = []
    for expert in problem.experts:
        name = expert.name
        if name in problem.required or name in problem.forbidden:
            continue
        if name in selected:
            yield fixed(problem, inside=inside, outside=[*outside, name])
            inside.append(name)
        else:
            if unselectable(problem, expert) is None:
                yield fixed(problem, inside=[*inside, name], outside=outside)
            outside.append(name)
