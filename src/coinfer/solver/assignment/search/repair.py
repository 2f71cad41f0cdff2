r"""Exact repair: where exchanges of two items do not bring a layer within its cap, a mixed-integer program does.

.. math::
    \min_x \sum_{e,g} t_{e,g}\, x_{e,g} \quad\text{s.t. } \sum_g x_{e,g} = 1,\ \sum_e x_{e,g} = s_g,\
    \sum_e a_e\, x_{e,g} \le A

over the items of a few parts of one layer, more and more of them, with the other layers fixed. Where the mean is
capped, the largest load itself is minimised, layer by layer, until the mean is within its cap.
"""

from __future__ import annotations

import math
import time

import numpy as np

from coinfer.solver import mip
from coinfer.solver.assignment.program import BoolArray, LayeredAssignment
from coinfer.solver.assignment.search.feasible import balanced_start, repaired
from coinfer.solver.assignment.search.state import FORBIDDEN, Full, filled, part_loads, place_costs
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray, MixedIntegerProgram, ProgramBuilder
from coinfer.solver.progress import Stop

NODES = 300
"""Nodes of one program: most need none, and a layer that needs more is taken with more parts, or left."""
TIME_S = 2.0
GAP = 0.02
"""A repaired layer need not be the best one: the search goes on from it."""
MOST_VARIABLES = 4096
ENOUGH = 1e-3
"""Relative distance from the least possible largest load below which no program is solved for a better one."""
FULL_TO = 1e-10
"""Share of a cap that is left free, so that sums of loads in another order keep it too."""


def repaired_exactly(full: Full, part: IntArray, *, time_s: float | None, stop: Stop) -> IntArray:
    """Bring an assignment within the caps: by exchanges, and by programs over the layers where these do not suffice.

    Parameters
    ----------
    full
        The program.
    part
        Assignment, (layers, items), without forbidden places.
    time_s
        Seconds that are left; ``None``: any number.
    stop
        Ends it early.

    Returns
    -------
    An assignment that still breaks a cap only where no other was found.
    """
    made = repaired(full, part, place_costs(full, part))
    end = time.perf_counter() + (math.inf if time_s is None else time_s)
    for layer in range(len(made)):
        cap = full.load_caps[layer]
        if np.isfinite(cap) and part_loads(full, made)[layer].max() > cap:
            _layer_within(full, made, layer, end, stop)
    uneven = part_loads(full, made).max(axis=1) / full.mean_loads
    for layer in np.argsort(-uneven):
        limit = min(TIME_S, end - time.perf_counter())
        if stop or limit <= 0.0 or uneven.sum() <= full.imbalance_sum:
            break
        share = _share(full, made, int(layer), np.arange(len(full.capacity)), None, limit, stop)
        if share is not None:
            made[layer] = share
            uneven[layer] = part_loads(full, made)[layer].max() / full.mean_loads[layer]
    return made


def _layer_within(full: Full, made: IntArray, layer: int, end: float, stop: Stop) -> None:
    """Share the items of the parts above the cap, and of the lightest others, until the layer is within its cap."""
    held = part_loads(full, made)[layer]
    order = np.argsort(held)
    above = int((held > full.load_caps[layer]).sum())
    for others in (2, 5, len(held) - above):
        limit = min(TIME_S, end - time.perf_counter())
        if stop or limit <= 0.0:
            return
        chosen = np.concatenate([order[len(held) - above :], order[: min(others, len(held) - above)]])
        share = _share(full, made, layer, chosen, float(full.load_caps[layer]), limit, stop)
        if share is not None:
            made[layer] = share
            return


def _share(
    full: Full, made: IntArray, layer: int, chosen: IntArray, cap: float | None, time_s: float, stop: Stop
) -> IntArray | None:
    """Share the items on the chosen parts of a layer: cheapest within ``cap``, or with the smallest largest load."""
    items = np.flatnonzero(np.isin(made[layer], chosen))
    if len(items) * len(chosen) > MOST_VARIABLES:
        return None
    table = place_costs(full, made)[layer][np.ix_(items, chosen)]
    fine = full.cost[layer][np.ix_(items, chosen)] < FORBIDDEN / 2.0
    cheapest = np.where(fine, table, np.inf).min(axis=1, keepdims=True)
    costs = np.where(fine, table - cheapest, 0.0)
    scale = max(1e-300, float(costs.max(initial=0.0)))
    loads = full.loads[layer, items] / full.mean_loads[layer]
    now = (made[layer, items][:, None] == chosen).astype(np.float64)
    most = None if cap is None else cap / full.mean_loads[layer] * (1.0 - FULL_TO)
    program = _formulated(costs / scale, fine, full.capacity[chosen], loads, most)
    start = now.ravel() if cap is not None else np.append(now.ravel(), (loads @ now).max())
    limits = Limits(time_s=time_s, nodes=NODES, relative_gap=ENOUGH if cap is None else GAP)
    result = mip.solve(program, limits=limits, start=start, stop=stop)
    if result.incumbent is None:
        return None
    shared = made[layer].copy()
    shared[items] = chosen[result.incumbent[: now.size].reshape(now.shape).argmax(axis=1)]
    return np.asarray(shared, dtype=np.int64)


def _formulated(
    costs: FloatArray, fine: BoolArray, room: IntArray, loads: FloatArray, most: float | None
) -> MixedIntegerProgram:
    """State the program: costs (items, parts) with no load above ``most``, or the smallest largest load without it."""
    items, parts = costs.shape
    builder = ProgramBuilder()
    place = builder.variables(
        "place",
        costs.size,
        cost=0.0 if most is None else costs.ravel(),
        upper=fine.ravel().astype(np.float64),
        integer=True,
    ).reshape(costs.shape)
    rows = np.broadcast_to(np.arange(items)[:, None], costs.shape)
    builder.rows("once", row=rows, column=place, coefficient=1.0, lower=1.0, upper=1.0, count=items)
    rows = np.broadcast_to(np.arange(parts), costs.shape)
    builder.rows("capacity", row=rows, column=place, coefficient=1.0, lower=room, upper=room, count=parts)
    spread = np.broadcast_to(loads[:, None], costs.shape)
    if most is not None:
        builder.rows("load", row=rows, column=place, coefficient=spread, upper=most, count=parts)
        return builder.build()
    largest = builder.variables("largest", 1, cost=1.0, upper=float(loads.sum()))
    builder.rows(
        "load",
        row=np.concatenate([rows.ravel(), np.arange(parts)]),
        column=np.concatenate([place.ravel(), np.repeat(largest, parts)]),
        coefficient=np.concatenate([spread.ravel(), -np.ones(parts)]),
        upper=0.0,
        count=parts,
    )
    return builder.build()


def least_imbalance(loads: FloatArray, capacity: IntArray, *, time_s: float = 0.5) -> FloatArray:
    """Return the smallest largest load over the mean load that was reached in each layer, (layers,).

    Heaviest items first and exchanges, then the mixed-integer program where these leave more than can be ruled out by
    the mean and by the heaviest item beside the lightest ones.

    Parameters
    ----------
    loads
        (layers, items).
    capacity
        (parts,): most items of a part.
    time_s
        Most seconds for one layer.
    """
    layers, items = loads.shape
    parts = len(capacity)
    program = LayeredAssignment(
        weights=np.zeros((layers - 1, items, items)),
        distance=np.ones((parts, parts)) - np.eye(parts),
        capacity=capacity,
        loads=loads,
        load_caps=np.array([_least(own, capacity) for own in loads]),
    )
    full = filled(program)
    made = repaired(full, balanced_start(full), np.zeros((*full.loads.shape, parts)))
    for layer, cap in enumerate(full.load_caps):
        top = part_loads(full, made)[layer].max()
        if top <= cap * (1.0 + ENOUGH):
            continue
        share = _share(full, made, layer, np.arange(parts), None, time_s, Stop())
        if share is not None and np.bincount(share, weights=full.loads[layer]).max() < top:
            made[layer] = share
    reached: FloatArray = part_loads(full, made).max(axis=1) / full.mean_loads
    return np.where(loads.sum(axis=1) > 0.0, reached, 1.0)


def _least(loads: FloatArray, capacity: IntArray) -> float:
    """Return what the largest load of a part is at least: the mean, or the heaviest item and what is beside it."""
    room = capacity[capacity > 0]
    spare = int(capacity.sum()) - len(loads)
    beside = max(0, int(room.min()) - 1 - spare)
    ordered = np.sort(loads)
    return max(float(loads.sum()) / len(capacity), float(ordered[-1] + ordered[: min(beside, len(loads) - 1)].sum()))
