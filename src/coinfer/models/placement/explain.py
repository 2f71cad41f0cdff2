"""Why a placement problem has no solution, where one limit alone shows it."""

from __future__ import annotations

import numpy as np

from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.formulate import allowed
from coinfer.models.placement.least_imbalance import least_by_layer


def explain_infeasible(problem: PlacementProblem) -> tuple[str, ...]:
    """Say in plain sentences why no placement keeps every limit; empty where only several limits together do."""
    return (*_places(problem), *_load(problem))


def _places(problem: PlacementProblem) -> list[str]:
    """Name devices with more pinned experts than slots, and experts that may be nowhere."""
    found = []
    for device, slots in zip(problem.devices, problem.device_slots, strict=True):
        pinned = np.zeros(problem.layers, dtype=np.int64)
        for place in problem.pinned:
            pinned[place.layer] += place.device == device.name
        if (pinned > slots).any():
            layer = int(np.argmax(pinned > slots))
            where = f"{device.name}, which has {slots} slots"
            found.append(f"{pinned[layer]} experts of layer {layer} are pinned to {where}")
    table = allowed(problem)
    if table is None:
        return found
    if not problem.replicas:
        for layer, expert in np.argwhere(~table.any(axis=2))[:3]:
            found.append(f"expert {expert} of layer {layer} may be on no device")
    needed = table.sum(axis=2)
    for layer in range(problem.layers):
        only = np.flatnonzero(needed[layer] == 1)
        devices = table[layer, only].argmax(axis=1)
        for index, count in enumerate(np.bincount(devices, minlength=len(problem.devices))):
            if count > problem.device_slots[index]:
                name = problem.devices[index].name
                found.append(f"layer {layer}: {count} experts may be only on {name}, which has fewer slots")
                return found
    return found


def _load(problem: PlacementProblem) -> list[str]:
    """Name the load cap where the most loaded expert alone breaks it."""
    cap = problem.load_cap
    if cap is None:
        return []
    least = least_by_layer(problem)
    worst = int(np.argmax(least))
    if cap.over == "worst_layer" and least[worst] > cap.imbalance * (1.0 + 1e-9):
        return [
            f"layer {worst}: the load of single experts alone makes the imbalance at least {least[worst]:.6g}, "
            f"the cap is {cap.imbalance:g}"
        ]
    if cap.over == "mean" and least.mean() > cap.imbalance * (1.0 + 1e-9):
        return [f"the load of single experts alone makes the mean imbalance at least {least.mean():.6g}"]
    return []
