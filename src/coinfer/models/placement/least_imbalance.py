"""The least imbalance that any placement can have, from the loads alone."""

from __future__ import annotations

import heapq
import math

import numpy as np

from coinfer.models.placement.data import PlacementProblem
from coinfer.solver.program import FloatArray


def least_imbalance(problem: PlacementProblem) -> float:
    r"""Return a lower bound on the mean over the layers of the largest load of a device over the mean load.

    A device whose load is at most :math:`T` serves no copy with more than :math:`T`, so an expert of load :math:`a`
    needs at least :math:`\lceil a / T \rceil` copies; with at most ``experts + replicas`` copies in all, the least
    such :math:`T` is a lower bound, and so is the mean load.
    """
    return float(np.mean(least_by_layer(problem)))


def least_by_layer(problem: PlacementProblem) -> FloatArray:
    """Return the bound of each layer, (layers,); 1 where a layer has no load."""
    devices = len(problem.devices)
    extra = problem.replicas or 0
    found = np.ones(problem.layers)
    for layer, loads in enumerate(problem.loads.array):
        mean = math.fsum(loads) / devices
        if mean > 0.0:
            found[layer] = max(1.0, least_share(loads, extra, devices) / mean)
    return found


def least_share(loads: FloatArray, replicas: int, devices: int) -> float:
    """Return the least possible largest share of one copy, with so many second and further copies.

    Splitting the load :math:`a` into :math:`c` copies leaves a share of at least :math:`a / c`; giving each further
    copy to the largest share is optimal, since shares only fall.
    """
    heap = [(-load, 1) for load in loads.tolist()]
    heapq.heapify(heap)
    for _ in range(replicas):
        share, count = heap[0]
        if count >= devices:
            break
        heapq.heapreplace(heap, (share * count / (count + 1), count + 1))
    largest: float = -heap[0][0]
    return largest
