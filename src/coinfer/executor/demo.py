"""The whole loop on the bundled models: profile, plan, verify, run, compare, fit, replan, report."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from coinfer import zoo
from coinfer.executor.request import Request
from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.data import Budgets, Category, SelectionProblem
from coinfer.planner.assemble import Candidate, Workload
from coinfer.zoo.tasks import CATEGORIES, MAX_ANSWER_TOKENS, sample_tasks

DEVICE = "local"


def candidates(names: Sequence[str] | None = None) -> tuple[Candidate, ...]:
    """Return the bundled models, each run in process on this machine."""
    return tuple(
        Candidate(name=name, device=DEVICE, endpoint=Endpoint(backend="transformers", model=f"zoo:{name}"))
        for name in names or zoo.names()
    )


def bundled_requests(*, calibration: int, workload: int, seed: int) -> tuple[tuple[Request, ...], tuple[Request, ...]]:
    """Return calibration and workload requests: distinct held-out prompts, every category equally often."""
    rng = np.random.default_rng(seed)
    per_category = -(-(calibration + workload) // len(CATEGORIES))
    columns = [
        sample_tasks(rng, count=per_category, categories=(category,), split="evaluation", distinct=True)
        for category in CATEGORIES
    ]
    tasks = [task for row in zip(*columns, strict=True) for task in row]
    asked = [
        Request(
            id=f"{task.category}-{task.prompt}",
            prompt=task.prompt,
            category=task.category,
            max_tokens=MAX_ANSWER_TOKENS,
            checker="task",
        )
        for task in tasks[: calibration + workload]
    ]
    return tuple(asked[:calibration]), tuple(asked[calibration:])


def workload() -> Workload:
    """Return the demo's categories, without promises yet."""
    return Workload(
        categories=tuple(Category(name=category) for category in CATEGORIES), weights=(1.0,) * len(CATEGORIES)
    )


def with_budgets(problem: SelectionProblem, *, memory_share: float, latency_factor: float) -> SelectionProblem:
    """Return ``problem`` with limits that bind, taken from what was measured on this machine.

    Every category is promised ``latency_factor`` times the median latency of the experts there; memory holds
    ``memory_share`` of all experts. The energy budget is set by the caller, who knows what the best plan needs.
    """
    categories = tuple(
        Category(
            name=category.name,
            latency_budget_s=latency_factor
            * float(np.median([expert.latency_s[category.name] for expert in problem.experts])),
        )
        for category in problem.categories
    )
    total = sum(expert.memory_bytes or 0 for expert in problem.experts)
    devices = tuple(
        msgspec.structs.replace(device, memory_bytes=int(total * memory_share)) for device in problem.devices
    )
    return msgspec.structs.replace(problem, categories=categories, devices=devices)


def with_energy(problem: SelectionProblem, energy_j: float) -> SelectionProblem:
    """Return ``problem`` with a budget on the mean energy of a request."""
    return msgspec.structs.replace(problem, budgets=Budgets(energy_j=energy_j))
