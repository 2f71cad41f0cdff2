r"""Layered assignment as ExFlow's integer program (arXiv 2401.08383, ``solve_affinity.py``), over aggregated counts.

.. math::

   \min_{x, y}\; \sum_{l,e,f,k} w_{l,e,f}\,(d_k - d_{k-1})\, y_{l,e,f,k} + \sum_{l,e,g} c_{l,e,g}\, x_{l,e,g}
   \quad\text{s.t. } y_{l,e,f,k} \ge x_{l,e,g} - \sum_{h:\, d_{gh} < d_k} x_{l+1,f,h},\; \sum_g x_{l,e,g} = 1

with :math:`0 = d_0 < d_1 < \dots < d_K` the numbers that occur as distances, so that :math:`y_{l,e,f,k} = 1` where the
two items are at least :math:`d_k` apart. Under a uniform distance :math:`K = 1` and this is ExFlow's linearisation,
with one variable for all tokens that go from one item to another. One direction of its absolute value is enough, for
the places of an item add up to 1. Rows of capacity and of loads follow.
"""

from __future__ import annotations

import numpy as np

from coinfer.solver.assignment.program import LayeredAssignment, part_loads
from coinfer.solver.program import FloatArray, IntArray, MixedIntegerProgram, ProgramBuilder


def formulate_assignment(program: LayeredAssignment) -> MixedIntegerProgram:
    """State ``program`` as a mixed-integer program; its optimum is the least objective.

    The separations come out as 0 or 1 by themselves; they are declared integer, as CP-SAT needs them.
    """
    builder = ProgramBuilder()
    layers, items, parts = program.layers, program.items, program.parts
    place = builder.variables(
        "place",
        layers * items * parts,
        cost=0.0 if program.cost is None else program.cost.ravel(),
        upper=1.0 if program.allowed is None else program.allowed.ravel().astype(np.float64),
        integer=True,
    ).reshape(layers, items, parts)
    builder.rows(
        "once",
        row=np.arange(layers * items)[:, None],
        column=place.reshape(layers * items, parts),
        coefficient=1.0,
        lower=1.0,
        upper=1.0,
        count=layers * items,
    )
    by_part = np.arange(layers * parts).reshape(layers, 1, parts)
    builder.rows(
        "capacity",
        row=by_part,
        column=place,
        coefficient=1.0,
        upper=np.tile(program.capacity, layers),
        count=layers * parts,
    )
    _add_separations(program, builder, place)
    if program.loads is not None:
        _add_loads(program, program.loads, builder, place)
    return builder.build()


def encode_assignment(program: LayeredAssignment, part: IntArray) -> FloatArray:
    """Return the point of :func:`formulate_assignment` that stands for ``part``, (layers, items)."""
    chosen = (part[:, :, None] == np.arange(program.parts)).astype(np.float64)
    layer, here, there = np.nonzero(program.weights)
    apart = program.distance[part[layer, here], part[layer + 1, there]]
    steps = _steps(program)
    blocks = [chosen.ravel(), (apart[:, None] >= steps).astype(np.float64).ravel()]
    if program.loads is not None and program.mean_imbalance_cap is not None:
        blocks.append(part_loads(program.loads, part, program.parts).max(axis=1))
    return np.concatenate(blocks)


def read_assignment(program: LayeredAssignment, incumbent: FloatArray) -> IntArray:
    """Return the part of each item, (layers, items), at a point of :func:`formulate_assignment`."""
    shape = (program.layers, program.items, program.parts)
    return np.asarray(incumbent[: int(np.prod(shape))].reshape(shape).argmax(axis=2), dtype=np.int64)


def _steps(program: LayeredAssignment) -> FloatArray:
    """Return the positive distances, ascending."""
    return np.unique(program.distance[program.distance > 0.0])


def _add_separations(program: LayeredAssignment, builder: ProgramBuilder, place: IntArray) -> None:
    """Add a separation for each pair with weight and each distance, and what it is at least."""
    layer, here, there = np.nonzero(program.weights)
    steps, pairs, parts = _steps(program), len(layer), program.parts
    cost = program.weights[layer, here, there][:, None] * np.diff(steps, prepend=0.0)
    apart = builder.variables("apart", pairs * len(steps), cost=cost.ravel(), upper=1.0, integer=True)
    shape = (pairs, len(steps), parts)
    row = np.arange(pairs * len(steps) * parts).reshape(shape)
    near = np.argwhere(program.distance < steps[:, None, None])  # (step, part, other part)
    step, part, other = near.T
    triples = [
        (row, np.broadcast_to(apart.reshape(pairs, len(steps), 1), shape), 1.0),
        (row, np.broadcast_to(place[layer, here][:, None, :], shape), -1.0),
        (row[:, step, part], place[layer + 1, there][:, other], 1.0),
    ]
    builder.rows(
        "apart",
        row=np.concatenate([rows.ravel() for rows, _, _ in triples]),
        column=np.concatenate([columns.ravel() for _, columns, _ in triples]),
        coefficient=np.concatenate([np.full(rows.size, number) for rows, _, number in triples]),
        lower=0.0,
        count=row.size,
    )


def _add_loads(program: LayeredAssignment, loads: FloatArray, builder: ProgramBuilder, place: IntArray) -> None:
    """Add the cap of each layer on the load of a part, and the cap on the mean imbalance."""
    layers, _, parts = place.shape
    row = np.broadcast_to(np.arange(layers * parts).reshape(layers, 1, parts), place.shape)
    load = np.broadcast_to(loads[:, :, None], place.shape)
    count = layers * parts
    if program.load_caps is not None:
        caps = np.repeat(program.load_caps, parts)
        builder.rows("load", row=row, column=place, coefficient=load, upper=caps, count=count)
    if program.mean_imbalance_cap is None:
        return
    total = loads.sum(axis=1)
    # With whole loads the largest one is whole too, which CP-SAT needs.
    whole = not (loads % 1.0).any()
    largest = builder.variables("largest", layers, upper=total, integer=whole)
    builder.rows(
        "largest",
        row=np.concatenate([row.ravel(), np.arange(count)]),
        column=np.concatenate([place.ravel(), np.repeat(largest, parts)]),
        coefficient=np.concatenate([load.ravel(), np.full(count, -1.0)]),
        upper=0.0,
        count=count,
    )
    loaded = total > 0.0
    builder.rows(
        "imbalance",
        row=np.zeros(int(loaded.sum()), dtype=np.int64),
        column=largest[loaded],
        coefficient=parts / total[loaded] / layers,
        upper=program.mean_imbalance_cap - float((~loaded).sum()) / layers,
        count=1,
    )
