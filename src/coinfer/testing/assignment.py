"""Layered assignments small enough to enumerate: drawn by Hypothesis, and solved by looking at every assignment."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from coinfer.solver.assignment.program import BoolArray, LayeredAssignment, imbalance, part_loads
from coinfer.solver.program import FloatArray, IntArray

MOST_ASSIGNMENTS = 300_000
"""Most assignments that are enumerated: a fraction of a second."""
ROUNDING = 1e-9
"""Share of a cap by which a load may exceed it, as in ``coinfer.solver.assignment.program.evaluate``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AssignmentOptimum:
    """The best assignment of all.

    Attributes
    ----------
    value
        Its objective; ``inf`` where no assignment is feasible.
    part
        (layers, items): the part of each item; ``None`` where no assignment is feasible.
    """

    value: float
    part: IntArray | None


def enumerate_assignments(program: LayeredAssignment) -> AssignmentOptimum:
    """Look at every assignment of ``program`` that keeps the limits of single layers, and return the best.

    Raises
    ------
    ValueError
        If there are more than :data:`MOST_ASSIGNMENTS` of them.
    """
    rows = np.array(list(itertools.product(range(program.parts), repeat=program.items)), dtype=np.int64)
    counts = (rows[:, :, None] == np.arange(program.parts)).sum(axis=1)
    rows = rows[(counts <= program.capacity).all(axis=1)]
    states = [rows[_kept(program, layer, rows)] for layer in range(program.layers)]
    sizes = [len(own) for own in states]
    if math.prod(sizes) > MOST_ASSIGNMENTS:
        raise ValueError(f"{math.prod(sizes)} assignments are too many to enumerate")
    if not math.prod(sizes):
        return AssignmentOptimum(value=math.inf, part=None)
    value, uneven = np.zeros(sizes), np.zeros(sizes)
    for layer, own in enumerate(states):
        along = [1] * program.layers
        along[layer] = len(own)
        if program.cost is not None:
            value += program.cost[layer, np.arange(program.items), own].sum(axis=1).reshape(along)
        if program.loads is not None:
            loads = part_loads(np.repeat(program.loads[[layer]], len(own), axis=0), own, program.parts)
            uneven += imbalance(loads).reshape(along)
        if layer + 1 < program.layers:
            along[layer + 1] = len(states[layer + 1])
            value += _separated(program, layer, own, states[layer + 1]).reshape(along)
    if program.mean_imbalance_cap is not None:
        value[uneven / program.layers > program.mean_imbalance_cap * (1.0 + ROUNDING)] = math.inf
    best = np.unravel_index(int(value.argmin()), sizes)
    if math.isinf(value[best]):
        return AssignmentOptimum(value=math.inf, part=None)
    part = np.stack([own[index] for own, index in zip(states, best, strict=True)])
    return AssignmentOptimum(value=float(value[best]), part=part)


def _kept(program: LayeredAssignment, layer: int, rows: IntArray) -> BoolArray:
    """Return which assignments of one layer keep its limits."""
    kept = np.ones(len(rows), dtype=bool)
    if program.allowed is not None:
        kept &= program.allowed[layer, np.arange(program.items), rows].all(axis=1)
    if program.loads is not None and program.load_caps is not None:
        loads = part_loads(np.repeat(program.loads[[layer]], len(rows), axis=0), rows, program.parts)
        kept &= loads.max(axis=1) <= program.load_caps[layer] * (1.0 + ROUNDING)
    return kept


def _separated(program: LayeredAssignment, layer: int, here: IntArray, there: IntArray) -> FloatArray:
    """Return what separation costs between two layers for each two of their assignments."""
    table = np.zeros((len(here), len(there)))
    for row, own in zip(table, here, strict=True):
        by_place = program.weights[layer].T @ program.distance[own]
        row[:] = by_place[np.arange(program.items), there].sum(axis=1)
    return table


@st.composite
def layered_assignments(
    draw: st.DrawFn,
    *,
    max_items: int = 6,
    uniform: bool | None = None,
    full: bool | None = None,
    priced: bool | None = None,
    capped: bool | None = None,
    mean_capped: bool | None = None,
) -> LayeredAssignment:
    """Draw a program with 2 to 4 layers and 1 to 3 parts, of whole numbers: with ties, zeros, and at times infeasible.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    max_items
        Most items of a layer.
    uniform
        Whether every separation costs the same; ``None``: either.
    full
        Whether all parts are equally large and full; ``None``: either.
    priced
        Whether there may be placement costs and forbidden places; ``None``: either.
    capped, mean_capped
        Whether loads have caps by layer, and one on their mean; ``None``: either.
    """
    uniform, full, priced, capped, mean_capped = (
        draw(st.booleans()) if choice is None else choice for choice in (uniform, full, priced, capped, mean_capped)
    )
    capacity = draw(_capacities(max_items, full=full))
    parts = len(capacity)
    items = int(capacity.sum()) if full else draw(st.integers(1, min(max_items, int(capacity.sum()))))
    states = int((_counts(items, parts) <= capacity).all(axis=1).sum())
    layers = draw(st.integers(2, max(n for n in (2, 3, 4) if n == 2 or states**n <= MOST_ASSIGNMENTS // 6)))
    off = np.ones((parts, parts)) - np.eye(parts)
    distance = off * draw(st.sampled_from([1.0, 1.0, 3.0]))
    if not uniform:
        upper = np.triu(draw(_whole((parts, parts), 4)), 1)
        distance = upper + upper.T
    shape = (layers, items)
    loads = draw(_whole(shape, 9)) if capped or mean_capped else None
    return LayeredAssignment(
        weights=draw(_whole((layers - 1, items, items), 9)),
        distance=distance,
        capacity=capacity,
        cost=draw(_whole((*shape, parts), 9)) if priced and draw(st.booleans()) else None,
        allowed=draw(_whole((*shape, parts), 5)) > 0.0 if priced and draw(st.booleans()) else None,
        loads=loads,
        load_caps=None if loads is None or not capped else draw(_caps(loads, parts)),
        mean_imbalance_cap=draw(st.sampled_from([1.0, 1.2, 1.35, 1.6, 2.1])) if mean_capped else None,
    )


def _counts(items: int, parts: int) -> IntArray:
    """Return how many items each part has, for each assignment of one layer."""
    rows = np.array(list(itertools.product(range(parts), repeat=items)), dtype=np.int64)
    return np.asarray((rows[:, :, None] == np.arange(parts)).sum(axis=1), dtype=np.int64)


@st.composite
def _capacities(draw: st.DrawFn, max_items: int, *, full: bool) -> IntArray:
    """Draw the room of 1 to 3 parts: equal ones that are filled, or any with room for an item."""
    if full:
        size = draw(st.integers(1, max(1, max_items // 2)))
        parts = draw(st.integers(1, min(3, max_items // size)))
        return np.full(parts, size, dtype=np.int64)
    room = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3).filter(any))
    return np.array(room, dtype=np.int64)


@st.composite
def _whole(draw: st.DrawFn, shape: tuple[int, ...], most: int) -> FloatArray:
    """Draw whole numbers in 0..most, from a seed: one choice for Hypothesis, and not one for each number."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.floor(rng.random(shape) * rng.integers(1, most + 2))


@st.composite
def _caps(draw: st.DrawFn, loads: FloatArray, parts: int) -> FloatArray:
    """Draw caps near the mean load of a part, where they bind."""
    factor = draw(st.sampled_from([0.9, 1.0, 1.2, 1.5, 2.0]))
    return np.asarray(np.ceil(loads.sum(axis=1) / parts * factor), dtype=np.float64)
