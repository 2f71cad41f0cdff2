"""Annealing by exchanges of two items of a layer, with a table of what each item would cost in each part.

The same source runs under numpy and, where numba is installed, compiled: every draw comes from outside, so both
take the same steps. A test of an exchange costs nothing but a look at the table; a taken one updates the rows of
both neighbours.
"""

from __future__ import annotations

import numpy as np

from coinfer.solver.program import FloatArray, IntArray


def steps(  # noqa: PLR0912, PLR0915  # one loop: compiled as it stands, and a call costs more than a move
    weights: FloatArray,
    backward: FloatArray,
    distance: FloatArray,
    uniform: bool,
    loads: FloatArray,
    load_caps: FloatArray,
    imbalance_sum: float,
    mean_loads: FloatArray,
    price: float,
    part: IntArray,
    table: FloatArray,
    held: FloatArray,
    best: IntArray,
    numbers: FloatArray,
    draws: IntArray,
    chances: FloatArray,
) -> None:
    """Try one exchange for each row of ``draws``; everything from ``part`` to ``numbers`` is changed in place.

    Parameters
    ----------
    weights, backward
        (layers - 1, items, items), and the same with the items exchanged: every access runs along a row.
    distance, uniform, loads, load_caps, imbalance_sum, mean_loads
        As in :class:`coinfer.solver.assignment.search.state.Full`.
    price
        Cost of a unit of load above a cap (in units of the mean load).
    part, table, held
        Assignment (layers, items), cost of each place (layers, parts, items), load of each part (layers, parts).
    best
        Best assignment within all caps so far.
    numbers
        Value, excess over the caps, value of ``best`` (inf without one), sum of imbalances.
    draws
        (moves, 3): layer and two items.
    chances
        (moves,): temperature times minus the logarithm of a uniform draw; an exchange that costs more is refused.
    """
    layers, items = part.shape
    parts = held.shape[1]
    capped = price > 0.0
    unsaved = False
    for move in range(len(draws)):
        layer, one, other = draws[move, 0], draws[move, 1], draws[move, 2]
        a, b = part[layer, one], part[layer, other]
        if a == b:
            continue
        gain = table[layer, b, one] + table[layer, a, other] - table[layer, a, one] - table[layer, b, other]
        excess, uneven, moved = 0.0, 0.0, 0.0
        if capped:
            moved = loads[layer, one] - loads[layer, other]
            if moved != 0.0:
                cap, mean = load_caps[layer], mean_loads[layer]
                if cap < np.inf:
                    before = max(0.0, held[layer, a] - cap) + max(0.0, held[layer, b] - cap)
                    after = max(0.0, held[layer, a] - moved - cap) + max(0.0, held[layer, b] + moved - cap)
                    excess = (after - before) / mean
                if imbalance_sum < np.inf:
                    top, new = 0.0, 0.0
                    for g in range(parts):
                        load = held[layer, g]
                        top = max(top, load)
                        if g == a:
                            load -= moved
                        elif g == b:
                            load += moved
                        new = max(new, load)
                    uneven = (new - top) / mean
                    before = max(0.0, numbers[3] - imbalance_sum)
                    excess += max(0.0, numbers[3] + uneven - imbalance_sum) - before
        if gain + price * excess > chances[move]:
            continue
        if unsaved and (gain >= 0.0 or excess > 0.0):  # not at every step down: a copy costs more than a step
            best[:, :] = part
            unsaved = False
        part[layer, one], part[layer, other] = b, a
        numbers[0] += gain
        numbers[1] += excess
        numbers[3] += uneven
        held[layer, a] -= moved
        held[layer, b] += moved
        for side in range(2):
            near = layer - 1 if side == 0 else layer + 1
            if near < 0 or near >= layers:
                continue
            matrix = backward[near] if side == 0 else weights[layer]
            left, right = matrix[one], matrix[other]
            if uniform:
                scale, gone, come = distance[a, b], table[near, a], table[near, b]
                for x in range(items):
                    change = scale * (left[x] - right[x])
                    gone[x] += change
                    come[x] -= change
            else:
                for g in range(parts):
                    scale, own = distance[b, g] - distance[a, g], table[near, g]
                    if scale != 0.0:
                        for x in range(items):
                            own[x] += scale * (left[x] - right[x])
        if numbers[2] - numbers[0] > 1e-12 * abs(numbers[0]) and numbers[1] <= 1e-9:
            numbers[2] = numbers[0]
            unsaved = True
    if unsaved:
        best[:, :] = part
