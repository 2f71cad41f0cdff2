"""Problems that tests of the planner share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coinfer.models.selection.data import Budgets, Category, Device, Expert, Gate, Prompt, SelectionProblem
from coinfer.records import Matrix


def large(
    *,
    gate: Gate = "oracle",
    seed: int = 0,
    experts: int = 12,
    prompts: int = 40,
    kept: int = 4,
    memory_bytes: int = 40,
    **budgets: Any,
) -> SelectionProblem:
    """A problem whose search branches: experts of random qualities and sizes, some of which may be kept."""
    rng = np.random.default_rng(seed)
    return SelectionProblem(
        name="large",
        devices=(Device(name="d", memory_bytes=memory_bytes),),
        categories=(Category(name="c"),),
        experts=tuple(
            Expert(
                name=f"e{n}",
                device="d",
                latency_s={"c": 1.0},
                memory_bytes=int(rng.integers(5, 20)),
                energy_j={"c": float(rng.integers(1, 9))},
                energy_basis="declared",
            )
            for n in range(experts)
        ),
        prompts=tuple(Prompt(name=f"p{i}", category="c") for i in range(prompts)),
        quality=Matrix(np.round(rng.random((prompts, experts)), 2)),
        budgets=Budgets(experts=kept, **budgets),
        gate=gate,
        gate_scores=Matrix(np.round(rng.normal(size=(prompts, experts)), 1)),
    )


@pytest.fixture(scope="session")
def large_problem() -> Callable[..., SelectionProblem]:
    """A function that makes problems of a gate, a seed, sizes and budgets."""
    return large
