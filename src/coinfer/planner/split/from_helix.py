"""Clusters of Helix as clusters of ours, and our pipelines as values of Helix's own integer program."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from coinfer.errors import InputError, Plain, ProblemError
from coinfer.models.split.kinds import UnitKind
from coinfer.models.split.throughput import PipelineCluster
from coinfer.profiler.imports.helix import HelixCluster
from coinfer.solver.limits import Limits
from coinfer.solver.lp_file import NamedProgram
from coinfer.solver.mip import solve
from coinfer.solver.pattern.flow import Range

Layout = Mapping[int, tuple[int, int]]
"""First layer, and layer after the last, of each node by its number."""

_START = re.compile(r"start_\d+")
_HOLD = re.compile(r"hold_(\d+)_(\d+)")


def helix_pipeline_cluster(
    cluster: HelixCluster, kinds: Mapping[str, UnitKind], *, layers: int, hidden_bytes: float
) -> PipelineCluster:
    """Return a cluster file as a cluster of interchangeable units, its nodes named by their numbers.

    Nodes joined by fast links make a region; between regions the slowest link and the longest latency count for all.

    Raises
    ------
    ProblemError
        If a node is of a type that ``kinds`` does not have.
    """
    regions = cluster.regions()
    order = sorted(set(cluster.kinds))
    for name in order:
        if name not in kinds:
            raise ProblemError("kinds", expected=f"the rates of type {name}", found=Plain(", ".join(kinds) or "none"))
    nodes: dict[tuple[int, int], tuple[str, ...]] = {}
    for node, (name, region) in enumerate(zip(cluster.kinds, regions, strict=True)):
        place = (region, order.index(name))
        nodes[place] = (*nodes.get(place, ()), str(node))
    bytes_per_s, latency_s = cluster.between(regions)
    coordinator = np.zeros(len(bytes_per_s))
    for ends in (cluster.source, cluster.sink):
        for node, link in ends.items():
            coordinator[regions[node]] = max(coordinator[regions[node]], link.latency_s)
    return PipelineCluster(
        layers=layers,
        kinds=tuple(kinds[name] for name in order),
        nodes=nodes,
        bytes_per_s=bytes_per_s,
        latency_s=latency_s,
        coordinator_latency_s=coordinator,
        hidden_bytes=hidden_bytes,
    )


def helix_rates(named: NamedProgram, kinds: tuple[str, ...]) -> dict[str, tuple[float, ...]]:
    """Read the rate table of every type from Helix's integer program: what a node passes that holds so many layers.

    Raises
    ------
    InputError
        If the program has no row ``node_throughput_constraint_N`` for a node, or two nodes of one type differ.
    """
    program = named.program
    rows = {name: index for index, name in enumerate(named.rows)}
    tables: dict[str, tuple[float, ...]] = {}
    for node, kind in enumerate(kinds):
        row = rows.get(f"node_throughput_constraint_{node}")
        if row is None:
            raise InputError(f"node_throughput_constraint_{node}", expected="a row of the program", found=Plain("none"))
        span = slice(int(program.row_start[row]), int(program.row_start[row + 1]))
        held = {}
        for column, number in zip(program.column[span].tolist(), program.coefficient[span].tolist(), strict=True):
            matched = _HOLD.fullmatch(named.variables[column])
            if matched is not None and int(matched[1]) == node:
                held[int(matched[2])] = -number
        table = tuple(held.get(layers, 0.0) for layers in range(1, max(held, default=0) + 1))
        if tables.setdefault(kind, table) != table or not table:
            expected = f"the rates of the other nodes of type {kind}"
            raise InputError(f"node_throughput_constraint_{node}", expected=expected, found=table)
    return tables


def helix_cache_tokens(
    rooms: Mapping[int, tuple[str, int]], layout: Layout, *, most_layers: Mapping[str, int]
) -> dict[str, tuple[float, ...]]:
    """Tell the room for keys and values beside 1, 2, ... layers of every type from the rooms of one layout.

    Room in tokens times layers falls linearly with the layers held: the line through the rooms of a type, at least
    squares, divided by the layers.

    Raises
    ------
    ProblemError
        If the layout has a type with one number of layers only, from which no line can be told.
    """
    found = {}
    for kind, most in most_layers.items():
        points = [(layout[node][1] - layout[node][0], room) for node, (name, room) in rooms.items() if name == kind]
        if len({layers for layers, _ in points}) < 2:
            raise ProblemError(f"layout: nodes of type {kind}", expected="two numbers of layers", found=points)
        layers, room = (np.array(side, dtype=np.float64) for side in zip(*points, strict=True))
        slope, start = np.polyfit(layers, room, 1)
        found[kind] = tuple(max(0.0, float(start + slope * k) / k) for k in range(1, most + 1))
    return found


def flow_in_program(named: NamedProgram, layout: Layout, limits: Limits | None = None) -> tuple[float, float]:
    """Solve the flow of a layout inside Helix's integer program, ``start`` and ``hold`` of all nodes held fast.

    In that program every node holds something: those without layers are given the first one.

    Returns
    -------
    tuple
        Its objective, and the seconds that HiGHS took.

    Raises
    ------
    InputError
        If a node cannot hold so many layers.
    """
    spans = {int(name[6:]): (0, 1) for name in named.variables if _START.fullmatch(name)} | dict(layout)
    values = {f"start_{node}": float(start) for node, (start, _) in spans.items()}
    values |= {f"hold_{node}_{stop - start}": 1.0 for node, (start, stop) in spans.items()}
    result = solve(named.fixed(values), limits=limits)
    return named.objective(result.value), result.seconds


def layout_of(cluster: PipelineCluster, ranges: tuple[Range, ...]) -> dict[int, tuple[int, int]]:
    """Return the layers of every node, named as :meth:`PipelineCluster.pipeline` names units."""
    spare = {place: list(names) for place, names in cluster.nodes.items()}
    return {int(spare[unit.region, unit.kind].pop(0)): (unit.start, unit.stop) for unit in ranges}


def ranges_of_layout(cluster: PipelineCluster, layout: Layout) -> tuple[Range, ...]:
    """Return a layout as ranges, ordered by region and type so that units keep their names.

    Raises
    ------
    ProblemError
        If a node is no unit of the cluster, or holds more layers than its type can.
    """
    found = []
    for (region, kind), names in sorted(cluster.nodes.items()):
        rates = cluster.kinds[kind].rate
        for name in names:
            if int(name) not in layout:
                raise ProblemError("layout", expected=f"layers of node {name}", found=Plain("none"))
            start, stop = layout[int(name)]
            if stop > cluster.layers or stop - start > len(rates):
                expected = f"at most {len(rates)} of the {cluster.layers} layers"
                raise ProblemError(f"layout: node {name}", expected=expected, found=(start, stop))
            found.append(Range(region=region, kind=kind, start=start, stop=stop, rate=rates[stop - start - 1]))
    return tuple(found)
