"""Closing the gap that a choice made by repair leaves: exact search near to the prices, then branch and cut."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.knapsack.base import Base, Choice, choice_of, chosen_of, losses_of
from coinfer.solver.knapsack.halves import Candidates, candidates
from coinfer.solver.knapsack.listed import fits, listed
from coinfer.solver.knapsack.plan import rounded_up
from coinfer.solver.knapsack.repair import feasible_choice, polished
from coinfer.solver.knapsack.restricted import search
from coinfer.solver.knapsack.run import Run
from coinfer.solver.knapsack.sweep import Sweep
from coinfer.solver.program import FloatArray

MOST_SUMS = 1 << 20
"""Sums that the exact search lists of each half of the rows."""
BLIND_SUMS, BLIND_GROWTH = 1 << 10, 8.0
"""The same while no choice is known, and the factor by which the shortfall grows then."""
FIRST = 16
"""Options that the exact search begins with."""
GROWTH = 1.3
"""Factor by which the shortfall grows that it looks for."""
FINEST = 1.15
"""Growth below which it is not tried in smaller steps."""
WIDER = 1.5
"""Factor by which the shortfall grows that choices are listed up to."""
NARROWER, MOST_FAILURES = 4.0, 12
"""What it is divided by where choices are too many, and how often."""
FEW = 64
"""Options up to which choices are listed although each row is there once."""
POLISHED = (100, 400, 1600)
"""Nearest options among which a choice is improved by local search, in turn."""
TRIED = 36
"""Nearest options of which all sums are tried, whatever they fall short by."""
ENOUGH = 1e-6
"""Relative gap below which branch and cut, which is slow, is not begun."""
CLOSED = 1e-9
"""Gap relative to the value that branch and cut, which is made of floats, may leave at its end."""
BRANCHED, NODES, FEWER_NODES = 400, 3000, 50
"""Options and nodes that branch and cut takes at most, and nodes where it cannot prove anything."""


def finish(run: Run, base: Base, found: Sweep) -> str | None:
    """Search for better choices and a lower bound; return what kept the gap open, ``None`` where it is closed."""
    slack = np.array([float(Fraction(own) - total) for own, total in zip(run.budget.tolist(), base.cost, strict=True)])
    blur = _blur(base, slack)
    losses = np.sort(base.loss[_others(base)])
    room = float(losses[min(FIRST, len(losses) - 1)]) + 4.0 * blur if len(losses) else 4.0 * blur
    if _listable(base):
        _by_list(run, base, found, room, MOST_FAILURES)
        if run.closed:
            return None
    growth, most = (GROWTH, MOST_SUMS) if run.choice is not None else (BLIND_GROWTH, BLIND_SUMS)
    while True:
        gap = _gap(run, found)
        last = room >= gap
        room = min(room, gap + blur)
        if room > found.reach or run.watch.hit() is not None:
            break
        listed = candidates(base, slack, room + 2.0 * blur, most, run.watch)
        if listed is None:
            if growth < FINEST or run.watch.hit() is not None:
                break
            room /= growth
            growth = 1.0 + (growth - 1.0) / 3.0
            room *= growth
            continue
        best = _best(base, listed, run.budget, blur)
        if best is not None:
            run.offer(best)
            if len(listed.changes) < 256 or listed.shortfall[-1] > listed.shortfall[0] + 2.0 * blur:
                run.core(rounded_up(best.value))
                run.prove()
            return None if run.closed else "states"
        if listed.changes:  # all of them exceed a budget by less than rounding
            break
        if room > _largest(base, slack):
            break
        if last:
            run.core(found.bound if run.choice is None else rounded_up(run.choice.value))
            run.prove()
            return None if run.closed else "other"
        run.core(found.bound - room)
        if run.closed:
            return None
        room *= growth
    return _without_proof(run, base, slack, found, room)


def _listable(base: Base) -> bool:
    """Tell whether a list is worth a try: sums of both halves of the rows do better where each row is there once."""
    return bool((base.near.copies > 1).any()) or len(base.near.option) <= FEW


def _by_list(run: Run, base: Base, found: Sweep, room: float, most_failures: int) -> None:
    """List the choices that fall short of the bound by ever more, until there is one or they are too many."""
    blur = _blur(base, np.zeros(len(run.budget)))
    shown, failures = 0.0, 0
    while run.watch.hit() is None:
        gap = _gap(run, found)
        last = room >= gap
        room = min(room, gap) + 2.0 * blur
        part = _within(base, room + 2.0 * blur)
        result = None
        if room + 2.0 * blur <= found.reach and fits(part):
            result = listed(part, run.budget, found.bound, room)
            run.offer(result.choice)
        if result is None or not result.done:
            failures += 1
            room = shown + (room - shown) / NARROWER
            if failures == most_failures or room <= shown * FINEST:
                return
            continue
        if run.choice is not None and (last or result.choice is not None):
            run.core(rounded_up(run.choice.value))
            run.prove()
            return
        if last or room > 1e3 * abs(found.bound):
            return
        run.core(rounded_up(Fraction(found.bound) - Fraction(room)))
        shown, room = room, room * WIDER


def _others(base: Base) -> NDArray[np.bool_]:
    """Tell, for every option near, whether it is another one than the choice."""
    others = np.ones(len(base.loss), dtype=np.bool_)
    others[base.near.first[:-1]] = False
    return others


def _gap(run: Run, found: Sweep) -> float:
    """Return what the best choice falls short of the bound of the pass; without one, anything may."""
    return np.inf if run.choice is None else found.bound - float(run.choice.value)


def _blur(base: Base, slack: FloatArray) -> float:
    """Return far more than rounding can change in a shortfall."""
    near = base.near
    size = float(np.max(np.abs(near.value) + base.prices @ np.abs(near.cost), initial=0.0))
    return 1e-13 * (size + float(base.prices @ np.abs(slack)) + 1e-200)


def _best(base: Base, listed: Candidates, budget: FloatArray, blur: float) -> Choice | None:
    """Return the best choice listed; those that rounding makes look alike are compared by their exact sums."""
    best: Choice | None = None
    cap = np.inf
    for short, changes in zip(listed.shortfall.tolist(), listed.changes, strict=True):
        if short > cap:
            break
        counts = np.zeros(len(base.near.option), dtype=np.int64)
        counts[base.near.first[:-1]] = base.near.copies
        for place in changes:
            counts[place] += 1
            counts[base.near.first[base.near.row_of_option[place]]] -= 1
        choice = choice_of(base, counts, budget)
        if choice is not None:
            cap = min(cap, short + 2.0 * blur)
            if best is None or choice.value > best.value:
                best = choice
    return best


def _largest(base: Base, slack: FloatArray) -> float:
    """Return more than any choice of the options near can fall short of the bound."""
    near = base.near
    heads = near.first[:-1][near.row_of_option]
    less = base.prices @ np.maximum(near.cost[:, heads] - near.cost, 0.0)
    worst = np.maximum.reduceat(base.loss + less, near.first[:-1]) if len(near.row) else np.zeros(0)
    return float(worst @ near.copies + base.prices @ np.maximum(slack, 0.0)) * (1.0 + 1e-9)


def _without_proof(run: Run, base: Base, slack: FloatArray, found: Sweep, room: float) -> str | None:
    """Look for better choices among fewer options; where few are left in all, search them by branch and cut."""
    if run.choice is not None:
        for count in POLISHED:
            run.offer(polished(_nearest(base, count), run.budget, run.watch))
        part = _nearest(base, TRIED)
        while room < _gap(run, found) and not run.closed and run.watch.hit() is None:
            listed = candidates(part, slack, room, MOST_SUMS, run.watch)
            if listed is None:
                break
            if listed.changes:
                run.offer(_best(part, listed, run.budget, _blur(base, slack)))
                break
            room *= GROWTH
    if run.closed or run.watch.hit() is not None:
        return None if run.closed else run.watch.hit()
    return _branch(run, base, found)


def _nearest(base: Base, count: int) -> Base:
    losses = base.loss[_others(base)]
    cap = np.inf if len(losses) <= count else float(np.partition(losses, count)[count])
    return _within(base, cap)


def _within(base: Base, cap: float) -> Base:
    """Return the base with the near options whose loss is below ``cap``."""
    stays = (base.loss < cap) | ~_others(base)
    near = chosen_of(base.near, stays)
    return replace(base, near=near, loss=losses_of(near, base.prices))


def _branch(run: Run, base: Base, found: Sweep) -> str | None:
    """Search by branch and cut: all options that a better choice can have, or the nearest where those are many."""
    gap = _gap(run, found)
    if gap <= ENOUGH * abs(found.bound):
        return "states"
    cap = gap + _blur(base, np.zeros(len(run.budget)))
    complete = int((base.loss[_others(base)] < cap).sum()) <= BRANCHED and cap <= found.reach
    part = _within(base, cap) if complete else _nearest(base, BRANCHED // 2)
    known = feasible_choice(part, run.budget, run.watch)
    searched = search(part, run.budget, known, run.watch, NODES if complete else FEWER_NODES)
    run.offer(searched.choice)
    if complete and searched.bound < np.inf and run.choice is not None:
        if _listable(base):
            _by_list(run, base, found, max(0.0, _gap(run, found)), 1)
        if not run.closed:
            run.core(max(searched.bound, rounded_up(run.choice.value)))
            if searched.done and run.bound - float(run.choice.value) <= CLOSED * abs(float(run.choice.value)):
                run.prove()
    if run.closed or run.watch.hit() is not None:
        return None if run.closed else run.watch.hit()
    return "other" if run.choice is None else "states"
