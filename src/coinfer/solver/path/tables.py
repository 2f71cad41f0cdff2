"""What the engines read from a layered path program: sums over steps, windows of memory, costs of jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.path.program import LayeredPath
from coinfer.solver.program import FloatArray, IntArray

SLACK = 1e-9
"""Share of a budget or a capacity by which a feasible path may exceed it, as :meth:`LayeredPath.broken` has it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """Sums of a program, for the resources that matter.

    Attributes
    ----------
    kept
        Resources that matter: the objective, then those with a budget.
    budget
        (kept,): most of each that a feasible path uses, the tolerance included; infinite for one without a budget.
    sums
        (kept, carriers, modes, steps + 1): use of the steps before a boundary; impossible steps count nothing.
    busy
        (carriers, modes, steps + 1): the same of busy times; ``None`` without.
    reach
        (carriers, modes, steps): last boundary at which a piece that begins here may end; its own where it cannot.
    """

    program: LayeredPath
    kept: IntArray
    budget: FloatArray
    sums: FloatArray
    busy: FloatArray | None
    reach: IntArray


def tables_of(program: LayeredPath, *, below: float = np.inf) -> Tables:
    """Add up a program; with ``below``, pieces are only those with less busy time than that."""
    limited = np.isfinite(program.budget)
    limited[0] = True
    kept = np.flatnonzero(limited)
    step = program.step[kept]
    possible = np.asarray(np.isfinite(step).all(axis=0))
    busy = None if program.busy is None else before(program.busy)
    reach = _reach(program.size, possible, program.capacity * (1.0 + SLACK), program.mixed_modes)
    if busy is not None and below < np.inf and not program.mixed_modes:
        fits = busy[:, :, None, :] - busy[:, :, :-1, None] < below
        reach = np.maximum(np.minimum(reach, fits.sum(axis=-1) - 1), np.arange(program.steps))
    return Tables(
        program=program,
        kept=kept,
        budget=program.budget[kept] / (1.0 - SLACK),
        sums=before(np.where(possible, step, 0.0)),
        busy=busy,
        reach=reach,
    )


def before(numbers: FloatArray) -> FloatArray:
    """Return the sums of the last axis before each boundary."""
    padded = np.zeros((*numbers.shape[:-1], numbers.shape[-1] + 1))
    np.cumsum(numbers, axis=-1, out=padded[..., 1:])
    return padded


def _reach(size: FloatArray, possible: NDArray[np.bool_], capacity: FloatArray, mixed: bool) -> IntArray:
    """Return how far each piece may go."""
    carriers, modes, steps = size.shape
    if mixed:  # the smallest mode of each step: only what no choice of modes can mend is ruled out here
        least = np.where(possible, size, np.inf).min(axis=1, keepdims=True)
        possible, size = np.isfinite(least), np.where(np.isfinite(least), least, 0.0)
    held = before(size)
    blocked = before(np.where(possible, 0.0, 1.0))
    reach = np.empty((carriers, size.shape[1], steps), dtype=np.int64)
    for carrier in range(carriers):
        for mode in range(size.shape[1]):
            room = held[carrier, mode, :-1] + capacity[carrier] * (1.0 + 1e-12)
            memory = np.searchsorted(held[carrier, mode], room, side="right") - 1
            free = np.searchsorted(blocked[carrier, mode], blocked[carrier, mode, :-1], side="right") - 1
            reach[carrier, mode] = np.maximum(np.minimum(memory, free), np.arange(steps))
    return np.broadcast_to(reach, (carriers, modes, steps)).copy() if mixed else reach


def jump_use(tables: Tables, boundary: int) -> FloatArray:
    """Return what jumps between carriers use, (kept, carriers, carriers, codecs); infinite where there is none."""
    program, kept = tables.program, tables.kept
    count = program.carriers
    fixed, rate = program.fixed[kept, :count, :count, None], program.rate[kept, :count, :count, None]
    amount, extra = program.amount[kept, :, boundary], program.extra[kept, :, boundary]
    use = rate * amount[:, None, None, :]
    closed = np.isinf(fixed)
    use += np.where(closed, 0.0, fixed)
    use *= program.weight[kept, boundary][:, None, None, None]
    use += extra[:, None, None, :]
    closed = np.broadcast_to(closed, use.shape)
    use[closed] = np.inf
    use[:, ~followers(program)] = np.inf
    return use


def followers(program: LayeredPath) -> NDArray[np.bool_]:
    """Return which carriers may follow which, (carriers, carriers)."""
    one = np.ones((program.carriers, program.carriers), dtype=bool)
    return np.triu(one, 1) if program.order == "fixed" else ~np.eye(program.carriers, dtype=bool)


def jump_busy(program: LayeredPath, boundary: int) -> FloatArray:
    """Return how long jumps between carriers keep their way busy, (carriers, carriers, codecs)."""
    count = program.carriers
    moved = program.rate[0, :count, :count, None] * program.amount[0, :, boundary]
    return np.asarray(program.weight[0, boundary] * moved + program.extra[0, :, boundary])


def ends(tables: Tables) -> tuple[FloatArray, FloatArray]:
    """Return what the first jump into and the return from each carrier use, (kept, carriers) each."""
    program, source = tables.program, tables.program.carriers
    into = [program.jump(0, source, carrier, 0) for carrier in range(source)]
    back = [program.jump(program.steps, carrier, source, 0) for carrier in range(source)]
    return np.array(into).T[tables.kept], np.array(back).T[tables.kept]


def ends_busy(program: LayeredPath) -> tuple[FloatArray, FloatArray]:
    """Return how long the first jump and the return keep their way busy, (carriers,) each."""
    source = program.carriers
    into = [program.jump_busy(0, source, carrier, 0) for carrier in range(source)]
    back = [program.jump_busy(program.steps, carrier, source, 0) for carrier in range(source)]
    return np.array(into), np.array(back)
