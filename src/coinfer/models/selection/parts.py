"""The parts a selection problem is made of: devices, categories, experts, prompts, budgets, cost of a pass."""

from __future__ import annotations

import math
from typing import Literal

from coinfer.errors import ProblemError
from coinfer.models.endpoint import Endpoint
from coinfer.models.exact import exact
from coinfer.models.selection.validate import LARGEST, amount, named
from coinfer.records import Record

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


class CostOfPass(Record, frozen=True, kw_only=True):
    """What the cost of one right answer is reckoned from, beside the prices and the quality.

    Attributes
    ----------
    fallback_price_usd
        By category, the money a right answer costs without any expert (a person's work): the most that is ever paid
        for one. Every category that has prompts has it.
    trials
        Runs behind each entry of the quality matrix, which is then the share of them that passed; at least 1.
    prior_successes, prior_failures
        Parameters of the Beta prior of the chance to pass, in runs; Jeffreys' prior by default. They keep a cost
        finite where no run passed.
    """

    fallback_price_usd: dict[str, float]
    trials: int
    prior_successes: float = 0.5
    prior_failures: float = 0.5

    def __post_init__(self) -> None:
        for category, number in self.fallback_price_usd.items():
            amount(f"fallback_price_usd.{category}", number)
        if self.trials < 1:
            raise ProblemError("trials", expected="an integer, at least 1", found=self.trials)
        for field in ("trials", "prior_successes", "prior_failures"):
            amount(field, getattr(self, field))
