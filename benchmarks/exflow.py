"""ExFlow's default method, re-implemented as a peer: recursive bisection by integer programs.

From the description of ``solve_affinity.py`` (YJHMITWEB/ExFlow): devices are halved again and again, and each half
of the experts is split by an integer program that sees only the transitions inside its own part, with a time limit
for each program. ExFlow uses Gurobi on one variable per token; here the program has one term per pair of experts,
which is the same objective in far fewer variables, and an open solver.
"""

from __future__ import annotations

import numpy as np

from coinfer.solver import mip
from coinfer.solver.assignment.integer_program import formulate_assignment, read_assignment
from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray


def bisection(weights: FloatArray, parts: int, *, engine: str, part_time_s: float) -> IntArray:
    """Return the part of each item, (layers, items), for a number of parts that is a power of 2.

    A program that finds nothing within its time keeps its items in order.
    """
    layers, items = len(weights) + 1, weights.shape[1]
    part = np.zeros((layers, items), dtype=np.int64)
    todo = [(np.tile(np.arange(items), (layers, 1)), 0, parts)]
    while todo:
        members, first, count = todo.pop()
        if count == 1:
            part[np.arange(layers)[:, None], members] = first
            continue
        side = _halved(weights, members, engine, part_time_s)
        for half in (0, 1):
            rows = np.array([row[chosen == half] for row, chosen in zip(members, side, strict=True)])
            todo.append((rows, first + half * (count // 2), count // 2))
    return part


def _halved(weights: FloatArray, members: IntArray, engine: str, time_s: float) -> IntArray:
    """Return 0 or 1 for each member of a part, (layers, members)."""
    inner = np.array(
        [layer[np.ix_(here, there)] for layer, here, there in zip(weights, members[:-1], members[1:], strict=True)]
    )
    size = members.shape[1]
    program = LayeredAssignment(
        weights=inner, distance=1.0 - np.eye(2), capacity=np.array([size // 2, size // 2], dtype=np.int64)
    )
    result = mip.solve(formulate_assignment(program), engine=engine, limits=Limits(time_s=time_s))
    if result.incumbent is None:
        return np.tile(np.arange(size) * 2 // size, (len(members), 1))
    return read_assignment(program, result.incumbent)
