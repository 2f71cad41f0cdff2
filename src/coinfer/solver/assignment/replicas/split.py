"""Which share of an item's tokens each copy serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.program import FloatArray

SWEEPS = 6
"""Passes over the copied items; most splits are within a part in ten thousand of their limit by then."""
OVERLOAD = 1e3
"""Cost of exceeding the cap by all of it, over the dearest cost of an item: more than any split can save."""
SETTLED = 1e-7
"""Change of a part's load over the mean load below which the passes end."""


def equal_shares(held: BoolArray) -> FloatArray:
    """Return equal shares of all copies of an item, (..., items, parts)."""
    shares: FloatArray = held / np.maximum(held.sum(axis=-1, keepdims=True), 1)
    return shares


def even_split(
    loads: FloatArray, held: BoolArray, *, start: FloatArray | None = None, sweeps: int = SWEEPS
) -> FloatArray:
    r"""Return shares that make the largest load of a part as small as the copies allow, all layers at once.

    Every pass takes each copied item in turn and spreads its load so that the parts that hold it are level (water
    filling), which is exact block descent on :math:`\sum_g \text{load}_g^2`. Its minimum over the base polytope of
    splits also has the smallest maximum (Fujishige 1980: the lexicographically optimal base), so the passes converge
    to the optimum of the linear program; they stop early by ``sweeps``.

    Parameters
    ----------
    loads
        (layers, items).
    held
        (layers, items, parts): where copies are; every item has one.
    start
        Shares to begin with; ``None``: equal ones. Of all optimal splits the nearest to equal ones is the most robust
        to other loads, and the passes stay near their beginning.
    """
    shares = equal_shares(held) if start is None else start.copy()
    copies = held.sum(axis=2)
    deepest = int((copies > 1).sum(axis=1).max(initial=0))
    if deepest == 0:
        return shares
    rows = np.arange(len(loads))[:, None]
    width = int(copies.max())
    order = np.argsort(-loads * (copies > 1), axis=1, kind="stable")[:, :deepest]
    counts, load = copies[rows, order], loads[rows, order]
    where = np.argsort(~held[rows, order], axis=2, kind="stable")[:, :, :width]
    real = np.arange(width) < counts[:, :, None]
    amount = np.where(real, load[:, :, None] * shares[rows[:, :, None], order[:, :, None], where], 0.0)
    total = np.einsum("le,leg->lg", loads, shares)
    scale = np.maximum(total.mean(axis=1), 1e-300)[:, None]
    for _ in range(sweeps):
        before = total.copy()
        for i in range(deepest):
            parts = where[:, i]
            base = total[rows, parts] - amount[:, i]
            filled = _level(base, real[:, i], load[:, i])
            total[rows, parts] += np.where(real[:, i], filled - amount[:, i], 0.0)
            amount[:, i] = filled
        if (np.abs(total - before) <= SETTLED * scale).all():
            break
    part = np.where(load[:, :, None] > 0.0, amount / np.maximum(load, 1e-300)[:, :, None], real / counts[:, :, None])
    part[~real] = 0.0
    part /= part.sum(axis=2, keepdims=True)
    for i in range(deepest):
        keep = real[:, i]
        layer = np.broadcast_to(rows, keep.shape)[keep]
        shares[layer, np.broadcast_to(order[:, i : i + 1], keep.shape)[keep], where[:, i][keep]] = part[:, i][keep]
    return shares


def _level(base: FloatArray, real: BoolArray, load: FloatArray) -> FloatArray:
    """Return what each place (layers, width) gets of ``load`` so that the places are level after it."""
    if base.shape[1] == 2:
        single = ~real[:, 1]
        first = np.clip((load + base[:, 1] - base[:, 0]) * 0.5, 0.0, load)
        first = np.where(single, load, first)
        return np.stack([first, load - first], axis=1)
    heights = np.where(real, base, np.inf)
    rising = np.sort(heights, axis=1)
    filled = np.cumsum(np.where(np.isfinite(rising), rising, 0.0), axis=1)
    levels = (load[:, None] + filled) / np.arange(1, base.shape[1] + 1)
    inside = np.isfinite(rising) & (rising < levels)
    last = np.maximum(inside.sum(axis=1) - 1, 0)
    level = levels[np.arange(len(base)), last][:, None]
    result: FloatArray = np.where(real, np.maximum(level - base, 0.0), 0.0)
    return result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerSplit:
    """The cheapest split of one layer.

    Attributes
    ----------
    shares
        (items, parts).
    prices
        (parts,): what one more unit of load would save in each part, at least 0.
    excess
        Load of the heaviest part above the cap, at least 0; 0 where the cap is kept.
    """

    shares: FloatArray
    prices: FloatArray
    excess: float


def cheapest_split(
    costs: FloatArray, loads: FloatArray, held: BoolArray, cap: float, *, fixed: FloatArray | None = None
) -> LayerSplit:
    """Return the shares of one layer with the least cost under a cap on the loads: a linear program, exact, by HiGHS.

    Where the copies cannot keep the cap, the heaviest part comes first and the cost second.

    Parameters
    ----------
    costs
        (items, parts): cost of all that is to be split of an item in each part.
    loads
        (items,): load that is to be split.
    held
        (items, parts): where copies are; every item has one.
    cap
        Most load of a part.
    fixed
        (parts,): load that is there whatever the split; ``None``: none.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    parts = held.shape[1]
    shares = held / held.sum(axis=1, keepdims=True)
    copied = np.flatnonzero(held.sum(axis=1) > 1)
    single = np.where(held.sum(axis=1) == 1, loads, 0.0)
    base = single @ held + (0.0 if fixed is None else fixed)
    if not len(copied):
        return LayerSplit(shares=shares, prices=np.zeros(parts), excess=max(0.0, float(base.max() - cap)))
    which, part = np.nonzero(held[copied])
    item, count = copied[which], len(which)
    unit, scale = (
        max(cap, float(loads.sum() + base.sum()) / parts, 1e-300),
        max(float(np.abs(costs[item, part]).max()), 1e-300),
    )
    column = np.arange(count)
    whole = csr_array((np.ones(count), (which, column)), shape=(len(copied), count + 1))
    entries = np.concatenate([loads[item] / unit, -np.ones(parts)])
    at = (np.concatenate([part, np.arange(parts)]), np.concatenate([column, np.full(parts, count)]))
    found: Any = linprog(
        np.concatenate([costs[item, part] / scale, [OVERLOAD * len(copied)]]),
        A_ub=cast(Any, csr_array((entries, at), shape=(parts, count + 1))),
        b_ub=(cap - base) / unit,
        A_eq=cast(Any, whole),
        b_eq=np.ones(len(copied)),
        bounds=(0.0, None),
        method="highs",
    )
    if found.x is None:
        return LayerSplit(shares=shares, prices=np.zeros(parts), excess=max(0.0, float((loads @ shares + base).max())))
    shares[copied] = 0.0
    shares[item, part] = np.where(found.x[:-1] < 1e-9, 0.0, found.x[:-1])
    shares /= shares.sum(axis=1, keepdims=True)
    reached = base + np.where(held.sum(axis=1) > 1, loads, 0.0) @ shares
    prices = np.maximum(-found.ineqlin.marginals, 0.0) * scale / unit
    return LayerSplit(shares=shares, prices=prices, excess=max(0.0, float(reached.max() - cap)))
