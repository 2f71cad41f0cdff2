"""EPLB's method (deepseek-ai/EPLB, MIT), written from its published description, as a peer; numpy in place of torch.

Global: give one more copy, again and again, to the expert with the largest load per copy; then pack the copies on the
devices by longest processing time first, equal counts on every device. Hierarchical: first pack the expert groups on
nodes the same way, then replicate and pack inside each node. Loads of copies are equal shares. Two copies of one expert
may fall on one device: that is a known property of the method, and kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def balanced_packing(weight: FloatArray, packs: int) -> tuple[IntArray, IntArray]:
    """Pack each row of ``weight`` (rows, things) into ``packs`` of equally many things, heaviest first.

    Returns
    -------
    pack, rank
        (rows, things): the pack of each thing, and its place inside.
    """
    rows, things = weight.shape
    room = things // packs
    pack, rank = np.empty((rows, things), dtype=np.int64), np.empty((rows, things), dtype=np.int64)
    order = np.argsort(-weight, axis=1, kind="stable")
    for i in range(rows):
        load, count = [0.0] * packs, [0] * packs
        for thing in order[i].tolist():
            best = min((g for g in range(packs) if count[g] < room), key=load.__getitem__)
            pack[i, thing], rank[i, thing] = best, count[best]
            load[best] += float(weight[i, thing])
            count[best] += 1
    return pack, rank


def replicate(weight: FloatArray, physical: int) -> tuple[IntArray, IntArray, IntArray]:
    """Give copies to the experts with the largest load per copy until there are ``physical`` copies.

    Returns
    -------
    expert, rank
        (rows, physical): the expert of each copy, and which copy of it this is.
    count
        (rows, experts): copies of each expert.
    """
    rows, experts = weight.shape
    expert = np.tile(np.arange(physical, dtype=np.int64), (rows, 1))
    rank = np.zeros((rows, physical), dtype=np.int64)
    count = np.ones((rows, experts), dtype=np.int64)
    every = np.arange(rows)
    for copy in range(experts, physical):
        most = np.argmax(weight / count, axis=1)
        expert[:, copy], rank[:, copy] = most, count[every, most]
        count[every, most] += 1
    return expert, rank, count


def rebalance(weight: FloatArray, physical: int, groups: int, nodes: int, devices: int) -> tuple[IntArray, IntArray]:
    """Return EPLB's placement: hierarchical where the nodes divide the groups, else global.

    Parameters
    ----------
    weight
        (layers, experts): load.
    physical, groups, nodes, devices
        Copies in all, expert groups, nodes, and devices; each must divide as EPLB's asserts say.

    Returns
    -------
    expert
        (layers, physical): expert of each slot; slot ``j`` is on device ``j // (physical // devices)``.
    count
        (layers, experts): copies of each expert.
    """
    if groups % nodes:
        groups, nodes = 1, 1
    layers, experts = weight.shape
    if experts % groups or devices % nodes or physical % devices:
        raise ValueError("EPLB needs experts, groups, devices, nodes and copies that divide each other")
    size, here = experts // groups, physical // nodes
    pack, rank = balanced_packing(weight.reshape(layers, groups, size).sum(axis=2), nodes)
    first = ((pack * (groups // nodes) + rank) * size)[:, :, None] + np.arange(size)
    middle = first.reshape(layers, experts)  # place of each expert when sorted by node
    back = np.argsort(middle, axis=1, kind="stable")
    inside = np.take_along_axis(weight, back, axis=1).reshape(layers * nodes, experts // nodes)
    copied, _, count = replicate(inside, here)
    load = np.take_along_axis(inside / count, copied, axis=1)
    pack, rank = balanced_packing(load, devices // nodes)
    place = pack * (physical // devices) + rank
    ordered = np.empty_like(copied)
    np.put_along_axis(ordered, place, copied, axis=1)
    offset = np.tile(np.arange(nodes) * (experts // nodes), layers)[:, None]
    expert = np.take_along_axis(back, (ordered + offset).reshape(layers, physical), axis=1)
    total = np.zeros((layers, experts), dtype=np.int64)
    np.put_along_axis(total, back, count.reshape(layers, experts), axis=1)
    return expert, total


def device_loads(weight: FloatArray, expert: IntArray, count: IntArray, devices: int) -> FloatArray:
    """Return the load of each device, (layers, devices), when an expert's load is shared equally by its copies."""
    share = np.take_along_axis(weight / count, expert, axis=1)
    loads: FloatArray = share.reshape(len(weight), devices, -1).sum(axis=2)
    return loads
