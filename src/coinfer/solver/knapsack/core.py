"""The exact search over the options left: dynamic programming over undominated sums of cost and gain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coinfer.solver.knapsack.fill import Filled, Move
from coinfer.solver.knapsack.items import Items, carried, rounding
from coinfer.solver.knapsack.rest import SAFE, Rest, rest_of
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.knapsack.states import States, last_within, moves_to, narrow, rises, thin
from coinfer.solver.knapsack.survivors import EPSILON
from coinfer.solver.knapsack.swaps import improve
from coinfer.solver.program import FloatArray

BEAM = 512
"""States kept for better choices once there were too many for a proof."""
BEAM_ITEMS = 64
"""Items gone through with these."""
MOST_KEPT = 1 << 23
"""Places in the record of how states came about, of 6 bytes each."""
MOST_MERGED = 1024
"""Items at which sums that are as good as equal are merged."""
THINNED = 0.1
"""Share of the gap that merging further sums may cost, so that there are not too many."""
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
    made
        Changes already made to it, of items that are no longer there.
    """

    filled: Filled
    items: Items
    room: float
    best: float
    tolerance: float
    most_states: int
    made: tuple[Move, ...] = ()

    def allows(self, moves: tuple[Move, ...]) -> bool:
        """Tell whether changes keep the budget, and take no more copies than there are."""
        if sum(move.count * move.cost for move in moves) > self.filled.slack:
            return False
        if not self.items.loose:
            return True
        split = () if self.filled.split is None else (self.filled.split,)
        counts: dict[tuple[int, int], int] = {}
        for move in (*split, *self.made, *moves):
            counts[move.row, move.start] = counts.get((move.row, move.start), 0) - move.count
            counts[move.row, move.end] = counts.get((move.row, move.end), 0) + move.count
        option = self.filled.option
        return all(
            count >= -(self.filled.count(row) if own == int(option[row]) else 0) for (row, own), count in counts.items()
        )


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


def improved(task: Task, *, brief: bool = False) -> Found:
    """Look for a few changes that use up the slack."""
    found = Found(moves=None, best=task.best, room=task.room)
    swap = improve(task.items, task.room, task.best, task.tolerance, brief=brief)
    moves = tuple(task.items.changes.move(place) for place in swap.places)
    if swap.gain > found.best and task.allows(moves):
        found.moves, found.best = moves, swap.gain
    return found


def search_core(task: Task, found: Found, watch: Watch, made: int = MOST_MADE) -> Found:
    """Go through the items until nothing can be better than the best choice found, or a limit is hit.

    ``made`` is the number of states to be made, as a multiple of those at a time.
    """
    items = task.items
    blur = rounding(items, task.filled.price)
    room = task.room + blur - (task.filled.price * items.waste * SAFE if items.complete else 0.0)
    none = np.zeros(1, dtype=np.int64)
    states = States(cost=none, low=none, gain=np.zeros(1), loss=np.zeros(1), step=_step(task))
    lost = -math.inf if items.complete else task.room
    beam_from: int | None = None
    most_made = found.states + made * task.most_states
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
        if len(states.cost) > task.most_states and beam_from is None:
            many = (
                not thin(states, task.most_states, THINNED * (room - _threshold(task, found)))
                or found.states > most_made
            )
        if len(states.cost) > BEAM and (many or beam_from is not None):
            beam_from = number if beam_from is None else beam_from
            lost = max(lost, narrow(states, potential, min(max(1, task.most_states), BEAM)))
    if len(states.cost):  # what looked like a better choice and was none hides those that it dominates
        last = last_within(items, states)
        lost = max(lost, float(states.gain[last]) if last >= 0 else lost)
    by_grain = items.grain * (1.0 - 1e-6) > task.tolerance  # what is not above the best by a grain is not above it
    closed = found.best + (0.0 if by_grain else max(task.tolerance, blur))
    lost = max(lost, found.best if by_grain else _threshold(task, found)) + states.merged
    found.room = min(task.room, closed if lost <= closed else lost)
    found.limit = None if found.room <= closed else found.limit or "states"
    return found


def _threshold(task: Task, found: Found) -> float:
    """Return the gain up to which a choice is of no interest: one better by a grain, or by the tolerance, would be.

    Half of the tolerance is left to sums that are merged.
    """
    return found.best + max(0.5 * task.tolerance, task.items.grain * (1.0 - 1e-6))


def _step(task: Task) -> float:
    """Return the difference in gain below which sums are merged at an item: so small that all remain in the tolerance.

    Decimals make this worth it: sums that are equal in them differ in their last bits as floats.
    """
    step = 0.25 * task.tolerance / min(len(task.items.key) + 1, MOST_MERGED)
    return 0.0 if task.items.grain > 0.0 or step < 8.0 * EPSILON * abs(task.room) else step


def _cap(task: Task, watch: Watch, states: States, found: Found) -> str | None:
    if watch.limits.nodes is not None and found.states >= watch.limits.nodes:
        return "nodes"
    return "states" if task.most_states < 1 or states.kept > MOST_KEPT else None


def _extend(task: Task, states: States, number: int, room: float, rest: Rest, found: Found) -> FloatArray:
    """Let every state make one change of the item, or none; return the most that each undominated state can gain."""
    items = task.items
    own = slice(int(items.first[number]), int(items.first[number + 1]))
    useful = np.flatnonzero(room - items.loss[own] > _threshold(task, found)) + own.start
    size = len(states.cost)
    cost = np.concatenate([states.cost, (states.cost + items.cost[useful, None]).ravel()])
    loss = np.concatenate([states.loss, (states.loss + items.loss[useful, None]).ravel()])
    low = states.low
    if items.low_bits:
        low = np.concatenate([low, (low + items.low[useful, None]).ravel()])
        cost, low = carried(cost, low, items.low_bits)
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
    order = np.argsort(cost[keep], kind="stable")  # sorted runs are merged, which is faster than to sort by gain too
    if (np.diff(cost[keep[order]]) == 0).any():
        order = np.lexsort((-gain, low[keep], cost[keep]) if items.low_bits else (-gain, cost[keep]))
    step = states.step if number < MOST_MERGED else 0.0
    states.merged += step
    order = order[rises(gain[order], step)]
    kept = keep[order]
    states.cost, states.gain, states.loss = cost[kept], gain[order], loss[kept]
    states.low = low[kept] if items.low_bits else low
    codes = np.concatenate([[-1], useful - own.start])[change[order]]
    states.trail.append((own.start, parent[order].astype(np.int32), codes.astype(np.int16)))
    states.kept += len(order)
    best: FloatArray = potential[kept]
    return best


def _take_best(task: Task, states: States, found: Found) -> None:
    """Take the best state that keeps the budget, where it is better than the best choice known."""
    place = last_within(task.items, states)
    for tried in range(place, max(place - 4, -1), -1):
        if states.gain[tried] <= found.best:
            return
        moves = moves_to(task.items, states, tried)
        if task.allows(moves):
            found.moves = moves
            found.best = float(states.gain[tried])
            return
