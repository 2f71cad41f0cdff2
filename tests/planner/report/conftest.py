"""A realistic fleet: six experts on three devices, six categories, a front of 25 plans and the rows of one run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from coinfer import jsonfile
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.models.selection.decision import Route, SelectionDecision
from coinfer.planner.front import FrontPoint
from coinfer.planner.plan import Certificate, Claim, Deployment, Plan, Prediction
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
ANSWERED_BY = ("coder-7b-q4", "coder-7b-q4", "mistral-8b-q4", "qwen-1.5b-q4", "mistral-8b-q4", "mistral-8b-q4")
SELECTED = ("qwen-1.5b-q4", "coder-7b-q4", "mistral-8b-q4")
PROMPTS_PER_CATEGORY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Everything a report is made of."""

    problem: SelectionProblem
    plan: Plan
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


def make_plan(problem: SelectionProblem, *, bound: float | None = 0.7481) -> Plan:
    """Return the plan that sends each category to the expert of ``ANSWERED_BY``."""
    column = {expert.name: i for i, expert in enumerate(problem.experts)}
    figures = {expert.name: expert for expert in problem.experts}
    quality = problem.quality.array.reshape(len(CATEGORIES), PROMPTS_PER_CATEGORY, -1).mean(axis=1)
    by_category = [float(quality[i, column[name]]) for i, name in enumerate(ANSWERED_BY)]
    value = float(np.mean(by_category))
    energies = [figures[name].energy_j[category] for name, category in zip(ANSWERED_BY, CATEGORIES, strict=True)]
    predictions = [
        Prediction(quantity="quality", value=value, basis="measured"),
        Prediction(quantity="energy_j", value=float(np.mean(energies)), budget=56.0, basis="measured"),
    ]
    for i, (category, name) in enumerate(zip(CATEGORIES, ANSWERED_BY, strict=True)):
        latency, worth = figures[name].latency_s[category], by_category[i]
        predictions += [
            Prediction(quantity="quality", category=category, value=worth, low=worth - 0.06, high=worth + 0.06),
            Prediction(
                quantity="latency_s",
                category=category,
                value=latency,
                low=0.94 * latency,
                high=1.07 * latency,
                budget=PROMISES_S[i],
                basis="measured",
            ),
        ]
    for device in problem.devices[:2]:
        held = sum(figures[name].memory_bytes for name in SELECTED if figures[name].device == device.name)
        predictions.append(
            Prediction(quantity="memory_bytes", device=device.name, value=float(held), budget=device.memory_bytes)
        )
    standing = "verified" if bound is None or bound <= value else "claimed"
    return Plan(
        problem=problem.name,
        problem_sha256=jsonfile.sha256(problem),
        profile_sha256="5e" * 32,
        decision=SelectionDecision(
            selected=SELECTED,
            routes=tuple(
                Route(category=category, expert=name, fraction=1.0)
                for category, name in zip(CATEGORIES, ANSWERED_BY, strict=True)
            ),
            preference={category: (name,) for category, name in zip(CATEGORIES, ANSWERED_BY, strict=True)},
        ),
        certificate=Certificate(
            status="optimal" if standing == "verified" else "feasible",
            value=value,
            bound=None if bound is None else max(bound, value),
            limit=None if standing == "verified" else "time",
            claims=(
                Claim(what="feasibility", standing="verified", method="every constraint re-computed from the problem"),
                Claim(what="objective", standing="verified", method="re-computed in rational arithmetic"),
                Claim(what="bound", standing=standing, method="tree of 41 leaves" if bound == 0.0 else "highs 1.14"),
            ),
        ),
        predictions=tuple(predictions),
        deployments=tuple(Deployment(expert=name, device=figures[name].device) for name in SELECTED),
        alternatives={"oracle": value + 0.011, "category": value},
        notes=("phi-14b-q4 cannot answer arithmetic: 5.12 s is over the promise of 1.2 s",),
        engine="highs 1.14.0",
        seconds=0.84,
        coinfer_version="0.1.0",
    )


def make_front(plan: Plan) -> tuple[FrontPoint, ...]:
    """Return 24 plans for other budgets and the plan itself."""
    energies = np.geomspace(5.0, 190.0, 24)
    names = [expert[0] for expert in EXPERTS]
    others = [
        FrontPoint(
            quality=float(0.56 + 0.21 * (1.0 - np.exp(-energy / 38.0))),
            latency_s=float(0.38 + 0.009 * energy + 0.1 * (i % 3)),
            energy_j=float(energy),
            selected=tuple(names[: 1 + i // 6]),
            proven=i % 9 != 8,
            chosen=False,
        )
        for i, energy in enumerate(energies)
    ]
    own = next(p.value for p in plan.predictions if p.quantity == "energy_j")
    value = plan.certificate.value
    chosen = FrontPoint(
        quality=value,
        latency_s=0.83,
        energy_j=own,
        selected=SELECTED,
        proven=plan.certificate.status == "optimal",
        chosen=True,
    )
    return (*others, chosen)


def make_rows(plan: Plan) -> tuple[Measurement, ...]:
    """Return 30 measured requests of each category but the last, which no run has touched."""
    random = np.random.default_rng(11)
    predicted = {(item.quantity, item.category): item.value for item in plan.predictions}
    memory = {"qwen-1.5b-q4": 1_150_000_000, "coder-7b-q4": 4_760_000_000}
    devices = {expert[0]: expert[1] for expert in EXPERTS}
    return tuple(
        Measurement(
            device=devices[name],
            model=name,
            engine="llama.cpp b5000",
            phase="request",
            category=category,
            prompt=f"{category}-{number}",
            seconds=float(
                predicted["latency_s", category]
                * (1.3 if category == "dialogue" else 1.0)
                * random.lognormal(0.0, 0.15)
            ),
            energy_j=float(40.0 + random.normal()),
            energy_source="declared" if category == "code" else "nvml",
            memory_bytes=memory.get(name),
            correct=float(random.random() < predicted["quality", category]),
            source="measured",
        )
        for category, name in zip(CATEGORIES[:-1], ANSWERED_BY[:-1], strict=True)
        for number in range(30)
    )


@pytest.fixture(scope="session")
def example() -> Example:
    """Six experts, six categories, a front of 25 points, a run that left one category out."""
    problem = make_problem()
    plan = make_plan(problem)
    return Example(problem=problem, plan=plan, front=make_front(plan), rows=make_rows(plan))
