"""distilp's mixed-integer program of a ring, stated once more for SciPy: oracle and peer of the exact solver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coinfer.models.split.ring import RingDevice, RingSplit
from coinfer.solver.program import FloatArray


def solve_ring_by_milp(
    devices: Sequence[RingDevice], layers: int, *, constant_s: float = 0.0, drop: bool = False, gap: float = 1e-4
) -> RingSplit | None:
    """Return the best ring that SciPy's ``milp`` finds, one program for each number of rounds.

    The variables are those of distilp 0.1: layers, layers on the graphics processor, and missing layers of each kind of
    memory for every device, stalls, and the cycle time. ``drop`` adds a binary variable for each device.
    """
    best: RingSplit | None = None
    for rounds in range(1, max(2, layers)):
        if layers % rounds == 0:
            found = _fixed_rounds(devices, layers // rounds, rounds, drop=drop, gap=gap)
            if found is not None and (best is None or found.value + constant_s < best.value):
                best = RingSplit(
                    rounds=rounds,
                    layers=found.layers,
                    gpu_layers=found.gpu_layers,
                    value=found.value + constant_s,
                )
    return best


class _Rows:
    """Rows of one program: coefficients by variable, and their upper limits."""

    def __init__(self, variables: int) -> None:
        self.variables = variables
        self.rows: list[FloatArray] = []
        self.most: list[float] = []

    def at_most(self, limit: float, *terms: dict[int, float]) -> None:
        """Add a row: the sum of all terms is at most ``limit``."""
        row = np.zeros(self.variables)
        for term in terms:
            for variable, number in term.items():
                row[variable] += number
        self.rows.append(row)
        self.most.append(limit)


def _fixed_rounds(
    devices: Sequence[RingDevice], window: int, rounds: int, *, drop: bool, gap: float
) -> RingSplit | None:
    from scipy.optimize import Bounds, LinearConstraint, milp

    count = len(devices)
    w, n, shared, main, card, stall, used = (range(j * count, (j + 1) * count) for j in range(7))
    cycle = 7 * count
    program = _Rows(cycle + 1)
    lower, upper = np.zeros(cycle + 1), np.full(cycle + 1, np.inf)
    whole = np.ones(cycle + 1)
    whole[list(stall)] = whole[cycle] = 0
    cost = np.zeros(cycle + 1)
    cost[cycle] = rounds - 1
    for i, device in enumerate(devices):
        for block, on in ((w, True), (n, device.has_gpu), (shared, True), (main, True), (card, device.has_gpu)):
            upper[block[i]] = window if on else 0
        lower[used[i]], upper[used[i]] = (0.0 if drop else 1.0), 1.0
        busy = {w[i]: device.layer_s, n[i]: device.gpu_gain_s, used[i]: device.round_s}
        busy |= dict(zip((shared[i], main[i], card[i]), device.spill_s, strict=True))
        for variable, number in busy.items():
            cost[variable] = number
        program.at_most(0.0, {n[i]: 1.0, w[i]: -1.0})
        program.at_most(0.0, {used[i]: 1.0, w[i]: -1.0})
        program.at_most(0.0, {w[i]: 1.0, used[i]: -float(window)})
        held = ({w[i]: 1.0, shared[i]: -1.0}, {w[i]: 1.0, n[i]: -1.0, main[i]: -1.0}, {n[i]: 1.0, card[i]: -1.0})
        for room, term in zip(device.room, held, strict=True):
            if np.isfinite(room):  # a device that is left out lacks no memory
                program.at_most(0.0, term, {used[i]: -room})
        program.at_most(0.0, busy, {stall[i]: 1.0, cycle: -1.0})
        program.at_most(0.0, busy, {w[i]: device.fetch_s, stall[i]: -1.0, cycle: -1.0})
    program.at_most(float(window), dict.fromkeys(w, 1.0))
    solved = milp(
        c=cost,
        integrality=whole,
        bounds=Bounds(lower, upper),
        constraints=LinearConstraint(
            np.array(program.rows), [*[-np.inf] * (len(program.most) - 1), window], program.most
        ),
        options={"mip_rel_gap": gap, "time_limit": 60.0},
    )
    if not solved.success:
        return None
    amounts = [tuple(round(solved.x[j]) for j in block) for block in (w, n)]
    return RingSplit(rounds=rounds, layers=amounts[0], gpu_layers=amounts[1], value=float(cost @ solved.x))
