"""Small problems for the tests of models."""

from __future__ import annotations

import pytest

from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.records import Matrix


@pytest.fixture
def small_problem() -> SelectionProblem:
    """Two experts on one device of 16 bytes, two categories, one promise, one energy budget."""
    return SelectionProblem(
        name="small",
        devices=(Device(name="box", memory_bytes=16),),
        categories=(Category(name="chat"), Category(name="code", latency_budget_s=2.5)),
        experts=(
            Expert(
                name="big",
                device="box",
                latency_s={"chat": 1.5, "code": 2.0},
                memory_bytes=10,
                energy_j={"chat": 8.0, "code": 9.0},
                energy_basis="measured",
            ),
            Expert(
                name="small",
                device="box",
                latency_s={"chat": 0.5},
                memory_bytes=2,
                energy_j={"chat": 1.0},
                energy_basis="measured",
            ),
        ),
        prompts=(Prompt(name="p0", category="chat"), Prompt(name="p1", category="code")),
        quality=Matrix([[0.8, 0.6], [0.9, 0.1]]),
        budgets=Budgets(energy_j=6.0),
        gate="category",
    )
