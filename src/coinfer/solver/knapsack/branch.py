"""Branch on the item at which the budget is used up, and price what remains anew.

At the critical price one item stands between two of its changes. Where that step is long, the price says nothing about
the slack it leaves: the bound is far off, and thousands of small changes look useful. With that item fixed, the others
have a critical price of their own, under which few are.
"""

from __future__ import annotations

import math
from dataclasses import replace

from coinfer.solver.knapsack.core import Found, Task, improved, search_core
from coinfer.solver.knapsack.reprice import Node, repriced
from coinfer.solver.knapsack.scan import Watch

MOST_PRICED = 1 << 21
"""Changes priced anew in all; what is still open then goes to the exact search as it is."""
WORTH = 0.05
"""Share of a node's gap that its branches must take away for it to be branched."""
MOST_FAILURES = 2
"""Nodes of which the exact search may not see the end before the others are left open."""
MOST_TRIES = 6
"""Nodes that the exact search tries only briefly before they are branched although that promises little."""
TRY_MADE = 1
"""States then made, as a multiple of those at a time."""
FEW = 60
"""Items of which the exact search is sure to see the end."""


def search_branches(task: Task, found: Found, watch: Watch) -> Found:
    """Go through what is left, by branches where these have the better bound; see :func:`search_core`."""
    if not task.items.complete or task.most_states < 1:
        return search_core(task, found, watch)
    nodes = [Node(moves=(), gained=0.0, task=task)]
    lost, priced, failures, tries, limit = -math.inf, 0, 0, 0, None
    while nodes:
        node = nodes.pop()
        gap = node.room - found.best
        if gap <= task.tolerance:
            continue
        if failures > MOST_FAILURES:
            lost, limit = max(lost, node.room), "states"
            continue
        children = None
        if priced < MOST_PRICED and len(node.task.items.key) > FEW and watch.hit() is None:
            children = _children(node, found.best)
            priced += len(node.task.items.cost) * (1 + int(node.task.items.first[1]))
            if node.room - max((child.room for child in children), default=-math.inf) >= WORTH * gap:
                nodes += _begun(children, found)
                continue
        brief = children is not None and tries < MOST_TRIES
        own = search_core(node.task, _from(node, found), watch, *([TRY_MADE] if brief else []))
        found.states = own.states
        _take(node, own, found)
        tries += brief and own.limit == "states"
        failures += own.limit == "states" and not brief
        if own.limit == "states" and children is not None and failures <= MOST_FAILURES:
            nodes += _begun(children, found)
        else:
            lost, limit = max(lost, node.gained + own.room), limit or own.limit
    by_grain = task.items.grain * (1.0 - 1e-6) > task.tolerance  # as in the exact search
    closed = found.best + (0.0 if by_grain else task.tolerance)
    found.room = min(task.room, max(closed, lost))
    found.limit = None if found.room <= closed else limit
    return found


def _children(node: Node, best: float) -> list[Node]:
    """Return the branches of the node's first item that can still be of use."""
    items = node.task.items
    gap = node.room - best
    choices: list[int | None] = [None]
    choices += [place for place in range(int(items.first[1])) if items.loss[place] < gap]
    children = (repriced(node, choice, best) for choice in choices)
    return [child for child in children if child is not None]


def _begun(children: list[Node], found: Found) -> list[Node]:
    """Return the branches, the best last, after a first look for better choices in the best two."""
    children = sorted(children, key=lambda child: child.room)
    for child in children[-2:]:
        _take(child, improved(_told(child, found), brief=True), found)
    return children


def _told(node: Node, found: Found) -> Task:
    return replace(node.task, best=found.best - node.gained)


def _from(node: Node, found: Found) -> Found:
    """Return what is known, counted from the node's choice."""
    return Found(moves=None, best=found.best - node.gained, room=node.task.room, states=found.states)


def _take(node: Node, own: Found, found: Found) -> None:
    """Take over a better choice."""
    if own.moves is not None and node.gained + own.best > found.best:
        found.moves, found.best = node.moves + own.moves, node.gained + own.best
