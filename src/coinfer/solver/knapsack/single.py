"""Solve a multiple-choice knapsack with one budget: a plan by one price, its bound, and an exact search of the rest.

The bound is Lagrangian: for any price per unit of budget no choice gains more than every row's best value less price
times cost, plus price times budget. At the right price the plan comes within the value of one step of one row of it.
What is left is small: an option that loses more than the gap against its row's best is in no better choice (fixing by
reduced costs), and a dynamic program goes through the others (Pisinger, A minimal algorithm for the multiple-choice
knapsack problem, EJOR 1995).
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np

from coinfer.solver.certificate.knapsack import KnapsackProof
from coinfer.solver.interrupt import interrupt_sets
from coinfer.solver.knapsack.branch import search_branches
from coinfer.solver.knapsack.careful import rescaled, settled
from coinfer.solver.knapsack.core import Found, Task, improved
from coinfer.solver.knapsack.ends import both_ends, enclose
from coinfer.solver.knapsack.fill import Filled, fill
from coinfer.solver.knapsack.items import items_of
from coinfer.solver.knapsack.plan import ENGINE, Plan, plan_of
from coinfer.solver.knapsack.price import Bracket, bracket, sample
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.knapsack.scan import OutOfRange, Reader, Stopped, Watch
from coinfer.solver.knapsack.survivors import Survivors, sharper, survivors
from coinfer.solver.limits import Limits
from coinfer.solver.progress import OnProgress, Progress, Stop
from coinfer.solver.result import Status

MOST_STATES = 1 << 16
"""States of the exact search at a time."""
MOST_FIRST = 1 << 14
"""Options that are looked at for a better choice before the others are read."""
MOST_LEFT = 1 << 18
"""Options that the exact search goes through at most."""

BLURRED = 1e-11
"""Share of the value that the margin for rounding may be, before the bound is counted more sharply."""
WHOLE_MARGIN = 0.1
"""The same where values are whole numbers, in units."""


def solve_single(
    program: MultipleChoiceKnapsack,
    *,
    limits: Limits | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
    most_states: int = MOST_STATES,
    with_core: bool = True,
) -> KnapsackResult:
    """Maximise the value of a choice within one budget.

    Parameters
    ----------
    program
        With one resource.
    limits
        ``time_s``; ``nodes`` counts the states of the exact search; with a ``relative_gap`` or an ``absolute_gap`` the
        solve ends as soon as that is proven.
    stop
        Ends the solve soon; it keeps what it has.
    on_progress
        Called with the value and the upper bound of the plan before the exact search, and at the end.
    most_states
        States of the exact search at a time; above it no proof is possible and a few more choices are tried.
    with_core
        False: no exact search, only the plan and its bound.

    Raises
    ------
    InputError
        For menus that are not what :class:`~coinfer.solver.knapsack.program.Block` says.
    """
    if program.menus.resources != 1:
        raise ValueError(f"{program.menus.resources} budgets, and this solves one")
    stop = stop or Stop()
    watch = Watch(began=time.perf_counter(), limits=limits or Limits(), stop=stop)
    with interrupt_sets(stop), np.errstate(all="ignore"):
        try:
            result = _within_range(program, watch, on_progress, most_states if with_core else None)
            if with_core:
                result = settled(program, result, watch, most_states)
                _report(on_progress, watch, result.value, result.bound)
        except Stopped as stopped:
            result = _nothing(watch, Status.UNSOLVED, str(stopped), None)
    return replace(result, seconds=watch.seconds)


def _within_range(
    program: MultipleChoiceKnapsack, watch: Watch, on_progress: OnProgress | None, most_states: int | None
) -> KnapsackResult:
    """Solve, in other units where numbers are not safe as floats."""
    try:
        return _solve(program, watch, on_progress, most_states)
    except OutOfRange:
        return rescaled(program, watch, lambda scaled: _solve(scaled, watch, None, most_states))


def _solve(
    program: MultipleChoiceKnapsack, watch: Watch, on_progress: OnProgress | None, most_states: int | None
) -> KnapsackResult:
    """Solve; without ``most_states`` there is no exact search."""
    reader = Reader(program.menus, watch)
    budget = float(program.budget[0])
    filled = _plan(reader, budget)
    if filled is None:
        proof = KnapsackProof(prices=(1.0,), shows="infeasible")
        return _nothing(watch, Status.INFEASIBLE, None, proof)
    plan = plan_of(filled)
    tolerance = _tolerance(watch.limits, float(plan.value))
    if filled.price == 0.0:  # the budget does not bind
        return plan.result(watch, plan.value, None, filled.fits, core=False, closed=True)
    try:
        left = _left(reader, plan, budget)
    except Stopped as stopped:
        return plan.result(watch, None, str(stopped), filled.fits, core=False, closed=False)
    bound = Fraction(math.floor(left.bound) if left.whole else left.bound)
    if plan.value < 0:  # a better choice is smaller in size, and so is the gap that is asked for then
        tolerance = _tolerance(watch.limits, min(0.0, float(bound)))
    tolerance = max(tolerance, 0.0 if left.whole else 2.0 * left.margin)
    rounded = bound < left.bound
    if bound - plan.value <= tolerance:
        return plan.result(watch, bound, None, filled.fits, core=rounded, closed=True)
    task = _task(plan, left, tolerance, most_states or 0, None)
    found = improved(task)
    moves = filled.fits if found.moves is None else found.moves
    _report(on_progress, watch, float(plan.base + Fraction(found.best)), float(bound))
    closed = bound - plan.base - Fraction(found.best) <= tolerance
    if closed or most_states is None:
        return plan.result(watch, bound, None, moves, core=rounded, closed=closed)
    try:
        left = _nearer(reader, plan, budget, left, task.room - found.best)
    except Stopped as stopped:
        return plan.result(watch, bound, str(stopped), moves, core=rounded, closed=False)
    found = _searched(_task(plan, left, tolerance, most_states, found), left, found, watch)
    moves = filled.fits if found.moves is None else found.moves
    bound = min(bound, plan.base + Fraction(found.room))
    bound = Fraction(math.floor(bound)) if left.whole else bound
    return plan.result(watch, bound, found.limit, moves, core=True, closed=found.limit is None)


def _task(plan: Plan, left: Survivors, tolerance: float, most_states: int, found: Found | None) -> Task:
    room = math.nextafter(float(Fraction(left.bound) - plan.base), math.inf)
    best = float(plan.fitted) if found is None else found.best
    return Task(
        filled=plan.filled,
        items=items_of(plan.filled, left, room - best),
        room=room,
        best=best,
        tolerance=tolerance,
        most_states=most_states,
    )


def _searched(task: Task, left: Survivors, found: Found, watch: Watch) -> Found:
    """Search exactly; where that has to refuse choices of more copies than there are, again without these."""
    moves = found.moves
    found = search_branches(task, found, watch)
    if found.limit is not None and task.items.loose:
        moves, room = moves if found.moves is None else found.moves, found.room
        items = items_of(task.filled, left, task.room - found.best, strict=True)
        start = Found(moves=None, best=found.best, room=task.room, states=found.states)
        found = search_branches(replace(task, items=items, best=found.best), start, watch)
        found.room = min(found.room, max(room, found.best))
    found.moves = moves if found.moves is None else found.moves
    return _with_rest(found, task.room - left.loss_cap, task.tolerance)


def _plan(reader: Reader, budget: float) -> Filled | None:
    """Return the plan by slopes; ``None`` where even the cheapest options take more than the budget."""
    if budget == -math.inf:
        return None
    if budget == math.inf:
        return _unlimited(reader)
    ends = enclose(reader, bracket(sample(reader), reader.menus.rows, budget), budget)
    return None if ends.high_cost > Fraction(budget) else fill(ends, budget)


def _unlimited(reader: Reader) -> Filled:
    ends = both_ends(reader, Bracket(low=0.0, high=0.0), 0)
    return Filled(
        price=0.0,
        option=ends.option,
        value=ends.value,
        cost=ends.cost,
        copies=ends.copies,
        split=None,
        slack=Fraction(0),
        fits=(),
    )


def _left(reader: Reader, plan: Plan, budget: float) -> Survivors:
    """Return the options of least loss that could be part of a better choice: enough for a first look."""
    filled = plan.filled
    loss_cap = max(filled.price * float(filled.slack) - float(plan.fitted), 0.0) * (1.0 + 1e-9) + 1e-13 * plan.size
    return _survivors(reader, plan, budget, loss_cap, MOST_FIRST)


def _nearer(reader: Reader, plan: Plan, budget: float, left: Survivors, gap: float) -> Survivors:
    """Return the options that lose less than ``gap``, as far as they are not too many."""
    if left.loss_cap >= gap:
        return left
    most = MOST_LEFT if plan.filled.copies is None else MOST_LEFT >> 3
    return _survivors(reader, plan, budget, 1.001 * gap + 4.0 * left.blur, most)


def _survivors(reader: Reader, plan: Plan, budget: float, loss_cap: float, most: int) -> Survivors:
    """Return the options left and the bound, which takes one more pass where rounding makes up much of it."""
    left = survivors(reader, plan.filled, budget, loss_cap, most)
    if left.margin <= BLURRED * abs(float(plan.value)) and not (left.whole and left.margin > WHOLE_MARGIN):
        return left
    price, split = Fraction(plan.filled.price), plan.filled.split
    base = plan.base + price * plan.filled.slack
    if split is not None:  # the choices are counted without it
        base -= split.count * (split.gain - price * split.cost)
    return sharper(reader, plan.filled, base, left)


def _with_rest(found: Found, room: float, tolerance: float) -> Found:
    """Take account of the options that were left out: a choice with one of them gains at most ``room``."""
    if room > max(found.best + tolerance, found.room):
        found.room, found.limit = room, found.limit or "states"
    return found


def _tolerance(limits: Limits, value: float) -> float:
    return max(limits.absolute_gap, limits.relative_gap * max(abs(value), 1e-9))


def _report(on_progress: OnProgress | None, watch: Watch, value: float, bound: float) -> None:
    if on_progress is not None:
        on_progress(Progress(seconds=watch.seconds, value=value, bound=bound, nodes=None))


def _nothing(watch: Watch, status: Status, limit: str | None, proof: KnapsackProof | None) -> KnapsackResult:
    return KnapsackResult(
        status=status,
        limit=limit,
        taken=None,
        value=-math.inf,
        cost=np.full(1, np.nan),
        bound=-math.inf if status is Status.INFEASIBLE else math.inf,
        proof=proof,
        seconds=watch.seconds,
        engine=ENGINE,
    )
