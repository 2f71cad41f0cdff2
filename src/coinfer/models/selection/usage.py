"""What a decision uses of every limit, in exact arithmetic, straight from the problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from coinfer.models.exact import exact
from coinfer.models.selection.data import Expert, SelectionProblem

TOLERANCE = Fraction(1, 10**9)
"""Largest excess over a limit, relative to it, that counts as keeping it: engines work in floats."""

Traffic = dict[tuple[str, str], Fraction]
"""Share of the whole traffic by (category, expert)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One limit and how much of it is used.

    Attributes
    ----------
    what
        Which limit: ``energy_j``, ``worst_case_energy_j``, ``price_usd``, ``experts``, ``memory_bytes``,
        ``utilisation``, ``latency_s``, ``group``; ``required`` (1 used of 0 when the expert is missing),
        ``forbidden`` (1 used of 0 when it is selected), ``assignment`` (traffic that is not answered, or answered
        more than once) and ``quality_floor`` (how far the mean quality is below the floor, negative when above).
    where
        Category, device, group or expert it holds for; ``all`` for the whole workload.
    used, limit
        In the unit of ``what``.
    """

    what: str
    where: str
    used: float
    limit: float

    @property
    def slack(self) -> float:
        """What is left; negative when the limit is broken."""
        return self.limit - self.used


class Consumption:
    """Every figure of a decision that a limit may bind.

    Parameters
    ----------
    problem
        The problem.
    selected
        The selected experts that exist.
    traffic
        Share of the whole traffic by (category, expert).
    categories
        Categories that have prompts.

    Attributes
    ----------
    energy, worst_case, price
        Per request; ``None`` where a figure is absent.
    latency, mean_latency
        By category: of the slowest expert that is waited for, and the mean over its traffic; ``None`` where a figure
        is absent.
    busy
        Share of time each device with such a limit is busy; ``None`` where a latency is absent.
    """

    def __init__(
        self, problem: SelectionProblem, selected: list[Expert], traffic: Traffic, categories: tuple[str, ...]
    ) -> None:
        self.problem, self.selected, self.traffic, self.categories = problem, selected, traffic, categories
        self._experts = {expert.name: expert for expert in problem.experts}
        mean = self._mean("energy_j")
        self.energy = None if mean is None else mean + self._idle()
        self.price = self._mean("price_usd")
        self.worst_case = self._worst_case()
        promised = [part.name for part in problem.categories if part.latency_budget_s is not None]
        self.latency = {name: self._slowest(name) for name in dict.fromkeys((*categories, *promised))}
        self.mean_latency = {name: self._mean_latency(name) for name in categories}
        self.busy = self._busy()

    def _mean(self, field: str) -> Fraction | None:
        """Return the mean of a figure over the traffic; ``None`` where one is absent."""
        total = Fraction(0)
        for (category, name), part in self.traffic.items():
            number = figure(self._experts[name], field, category)
            if number is None:
                return None
            total += part * number
        return total

    def _idle(self) -> Fraction:
        """Return the idle energy of the devices in use, per request."""
        rate = self.problem.arrival_rate_per_s
        used = {expert.device for expert in self.selected}
        watts = [exact(part.idle_power_w) for part in self.problem.devices if part.idle_power_w and part.name in used]
        return Fraction(0) if rate is None else sum(watts, Fraction(0)) / exact(rate)

    def _worst_case(self) -> Fraction | None:
        """Return the largest energy, over the categories, of a request that every selected expert answers."""
        sums = []
        for category in self.categories:
            numbers = [figure(expert, "energy_j", category) for expert in self.selected]
            known = [number for number in numbers if number is not None]
            if len(known) < len(numbers):
                return None
            sums.append(sum(known, Fraction(0)))
        return max(sums)

    def _slowest(self, category: str) -> Fraction | None:
        """Return the latency of the slowest expert that is waited for, aggregation included."""
        together = self.problem.latency_rule == "selected"
        waited = (
            self.selected
            if together
            else [self._experts[name] for (part, name), share in self.traffic.items() if part == category and share]
        )
        numbers = [figure(expert, "latency_s", category, moved=True) for expert in waited]
        known = [number for number in numbers if number is not None]
        if not known or len(known) < len(numbers):
            return None
        return max(known) + exact(self.problem.aggregation_s_per_expert or 0.0) * len(self.selected)

    def _mean_latency(self, category: str) -> Fraction | None:
        """Return the mean latency over the traffic of a category; all of it waits alike under ``selected``."""
        if self.problem.latency_rule == "selected":
            return self.latency[category]
        total, weight = Fraction(0), Fraction(0)
        for (part, name), share in self.traffic.items():
            number = figure(self._experts[name], "latency_s", category, moved=True) if part == category else Fraction(0)
            if number is None:
                return None
            total += share * number
            weight += share if part == category else 0
        return total / weight if weight else None

    def _busy(self) -> dict[str, Fraction | None]:
        rate = self.problem.arrival_rate_per_s
        limited = [part.name for part in self.problem.devices if part.max_utilisation is not None]
        busy: dict[str, Fraction | None] = dict.fromkeys(limited if rate is not None else (), Fraction(0))
        for (category, name), share in self.traffic.items():
            seconds = figure(self._experts[name], "latency_s", category)
            so_far = busy.get(self._experts[name].device)
            if so_far is not None and rate is not None:
                device = self._experts[name].device
                busy[device] = None if seconds is None else so_far + share * seconds * exact(rate)
        return busy

    def memory(self) -> dict[str, int]:
        """Return the memory held on each device whose experts' sizes are all known."""
        held: dict[str, list[int | None]] = {}
        for expert in self.selected:
            held.setdefault(expert.device, []).append(expert.memory_bytes)
        return {device: sum(size or 0 for size in sizes) for device, sizes in held.items() if None not in sizes}

    def limits(self) -> Iterator[tuple[str, str, Fraction | None, Fraction]]:
        """Yield (what, where, used, limit) for every limit; used is ``None`` where a figure is absent."""
        budgets, memory = self.problem.budgets, self.memory()
        for what, used, limit in (
            ("energy_j", self.energy, budgets.energy_j),
            ("worst_case_energy_j", self.worst_case, budgets.worst_case_energy_j),
            ("price_usd", self.price, budgets.price_usd),
            ("experts", Fraction(len(self.selected)), budgets.experts),
        ):
            if limit is not None:
                yield what, "all", used, exact(limit)
        held = {expert.device for expert in self.selected}
        for device in self.problem.devices:
            if device.memory_bytes is not None:
                size = memory.get(device.name) if device.name in held else 0
                yield "memory_bytes", device.name, None if size is None else Fraction(size), exact(device.memory_bytes)
            if device.name in self.busy and device.max_utilisation is not None:
                yield "utilisation", device.name, self.busy[device.name], exact(device.max_utilisation)
        answered = {category for category, _ in self.traffic}
        for category in self.problem.categories:
            waits = category.name in answered or (self.problem.latency_rule == "selected" and self.selected)
            if category.latency_budget_s is not None and waits:
                yield "latency_s", category.name, self.latency[category.name], exact(category.latency_budget_s)
        for group in sorted({expert.group for expert in self.problem.experts if expert.group is not None}):
            yield "group", group, Fraction(sum(expert.group == group for expert in self.selected)), Fraction(1)


SHARED = frozenset({"energy_j", "price_usd", "utilisation"})
"""Limits that shares of traffic count towards; engines know those shares in floats only."""


def exceeds(what: str, used: Fraction, limit: Fraction) -> bool:
    """Return True when ``used`` is over ``limit``: by anything, or by the tolerance where shares of traffic count."""
    return used > (limit * (1 + TOLERANCE) if what in SHARED else limit)


def figure(expert: Expert, field: str, category: str, *, moved: bool = False) -> Fraction | None:
    """Return a figure of an expert in a category, with ``moved`` plus its transmission; ``None`` when absent."""
    number = (getattr(expert, field) or {}).get(category)
    if number is None:
        return None
    return exact(number) + (exact(expert.transmission_s or 0.0) if moved else 0)
