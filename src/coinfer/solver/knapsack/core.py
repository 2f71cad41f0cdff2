"""The exact search over the options left: dynamic programming over undominated sums of cost and gain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.knapsack.fill import Filled, Move
from coinfer.solver.knapsack.items import Items, rounding
from coinfer.solver.knapsack.rest import SAFE, Rest, rest_of
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.knapsack.swaps import improve
from coinfer.solver.program import FloatArray, IntArray

BEAM = 512
"""States kept for better choices once there were too many for a proof."""
BEAM_ITEMS = 64
"""Items gone through with these."""
MOST_KEPT = 1 << 23
"""Places in the record of how states came about, of 6 bytes each."""
MOST_MADE = 64
"""States made in all, as a multiple of those at a time, before there are too many for a proof."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """What the search starts from.

    Attributes
    ----------
    filled
        The choice that the items change.
    items
        The changes.
    room
        Bound less the value of that choice, rounding included.
    best
        Value that the best choice known gains on it.
    tolerance
        Gap at which the search may stop.
    most_states
        Most states at a time.
    """

    filled: Filled
    items: Items
    room: float
    best: float
    tolerance: float
    most_states: int


@dataclass(slots=True, kw_only=True)
class Found:
    """What the search found.

    Attributes
    ----------
    moves
        Changes to the choice it started from; ``None`` where it found none better than the best known.
    best
        What they gain.
    room
        No choice gains more than this.
    limit
        Which limit stopped it: ``states``, ``nodes``, ``time``, ``interrupt``; ``None`` where all is gone through.
    states
        States made.
    """

    moves: tuple[Move, ...] | None
    best: float
    room: float
    limit: str | None = None
    states: int = 0


@dataclass(slots=True, kw_only=True)
class _States:
    """Undominated sums: by rising cost and gain; and how each came about."""

    cost: IntArray
    gain: FloatArray
    loss: FloatArray
    trail: list[tuple[int, NDArray[np.int32], NDArray[np.int16]]] = field(default_factory=list)
    kept: int = 0


def improved(task: Task, *, pairs: bool = True) -> Found:
    """Look for a few changes that use up the slack."""
    found = Found(moves=None, best=task.best, room=task.room)
    swap = improve(task.items, task.room, task.best, task.tolerance, pairs=pairs)
    moves = tuple(task.items.changes.move(place) for place in swap.places)
    if swap.gain > found.best and sum(move.count * move.cost for move in moves) <= task.filled.slack:
        found.moves, found.best = moves, swap.gain
    return found


def search_core(task: Task, found: Found, watch: Watch) -> Found:
    """Go through the items until nothing can be better than the best choice found, or a limit is hit."""
    items = task.items
    blur = rounding(items, task.filled.price)
    room = task.room + blur - (task.filled.price * items.waste * SAFE if items.complete else 0.0)
    states = _States(cost=np.zeros(1, dtype=np.int64), gain=np.zeros(1), loss=np.zeros(1))
    lost = -math.inf if items.complete else task.room
    beam_from: int | None = None
    most_made = found.states + MOST_MADE * task.most_states
    for number, key in enumerate(items.key.tolist()):
        if room - key <= _threshold(task, found):
            break  # the items are in order of their least loss: no later one is of use either
        found.limit = watch.hit() or _cap(task, watch, states, found)
        if found.limit is not None or (beam_from is not None and number - beam_from >= BEAM_ITEMS):
            lost = max(lost, float((room - states.loss).max()))
            break
        if number & (number + 1) == 0:  # at 0, 1, 3, 7 ...: between these the curves of more items are still true
            rest = rest_of(items, task.filled.price, number + 1, room - _threshold(task, found))
        potential = _extend(task, states, number, room, rest, found)
        if not len(states.cost):
            break
        _take_best(task, states, found)
        many = found.states > most_made or len(states.cost) > task.most_states
        if len(states.cost) > BEAM and (many or beam_from is not None):
            beam_from = number if beam_from is None else beam_from
            lost = max(lost, _narrow(states, potential, min(max(1, task.most_states), BEAM)))
    by_grain = items.grain * (1.0 - 1e-6) > task.tolerance  # what is not above the best by a grain is not above it
    closed = found.best + (0.0 if by_grain else max(task.tolerance, blur))
    found.room = min(task.room, max(closed, lost))
    found.limit = None if found.room <= closed else found.limit or "states"
    return found


def _threshold(task: Task, found: Found) -> float:
    """Return the gain up to which a choice is of no interest: one better by a grain, or by the tolerance, would be."""
    return found.best + max(task.tolerance, task.items.grain * (1.0 - 1e-6))


def _cap(task: Task, watch: Watch, states: _States, found: Found) -> str | None:
    if watch.limits.nodes is not None and found.states >= watch.limits.nodes:
        return "nodes"
    return "states" if task.most_states < 1 or states.kept > MOST_KEPT else None


def _extend(task: Task, states: _States, number: int, room: float, rest: Rest, found: Found) -> FloatArray:
    """Let every state make one change of the item, or none; return the most that each undominated state can gain."""
    items = task.items
    own = slice(int(items.first[number]), int(items.first[number + 1]))
    useful = np.flatnonzero(room - items.loss[own] > _threshold(task, found)) + own.start
    size = len(states.cost)
    cost = np.concatenate([states.cost, (states.cost + items.cost[useful, None]).ravel()])
    loss = np.concatenate([states.loss, (states.loss + items.loss[useful, None]).ravel()])
    found.states += len(cost) - size
    left = (items.slack - cost) * items.unit
    if not items.exact:
        blur = 2.0 * len(items.key) * items.unit
        left = np.sign(left) * np.maximum(np.abs(left) - blur, 0.0)
    potential = room - loss - rest.loss(left)
    keep = np.flatnonzero(potential > _threshold(task, found))
    change, parent = np.divmod(keep, size)
    steps = np.concatenate([[0.0], items.gain[useful]])
    gain = states.gain[parent] + steps[change]
    order = np.lexsort((-gain, cost[keep]))
    sorted_gain = gain[order]
    before = np.maximum.accumulate(sorted_gain)
    order = order[np.concatenate([[True], sorted_gain[1:] > before[:-1]])[: len(order)]]
    kept = keep[order]
    states.cost, states.gain, states.loss = cost[kept], gain[order], loss[kept]
    codes = np.concatenate([[-1], useful - own.start])[change[order]]
    states.trail.append((own.start, parent[order].astype(np.int32), codes.astype(np.int16)))
    states.kept += len(order)
    best: FloatArray = potential[kept]
    return best


def _narrow(states: _States, potential: FloatArray, most: int) -> float:
    """Keep the states that could gain most; return the most that one of the others could."""
    order = np.argpartition(-potential, most)
    kept, dropped = np.sort(order[:most]), order[most:]
    states.cost, states.gain, states.loss = states.cost[kept], states.gain[kept], states.loss[kept]
    begin, parent, code = states.trail[-1]
    states.trail[-1] = (begin, parent[kept], code[kept])
    return float(potential[dropped].max())


def _take_best(task: Task, states: _States, found: Found) -> None:
    """Take the best state that keeps the budget, where it is better than the best choice known."""
    place = int(np.searchsorted(states.cost, task.items.slack, side="right")) - 1
    for tried in range(place, max(place - 4, -1), -1):
        if states.gain[tried] <= found.best:
            return
        moves = _moves(task.items, states, tried)
        if sum(move.count * move.cost for move in moves) <= task.filled.slack:
            found.moves = moves
            found.best = float(states.gain[tried])
            return


def _moves(items: Items, states: _States, place: int) -> tuple[Move, ...]:
    """Return the changes that led to a state."""
    moves = []
    for begin, parent, code in reversed(states.trail):
        if code[place] >= 0:
            moves.append(begin + int(code[place]))
        place = int(parent[place])
    return tuple(items.changes.move(at) for at in moves)
