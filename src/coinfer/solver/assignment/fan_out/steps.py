"""Steps of the search for little fan-out: plain loops, run as they are or compiled, with the same answers.

Both steps exchange what two slots of different parts of one layer hold.
"""

from __future__ import annotations

import math

from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.program import FloatArray, IntArray

MODULUS = 2147483647
MULTIPLIER = 48271


def pair_steps(
    used: FloatArray,
    barred: BoolArray,
    cost: FloatArray,
    loads: FloatArray,
    cap: float,
    price: float,
    part_of: IntArray,
    item: IntArray,
    part_load: FloatArray,
    near: FloatArray,
    hot: float,
    cold: float,
    steps: int,
    seed: int,
) -> tuple[int, int]:
    """Try ``steps`` exchanges that bring items together which are used together; the temperature falls.

    A cheap stand-in for the fan-out: one look-up tells what an exchange is worth.

    Parameters
    ----------
    used
        (items, items): what it is worth that two items share a part; 0 on the diagonal.
    barred, cost
        (items, parts): where an item must not come, and what a place costs.
    loads, cap, price
        (items,): load of each item; most load of a part, and the cost of a unit above it.
    part_of, item
        (slots,): part of each slot, and its item or -1. ``item`` is changed.
    part_load, near
        (parts,) and (parts, items): load of a part, and what an item is worth beside all in a part; both are changed.
    """
    slots, items = len(item), len(loads)
    taken, temperature = 0, hot
    cooling = (cold / hot) ** (1.0 / max(steps, 1)) if hot > 0.0 else 1.0
    for _ in range(steps):
        temperature *= cooling
        seed = seed * MULTIPLIER % MODULUS
        one = seed * slots // MODULUS
        seed = seed * MULTIPLIER % MODULUS
        two = seed * slots // MODULUS
        g, h, e, f = part_of[one], part_of[two], item[one], item[two]
        if g == h or e == f or (e >= 0 and barred[e, h]) or (f >= 0 and barred[f, g]):
            continue
        change, moved = 0.0, 0.0
        if e >= 0:
            change += near[g, e] - near[h, e] + cost[e, h] - cost[e, g]
            moved += loads[e]
        if f >= 0:
            change += near[h, f] - near[g, f] + cost[f, g] - cost[f, h]
            moved -= loads[f]
        if e >= 0 and f >= 0:
            change += 2.0 * used[e, f]
        before = max(part_load[g] - cap, 0.0) + max(part_load[h] - cap, 0.0)
        after = max(part_load[g] - moved - cap, 0.0) + max(part_load[h] + moved - cap, 0.0)
        change += price * (after - before)
        if change >= 0.0:
            if change > 30.0 * temperature:
                continue
            seed = seed * MULTIPLIER % MODULUS
            if math.log(seed / MODULUS) * temperature > -change:
                continue
        taken += 1
        item[one], item[two] = f, e
        part_load[g] -= moved
        part_load[h] += moved
        for j in range(items):
            step = 0.0
            if e >= 0:
                step += used[e, j]
            if f >= 0:
                step -= used[f, j]
            near[g, j] -= step
            near[h, j] += step
    return taken, seed


def set_steps(  # noqa: PLR0912, PLR0915 -- one loop, since compiled code cannot call what is not compiled
    sets: IntArray,
    count: FloatArray,
    first: IntArray,
    member: IntArray,
    barred: BoolArray,
    cost: FloatArray,
    loads: FloatArray,
    cap: float,
    price: float,
    part_of: IntArray,
    item: IntArray,
    part: IntArray,
    part_load: FloatArray,
    inside: IntArray,
    temperature: float,
    steps: int,
    seed: int,
) -> tuple[int, int]:
    """Try ``steps`` exchanges, by what they are truly worth: the parts that each set touches.

    Parameters
    ----------
    sets, count
        (sets, k) and (sets,): items of each set, and how often it is used.
    first, member
        (items + 1,) and (sets * k,): the sets with item ``e`` are ``member[first[e]:first[e + 1]]``.
    barred, cost, loads, cap, price, part_of, item, part_load
        As in :func:`pair_steps`.
    part
        (items,): part of each item; is changed.
    inside
        (sets, parts): items of each set in each part; is changed.
    temperature
        In the unit of the objective.
    """
    slots, size = len(item), sets.shape[1]
    taken = 0
    for _ in range(steps):
        seed = seed * MULTIPLIER % MODULUS
        one = seed * slots // MODULUS
        seed = seed * MULTIPLIER % MODULUS
        two = seed * slots // MODULUS
        g, h, e, f = part_of[one], part_of[two], item[one], item[two]
        if g == h or e == f or (e >= 0 and barred[e, h]) or (f >= 0 and barred[f, g]):
            continue
        change, moved = 0.0, 0.0
        for turn in range(2):
            a = e if turn == 0 else f
            if a < 0:
                continue
            b = f if turn == 0 else e
            here = g if turn == 0 else h
            there = h if turn == 0 else g
            change += cost[a, there] - cost[a, here]
            moved += loads[a] if turn == 0 else -loads[a]
            for k in range(first[a], first[a + 1]):
                r = member[k]
                worth = 0.0
                if inside[r, here] == 1:
                    worth -= 1.0
                if inside[r, there] == 0:
                    worth += 1.0
                if worth != 0.0:
                    both = False
                    for j in range(size):
                        if sets[r, j] == b:
                            both = True
                    if not both:
                        change += worth * count[r]
        before = max(part_load[g] - cap, 0.0) + max(part_load[h] - cap, 0.0)
        after = max(part_load[g] - moved - cap, 0.0) + max(part_load[h] + moved - cap, 0.0)
        change += price * (after - before)
        if change >= 0.0:
            if change > 30.0 * temperature:
                continue
            seed = seed * MULTIPLIER % MODULUS
            if math.log(seed / MODULUS) * temperature > -change:
                continue
        taken += 1
        item[one], item[two] = f, e
        part_load[g] -= moved
        part_load[h] += moved
        if e >= 0:
            part[e] = h
            for k in range(first[e], first[e + 1]):
                inside[member[k], g] -= 1
                inside[member[k], h] += 1
        if f >= 0:
            part[f] = g
            for k in range(first[f], first[f + 1]):
                inside[member[k], h] -= 1
                inside[member[k], g] += 1
    return taken, seed
