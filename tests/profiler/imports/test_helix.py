"""Cluster files of Helix: small ones written here, and the shipped ones where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import CoinferError, ProfileError
from coinfer.profiler.imports.helix import (
    HelixLink,
    read_helix_cache_room,
    read_helix_cluster,
    read_helix_layout,
    read_helix_machines,
)

CLUSTER = """# ***** Fake cluster *****
[NodeNames]
total_compute_nodes=3

[SourceNode]
connected_nodes=[0]

[SinkNode]
connected_nodes=[2]

[ComputeNode-0]
type=T4
connected_nodes=['source', 1, 2]

[ComputeNode-1]
type=L4
connected_nodes=[0, 2]

[ComputeNode-2]
type=T4
connected_nodes=[0, 1, 'sink']

[Link-source-0]
bandwidth=1000 * mbps
latency=1 * MilliSec

[Link-2-sink]
bandwidth=1 * gbps
latency=0.001

[Link-0-1]
bandwidth=1000 * mbps
latency=1 * MilliSec

[Link-0-2]
bandwidth=12.5 * mbps
latency=50 * MilliSec

[Link-1-2]
bandwidth=20 * mbps
latency=40 * MilliSec
"""
LAYOUT = """[Settings]
offset=2

[Solution]
compute_node_2=[3, 4, 5]
compute_node_4=[0]
"""
ROOM = """[ComputeNodes]
names=['compute_node_2', 'compute_node_3']

[compute_node_2]
machine_type="T4"
kv_cache_capacity=1200

[compute_node_3]
machine_type="L4"
kv_cache_capacity=0
"""
MACHINES = """[SourceNode]
inbound_nic_speed = -1
[T4]
inbound_nic_speed = 10 * gbps
outbound_nic_speed = 5 * gbps
disk_speed = 1 * gbps
vram_size = 16 * GB
"""


def written(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    path = folder / "file.ini"
    path.write_text(text)
    return path


def test_a_cluster_is_read_with_its_links(tmp_path: Path) -> None:
    """Units are bytes and seconds; slow links part the nodes into regions."""
    cluster = read_helix_cluster(written(tmp_path, CLUSTER))

    assert cluster.kinds == ("T4", "L4", "T4")
    assert cluster.links[0, 2] == HelixLink(bytes_per_s=12.5e6, latency_s=0.05)
    assert cluster.source == {0: HelixLink(bytes_per_s=1e9, latency_s=0.001)} == {0: cluster.sink[2]}
    regions = cluster.regions()
    assert regions == (0, 0, 1)
    bandwidth, latency = cluster.between(regions)
    assert bandwidth.tolist() == [[1e9, 12.5e6], [12.5e6, np.inf]]
    assert latency.tolist() == [[0.001, 0.05], [0.05, 0.0]]


def test_layouts_rooms_and_machines_are_read(tmp_path: Path) -> None:
    """Node numbers begin at the offset; the room of the cache is in tokens times layers."""
    assert read_helix_layout(written(tmp_path, LAYOUT)) == {0: (3, 6), 2: (0, 1)}
    assert read_helix_cache_room(written(tmp_path, ROOM)) == {0: ("T4", 1200), 1: ("L4", 0)}
    machines = read_helix_machines(written(tmp_path, MACHINES))
    assert list(machines) == ["T4"]
    assert machines["T4"].memory_bytes == 16e9
    assert machines["T4"].outbound_bytes_per_s == 5e9


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "total_compute_nodes=3",
            "total_compute_nodes=none",
            r"\[NodeNames\] total_compute_nodes: expected",
        ),
        ("total_compute_nodes=3", "total_compute_nodes=4", r"expected a section \[ComputeNode-3\]"),
        ("total_compute_nodes=3", "total_compute_nodes=2", r"expected other nodes, below 2; found 2"),
        ("type=L4\n", "", r"\[ComputeNode-1\]: expected a value for type"),
        ("['source', 1, 2]", "__import__('os')", "expected a list of numbers and names"),
        ("['source', 1, 2]", "[[1]]", "expected a list of numbers and names"),
        ("['source', 1, 2]", "[0]", "expected other nodes"),
        ("[Link-1-2]", "[Link-2-1]", r"expected a section \[Link-1-2\]"),
        ("[Link-1-2]", "[Link-1-x]", r"expected \[Link-A-B\]"),
        ("connected_nodes=[0]", "connected_nodes=['a']", "expected node numbers below 3"),
        ("connected_nodes=[0]", "connected_nodes=[]", "expected a link that its nodes name"),
        ("12.5 * mbps", "12.5 * furlongs", "expected a number of at least 1e-09, with one of the units"),
        ("12.5 * mbps", "nan", "expected a number"),
        ("12.5 * mbps", "-1 * mbps", "expected a number"),
        ("50 * MilliSec", "1e400 * MilliSec", "expected a number"),
        ("[SinkNode]", "[SourceNode]", "expected an ini file with each section and name once"),
        ("[NodeNames]", "NodeNames", "expected an ini file"),
    ],
)
def test_bad_clusters_are_refused(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    """One sentence says where and what was expected."""
    assert old in CLUSTER
    path = written(tmp_path, CLUSTER.replace(old, new, 1))

    with pytest.raises(ProfileError, match=sentence):
        read_helix_cluster(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [("[3, 4, 5]", "[3, 5]"), ("[3, 4, 5]", "[]"), ("compute_node_2", "compute_node_1"), ("offset=2", "")],
)
def test_bad_layouts_are_refused(old: str, new: str, tmp_path: Path) -> None:
    """Layers must follow on each other, and nodes begin at the offset."""
    with pytest.raises(ProfileError):
        read_helix_layout(written(tmp_path, LAYOUT.replace(old, new)))


@given(cut=st.integers(0, len(CLUSTER)), noise=st.text(max_size=6))
def test_damaged_files_end_in_a_sentence(cut: int, noise: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is cut out or put in, the reader returns a cluster or raises one of the errors of coinfer."""
    path = tmp_path_factory.mktemp("damaged") / "cluster.ini"
    path.write_bytes((CLUSTER[:cut] + noise + CLUSTER[cut + 2 :]).encode("utf-8", "replace"))

    try:
        read_helix_cluster(path)
    except CoinferError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "nodes", "layers"), [("quality_10/cluster10.ini", 10, 60), ("single_24/cluster24.ini", 24, 80)]
)
def test_shipped_files_are_read(name: str, nodes: int, layers: int, shared_data: Path) -> None:
    """The clusters and layouts that Helix ships: every node has layers, and all layers are held."""
    folder = shared_data / "helix" / name.split("/", maxsplit=1)[0]

    cluster = read_helix_cluster(shared_data / "helix" / name)
    layout = read_helix_layout(folder / "ilp_sol.ini")
    room = read_helix_cache_room(folder / "simulator_cluster.ini")

    assert len(cluster.kinds) == len(layout) == len(room) == nodes
    assert set(cluster.regions()) == {0}
    assert {layer for start, stop in layout.values() for layer in range(start, stop)} == set(range(layers))
    assert [room[node][0] for node in range(nodes)] == list(cluster.kinds)
    assert set(cluster.kinds) <= set(read_helix_machines(folder / "machine_profiles.ini"))
