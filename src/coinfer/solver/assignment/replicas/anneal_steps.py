"""Steps of the annealing over copies: plain loops, run as they are or compiled, with the same answers.

A copy serves a fixed share of its item, and steps exchange what two slots of different parts hold.
"""

from __future__ import annotations

import math

from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.program import FloatArray, IntArray

MODULUS = 2147483647
MULTIPLIER = 48271


def anneal_steps(  # noqa: PLR0912, PLR0915 -- one loop, since compiled code cannot call what is not compiled
    weights: FloatArray,
    backward: FloatArray,
    distance: FloatArray,
    barred: BoolArray,
    holding: FloatArray,
    loads: FloatArray,
    caps: FloatArray,
    prices: FloatArray,
    part_of: IntArray,
    item: IntArray,
    share: FloatArray,
    held: BoolArray,
    part_load: FloatArray,
    pull: FloatArray,
    hot: float,
    cold: float,
    steps: int,
    seed: int,
) -> tuple[int, int]:
    """Try ``steps`` exchanges while the temperature falls from ``hot`` to ``cold``; changes the last five arrays.

    Parameters
    ----------
    weights, backward
        (layers - 1, items, items) and, with the last two axes exchanged, the same.
    distance
        (parts, parts).
    barred
        (layers, items, parts): where no copy of an item may come; where it must stay it is barred everywhere else.
    holding
        (layers, items, parts): cost of holding a copy.
    loads, caps, prices
        (layers, items), (layers,) and (layers,): load of items, most load of a part, and cost of a unit above it.
    part_of
        (slots,): part of each slot.
    item, share
        (layers, slots): item in each slot, -1 for none, and the share of its tokens.
    held, part_load
        (layers, items, parts) and (layers, parts).
    pull
        (layers, parts, items): what all tokens of an item would cost in a part, given the layers beside it.
    hot, cold
        Temperatures, in the unit of the objective.

    Returns
    -------
    taken, seed
        Exchanges made, and the state of the random numbers.
    """
    layers, slots = item.shape
    items, parts = loads.shape[1], distance.shape[0]
    taken = 0
    cooling = (cold / hot) ** (1.0 / max(steps, 1)) if hot > 0.0 else 1.0
    temperature = hot
    for _ in range(steps):
        temperature *= cooling
        seed = seed * MULTIPLIER % MODULUS
        layer = seed * layers // MODULUS
        seed = seed * MULTIPLIER % MODULUS
        one = seed * slots // MODULUS
        seed = seed * MULTIPLIER % MODULUS
        two = seed * slots // MODULUS
        g, h = part_of[one], part_of[two]
        e, f = item[layer, one], item[layer, two]
        if g == h or e == f:
            continue
        change, moved = 0.0, 0.0
        if e >= 0:
            if held[layer, e, h] or barred[layer, e, h]:
                continue
            change += share[layer, one] * (pull[layer, h, e] - pull[layer, g, e])
            change += holding[layer, e, h] - holding[layer, e, g]
            moved += share[layer, one] * loads[layer, e]
        if f >= 0:
            if held[layer, f, g] or barred[layer, f, g]:
                continue
            change += share[layer, two] * (pull[layer, g, f] - pull[layer, h, f])
            change += holding[layer, f, g] - holding[layer, f, h]
            moved -= share[layer, two] * loads[layer, f]
        cap = caps[layer]
        before = max(part_load[layer, g] - cap, 0.0) + max(part_load[layer, h] - cap, 0.0)
        after = max(part_load[layer, g] - moved - cap, 0.0) + max(part_load[layer, h] + moved - cap, 0.0)
        if after != before:
            change += prices[layer] * (after - before)
        if change > 0.0:
            if change > 30.0 * temperature:
                continue
            seed = seed * MULTIPLIER % MODULUS
            if math.log(seed / MODULUS) * temperature > -change:
                continue
        elif change == 0.0 and temperature == 0.0:
            continue
        taken += 1
        item[layer, one], item[layer, two] = f, e
        own, other = share[layer, one], share[layer, two]
        share[layer, one], share[layer, two] = other, own
        part_load[layer, g] -= moved
        part_load[layer, h] += moved
        if e >= 0:
            held[layer, e, g], held[layer, e, h] = False, True
        if f >= 0:
            held[layer, f, h], held[layer, f, g] = False, True
        for k in range(parts):
            step = distance[h, k] - distance[g, k]
            if step == 0.0:
                continue
            if e >= 0 and own != 0.0:
                amount = own * step
                if layer + 1 < layers:
                    for j in range(items):
                        pull[layer + 1, k, j] += amount * weights[layer, e, j]
                if layer > 0:
                    for j in range(items):
                        pull[layer - 1, k, j] += amount * backward[layer - 1, e, j]
            if f >= 0 and other != 0.0:
                amount = other * step
                if layer + 1 < layers:
                    for j in range(items):
                        pull[layer + 1, k, j] -= amount * weights[layer, f, j]
                if layer > 0:
                    for j in range(items):
                        pull[layer - 1, k, j] -= amount * backward[layer - 1, f, j]
    return taken, seed
