"""The inner steps of the label engine: plain, and each by itself, so that numba can compile them where it is installed.

Common arguments: ``start``, ``head``, ``use``, ``load``, ``carrier``, ``jumps`` as in
:class:`~coinfer.solver.path.graph.Graph`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.program import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


def backward(start: IntArray, head: IntArray, cost: FloatArray, least: FloatArray, best: IntArray) -> None:
    """Fill in the least cost from each node to the end, and the first arc on the way (-1 where there is none)."""
    nodes = len(start) - 1
    least[:] = np.inf
    best[:] = -1
    least[nodes - 1] = 0.0
    for node in range(nodes - 2, -1, -1):
        low, at = np.inf, -1
        for arc in range(start[node], start[node + 1]):
            total = cost[arc] + least[head[arc]]
            if total < low:
                low, at = total, arc
        least[node] = low
        best[node] = at


def forward(start: IntArray, head: IntArray, cost: FloatArray, least: FloatArray) -> None:
    """Fill in the least cost from the source to each node."""
    least[:] = np.inf
    least[0] = 0.0
    for node in range(len(start) - 1):
        if least[node] < np.inf:
            for arc in range(start[node], start[node + 1]):
                total = least[node] + cost[arc]
                least[head[arc]] = min(least[head[arc]], total)


def complete(
    head: IntArray,
    use: FloatArray,
    load: FloatArray,
    carrier: IntArray,
    jumps: BoolArray,
    room: FloatArray,
    best: IntArray,
    free: bool,
    done: FloatArray,
    loaded: FloatArray,
    taken: IntArray,
) -> None:
    """Fill in what the best way to the end uses from each node, or infinity where it is not allowed.

    ``done`` (nodes, resources); ``loaded`` (nodes,): the load on the node's own carrier; ``taken`` (nodes,): the
    carriers that come later, as bits, in free order.
    """
    nodes = len(best)
    done[nodes - 1] = 0.0
    loaded[nodes - 1] = 0.0
    taken[nodes - 1] = 0
    for node in range(nodes - 2, -1, -1):
        arc = best[node]
        done[node] = np.inf
        if arc < 0:
            continue
        end = head[arc]
        own = carrier[end]
        taken[node] = taken[end]
        loaded[node] = 0.0 if jumps[end] else load[arc] + loaded[end]
        if jumps[end] and own >= 0:
            if loaded[end] > room[own] or (free and taken[end] >> own & 1):
                continue
            if free:
                taken[node] = taken[end] | (np.int64(1) << own)
        for r in range(use.shape[1]):
            done[node, r] = use[arc, r] + done[end, r]


def improve(
    pool: FloatArray,
    links: IntArray,
    since: int,
    count: int,
    done: FloatArray,
    loaded: FloatArray,
    taken: IntArray,
    most: FloatArray,
    carrier: IntArray,
    room: FloatArray,
) -> tuple[int, int]:
    """Return the label from ``since`` on, and the row, whose best way to the end is cheapest and allowed; -1 if none.

    ``done`` (rows, nodes, resources), ``loaded`` and ``taken`` (rows, nodes) are as :func:`complete` fills them;
    ``most`` (resources,) is what may be used, of resource 0 less than this.
    """
    resources = len(most)
    found, by, least = -1, -1, most[0]
    for label in range(since, count):
        node = links[label, 5]
        own = carrier[node]
        for row in range(len(done)):
            if not pool[label, 0] + done[row, node, 0] < least or links[label, 3] & taken[row, node]:
                continue
            if own >= 0 and pool[label, resources] + loaded[row, node] > room[own]:
                continue
            good = True
            for r in range(1, resources):
                if pool[label, r] + done[row, node, r] > most[r]:
                    good = False
                    break
            if good:
                found, by, least = label, row, pool[label, 0] + done[row, node, 0]
    return found, by


def extend(  # noqa: PLR0912
    labels: IntArray,
    arcs: tuple[IntArray, FloatArray],
    nodes: tuple[IntArray, FloatArray],
    carriers: tuple[FloatArray, IntArray, bool],
    priced: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
    pool: FloatArray,
    links: IntArray,
    count: int,
) -> tuple[int, int]:
    """Extend labels of one node along its arcs, until the room in the pool is not enough for one label more.

    Parameters
    ----------
    labels
        The labels to extend.
    arcs
        (arcs, 2): head, and the arc's number. (arcs, resources + 1): use, then load.
    nodes
        (nodes, 2): carrier, and 1 where jumps lead. (nodes, rows): least priced cost to the end, less what all carriers
        that may still come can hold.
    carriers
        ``room`` and ``earlier`` as in the graph, and whether the order is free.
    priced
        Prices (rows, resources) and (rows, carriers); the price of all the room of a carrier (rows, carriers); the most
        priced cost, and the part of it that is the priced budgets, (rows,) each.
    pool, links, count
        (most, resources + 2 + rows): use, load and bound of each label, and in free order for each row the price of the
        room on carriers before its own. (most, 6): next label of the node (-1: the last), label before, arc, carriers
        used as bits, 1 while it counts, node. Labels so far; the new ones come behind.

    Returns
    -------
    How many of ``labels`` are done, and how many labels there are now.
    """
    (ways, numbers), (places, onward), (room, earlier, free) = arcs, nodes, carriers
    prices, carrier_prices, spare, limit, offset = priced
    rows, resources = prices.shape
    for position in range(len(labels)):
        if count + len(ways) > len(pool):
            return position, count
        label = labels[position]
        before = places[links[label, 5], 0]
        for k in range(len(ways)):
            end = ways[k, 0]
            own, jump = places[end, 0], places[end, 1]
            used, held = links[label, 3], 0.0
            if free and jump and own >= 0:
                if used >> own & 1 or (earlier[own] >= 0 and not used >> earlier[own] & 1):
                    continue
                used |= np.int64(1) << own
            if not jump:
                held = pool[label, resources] + numbers[k, resources]
                if held > room[own]:
                    continue
            for r in range(resources):
                pool[count, r] = pool[label, r] + numbers[k, r]
            bound, good = 0.0, True
            for row in range(rows):
                left = onward[end, row]
                for r in range(resources):
                    left += prices[row, r] * pool[count, r]
                if own >= 0:
                    left += carrier_prices[row, own] * held
                if free:  # what is over on the carriers before must not count as room
                    paid = pool[label, resources + 2 + row]
                    if jump and before >= 0:
                        paid += spare[row, before]
                    pool[count, resources + 2 + row] = paid
                    left += paid
                if not left <= limit[row]:
                    good = False
                    break
                if prices[row, 0] > 0.0:
                    bound = max(bound, left - offset[row])
            if good:
                pool[count, resources], pool[count, resources + 1] = held, bound
                links[count, 1], links[count, 2], links[count, 3] = label, ways[k, 1], used
                links[count, 4], links[count, 5] = 1, end
                count += 1
    return len(labels), count


def settle(
    pool: FloatArray, links: IntArray, first: IntArray, resources: int, free: bool, since: int, count: int
) -> int:
    """Put the labels from ``since`` on to their nodes unless another label there uses no more; return the new count.

    A label counts no longer where a new one uses no more than it. ``first`` (nodes,): a label of each node.
    """
    kept = since
    for label in range(since, count):
        node, used, good = links[label, 5], links[label, 3], True
        other = first[node]
        while other >= 0 and good:
            if links[other, 4]:
                both = used & links[other, 3] if free else used
                below, above = both == used, not free or both == links[other, 3]
                for r in range(resources + 1):
                    below = below and pool[label, r] <= pool[other, r]
                    above = above and pool[label, r] >= pool[other, r]
                    if not below and not above:
                        break
                if above:
                    good = False
                elif below:
                    links[other, 4] = 0
            other = links[other, 0]
        if good:
            pool[kept] = pool[label]
            links[kept] = links[label]
            links[kept, 0] = first[node]
            first[node] = kept
            kept += 1
    return kept
