"""The flow that a line of units really carries: each holds a range of steps, links bind, and nothing is aligned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.linear import Relaxation
from coinfer.solver.program import FloatArray, ProgramBuilder

ENDS = -1
"""Stands for the source (as the first of a pair) and for the sink (as the second) in the flows of edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The steps ``start`` to ``stop - 1``, held by one unit.

    Attributes
    ----------
    region, kind
        Where the unit stands, and its type.
    start, stop
        Its steps.
    rate
        The flow it carries at most.
    """

    region: int
    kind: int
    start: int
    stop: int
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow through ranges.

    Attributes
    ----------
    value
        What flows from source to sink.
    edges
        Flow from one range to another, by their positions; :data:`ENDS` for source and sink. Only what is above 0.
    """

    value: float
    edges: dict[tuple[int, int], float]

    def through(self, unit: int) -> float:
        """Return the flow through one range."""
        return sum(flow for (_, end), flow in self.edges.items() if end == unit)

    @property
    def mean_units(self) -> float:
        """Units on the way from source to sink, weighted by flow; 0 without flow."""
        return sum(flow for (_, end), flow in self.edges.items() if end != ENDS) / self.value if self.value else 0.0


def max_flow(ranges: tuple[Range, ...], *, steps: int, link: FloatArray) -> Flow:
    """Return a largest flow, and of all largest flows one that passes the fewest units.

    A range hands on only to ranges that start where it stops.

    Parameters
    ----------
    ranges
        The units' steps.
    steps
        Length of the line.
    link
        (regions, regions): what one link carries between regions; within a region links do not bind.
    """
    pairs = [(ENDS, j) for j, unit in enumerate(ranges) if unit.start == 0]
    pairs += [(i, ENDS) for i, unit in enumerate(ranges) if unit.stop == steps]
    starts: dict[int, list[int]] = {}
    for j, unit in enumerate(ranges):
        starts.setdefault(unit.start, []).append(j)
    pairs += [(i, j) for i, unit in enumerate(ranges) for j in starts.get(unit.stop, [])]
    if not any(i == ENDS for i, _ in pairs) or not any(j == ENDS for _, j in pairs):
        return Flow(value=0.0, edges={})
    sources = np.array([i for i, _ in pairs])
    targets = np.array([j for _, j in pairs])
    regions = np.array([unit.region for unit in ranges])
    room = np.array([unit.rate for unit in ranges])
    upper = np.where(sources == ENDS, room[targets], np.where(targets == ENDS, room[sources], 0.0))
    inner = (sources != ENDS) & (targets != ENDS)
    across = regions[sources] != regions[targets]
    between = np.minimum(room[sources], room[targets])
    upper[inner] = np.where(across, np.minimum(between, link[regions[sources], regions[targets]]), between)[inner]
    # A prize of 1 for each unit of flow, and a price on each passage too small to give up flow for.
    cost = np.where(sources == ENDS, -1.0, 0.0) + 1e-6 / (len(ranges) + 1)
    builder = ProgramBuilder()
    flow = builder.variables("flow", len(pairs), cost=cost, upper=upper)
    ends, begins = np.flatnonzero(targets != ENDS), np.flatnonzero(sources != ENDS)
    builder.rows(
        "kept",
        row=np.concatenate([targets[ends], sources[begins]]),
        column=np.concatenate([flow[ends], flow[begins]]),
        coefficient=np.concatenate([np.ones(len(ends)), -np.ones(len(begins))]),
        lower=0.0,
        upper=0.0,
        count=len(ranges),
    )
    builder.rows("rate", row=targets[ends], column=flow[ends], coefficient=1.0, upper=room, count=len(ranges))
    program = builder.build()
    point = Relaxation(program).solve(program.lower, program.upper).point
    if point is None:
        return Flow(value=0.0, edges={})
    small = 1e-9 * float(room.max())
    edges = {pair: float(number) for pair, number in zip(pairs, point, strict=True) if number > small}
    return Flow(value=sum(number for (i, _), number in edges.items() if i == ENDS), edges=edges)
