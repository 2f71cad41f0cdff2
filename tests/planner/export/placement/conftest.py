"""Placement problems of any size, whose counts do not matter to an export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.parts import PlacementDevice
from coinfer.records import Matrix

MakeProblem = Callable[..., PlacementProblem]


def make_problem(
    layers: int, experts: int, devices: int | tuple[PlacementDevice, ...], **fields: Any
) -> PlacementProblem:
    """Return a problem of these sizes, or with these devices; ``fields`` are passed on."""
    if isinstance(devices, int):
        devices = tuple(PlacementDevice(name=f"gpu{i}") for i in range(devices))
    given: dict[str, Any] = {
        "name": "sample",
        "layers": layers,
        "experts": experts,
        "top_k": 1,
        "tokens": 1,
        "devices": devices,
        "loads": Matrix(np.ones((layers, experts))),
        "objective": "imbalance",
    }
    return PlacementProblem(**(given | fields))


@pytest.fixture(scope="session")
def problem_of() -> MakeProblem:
    """The function that makes a problem of given sizes."""
    return make_problem
