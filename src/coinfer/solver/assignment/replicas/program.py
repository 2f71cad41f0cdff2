"""The slot program: items with one or more copies in the slots of the parts, and what tokens then cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.assignment.program import BoolArray, imbalance
from coinfer.solver.program import FloatArray, IntArray

Dispatch = Literal["split", "local"]
CLOSE = 1e-9
"""Relative rounding allowed in sums of shares and of loads."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlotProgram:
    """Hold at least one copy of every item of every layer, at most one in each part, and split its tokens.

    Attributes
    ----------
    weights
        (layers - 1, items, items): weight between an item and an item of the next layer, at least 0.
    loads
        (layers, items): load of each item, at least 0.
    distance
        (parts, parts): cost of a unit of weight between two parts; symmetric, 0 on the diagonal.
    slots
        (parts,): most copies of one layer in a part.
    replicas
        Most second and further copies in one layer.
    allowed
        (layers, items, parts): False where there must be no copy; ``None``: everywhere allowed.
    required
        (layers, items, parts): True where there must be a copy; ``None``: nowhere.
    cost
        (layers, items, parts): cost of holding a copy; ``None``: all 0.
    """

    weights: FloatArray
    loads: FloatArray
    distance: FloatArray
    slots: IntArray
    replicas: int
    allowed: BoolArray | None = None
    required: BoolArray | None = None
    cost: FloatArray | None = None

    def __post_init__(self) -> None:
        shape = (self.layers, self.items, self.parts)
        if self.weights.shape != (self.layers - 1, self.items, self.items):
            expected = f"({self.layers - 1}, {self.items}, {self.items})"
            raise InputError("weights", expected=expected, found=Plain(str(self.weights.shape)))
        if self.distance.shape != (self.parts, self.parts):
            expected = f"({self.parts}, {self.parts}) for {self.parts} parts"
            raise InputError("distance", expected=expected, found=Plain(str(self.distance.shape)))
        for name in ("allowed", "required", "cost"):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise InputError(name, expected=str(shape), found=Plain(str(array.shape)))
        for name in ("weights", "loads", "distance", "cost"):
            array = getattr(self, name)
            if array is not None and not (np.isfinite(array).all() and (array >= 0.0).all()):
                raise InputError(name, expected="finite numbers, at least 0", found=Plain("others"))
        if self.replicas < 0:
            raise InputError("replicas", expected="an integer, at least 0", found=self.replicas)
        if (self.slots < 0).any() or int(self.slots.sum()) < self.items:
            raise InputError("slots", expected=f"room for {self.items} items", found=Plain(f"{int(self.slots.sum())}"))

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.loads)

    @property
    def items(self) -> int:
        """Number of items of a layer."""
        return int(self.loads.shape[1])

    @property
    def parts(self) -> int:
        """Number of parts."""
        return len(self.slots)

    @property
    def extra(self) -> int:
        """Second and further copies that a layer has room for."""
        room = int(np.minimum(self.slots, self.items).sum())
        return min(self.replicas, room - self.items, self.items * (self.parts - 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dispatched:
    """Where tokens go under a dispatch rule.

    Attributes
    ----------
    separated
        (layers - 1,): expected weight times distance between each layer and the next.
    served
        (layers, items, parts): share of each item's tokens that each part serves.
    part_loads
        (layers, parts): expected load of each part.
    """

    separated: FloatArray
    served: FloatArray
    part_loads: FloatArray

    @property
    def imbalance(self) -> FloatArray:
        """Largest load over the mean load of each layer, (layers,)."""
        return imbalance(self.part_loads)


def dispatched(program: SlotProgram, held: BoolArray, shares: FloatArray, dispatch: Dispatch) -> Dispatched:
    """Follow the tokens through the copies; exact where every share is 0 or 1.

    ``split``: a token goes to a copy with the probability of its share, wherever it comes from. ``local``: it stays
    where the next item has a copy there, and goes by the shares otherwise; where the tokens of an item are follows from
    the layer before by the counts, as in a Markov chain.
    """
    served = shares.copy()
    separated = np.zeros(len(program.weights))
    for layer, flow in enumerate(program.weights):
        there = shares[layer + 1]
        arriving = flow.T @ served[layer]
        if dispatch == "split":
            separated[layer] = np.sum((arriving @ program.distance) * there)
            continue
        leaving = np.where(held[layer + 1], 0.0, arriving)
        separated[layer] = np.sum((leaving @ program.distance) * there)
        arrived = arriving - leaving + leaving.sum(axis=1, keepdims=True) * there
        total = arrived.sum(axis=1, keepdims=True)
        served[layer + 1] = np.divide(arrived, total, out=there.copy(), where=total > 0.0)
    loads = np.einsum("le,leg->lg", program.loads, served)
    return Dispatched(separated=separated, served=served, part_loads=loads)


def holding_cost(program: SlotProgram, held: BoolArray) -> float:
    """Return what holding these copies costs."""
    return 0.0 if program.cost is None else float(program.cost[held].sum())


def value_of(program: SlotProgram, held: BoolArray, shares: FloatArray, dispatch: Dispatch) -> float:
    """Return the objective: expected separation plus the cost of holding the copies."""
    return float(dispatched(program, held, shares, dispatch).separated.sum()) + holding_cost(program, held)


def violations(program: SlotProgram, held: BoolArray, shares: FloatArray) -> tuple[str, ...]:
    """Say which limits on slots, copies and shares are broken; caps on loads are not among them."""
    broken: list[str] = []
    copies, filled = held.sum(axis=2), held.sum(axis=1)
    broken += [f"layer {i}: item {e} has no copy" for i, e in np.argwhere(copies == 0)]
    for i, g in np.argwhere(filled > program.slots):
        broken.append(f"layer {i}: part {g} has {filled[i, g]} copies, room for {program.slots[g]}")
    extra = copies.sum(axis=1) - program.items
    for i in np.flatnonzero(extra > program.replicas):
        broken.append(f"layer {i}: {extra[i]} replicas, at most {program.replicas} are allowed")
    if (shares < 0.0).any() or shares[~held].any():
        broken.append("a share is negative, or there is one where no copy is")
    for i, e in np.argwhere(np.abs(shares.sum(axis=2) - 1.0) > CLOSE):
        broken.append(f"layer {i}: the shares of item {e} do not add up to 1")
    if program.allowed is not None:
        broken += [f"layer {i}: item {e} must not be in part {g}" for i, e, g in np.argwhere(held & ~program.allowed)]
    if program.required is not None:
        broken += [f"layer {i}: item {e} must be in part {g}" for i, e, g in np.argwhere(~held & program.required)]
    return tuple(broken)
