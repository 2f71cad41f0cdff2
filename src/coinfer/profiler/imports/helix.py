"""Import of the cluster files of Helix (Mei et al., ASPLOS 2025, arXiv 2406.01566).

Read are: the cluster (``cluster24.ini``: nodes with types, who is joined to whom, links with bandwidth and latency),
the machines (``machine_profiles.ini``), a layout (``ilp_sol.ini``: the layers of every node) and the units of a layout
as Helix's simulator takes them (``simulator_cluster.ini``, of which the room for the KV cache is read).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import Plain, ProfileError
from coinfer.profiler.imports.helix_ini import IniFile

_LINK = re.compile(r"Link-(source|\d{1,9})-(sink|\d{1,9})")
_NODE = re.compile(r"compute_node_(\d{1,9})")
_MOST_NODES = 10_000
_SLOW = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class HelixLink:
    """One link, in both directions.

    Attributes
    ----------
    bytes_per_s
        Bandwidth.
    latency_s
        Time of an empty message.
    """

    bytes_per_s: float
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HelixCluster:
    """Nodes and links.

    Attributes
    ----------
    kinds
        Machine type of every node, by its number.
    links
        By the numbers of both ends, the smaller first; only nodes that are joined.
    source, sink
        The links of the coordinator to every node that takes input, and from every node that returns output.
    """

    kinds: tuple[str, ...]
    links: Mapping[tuple[int, int], HelixLink]
    source: Mapping[int, HelixLink]
    sink: Mapping[int, HelixLink]

    def regions(self) -> tuple[int, ...]:
        """Return the region of every node: nodes joined by links faster than a quarter of the fastest are in one."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        nodes = len(self.kinds)
        fastest = max((link.bytes_per_s for link in self.links.values()), default=0.0)
        near = [pair for pair, link in self.links.items() if link.bytes_per_s > _SLOW * fastest]
        rows, columns = [a for a, _ in near], [b for _, b in near]
        graph = coo_array((np.ones(len(near)), (rows, columns)), shape=(nodes, nodes))
        return tuple(connected_components(graph, directed=False)[1].tolist())

    def between(self, regions: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the slowest bandwidth (bytes/s) and the largest latency (s) of links between regions.

        Returns
        -------
        tuple
            Two arrays, (regions, regions); bandwidth 0 where two nodes of the regions are not joined.
        """
        count = max(regions, default=-1) + 1
        bandwidth, latency = np.full((count, count), np.inf), np.zeros((count, count))
        for a in range(len(self.kinds)):
            for b in range(a + 1, len(self.kinds)):
                link = self.links.get((a, b))
                for r, s in ((regions[a], regions[b]), (regions[b], regions[a])):
                    bandwidth[r, s] = min(bandwidth[r, s], link.bytes_per_s if link else 0.0)
                    latency[r, s] = max(latency[r, s], link.latency_s if link else 0.0)
        return bandwidth, latency


@dataclass(frozen=True, slots=True, kw_only=True)
class HelixMachine:
    """A machine type: memory and network interface."""

    memory_bytes: float
    inbound_bytes_per_s: float
    outbound_bytes_per_s: float


def read_helix_cluster(path: Path) -> HelixCluster:
    """Read nodes and links.

    Raises
    ------
    ProfileError
        With file and section: a value that is missing or no quantity, a link that a node does not name or that is
        missing, a node joined to none.
    """
    file = IniFile(path)
    nodes = file.whole("NodeNames", "total_compute_nodes", least=1)
    if nodes > _MOST_NODES:
        raise ProfileError(f"{path}: [NodeNames]", expected=f"at most {_MOST_NODES} nodes", found=nodes)
    named = {section: _link(file, section) for section in file.sections if section.startswith("Link-")}
    for section in named:
        if _LINK.fullmatch(section) is None:
            raise ProfileError(f"{path}: [{section}]", expected="[Link-A-B] with two nodes", found=section)
    kinds, links, wanted = [], {}, set()
    for node in range(nodes):
        kinds.append(file.text(f"ComputeNode-{node}", "type"))
        for other in file.listed(f"ComputeNode-{node}", "connected_nodes"):
            if isinstance(other, int):
                _in_range(file, node, other, nodes)
                pair = (min(node, other), max(node, other))
                wanted.add(f"Link-{pair[0]}-{pair[1]}")
                links[pair] = _named(file, named, f"Link-{pair[0]}-{pair[1]}")
    ends: list[dict[int, HelixLink]] = []
    for section, form in (("SourceNode", "Link-source-{}"), ("SinkNode", "Link-{}-sink")):
        joined = {}
        for node_name in file.listed(section, "connected_nodes"):
            if not isinstance(node_name, int) or not 0 <= node_name < nodes:
                expected = f"node numbers below {nodes}"
                raise ProfileError(f"{path}: [{section}] connected_nodes", expected=expected, found=node_name)
            wanted.add(form.format(node_name))
            joined[node_name] = _named(file, named, form.format(node_name))
        ends.append(joined)
    unknown = sorted(set(named) - wanted)
    if unknown:
        raise ProfileError(f"{path}: [{unknown[0]}]", expected="a link that its nodes name", found=Plain("none does"))
    return HelixCluster(kinds=tuple(kinds), links=links, source=ends[0], sink=ends[1])


def _link(file: IniFile, section: str) -> HelixLink:
    return HelixLink(
        bytes_per_s=file.quantity(section, "bandwidth", least=1e-9), latency_s=file.quantity(section, "latency")
    )


def _named(file: IniFile, named: Mapping[str, HelixLink], section: str) -> HelixLink:
    if section not in named:
        raise ProfileError(str(file.path), expected=f"a section [{section}]", found=Plain("none"))
    return named[section]


def _in_range(file: IniFile, node: int, other: int, nodes: int) -> None:
    if not 0 <= other < nodes or other == node:
        where = f"{file.path}: [ComputeNode-{node}] connected_nodes"
        raise ProfileError(where, expected=f"other nodes, below {nodes}", found=other)


def read_helix_machines(path: Path) -> dict[str, HelixMachine]:
    """Read machine types by name; the coordinator's sections ``SourceNode`` and ``SinkNode`` are passed over.

    Raises
    ------
    ProfileError
        With file and section, for a value that is missing or no quantity.
    """
    file = IniFile(path)
    return {
        kind: HelixMachine(
            memory_bytes=file.quantity(kind, "vram_size", least=1.0),
            inbound_bytes_per_s=file.quantity(kind, "inbound_nic_speed", least=1e-9),
            outbound_bytes_per_s=file.quantity(kind, "outbound_nic_speed", least=1e-9),
        )
        for kind in file.sections
        if kind not in ("SourceNode", "SinkNode")
    }


def read_helix_layout(path: Path) -> dict[int, tuple[int, int]]:
    """Read the layers of every node: its number to first layer and the layer after the last.

    Raises
    ------
    ProfileError
        With the node: layers that do not follow on each other, a node below the offset.
    """
    file = IniFile(path)
    offset = file.whole("Settings", "offset", least=0)
    found = {}
    for name in file.names("Solution"):
        matched = _NODE.fullmatch(name)
        layers = file.listed("Solution", name)
        if matched is None or int(matched[1]) < offset:
            expected = f"compute_node_N with N of at least {offset}"
            raise ProfileError(f"{path}: [Solution]", expected=expected, found=name)
        first = layers[0] if layers else -1
        if not isinstance(first, int) or first < 0 or layers != list(range(first, first + len(layers))):
            expected = "layers that follow on each other"
            raise ProfileError(f"{path}: [Solution] {name}", expected=expected, found=layers)
        found[int(matched[1]) - offset] = (first, first + len(layers))
    return found


def read_helix_cache_room(path: Path) -> dict[int, tuple[str, int]]:
    """Read machine type and KV-cache room (tokens times layers) of every node of a layout, by the node's number.

    Nodes are numbered from 0 in the order of their own numbers, as in the layout beside the file.

    Raises
    ------
    ProfileError
        With file and section.
    """
    file = IniFile(path)
    names = [str(name) for name in file.listed("ComputeNodes", "names")]
    for name in names:
        if _NODE.fullmatch(name) is None:
            raise ProfileError(f"{path}: [ComputeNodes] names", expected="compute_node_N", found=name)
    names.sort(key=lambda name: int(name.rsplit("_", 1)[1]))
    least = int(names[0].rsplit("_", 1)[1]) if names else 0
    return {
        int(name.rsplit("_", 1)[1]) - least: (
            file.text(name, "machine_type"),
            file.whole(name, "kv_cache_capacity", least=0),
        )
        for name in names
    }
