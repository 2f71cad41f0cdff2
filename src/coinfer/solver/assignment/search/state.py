"""A program made full, so that every change of an assignment is an exchange of two items of one layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.program import FloatArray, IntArray

FORBIDDEN = 1e15
"""Cost of a forbidden place, in units of the largest sum of weights an item has: never worth it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Full:
    """A program whose spare room is filled with items that weigh nothing.

    Attributes
    ----------
    weights
        (layers - 1, items, items).
    distance
        (parts, parts).
    capacity
        (parts,): every part is full in every layer.
    cost
        (layers, items, parts): cost of a place; forbidden places cost :data:`FORBIDDEN` times the weights.
    loads
        (layers, items); all 0 without caps.
    load_caps
        (layers,): most load of a part; infinite without a cap.
    imbalance_sum
        Most sum over the layers of largest over mean load; infinite without a cap.
    mean_loads
        (layers,): mean load of a part, at least a tiny number.
    real
        Number of items that are not filling.
    uniform
        Whether all separations cost the same.
    """

    weights: FloatArray
    distance: FloatArray
    capacity: IntArray
    cost: FloatArray
    loads: FloatArray
    load_caps: FloatArray
    imbalance_sum: float
    mean_loads: FloatArray
    real: int
    uniform: bool

    @property
    def capped(self) -> bool:
        """Whether there is a cap on loads."""
        return bool(np.isfinite(self.load_caps).any()) or np.isfinite(self.imbalance_sum).item()


def filled(program: LayeredAssignment) -> Full:
    """Return ``program`` with its spare room filled."""
    layers, items, parts = program.layers, program.items, program.parts
    capacity = np.minimum(program.capacity, items)
    total = int(capacity.sum())
    weights = np.zeros((layers - 1, total, total))
    weights[:, :items, :items] = program.weights
    cost = np.zeros((layers, total, parts))
    if program.cost is not None:
        cost[:, :items] = program.cost
    if program.allowed is not None:
        most = max(1.0, float(program.weights.sum(axis=(1, 2)).max(initial=0.0)) * float(program.distance.max()))
        cost[:, :items][~program.allowed] += FORBIDDEN * max(most, float(cost.max(initial=0.0)))
    loads = np.zeros((layers, total))
    if program.loads is not None:
        loads[:, :items] = program.loads
    caps = np.full(layers, np.inf) if program.load_caps is None else program.load_caps * (1.0 + 1e-12)
    mean_cap = program.mean_imbalance_cap
    return Full(
        weights=weights,
        distance=program.distance,
        capacity=capacity,
        cost=cost,
        loads=loads,
        load_caps=caps,
        imbalance_sum=np.inf if mean_cap is None else mean_cap * layers * (1.0 + 1e-12),
        mean_loads=np.maximum(loads.sum(axis=1) / parts, 1e-300),
        real=items,
        uniform=program.uniform,
    )


def place_costs(full: Full, part: IntArray) -> FloatArray:
    """Return what each item would cost in each part if all others stayed, (layers, items, parts)."""
    near = full.distance[part]  # (layers, items, parts): distance from the part of each item
    table = full.cost.copy()
    table[:-1] += full.weights @ near[1:]
    table[1:] += full.weights.transpose(0, 2, 1) @ near[:-1]
    return table


def completed(full: Full, part: IntArray) -> IntArray:
    """Return an assignment of the real items with the filling put where room is left.

    Items for which there is no room are moved to parts that have some, in their order.
    """
    layers, total = len(part), full.weights.shape[1]
    made = np.full((layers, total), -1, dtype=np.int64)
    for layer in range(layers):
        room = full.capacity.copy()
        for item, wanted in enumerate(part[layer]):
            if 0 <= wanted < len(room) and room[wanted] > 0:
                made[layer, item] = wanted
                room[wanted] -= 1
        made[layer, made[layer] < 0] = np.repeat(np.arange(len(room)), room)
    return made


def part_loads(full: Full, part: IntArray) -> FloatArray:
    """Return the load of each part, (layers, parts)."""
    made = np.zeros((len(part), len(full.capacity)))
    np.add.at(made, (np.arange(len(part))[:, None], part), full.loads)
    return made


def total_cost(full: Full, part: IntArray) -> float:
    """Return the objective, with the price of forbidden places."""
    layer, item = np.indices(part.shape)
    value = float(full.cost[layer, item, part].sum())
    for weights, here, there in zip(full.weights, part[:-1], part[1:], strict=True):
        value += float(np.sum(weights * full.distance[here[:, None], there[None, :]]))
    return value
