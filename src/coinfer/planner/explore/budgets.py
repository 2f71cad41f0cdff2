"""The budgets of a problem by name: read, changed, lifted, and how much of one a decision uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from coinfer.errors import InputError
from coinfer.models.selection.data import SCORED, SelectionProblem
from coinfer.models.selection.evaluate import Evaluation

Kind = Literal["experts", "worst_case_energy_j", "energy_j", "price_usd", "memory", "latency", "utilisation"]
WHOLE: tuple[Kind, ...] = ("experts", "worst_case_energy_j", "energy_j", "price_usd")
DEVICES: dict[Kind, str] = {"memory": "memory_bytes", "utilisation": "max_utilisation"}
UNITS: dict[Kind, str] = {
    "experts": "count",
    "worst_case_energy_j": "J",
    "energy_j": "J",
    "price_usd": "USD",
    "memory": "bytes",
    "latency": "s",
    "utilisation": "share",
}
COUNTED: tuple[Kind, ...] = ("experts", "memory")
"""Budgets in whole numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One limit of a problem.

    Attributes
    ----------
    kind
        What is limited.
    where
        The device (``memory``, ``utilisation``) or the category (``latency``); empty for the whole workload.
    """

    kind: Kind
    where: str = ""

    @property
    def name(self) -> str:
        """As :func:`budget_named` reads it."""
        return f"{self.kind}:{self.where}" if self.where else self.kind

    @property
    def unit(self) -> str:
        """Unit of the limit, in the sense of :func:`coinfer.planner.units.amount`."""
        return UNITS[self.kind]

    def limit(self, problem: SelectionProblem) -> float | None:
        """Return the limit that stands in the problem; ``None`` without one."""
        if self.kind == "latency":
            found = next(part.latency_budget_s for part in problem.categories if part.name == self.where)
        elif self.kind in DEVICES:
            found = next(getattr(part, DEVICES[self.kind]) for part in problem.devices if part.name == self.where)
        else:
            found = getattr(problem.budgets, self.kind)
        return None if found is None else float(found)

    def replaced(self, problem: SelectionProblem, limit: float | None) -> SelectionProblem:
        """Return the problem with another limit, or without one; whole numbers are rounded down.

        Raises
        ------
        ProblemError
            If that is no limit, or an expert has not the figures that it needs.
        """
        number: float | int | None = limit
        if limit is not None and self.kind in COUNTED:
            number = math.floor(limit)
        if self.kind == "latency":
            categories = tuple(
                msgspec.structs.replace(part, latency_budget_s=number) if part.name == self.where else part
                for part in problem.categories
            )
            return msgspec.structs.replace(problem, categories=categories)
        if self.kind in DEVICES:
            change = {DEVICES[self.kind]: number}
            devices = tuple(
                msgspec.structs.replace(part, **change) if part.name == self.where else part for part in problem.devices
            )
            return msgspec.structs.replace(problem, devices=devices)
        budgets = msgspec.structs.replace(problem.budgets, **{self.kind: number})
        return msgspec.structs.replace(problem, budgets=budgets)

    def used(self, evaluation: Evaluation, selected: Sequence[str]) -> float | None:
        """Return what a decision uses; ``None`` where a figure is absent."""
        if self.kind == "experts":
            return float(len(selected))
        if self.kind == "memory":
            return evaluation.memory_bytes.get(self.where, 0.0)  # all sizes are known where memory is limited
        if self.kind == "latency":
            return evaluation.latency_s.get(self.where)
        if self.kind == "utilisation":
            usage = [part.used for part in evaluation.usage if (part.what, part.where) == (self.kind, self.where)]
            return usage[0] if usage else None
        found: float | None = getattr(evaluation, self.kind)
        return found

    def binds_the_selection(self) -> bool:
        """Return True for limits that are rows over the selection alone."""
        return self.kind in ("experts", "worst_case_energy_j", "memory")

    def nested(self, problem: SelectionProblem) -> bool:
        """Return True where every decision under a smaller limit is one under a larger limit.

        Under a gate that follows scores, a promise or a budget of nothing also changes who may answer, and so the
        shares of a selection.
        """
        return problem.gate not in SCORED or self.binds_the_selection()

    def rows(self, problem: SelectionProblem) -> list[str]:
        """Return the names of its rows in the monotonic program of ``problem``, in which it is limited."""
        if self.kind == "experts":
            return ["experts 0"]
        if self.kind == "memory":
            limited = [part.name for part in problem.devices if part.memory_bytes is not None]
            return [f"memory {limited.index(self.where)}"]
        count = len({prompt.category for prompt in problem.prompts})
        return [f"worst_case_energy {i}" for i in range(count)]


def budgets_of(problem: SelectionProblem) -> tuple[Budget, ...]:
    """Return every budget that is limited in the problem."""
    candidates = [
        *(Budget(kind=kind) for kind in WHOLE),
        *(Budget(kind="memory", where=part.name) for part in problem.devices),
        *(Budget(kind="utilisation", where=part.name) for part in problem.devices if problem.arrival_rate_per_s),
        *(Budget(kind="latency", where=part.name) for part in problem.categories),
    ]
    return tuple(budget for budget in candidates if budget.limit(problem) is not None)


def budget_named(problem: SelectionProblem, name: str) -> Budget:
    """Return a budget by its name: ``experts``, ``energy_j``, ``memory:DEVICE``, ``latency:CATEGORY`` ...

    Raises
    ------
    InputError
        If there is no such budget, device or category.
    """
    kind, _, where = name.partition(":")
    devices, categories = [part.name for part in problem.devices], [part.name for part in problem.categories]
    for known in WHOLE:
        if name == known:
            return Budget(kind=known)
    places: dict[Kind, list[str]] = {"memory": devices, "utilisation": devices, "latency": categories}
    for known, names in places.items():
        if kind == known and where in names:
            if known == "utilisation" and problem.arrival_rate_per_s is None:
                raise InputError("budget", expected="an arrival_rate_per_s, which utilisation needs", found=name)
            return Budget(kind=known, where=where)
        if kind == known:
            raise InputError("budget", expected=f"{known}: and one of {', '.join(names)}", found=name)
    expected = f"one of {', '.join(WHOLE)}, memory:DEVICE, utilisation:DEVICE, latency:CATEGORY"
    raise InputError("budget", expected=expected, found=name)
