"""The selection problem: which language models to keep resident, and which of them answers what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.selection.gate_report import GateReport
from coinfer.models.selection.parts import Basis, Budgets, Category, CostOfPass, Device, Expert, Prompt
from coinfer.models.selection.validate import LARGEST, among, amount, unique
from coinfer.records import Document, Matrix

__all__ = [
    "FORMAT",
    "NEEDED",
    "SCORED",
    "Basis",
    "Budgets",
    "Category",
    "CostOfPass",
    "Device",
    "Expert",
    "Gate",
    "Objective",
    "Prompt",
    "SelectionProblem",
]

FORMAT = "coinfer/problem/1"

Objective = Literal["quality", "cost_of_pass", "energy_j"]
Gate = Literal["oracle", "category", "softmax", "top_1"]
SCORED: tuple[Gate, ...] = ("softmax", "top_1")
"""Gates that follow ``gate_scores``: the selection alone decides who answers what."""
NEEDED: dict[Objective, str | None] = {"quality": None, "cost_of_pass": "price_usd", "energy_j": "energy_j"}
"""The figure of each (category, expert) that an objective cannot do without."""


class SelectionProblem(Document, frozen=True, kw_only=True, tag_field="kind", tag="selection"):
    """Which experts to keep resident and which of them answers what, for the most value within the budgets.

    Attributes
    ----------
    devices, categories, experts, prompts
        See their classes.
    quality
        (prompts, experts): quality of each expert's answer, higher is better; usually in [0, 1]. With objective
        ``cost_of_pass``: the share of its runs that passed.
    budgets
        Limits over the workload.
    gate
        ``oracle``: each prompt goes to the best selected expert for it (an upper limit on any router).
        ``category``: all prompts of a category are routed alike, which a router that knows only the category can do.
        ``softmax``: a prompt goes to each selected expert that may answer it with a probability proportional to the
        exponential of its score. ``top_1``: to the one of them with the largest score, the first in the problem's
        order among equals. With these two the routes follow from the selection.
    gate_scores
        (prompts, experts): what the deployed gate says of each expert (logits). Needed by the gates ``softmax`` and
        ``top_1``; with another gate, the value under ``top_1`` is reported beside the plan's.
    gate_report
        How good the gate behind the scores is, its regret over subsets of the experts among it; only with scores.
    objective
        What :func:`coinfer.models.selection.values.values` states for each prompt and expert, and a plan has the
        largest mean of. ``quality``: the quality. ``energy_j``: minus the energy of the request, without idle power.
        ``cost_of_pass``: minus the expected money for one right answer, at most the fallback's.
    cost_of_pass
        Exactly when the objective is ``cost_of_pass``.
    quality_floor
        Least mean quality of the routes; absent: none. Least energy without a floor says nothing of the answers.
    latency_rule
        ``routed``: the expert that answers must keep the category's promise. ``selected``: every selected expert
        must, in every category, because all of them answer and the slowest is waited for (the ensemble of MoE²).
    latency_statistic
        What the latencies are: ``mean``, ``p50``, ``p95`` ...
    aggregation_s_per_expert
        Time to combine answers, per selected expert; only with ``latency_rule`` ``selected``.
    arrival_rate_per_s
        Requests per second; needed for utilisation and idle power; absent: neither is accounted.
    required, forbidden
        Names of experts that must, or must not, be selected.
    """

    file_format = FORMAT

    name: str
    devices: tuple[Device, ...]
    categories: tuple[Category, ...]
    experts: tuple[Expert, ...]
    prompts: tuple[Prompt, ...]
    quality: Matrix
    budgets: Budgets
    gate: Gate
    gate_scores: Matrix | None = None
    gate_report: GateReport | None = None
    objective: Objective = "quality"
    cost_of_pass: CostOfPass | None = None
    quality_floor: float | None = None
    latency_rule: Literal["routed", "selected"] = "routed"
    latency_statistic: str = "mean"
    aggregation_s_per_expert: float | None = None
    arrival_rate_per_s: float | None = None
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    description: str | None = None

    def __post_init__(self) -> None:
        for field in ("devices", "categories", "experts", "prompts"):
            unique(field, [part.name for part in getattr(self, field)])
        _matrix("quality", self.quality, self)
        devices = {device.name: device for device in self.devices}
        categories = [category.name for category in self.categories]
        for i, expert in enumerate(self.experts):
            _expert(f"experts[{i}]", expert, devices, categories, self)
        for i, prompt in enumerate(self.prompts):
            among(f"prompts[{i}].category", prompt.category, categories)
        names = [expert.name for expert in self.experts]
        for field in ("required", "forbidden"):
            for i, name in enumerate(getattr(self, field)):
                among(f"{field}[{i}]", name, names)
        both = sorted(set(self.required) & set(self.forbidden))
        if both:
            raise ProblemError("forbidden", expected="no expert that is also required", found=both[0])
        _objective(self)
        _gate(self)
        amount("aggregation_s_per_expert", self.aggregation_s_per_expert)
        if self.aggregation_s_per_expert is not None and self.latency_rule != "selected":
            raise ProblemError("aggregation_s_per_expert", expected="latency_rule 'selected'", found=self.latency_rule)
        if self.arrival_rate_per_s is not None and not 0.0 < self.arrival_rate_per_s < math.inf:
            raise ProblemError("arrival_rate_per_s", expected="a finite number above 0", found=self.arrival_rate_per_s)
        if self.arrival_rate_per_s is not None and not 1.0 / LARGEST <= self.arrival_rate_per_s <= LARGEST:
            expected = f"between {1 / LARGEST:g} and {LARGEST:g}"
            raise ProblemError("arrival_rate_per_s", expected=expected, found=self.arrival_rate_per_s)


def _matrix(where: str, matrix: Matrix, problem: SelectionProblem) -> None:
    """Reject a matrix that is not one of prompts and experts, and absurdly large numbers in it."""
    shape = (len(problem.prompts), len(problem.experts))
    if matrix.shape != shape:
        expected = f"{shape[0]} rows (prompts) of {shape[1]} numbers (experts)"
        raise ProblemError(where, expected=expected, found=Plain(f"{matrix.shape}"))
    if float(np.abs(matrix.array).max(initial=0.0)) > LARGEST:
        raise ProblemError(where, expected=f"numbers of at most {LARGEST:g}", found=Plain("larger ones"))


def _objective(problem: SelectionProblem) -> None:
    """Check what the objective needs beside the figures of the experts, and the floor."""
    record, floor = problem.cost_of_pass, problem.quality_floor
    if floor is not None and not abs(floor) <= LARGEST:
        raise ProblemError("quality_floor", expected=f"a finite number, at most {LARGEST:g} in size", found=floor)
    if (record is not None) != (problem.objective == "cost_of_pass"):
        expected = "an object exactly when the objective is 'cost_of_pass'"
        found = Plain("none" if record is None else f"one with objective {problem.objective!r}")
        raise ProblemError("cost_of_pass", expected=expected, found=found)
    if record is None:
        return
    categories = [category.name for category in problem.categories]
    for name in record.fallback_price_usd:
        among("cost_of_pass.fallback_price_usd", name, categories)
    for prompt in problem.prompts:
        if prompt.category not in record.fallback_price_usd:
            expected = f"a price for category {prompt.category!r}, which has prompts"
            raise ProblemError("cost_of_pass.fallback_price_usd", expected=expected, found=Plain("none"))
    outside = np.argwhere((problem.quality.array < 0.0) | (problem.quality.array > 1.0))
    if len(outside):
        i, n = outside[0].tolist()
        expected = "a share of passes in [0, 1], since the objective is 'cost_of_pass'"
        raise ProblemError(f"quality[{i}][{n}]", expected=expected, found=float(problem.quality.array[i, n]))


def _gate(problem: SelectionProblem) -> None:
    """Check that a gate that follows scores has them, and that a report has the scores it is about."""
    if problem.gate_report is not None and problem.gate_scores is None:
        raise ProblemError("gate_report", expected="gate_scores, which it is about", found=Plain("none"))
    if problem.gate_scores is not None:
        _matrix("gate_scores", problem.gate_scores, problem)
    elif problem.gate in SCORED:
        raise ProblemError("gate_scores", expected=f"scores, since the gate is {problem.gate!r}", found=Plain("none"))


def _expert(
    where: str, expert: Expert, devices: Mapping[str, Device], categories: list[str], problem: SelectionProblem
) -> None:
    """Check one expert against the devices, the categories and the budgets that need its figures."""
    among(f"{where}.device", expert.device, devices)
    for field in ("latency_s", "energy_j", "price_usd"):
        for category in getattr(expert, field) or {}:
            among(f"{where}.{field}", category, categories)
    if devices[expert.device].memory_bytes is not None and expert.memory_bytes is None:
        raise ProblemError(f"{where}.memory_bytes", expected="a size, since its device's memory is limited", found=None)
    budgets = problem.budgets
    for field, budget in (
        ("energy_j", budgets.energy_j if budgets.energy_j is not None else budgets.worst_case_energy_j),
        ("price_usd", budgets.price_usd),
    ):
        figures = getattr(expert, field) or {}
        missing = [category for category in expert.latency_s if category not in figures]
        wanted = budget is not None or NEEDED[problem.objective] == field
        if wanted and (missing or not figures):
            missing = missing or categories
            reason = "there is a budget for it" if budget is not None else "the objective needs it"
            expected = f"a figure for category {missing[0]!r}, since {reason}"
            raise ProblemError(f"{where}.{field}", expected=expected, found=Plain("none"))
