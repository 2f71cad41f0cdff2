"""One layer between fixed neighbours: which copies to add, drop or move, and the cheapest split under a cap.

Both dispatch rules are of one form here. Of the tokens of an item, some come from a part and stay there if it holds a
copy; all others are split by the shares. Under ``split`` no token stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.assignment.replicas.program import Dispatch, SlotProgram
from coinfer.solver.assignment.replicas.split import LayerSplit, cheapest_split
from coinfer.solver.program import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerView:
    """What a layer's copies cost, given the layers beside it.

    Attributes
    ----------
    arriving
        (items, parts): tokens of each item by the part they come from, where that matters; 0 under ``split``.
    onward
        (items, parts): what one token of an item costs later when it is in a part.
    base
        (items, parts): cost of all tokens of an item in a part that does not depend on where they come from.
    loads
        (items,).
    distance
        (parts, parts).
    holding
        (items, parts): cost of holding a copy.
    """

    arriving: FloatArray
    onward: FloatArray
    base: FloatArray
    loads: FloatArray
    distance: FloatArray
    holding: FloatArray

    def leaving(self, held: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return the tokens that are split (items, parts they come from), and their cost in each part."""
        away = np.where(held, 0.0, self.arriving)
        return away, self.base + away @ self.distance + away.sum(axis=1, keepdims=True) * self.onward

    def fractions(self, held: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return the share of each item's tokens that is split, (items,), and that stays, (items, parts)."""
        total = self.arriving.sum(axis=1, keepdims=True)
        stay = np.divide(np.where(held, self.arriving, 0.0), total, out=np.zeros(held.shape), where=total > 0.0)
        return 1.0 - stay.sum(axis=1), stay

    def split(self, held: BoolArray, cap: float) -> tuple[LayerSplit, float]:
        """Return the cheapest split under the cap, and the cost of the layer with it."""
        _, costs = self.leaving(held)
        fraction, stay = self.fractions(held)
        found = cheapest_split(costs, self.loads * fraction, held, cap, fixed=self.loads @ stay)
        staying = float(np.sum(np.where(held, self.arriving * self.onward, 0.0)))
        return found, staying + float(np.sum(costs * found.shares)) + float(self.holding[held].sum())

    def alone(self, prices: FloatArray) -> FloatArray:
        """Return what each item costs with a single copy in each part, (items, parts), at prices of the loads."""
        total = self.arriving.sum(axis=1, keepdims=True)
        travelling = self.base + self.arriving @ self.distance + total * self.onward
        whole: FloatArray = travelling + self.loads[:, None] * prices + self.holding
        return whole

    def gains(self, held: BoolArray, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what adding each copy saves, and what dropping it costs, (items, parts), at prices of the loads.

        The tokens that are split go to the copy that is cheapest at these prices.
        """
        total = self.arriving.sum(axis=1)
        per_token = np.divide(self.loads, total, out=np.zeros(len(total)), where=total > 0.0)
        onward = self.onward + per_token[:, None] * prices
        base = self.base + np.where(total > 0.0, 0.0, self.loads)[:, None] * prices
        away = np.where(held, 0.0, self.arriving)
        landing = base + away @ self.distance + away.sum(axis=1, keepdims=True) * onward
        now = np.where(held, landing, np.inf).min(axis=1)
        with_it, without = np.empty(held.shape), np.empty(held.shape)
        for part in range(held.shape[1]):
            here = self.arriving[:, part : part + 1]
            cheaper = landing - here * (self.distance[part] + onward)  # its own tokens stay
            wide = held.copy()
            wide[:, part] = True
            with_it[:, part] = np.where(wide, cheaper, np.inf).min(axis=1) + here[:, 0] * onward[:, part]
            narrow = held.copy()
            narrow[:, part] = False
            dearer = landing + here * (self.distance[part] + onward)
            without[:, part] = np.where(narrow, dearer, np.inf).min(axis=1) - here[:, 0] * onward[:, part]
        add = np.where(held, -np.inf, now[:, None] - with_it - self.holding)
        drop = np.where(held, without - now[:, None] - self.holding, np.inf)
        return add, drop


def view_of(
    program: SlotProgram, layer: int, before: FloatArray | None, after: FloatArray | None, dispatch: Dispatch
) -> LayerView:
    """Return the layer as its neighbours let it be seen.

    Parameters
    ----------
    before
        (items, parts): share of the tokens of each item of the layer before that each part serves; ``None`` for the
        first layer.
    after
        (items, parts): what all tokens of an item of this layer cost later when they are in a part; ``None`` for the
        last layer.
    """
    empty = np.zeros((program.items, program.parts))
    later = empty if after is None else after
    arriving = empty if before is None else program.weights[layer - 1].T @ before
    total = arriving.sum(axis=1, keepdims=True)
    holding = empty if program.cost is None else program.cost[layer]
    if dispatch == "split":
        base, onward, arriving = arriving @ program.distance + later, empty, empty
    else:
        onward = np.divide(later, total, out=np.zeros_like(later), where=total > 0.0)
        base = np.where(total > 0.0, 0.0, later)  # items that no counted token reaches, as in the first layer
    loads = program.loads[layer]
    return LayerView(
        arriving=arriving, onward=onward, base=base, loads=loads, distance=program.distance, holding=holding
    )


def costs_onward(program: SlotProgram, held: BoolArray, shares: FloatArray, dispatch: Dispatch) -> list[FloatArray]:
    """Return, for each layer but the last, what all tokens of an item cost later when they are in a part."""
    found: list[FloatArray] = []
    later: FloatArray | None = None
    for layer in reversed(range(program.layers - 1)):
        flow, there = program.weights[layer], shares[layer + 1]
        away = program.distance @ there.T  # (parts, next items): where a token that leaves a part goes
        if dispatch == "split":
            found.append(flow @ away.T)
            continue
        total = flow.sum(axis=0)[:, None]
        onward = np.zeros(there.shape)
        if later is not None:
            onward = np.divide(later, total, out=np.zeros_like(later), where=total > 0.0)
        elsewhere = away.T + (there * onward).sum(axis=1, keepdims=True)
        later = flow @ np.where(held[layer + 1], onward, elsewhere)
        found.append(later)
    return found[::-1]
