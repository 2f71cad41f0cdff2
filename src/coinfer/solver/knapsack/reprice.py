"""The items without one of them, counted anew from the choice at their own critical price."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from coinfer.solver.knapsack.changes import Changes
from coinfer.solver.knapsack.core import Task
from coinfer.solver.knapsack.fill import Move
from coinfer.solver.knapsack.items import Items, carried, ordered
from coinfer.solver.knapsack.price import Point, tangent
from coinfer.solver.program import FloatArray, IntArray

STEPS = 60
"""Most tangent steps towards the critical price."""
SMALL = 1e-13
"""Share of the sums at hand that covers their rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Moves already made, what they gain, and the task of what is left, which counts from the choice after them."""

    moves: tuple[Move, ...]
    gained: float
    task: Task

    @property
    def room(self) -> float:
        """Most that can be gained below this node, counted from the first choice."""
        return self.gained + self.task.room


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Open:
    """Items still to be chosen from: each may be left alone, at no cost and no gain."""

    begin: IntArray
    group: IntArray
    cost: FloatArray
    gain: FloatArray


def repriced(node: Node, choice: int | None, best: float) -> Node | None:
    """Fix the first item to the change at place ``choice`` (``None``: to no change) and price the others anew.

    Returns ``None`` where no choice below is feasible, or none can gain more than ``best``.
    """
    task, items = node.task, node.task.items
    later = int(items.first[1])
    slack = (items.slack - (0 if choice is None else int(items.cost[choice]))) * items.unit
    left = _Open(
        begin=items.first[1:-1] - later,
        group=np.repeat(np.arange(len(items.key) - 1), np.diff(items.first[1:])),
        cost=np.multiply(items.cost[later:], items.unit, dtype=np.float64),
        gain=items.gain[later:],
    )
    price, taken = _critical(left, slack)
    if taken is None:
        return None
    best_net = np.maximum(_most(left, left.gain - price * left.cost), 0.0)
    size = float(best_net.sum()) + abs(price * slack) + abs(float(items.gain[taken + later].sum()))
    bound = float(best_net.sum()) + price * slack + SMALL * size
    first = [] if choice is None else [choice]
    fixed = float(items.gain[first].sum())
    if node.gained + fixed + bound <= best:
        return None
    places = [*first, *(taken + later).tolist()]
    moves = tuple(items.changes.move(place) for place in places)
    gained = float(items.gain[places].sum())
    room = fixed + bound - gained
    filled = replace(task.filled, price=price, slack=task.filled.slack - _taken(moves))
    useful = room - (best - node.gained - gained)
    own = _recounted(items, later, taken + later, price, useful)
    slack, slack_low = items.slack - int(items.cost[places].sum()), items.slack_low - int(items.low[places].sum())
    slack, slack_low = slack + (slack_low >> items.low_bits), slack_low & ((1 << items.low_bits) - 1)
    own = replace(own, slack=slack, slack_low=slack_low)
    return Node(
        moves=node.moves + moves,
        gained=node.gained + gained,
        task=replace(
            task, filled=filled, items=own, room=room, best=best - node.gained - gained, made=task.made + moves
        ),
    )


def _taken(moves: tuple[Move, ...]) -> Fraction:
    return sum((move.count * move.cost for move in moves), Fraction(0))


def _most(left: _Open, net: FloatArray) -> FloatArray:
    """Return the greatest entry of each item."""
    most: FloatArray = np.maximum.reduceat(net, left.begin) if len(net) else net
    return most


def _critical(left: _Open, slack: float) -> tuple[float, IntArray | None]:
    """Return the critical price and the changes taken at its upper side; ``None`` where not even the least fits."""
    low, high = _at(left, 0.0), _at(left, math.inf)
    if low[0].cost <= slack:
        return 0.0, low[1]
    if high[0].cost > slack:
        return 0.0, None
    for _ in range(STEPS):
        price = tangent(low[0], high[0])
        own = _at(left, price)
        old = low[0].value - price * low[0].cost
        if not 0.0 < price < math.inf or own[0].value - price * own[0].cost <= old + 1e-14 * abs(old):
            break
        low, high = (low, own) if own[0].cost <= slack else (own, high)
    return tangent(low[0], high[0]), high[1]


def _at(left: _Open, price: float) -> tuple[Point, IntArray]:
    """Return what is gained and taken at a price, and by which changes: of equal ones by the cheapest."""
    net = -left.cost if price == math.inf else left.gain - price * left.cost
    most = _most(left, net)
    tied = net >= most[left.group]
    second = left.gain if price == math.inf else -left.cost
    top = _most(left, np.where(tied, second, -np.inf))
    places = np.flatnonzero(tied & (second >= top[left.group]))
    item = left.group[places]
    places = places[np.concatenate([[True], item[1:] != item[:-1]])[: len(places)]]
    places = places[(net[places] > 0.0) | ((net[places] == 0.0) & (second[places] > 0.0))]
    value, cost = float(left.gain[places].sum()), float(left.cost[places].sum())
    return Point(price=price, value=value, cost=cost), places


def _recounted(items: Items, later: int, taken: IntArray, price: float, useful: float) -> Items:
    """Return the items from place ``later`` on, as changes of the choice that takes the changes ``taken``."""
    changes = items.changes
    now = np.full(int(changes.item.max(initial=0)) + 1, -1)
    now[changes.item[taken]] = taken
    others = np.setdiff1d(np.arange(later, len(items.cost)), taken, assume_unique=True)
    before = now[changes.item[others]]
    moved = before >= 0
    base_cost, base_gain, base_low = np.append(items.cost, 0), np.append(items.gain, 0.0), np.append(items.low, 0)
    low = np.concatenate([items.low[others] - base_low[before], -items.low[taken]])
    cost = np.concatenate([items.cost[others] - base_cost[before], -items.cost[taken]])
    gain = np.concatenate([items.gain[others] - base_gain[before], -items.gain[taken]])
    forth, back = changes.pick(others), changes.pick(taken)
    from_end = changes.pick(before)
    forth = replace(
        forth,
        start=np.where(moved, from_end.end, forth.start),
        start_value=np.where(moved, from_end.end_value, forth.start_value),
        start_cost=np.where(moved, from_end.end_cost, forth.start_cost),
    )
    back = replace(
        back,
        start=back.end,
        start_value=back.end_value,
        start_cost=back.end_cost,
        end=back.start,
        end_value=back.start_value,
        end_cost=back.start_cost,
    )
    both = Changes(**{name: np.concatenate([getattr(forth, name), getattr(back, name)]) for name in Changes.__slots__})
    cost, low = carried(cost, low, items.low_bits) if items.low_bits else (cost, low)
    loss = np.maximum(price * items.unit * cost - gain, 0.0)
    keep = np.flatnonzero(loss < useful)
    return _in_order(
        replace(items, cost=cost[keep], low=low[keep], gain=gain[keep], loss=loss[keep]), both.pick(keep), useful
    )


def _in_order(items: Items, changes: Changes, useful: float) -> Items:
    """Return the items with these changes, in order of their least loss."""
    loss = items.loss
    key = np.full(int(changes.item.max(initial=0)) + 1, np.inf)
    np.minimum.at(key, changes.item, loss)
    places, key = ordered(changes.item, key, items.cost, useful)
    rank = np.empty(len(places), dtype=np.int64)
    rank[places] = np.arange(len(places))
    order = np.lexsort((loss, rank[changes.item]))
    changes = changes.pick(order)
    new = np.concatenate([[True], changes.item[1:] != changes.item[:-1]])[: len(order)]
    begin = np.flatnonzero(new)
    return replace(
        items,
        changes=replace(changes, item=np.cumsum(new) - 1),
        first=np.append(begin, len(order)),
        key=key[: len(begin)],
        cost=items.cost[order],
        low=items.low[order],
        gain=items.gain[order],
        loss=loss[order],
        waste=0.0,
    )
