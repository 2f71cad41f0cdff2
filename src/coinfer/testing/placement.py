"""Small placement problems, counted one visit at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.parts import Heldout, PlacementDevice
from coinfer.records import Matrix


def counted(trace: NDArray[np.int64], experts: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return transitions, loads and token sets of a trace (tokens, layers, top_k), one visit at a time."""
    _, layers, top_k = trace.shape
    transitions = np.zeros((layers - 1, experts, experts))
    loads = np.zeros((layers, experts))
    sets: dict[tuple[int, ...], int] = {}
    for token in trace:
        for layer in range(layers):
            key = (layer, *sorted(token[layer].tolist()))
            sets[key] = sets.get(key, 0) + 1
            for own in token[layer]:
                loads[layer, own] += 1
                if layer + 1 < layers:
                    transitions[layer, own, token[layer + 1]] += 1
    rows = [[key[0], count, *key[1:]] for key, count in sets.items()]
    return Matrix(transitions.reshape(-1, experts)), Matrix(loads), Matrix(np.array(rows).reshape(-1, 2 + top_k))


def placement_problem(
    seed: int = 0, *, layers: int = 3, experts: int = 4, top_k: int = 2, number: int = 2, **more: object
) -> PlacementProblem:
    """Return a problem of a random trace with a little affinity, half of it held out."""
    random = np.random.default_rng(seed)
    order = np.argsort(random.random((40, layers, experts)) + 0.5 * random.random((40, 1, experts)), axis=2)
    parts = [counted(trace[:, :, :top_k].astype(np.int64), experts) for trace in (order[:25], order[25:])]
    fit, held = parts
    fields: dict[str, object] = {
        "name": "small",
        "layers": layers,
        "experts": experts,
        "top_k": top_k,
        "devices": tuple(PlacementDevice(name=f"gpu{i}", node=f"node{i // 2}") for i in range(number)),
        "tokens": 25,
        "transitions": fit[0],
        "loads": fit[1],
        "token_sets": fit[2],
        "heldout": Heldout(tokens=15, transitions=held[0], loads=held[1], token_sets=held[2]),
    }
    return PlacementProblem(**{**fields, **more})  # type: ignore[arg-type]
