"""Small problems for the tests of models: one with most options, as JSON and as a record, and one for paper."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coinfer.models.problem import Problem, read_problem
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.records import Matrix

SMALL: dict[str, Any] = {
    "format": "coinfer/problem/1",
    "kind": "selection",
    "name": "small",
    "devices": [
        {"name": "orin", "memory_bytes": 8_000, "idle_power_w": 10.0, "max_utilisation": 0.9},
        {"name": "desk", "memory_bytes": 24_000},
    ],
    "categories": [{"name": "chat", "latency_budget_s": 1.5}, {"name": "code", "latency_budget_s": 3.0}],
    "experts": [
        {
            "name": "tiny",
            "device": "orin",
            "latency_s": {"chat": 0.4, "code": 0.8},
            "memory_bytes": 2_000,
            "energy_j": {"chat": 4.0, "code": 8.0},
            "energy_basis": "measured",
            "price_usd": {"chat": 0.001, "code": 0.001},
        },
        {
            "name": "mid",
            "device": "orin",
            "latency_s": {"chat": 1.0, "code": 2.0},
            "memory_bytes": 6_000,
            "transmission_s": 0.1,
            "energy_j": {"chat": 12.0, "code": 24.0},
            "energy_basis": "declared",
            "price_usd": {"chat": 0.002, "code": 0.002},
            "group": "coder",
        },
        {
            "name": "big",
            "device": "desk",
            "latency_s": {"chat": 1.6, "code": 2.5},
            "memory_bytes": 20_000,
            "energy_j": {"chat": 90.0, "code": 160.0},
            "energy_basis": "published",
            "price_usd": {"chat": 0.004, "code": 0.004},
            "group": "coder",
        },
    ],
    "prompts": [
        {"name": "hello", "category": "chat", "weight": 3.0},
        {"name": "sort", "category": "code"},
        {"name": "parse", "category": "code"},
    ],
    "quality": [[0.6, 0.65, 0.9], [0.2, 0.4, 0.9], [0.3, 0.35, 0.95]],
    "budgets": {"energy_j": 60.0, "worst_case_energy_j": 200.0, "price_usd": 0.003, "experts": 2},
    "gate": "oracle",
    "arrival_rate_per_s": 0.4,
}


@pytest.fixture
def small_json() -> dict[str, Any]:
    """Return the JSON of three experts on two devices, three prompts in two categories; a fresh copy."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Any], Problem]:
    """Return a function that writes JSON to a file and reads it as a problem."""

    def write_and_read(data: Any) -> Problem:
        path = tmp_path / "problem.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
        return read_problem(path)

    return write_and_read


@pytest.fixture
def small(small_json: dict[str, Any], load: Callable[[Any], Problem]) -> Problem:
    """Return the small problem: best within its budgets are ``tiny`` and ``big``, ``big`` for part of the code."""
    return load(small_json)


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
