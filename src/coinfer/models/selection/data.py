"""The selection problem: which language models to keep resident, and which of them answers what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.endpoint import Endpoint
from coinfer.models.exact import exact
from coinfer.models.selection.validate import LARGEST, among, amount, named, unique
from coinfer.records import Document, Matrix, Record

FORMAT = "coinfer/problem/1"

Basis = Literal["measured", "published", "declared", "derived"]


class Device(Record, frozen=True, kw_only=True):
    """A machine that can hold experts.

    Attributes
    ----------
    name
        Unique name.
    memory_bytes
        Memory for weights and caches; absent: not limited by this plan.
    idle_power_w
        Power drawn while it is kept on; absent: not accounted. Counted only for devices that hold an expert, and
        only together with ``arrival_rate_per_s``, which spreads it over the requests.
    max_utilisation
        Largest share of time it may be busy, in (0, 1]; counted only together with ``arrival_rate_per_s``;
        absent: not limited.
    """

    name: str
    memory_bytes: int | None = None
    idle_power_w: float | None = None
    max_utilisation: float | None = None

    def __post_init__(self) -> None:
        named(self.name)
        amount("memory_bytes", self.memory_bytes)
        amount("idle_power_w", self.idle_power_w)
        if self.max_utilisation is not None and not 0.0 < self.max_utilisation <= 1.0:
            raise ProblemError("max_utilisation", expected="a number in (0, 1]", found=self.max_utilisation)


class Category(Record, frozen=True, kw_only=True):
    """An application category with a latency promise.

    Attributes
    ----------
    name
        Unique name.
    latency_budget_s
        Longest latency allowed, of the statistic that ``latency_statistic`` names; absent: no promise.
    """

    name: str
    latency_budget_s: float | None = None

    def __post_init__(self) -> None:
        named(self.name)
        amount("latency_budget_s", self.latency_budget_s)


class Expert(Record, frozen=True, kw_only=True):
    """One language model on one device in one configuration.

    Attributes
    ----------
    name
        Unique name.
    device
        Name of the device that would hold it.
    latency_s
        Computation per request by category, seconds. A category that is absent was not measured; where that
        category has a latency promise, the expert cannot answer it.
    memory_bytes
        Memory it holds on its device; absent: not known, and refused where the device's memory is limited.
    transmission_s
        Network time per request, added to ``latency_s``; absent where ``latency_s`` includes it or there is none.
    energy_j, price_usd
        Energy and money per request by category; absent where unknown, and then no energy (money) budget can be
        planned with this expert.
    energy_basis
        Where the energy comes from; ``declared`` figures (a power figure times a time) are marked in every report.
    group
        At most one expert of a group is selected: configurations of the same model on the same device.
    endpoint
        How the executor reaches it; absent for plans that are not run.
    source
        Where the figures come from, in words.
    """

    name: str
    device: str
    latency_s: dict[str, float]
    memory_bytes: int | None = None
    transmission_s: float | None = None
    energy_j: dict[str, float] | None = None
    energy_basis: Basis | None = None
    price_usd: dict[str, float] | None = None
    group: str | None = None
    endpoint: Endpoint | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        named(self.name)
        amount("memory_bytes", self.memory_bytes)
        amount("transmission_s", self.transmission_s)
        for field in ("latency_s", "energy_j", "price_usd"):
            for category, number in (getattr(self, field) or {}).items():
                amount(f"{field}.{category}", number)
        if (self.energy_j is None) != (self.energy_basis is None):
            raise ProblemError("energy_basis", expected="a basis exactly when energy_j stands", found=self.energy_basis)

    def total_latency_s(self, category: str) -> float | None:
        """Return computation plus transmission, added up as decimals; ``None`` where it was not measured."""
        computation = self.latency_s.get(category)
        if computation is None or self.transmission_s is None:
            return computation
        return float(exact(computation) + exact(self.transmission_s))  # 0.1 + 0.2 keeps a promise of 0.3


class Prompt(Record, frozen=True, kw_only=True):
    """One calibration prompt, or a stratum of alike ones: one row of the quality matrix.

    Attributes
    ----------
    name
        Unique name.
    category
        Its application category.
    weight
        Share of the traffic, in any unit, > 0.
    """

    name: str
    category: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        named(self.name)
        if not 0.0 < self.weight < math.inf:
            raise ProblemError("weight", expected="a finite number above 0", found=self.weight)
        if not 1.0 / LARGEST <= self.weight <= LARGEST:
            raise ProblemError("weight", expected=f"between {1 / LARGEST:g} and {LARGEST:g}", found=self.weight)


class Budgets(Record, frozen=True, kw_only=True):
    """Limits over the whole workload; an absent one does not bind.

    Attributes
    ----------
    energy_j
        Mean energy per request under the routing, the idle share included.
    worst_case_energy_j
        Energy of a request that every selected expert answers (an ensemble), in every category that has prompts;
        an expert whose energy is absent in one of them cannot be selected.
    price_usd
        Mean money per request under the routing.
    experts
        Most experts selected.
    """

    energy_j: float | None = None
    worst_case_energy_j: float | None = None
    price_usd: float | None = None
    experts: int | None = None

    def __post_init__(self) -> None:
        for field in ("energy_j", "worst_case_energy_j", "price_usd"):
            amount(field, getattr(self, field))
        if self.experts is not None and self.experts < 1:
            raise ProblemError("experts", expected="an integer, at least 1", found=self.experts)


class SelectionProblem(Document, frozen=True, kw_only=True, tag_field="kind", tag="selection"):
    """Which experts to keep resident and which of them answers what, for the most quality within the budgets.

    Attributes
    ----------
    devices, categories, experts, prompts
        See their classes.
    quality
        (prompts, experts): quality of each expert's answer, higher is better; usually in [0, 1].
    budgets
        Limits over the workload.
    gate
        ``oracle``: each prompt goes to the best selected expert for it (an upper limit on any router).
        ``category``: all prompts of a category are routed alike, which a router that knows only the category can do.
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
    gate: Literal["oracle", "category"]
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
        shape = (len(self.prompts), len(self.experts))
        if self.quality.shape != shape:
            expected = f"{shape[0]} rows (prompts) of {shape[1]} numbers (experts)"
            raise ProblemError("quality", expected=expected, found=Plain(f"{self.quality.shape}"))
        if float(np.abs(self.quality.array).max(initial=0.0)) > LARGEST:
            raise ProblemError("quality", expected=f"numbers of at most {LARGEST:g}", found=Plain("larger ones"))
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
        amount("aggregation_s_per_expert", self.aggregation_s_per_expert)
        if self.aggregation_s_per_expert is not None and self.latency_rule != "selected":
            raise ProblemError("aggregation_s_per_expert", expected="latency_rule 'selected'", found=self.latency_rule)
        if self.arrival_rate_per_s is not None and not 0.0 < self.arrival_rate_per_s < math.inf:
            raise ProblemError("arrival_rate_per_s", expected="a finite number above 0", found=self.arrival_rate_per_s)
        if self.arrival_rate_per_s is not None and not 1.0 / LARGEST <= self.arrival_rate_per_s <= LARGEST:
            expected = f"between {1 / LARGEST:g} and {LARGEST:g}"
            raise ProblemError("arrival_rate_per_s", expected=expected, found=self.arrival_rate_per_s)


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
        if budget is not None and (missing or not figures):
            missing = missing or categories
            expected = f"a figure for category {missing[0]!r}, since there is a budget for it"
            raise ProblemError(f"{where}.{field}", expected=expected, found=Plain("none"))
