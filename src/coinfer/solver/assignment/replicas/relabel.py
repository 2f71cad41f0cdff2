"""Exchange whole parts within a layer: what lies together stays together, and no load of a layer changes."""

from __future__ import annotations

import numpy as np

from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.assignment.replicas.program import SlotProgram
from coinfer.solver.program import FloatArray

PASSES = 20
"""Most passes over the layers."""


def relabel(program: SlotProgram, held: BoolArray, shares: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Give the parts of each layer the labels with the least separation of ``split`` dispatch.

    The best labels of one layer between others that stay are an assignment problem (Kuhn 1955). Where all separations
    cost the same, exchanging parts in a layer and all after it changes only what lies between that layer and the one
    before, so one pass that looks back only finds the best labels of all layers. Otherwise the layers are taken in turn
    until nothing changes. Under tight caps on the loads this moves what single exchanges cannot.

    Programs whose parts or places differ come back as they are.
    """
    if (program.slots != program.slots[0]).any() or program.allowed is not None or program.required is not None:
        return held, shares
    held, shares = held.copy(), shares.copy()
    off = program.distance[~np.eye(program.parts, dtype=bool)]
    if program.cost is None and (off.size == 0 or (off == off[0]).all()):
        for layer in range(1, program.layers):
            _label(held[layer], shares[layer], _before(program, shares, layer), None)
        return held, shares
    for _ in range(PASSES):
        changed = False
        for layer in range(program.layers):
            pull = _before(program, shares, layer)
            if layer + 1 < program.layers:
                pull = pull + program.weights[layer] @ (shares[layer + 1] @ program.distance)
            changed |= _label(held[layer], shares[layer], pull, None if program.cost is None else program.cost[layer])
        if not changed:
            break
    return held, shares


def _before(program: SlotProgram, shares: FloatArray, layer: int) -> FloatArray:
    """Return what all tokens of an item cost in each part because of the layer before, (items, parts)."""
    if layer == 0:
        return np.zeros((program.items, program.parts))
    pull: FloatArray = (program.weights[layer - 1].T @ shares[layer - 1]) @ program.distance
    return pull


def _label(held: BoolArray, shares: FloatArray, pull: FloatArray, cost: FloatArray | None) -> bool:
    """Give the parts of one layer their best labels, in place; return whether any changed."""
    from scipy.optimize import linear_sum_assignment

    costs = shares.T @ pull  # (part now, label)
    if cost is not None:
        costs = costs + held.T.astype(np.float64) @ cost
    now, label = linear_sum_assignment(costs)
    if not costs[now, label].sum() < np.trace(costs) * (1.0 - 1e-12):
        return False
    held[:, label], shares[:, label] = held[:, now], shares[:, now]
    return True
