"""A realistic fleet: six experts on three devices, six categories, a front of plans and the rows of one run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.planner import make
from coinfer.planner.front import FrontPoint, front
from coinfer.planner.selection.document import SelectionPlan
from coinfer.profiler.measurement import Measurement
from coinfer.records import Matrix

CATEGORIES = ("arithmetic", "code", "dialogue", "extraction", "summaries", "translation")
PROMISES_S = (1.2, 4.0, 1.5, 1.0, 3.0, 2.0)
# name, device, memory in bytes, seconds per request, joules per request, mean quality by category
EXPERTS = (
    ("qwen-1.5b-q4", "orin-25w", 1_120_000_000, 0.42, 6.1, (0.55, 0.41, 0.58, 0.71, 0.52, 0.44)),
    ("qwen-7b-q4", "orin-25w", 4_680_000_000, 1.61, 24.5, (0.74, 0.66, 0.71, 0.80, 0.69, 0.61)),
    ("coder-7b-q4", "rtx-4070", 4_700_000_000, 0.88, 61.0, (0.70, 0.83, 0.55, 0.78, 0.57, 0.42)),
    ("mistral-8b-q4", "rtx-4070", 4_910_000_000, 0.93, 66.2, (0.66, 0.60, 0.79, 0.82, 0.78, 0.74)),
    ("llama-8b-q8", "rtx-4070", 8_540_000_000, 1.55, 104.0, (0.71, 0.64, 0.80, 0.82, 0.79, 0.70)),
    ("phi-14b-q4", "workstation-cpu", 9_100_000_000, 6.4, 410.0, (0.84, 0.72, 0.76, 0.83, 0.75, 0.66)),
)
PROMPTS_PER_CATEGORY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Everything a report is made of."""

    problem: SelectionProblem
    plan: SelectionPlan
    front: tuple[FrontPoint, ...]
    rows: tuple[Measurement, ...]


def make_problem(*, gate: str = "category") -> SelectionProblem:
    """Return the fleet's problem; the quality of each prompt scatters around its category's mean."""
    random = np.random.default_rng(7)
    means = np.array([expert[5] for expert in EXPERTS]).T  # (categories, experts)
    scatter = random.uniform(-0.08, 0.08, size=(len(CATEGORIES) * PROMPTS_PER_CATEGORY, len(EXPERTS)))
    names = [f"{category}-{number}" for category in CATEGORIES for number in range(PROMPTS_PER_CATEGORY)]
    return SelectionProblem(
        name="mixed fleet",
        description="Two edge boards and a workstation answer six kinds of requests.",
        devices=(
            Device(name="orin-25w", memory_bytes=6_500_000_000),
            Device(name="rtx-4070", memory_bytes=11_500_000_000),
            Device(name="workstation-cpu", memory_bytes=48_000_000_000),
        ),
        categories=tuple(
            Category(name=name, latency_budget_s=promise) for name, promise in zip(CATEGORIES, PROMISES_S, strict=True)
        ),
        experts=tuple(
            Expert(
                name=name,
                device=device,
                memory_bytes=memory,
                latency_s={category: seconds * (0.8 + 0.08 * i) for i, category in enumerate(CATEGORIES)},
                energy_j={category: joules * (0.8 + 0.08 * i) for i, category in enumerate(CATEGORIES)},
                energy_basis="declared" if device == "workstation-cpu" else "measured",
                source="measured on the device with llama.cpp, 40 requests per category",
            )
            for name, device, memory, seconds, joules, _ in EXPERTS
        ),
        prompts=tuple(Prompt(name=name, category=name.rsplit("-", 1)[0]) for name in names),
        quality=Matrix(np.repeat(means, PROMPTS_PER_CATEGORY, axis=0) + scatter),
        budgets=Budgets(energy_j=56.0, experts=3),
        gate=gate,
        latency_statistic="p50",
    )


def make_rows(plan: SelectionPlan) -> tuple[Measurement, ...]:
    """Return 30 measured requests of each category but the last, which no run has touched."""
    random = np.random.default_rng(11)
    predicted = {(item.quantity, item.category): item.value for item in plan.predictions}
    devices = {deployment.expert: deployment.device for deployment in plan.deployments}
    answering = {route.category: route.expert for route in plan.decision.routes}
    unsized = plan.decision.selected[-1]  # its memory was not read
    return tuple(
        Measurement(
            device=devices[answering[category]],
            model=answering[category],
            engine="llama.cpp b5000",
            phase="request",
            category=category,
            prompt=f"{category}-{number}",
            seconds=float(predicted["latency_s", category] * (1.3 if category == "dialogue" else 1.0) * noise),
            energy_j=float(40.0 + noise),
            energy_source="declared" if category == "code" else "nvml",
            memory_bytes=None if answering[category] == unsized else 4_800_000_000,
            correct=float(random.random() < predicted["quality", category]),
            source="measured",
        )
        for category in CATEGORIES[:-1]
        for number, noise in enumerate(random.lognormal(0.0, 0.15, size=30))
    )


@pytest.fixture(scope="session")
def example() -> Example:
    """Six experts, six categories, a front of points, a run that left one category out."""
    problem = make_problem()
    plan = make.plan(problem)
    return Example(problem=problem, plan=plan, front=front(problem, plan=plan, points=16), rows=make_rows(plan))
