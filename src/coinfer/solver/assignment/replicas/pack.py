"""Which parts hold the copies: longest processing time first, exchanges, and a transport program where they stick."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.assignment.program import BoolArray, imbalance
from coinfer.solver.assignment.replicas.program import SlotProgram
from coinfer.solver.assignment.replicas.replicate import copy_counts
from coinfer.solver.assignment.replicas.split import equal_shares, even_split
from coinfer.solver.program import FloatArray, IntArray

PARTNERS = 4
"""Lightest parts with which the heaviest part tries to exchange a copy, before it tries all."""
STEPS = 400
"""Most exchanges of a layer with the lightest parts; with all parts, a tenth of them."""
EVEN = 1e-4
"""Excess of the heaviest part over the mean below which a layer counts as even: far below any sampling noise."""
ROUNDS = 3
"""Times that exchanges and splits alternate."""


def balanced_copies(program: SlotProgram, *, steps: int = STEPS) -> tuple[BoolArray, FloatArray]:
    """Choose copies, parts and shares of every layer so that the heaviest part is as light as possible.

    Affinity plays no part. No two copies of an item share a part.

    Returns
    -------
    held, shares
        (layers, items, parts).
    """
    shape = (program.layers, program.items)
    most = np.full(shape, program.parts, dtype=np.int64)
    if program.allowed is not None:
        most = program.allowed.sum(axis=2)
    least = None if program.required is None else program.required.sum(axis=2)
    counts = copy_counts(program.loads, program.extra, most, least)
    held = pack(program, counts, steps=steps)
    shares = even_split(program.loads, held)
    for _ in range(ROUNDS - 1 if program.extra else 0):
        total = np.einsum("le,leg->lg", program.loads, shares)
        uneven = np.flatnonzero(imbalance(total) > 1.0 + EVEN)
        if not len(uneven):
            break
        some = _some_layers(program, uneven)
        moved, started = _exchanged(some, held[uneven], shares[uneven], steps)
        held[uneven], shares[uneven] = moved, even_split(some.loads, moved, start=started)
    return held, shares


def pack(program: SlotProgram, counts: IntArray, *, steps: int = STEPS) -> BoolArray:
    """Put ``counts`` (layers, items) copies of each item into distinct parts, and even out the loads by exchanges."""
    restricted = program.allowed is not None or program.required is not None
    shape = (program.layers, program.items, program.parts)
    held, done = np.zeros(shape, dtype=bool), np.zeros(program.layers, dtype=bool)
    if not restricted:
        held, done = longest_first(program.loads, counts, program.slots)
        left = np.flatnonzero(~done)
        if len(left):
            held[left], done[left] = longest_first(program.loads[left], counts[left], program.slots, copied_first=True)
    for layer in np.flatnonzero(~done).tolist():
        held[layer] = _by_transport(program, layer, counts[layer])
    return _exchanged(program, held, equal_shares(held), steps)[0]


def _exchanged(program: SlotProgram, held: BoolArray, shares: FloatArray, steps: int) -> tuple[BoolArray, FloatArray]:
    """Even out the loads by exchanges of copies, which keep their shares."""
    table = _table(held, program.slots)
    layer, part = np.arange(len(held))[:, None, None], np.arange(program.parts)[None, :, None]
    item = np.maximum(table, 0)
    share = np.where(table >= 0, shares[layer, item, part], 0.0)
    loads = share * program.loads[layer, item]
    _exchange(program, table, (loads, share), steps, min(PARTNERS, program.parts))
    _exchange(program, table, (loads, share), steps // 10, program.parts)
    moved, spread = np.zeros_like(held), np.zeros_like(shares)
    layer, part, place = np.nonzero(table >= 0)
    moved[layer, table[layer, part, place], part] = True
    spread[layer, table[layer, part, place], part] = share[layer, part, place]
    return moved, spread


def _some_layers(program: SlotProgram, layers: IntArray) -> SlotProgram:
    """Return the slot program of these layers alone, without affinity."""
    return SlotProgram(
        weights=np.zeros((len(layers) - 1, program.items, program.items)),
        loads=program.loads[layers],
        distance=program.distance,
        slots=program.slots,
        replicas=program.replicas,
        allowed=None if program.allowed is None else program.allowed[layers],
        required=None if program.required is None else program.required[layers],
    )


def longest_first(
    loads: FloatArray, counts: IntArray, slots: IntArray, *, copied_first: bool = False
) -> tuple[BoolArray, BoolArray]:
    """Pack copies by falling load, each into the lightest part with room that does not hold its item.

    With ``copied_first`` the items with several copies come first: else there might be room for their last copy only
    where they are already.

    Returns
    -------
    held
        (layers, items, parts).
    done
        (layers,): False where a copy found no part.
    """
    layers, items = loads.shape
    rows = np.arange(layers)
    share = loads / counts
    copied = -np.minimum(counts, 2) if copied_first else np.zeros_like(counts)
    order = np.lexsort((-share, copied), axis=1)
    unit = np.repeat(order.ravel(), counts[rows[:, None], order].ravel())
    total = counts.sum(axis=1)
    longest = int(total.max())
    table = np.full((layers, longest), -1, dtype=np.int64)
    table[np.arange(longest) < total[:, None]] = unit
    held, done = np.zeros((layers, items, len(slots)), dtype=bool), np.ones(layers, dtype=bool)
    load, free = np.zeros((layers, len(slots))), np.tile(slots, (layers, 1))
    for step in range(longest):
        item = table[:, step]
        real = item >= 0
        at = np.where(real, item, 0)
        score = np.where((free > 0) & ~held[rows, at], load, np.inf)
        part = np.argmin(score, axis=1)
        placed = real & np.isfinite(score[rows, part])
        done &= placed | ~real
        held[rows[placed], at[placed], part[placed]] = True
        load[rows, part] += np.where(placed, share[rows, at], 0.0)
        free[rows, part] -= placed
    return held, done


def _by_transport(program: SlotProgram, layer: int, counts: IntArray) -> BoolArray:
    """Return any copies of one layer that keep slots, permissions and counts; fewer copies where that is needed.

    The matrix is that of a transport network, so the basic solution that HiGHS returns is 0/1.

    Raises
    ------
    InputError
        If not even one copy of each item fits.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, vstack

    items, parts = program.items, program.parts
    free = np.ones((items, parts), dtype=bool) if program.allowed is None else program.allowed[layer]
    must = np.zeros((items, parts), dtype=bool) if program.required is None else program.required[layer]
    index = np.arange(items * parts)
    per_item = coo_array((np.ones(items * parts), (index // parts, index)))
    per_part = coo_array((np.ones(items * parts), (index % parts, index)))
    share = np.repeat(program.loads[layer] / counts, parts)
    found: Any = linprog(
        -1.0 - share / max(float(share.max(initial=0.0)), 1e-300),
        A_ub=cast(Any, vstack([per_item, -per_item, per_part]).tocsr()),
        b_ub=np.concatenate([counts, -np.ones(items), program.slots]).astype(np.float64),
        bounds=cast(Any, np.stack([must.ravel(), (free | must).ravel()], axis=1).astype(np.float64)),
        method="highs-ds",
    )
    if found.x is None:
        raise InputError(f"layer {layer}", expected="room for one copy of each item", found=Plain("none"))
    held: BoolArray = found.x.reshape(items, parts) > 0.5
    return held


def _table(held: BoolArray, slots: IntArray) -> IntArray:
    """Return the items in the slots of each part, (layers, parts, slots); -1: empty, -2: no slot."""
    layers, _, parts = held.shape
    width = int(slots.max())
    table = np.where(np.arange(width) < slots[:, None], -1, -2)
    table = np.broadcast_to(table, (layers, parts, width)).copy()
    layer, part, item = np.nonzero(held.transpose(0, 2, 1))
    filled = held.sum(axis=1).ravel()
    place = np.arange(len(item)) - np.repeat(np.cumsum(filled) - filled, filled)
    table[layer, part, place] = item
    return table


def _exchange(
    program: SlotProgram, table: IntArray, of_slots: tuple[FloatArray, FloatArray], steps: int, partners: int
) -> None:
    """Exchange copies between each layer's heaviest part and others while its load falls.

    Changes ``table`` and, with it, ``of_slots``: the load and the share of each slot, (layers, parts, slots).
    """
    _, parts, width = table.shape
    loads = of_slots[0]
    total = loads.sum(axis=2)
    active = np.flatnonzero(imbalance(total) > 1.0 + EVEN)
    for _ in range(steps):
        if not len(active):
            return
        row = np.arange(len(active))
        now = total[active]
        high = np.argmax(now, axis=1)
        low = np.argpartition(now, partners - 1, axis=1)[:, :partners] if partners < parts else None
        low = np.broadcast_to(np.arange(parts), now.shape) if low is None else low
        mine, theirs = table[active, high], table[active[:, None], low]
        a, b = loads[active, high], loads[active[:, None], low]
        shift = a[:, :, None, None] - b[:, None]  # (active, my slot, partner, their slot)
        lightest = np.take_along_axis(now, low, axis=1)[:, None, :, None]
        top = now[row, high]
        worst = np.maximum(top[:, None, None, None] - shift, lightest + shift)
        fine = (mine >= 0)[:, :, None, None] & (theirs >= -1)[:, None] & (low != high[:, None])[:, None, :, None]
        fine &= ~(mine[:, :, None, None] == theirs[:, None, :, :]).any(axis=3, keepdims=True)
        fine &= ~(mine[:, :, None, None] == theirs[:, None, :, :]).any(axis=1, keepdims=True)
        fine &= _permitted(program, active, high, low, mine, theirs)
        worst = np.where(fine, worst, np.inf).reshape(len(active), -1)
        best = np.argmin(worst, axis=1)
        better = worst[row, best] < top * (1.0 - 1e-12)
        i, k, j = np.unravel_index(best[better], (width, partners, width))
        layer, g, h = active[better], high[better], low[better][np.arange(int(better.sum())), k]
        for array in (table, *of_slots):
            array[layer, g, i], array[layer, h, j] = array[layer, h, j], array[layer, g, i]
        total[layer, g], total[layer, h] = loads[layer, g].sum(axis=1), loads[layer, h].sum(axis=1)
        active = layer[total[layer].max(axis=1) > (1.0 + EVEN) * total[layer].mean(axis=1)]


def _permitted(
    program: SlotProgram, active: IntArray, high: IntArray, low: IntArray, mine: IntArray, theirs: IntArray
) -> BoolArray:
    """Return which exchanges (active, my slot, partner, their slot) put no copy where it must not be, nor take one."""
    fine = np.ones((len(active), 1, 1, 1), dtype=bool)
    layer = active[:, None, None]
    for table, wanted in ((program.allowed, True), (program.required, False)):
        if table is None:
            continue
        # allowed: the copy's new part; required: the part that it leaves
        own = table[layer, np.maximum(mine, 0)[:, :, None], low[:, None, :] if wanted else high[:, None, None]]
        goal = high[:, None, None] if wanted else low[:, :, None]
        other = (
            table[layer, np.maximum(theirs, 0), goal] | (theirs < 0)
            if wanted
            else (table[layer, np.maximum(theirs, 0), goal] & (theirs >= 0))
        )
        fine = fine & ((own == wanted)[:, :, :, None] & (other == wanted)[:, None])
    return fine
