r"""A cap on the mean imbalance of all layers: a multiplier prices imbalance, and local moves use what room is left.

For each price :math:`\lambda \ge 0` the cheapest path under node costs :math:`c + \lambda u` bounds any feasible one
from below by its cost less :math:`\lambda m L`. Prices are taken where the lines of the best paths on either side of
the cap meet, which ends at the best price after finitely many of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from coinfer.solver.assignment.chain_paths import Chain
from coinfer.solver.program import FloatArray, IntArray

MOST_PRICES = 60
MOVES_PER_LAYER = 10
TOLERANCE = 1e-9


def imbalance_room(chain: Chain) -> float:
    """Return the most that the imbalances of all layers may add up to."""
    cap = chain.program.mean_imbalance_cap
    return np.inf if cap is None else cap * chain.program.layers * (1.0 + TOLERANCE)


def meet_cap(
    chain: Chain,
    improve: Callable[[IntArray], None],
    prove: Callable[[list[FloatArray], float], None],
    ended: Callable[[], bool],
) -> None:
    """Find good paths under the cap, and bounds on any path that keeps it.

    Parameters
    ----------
    chain
        A chain in which some path keeps the cap.
    improve
        Is given paths that keep the cap.
    prove
        Is given the least costs of reaching each state, and the multiplier behind them.
    ended
        Says whether to stop.
    """
    room = imbalance_room(chain)
    safe = _least_uneven(chain, ended)
    improve(repaired(chain, safe, room))
    costs = chain.reach(0.0, ended)
    prove(costs, 0.0)
    cheap = chain.back(costs, 0.0)
    if chain.unevenness(cheap) <= room:
        improve(cheap)
        return
    improve(repaired(chain, cheap, room))
    for _ in range(MOST_PRICES):
        if ended():
            return
        price = (chain.cost(safe) - chain.cost(cheap)) / (chain.unevenness(cheap) - chain.unevenness(safe))
        if price <= 0.0:
            return
        costs = chain.reach(price, ended)
        prove(costs, price)
        path = chain.back(costs, price)
        fits = chain.unevenness(path) <= room
        for mixed in (path, *_crossed(chain, path, cheap if fits else safe)):
            improve(repaired(chain, mixed, room))
        line = chain.cost(cheap) + price * chain.unevenness(cheap)
        if chain.cost(path) + price * chain.unevenness(path) >= line - TOLERANCE * max(1.0, abs(line)):
            return
        if fits:
            safe = path
        else:
            cheap = path


def repaired(chain: Chain, path: IntArray, room: float) -> IntArray:
    """Return a path that keeps the cap, by moves of one layer each: first into the room, then to less cost."""
    path, around = path.copy(), [chain.around(path, layer) for layer in range(len(path))]
    for _ in range(MOVES_PER_LAYER * len(path)):
        over = chain.unevenness(path) - room
        best, move = 0.0 if over <= 0.0 else np.inf, None
        for layer, costs in enumerate(around):
            dearer = costs - costs[path[layer]]
            fuller = chain.uneven[layer] - chain.uneven[layer][path[layer]]
            if over > 0.0:
                relief = np.minimum(-fuller, over)
                score = np.divide(dearer, relief, out=np.full(len(costs), np.inf), where=relief > 0.0)
            else:
                score = np.where((fuller <= -over) & (dearer < -TOLERANCE), dearer, np.inf)
            state = int(score.argmin())
            if score[state] < best:
                best, move = float(score[state]), (layer, state)
        if move is None:
            break
        path[move[0]] = move[1]
        for layer in range(max(0, move[0] - 1), min(len(path), move[0] + 2)):
            around[layer] = chain.around(path, layer)
    return path


def _least_uneven(chain: Chain, ended: Callable[[], bool]) -> IntArray:
    """Return the cheapest path of those with the least imbalance in every layer."""
    masks = [own == own.min() for own in chain.uneven]
    even = chain.narrowed(masks)
    path = even.back(even.reach(0.0, ended), 0.0)
    return np.array([np.flatnonzero(mask)[state] for mask, state in zip(masks, path, strict=True)], dtype=np.int64)


def _crossed(chain: Chain, first: IntArray, second: IntArray) -> Iterator[IntArray]:
    """Yield the cheapest path that changes over from one path to the other, for both orders, if it keeps the cap."""
    room = imbalance_room(chain)
    for left, right in ((first, second), (second, first)):
        mixed = [np.concatenate([left[:layer], right[layer:]]) for layer in range(1, len(first))]
        fitting = [path for path in mixed if chain.unevenness(path) <= room]
        if fitting:
            yield min(fitting, key=chain.cost)
