"""Undominated sums of cost and gain, as the exact search keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.knapsack.fill import Move
from coinfer.solver.knapsack.items import Items
from coinfer.solver.knapsack.survivors import EPSILON
from coinfer.solver.program import FloatArray, IntArray


@dataclass(slots=True, kw_only=True)
class States:
    """Undominated sums: by rising cost and gain; and how each came about.

    Attributes
    ----------
    cost, low, gain, loss
        (states,): as of the items; ``low`` is one 0 where it says nothing.
    step
        Difference in gain below which sums are merged at an item.
    trail
        For every item where its changes begin, and of every sum kept there the sum that it came from and the change
        made (-1: none).
    kept
        Entries of the trail.
    merged
        Most that a choice which was merged with another gains on it.
    """

    cost: IntArray
    low: IntArray
    gain: FloatArray
    loss: FloatArray
    step: float = 0.0
    trail: list[tuple[int, NDArray[np.int32], NDArray[np.int16]]] = field(default_factory=list)
    kept: int = 0
    merged: float = 0.0


def rises(gain: FloatArray, step: float) -> IntArray:
    """Return where a gain is above all before it, in whole steps where ``step`` is above 0."""
    level = np.floor(gain / step) if step > 0.0 else gain
    before = np.maximum.accumulate(level)
    return np.flatnonzero(np.concatenate([[True], level[1:] > before[:-1]])[: len(level)])


def pick(states: States, kept: IntArray) -> None:
    """Keep the sums at the places ``kept``."""
    states.cost, states.gain, states.loss = states.cost[kept], states.gain[kept], states.loss[kept]
    states.low = states.low[kept] if len(states.low) > 1 else states.low
    begin, parent, code = states.trail[-1]
    states.trail[-1] = (begin, parent[kept], code[kept])


def narrow(states: States, potential: FloatArray, most: int) -> float:
    """Keep the states that could gain most; return the most that one of the others could."""
    order = np.argpartition(-potential, most)
    pick(states, np.sort(order[:most]))
    return float(potential[order[most:]].max())


def thin(states: States, size: int, most: float) -> bool:
    """Merge sums whose gains are close until half of ``size`` are left, at no more than ``most``; tell whether so."""
    reach = float(states.gain[-1] - states.gain[0])
    step = reach / (16.0 * size)
    while states.merged + step <= most and step > 8.0 * EPSILON * reach:
        kept = rises(states.gain, step)
        if 2 * len(kept) <= size:
            states.merged += step
            pick(states, kept)
            return True
        step *= 2.0
    return False


def last_within(items: Items, states: States) -> int:
    """Return the place of the dearest sum within the budget, -1 without one."""
    place = int(np.searchsorted(states.cost, items.slack, side="right")) - 1
    if items.low_bits:
        first = int(np.searchsorted(states.cost, items.slack, side="left"))
        place = first + int(np.searchsorted(states.low[first : place + 1], items.slack_low, side="right")) - 1
    return place


def moves_to(items: Items, states: States, place: int) -> tuple[Move, ...]:
    """Return the changes that led to a state."""
    moves = []
    for begin, parent, code in reversed(states.trail):
        if code[place] >= 0:
            moves.append(begin + int(code[place]))
        place = int(parent[place])
    return tuple(items.changes.move(at) for at in moves)
