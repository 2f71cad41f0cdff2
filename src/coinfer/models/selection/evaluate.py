"""What a decision is worth and what it uses, re-computed from the problem alone.

Nothing of the program is used here: a wrong formulation would show. Every figure is taken as the decimal its author
wrote and added up as a fraction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from coinfer.models.selection.data import Expert, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.decode import preference
from coinfer.models.selection.units import answerable, categories_in_use

TOLERANCE = Fraction(1, 10**9)
"""Largest relative excess over a limit that counts as keeping it: engines work in floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One limit and how much of it is used.

    Attributes
    ----------
    what
        Which limit: ``energy_j``, ``worst_case_energy_j``, ``price_usd``, ``experts``, ``memory_bytes``,
        ``utilisation``, ``latency_s`` or ``group``.
    where
        Category, device or group it holds for; ``all`` for the whole workload.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A decision, re-computed.

    Attributes
    ----------
    value
        Mean quality of the routes.
    oracle_value
        Mean quality if each prompt went to the best selected expert for it: an upper limit on any router.
    category_value
        Mean quality if each category went to its preferred selected expert: what a router that knows only the
        category reaches.
    quality
        Mean quality by category.
    latency_s
        By category, the latency of the slowest expert that answers it (under the rule ``selected``: of the slowest
        selected expert, plus aggregation); absent where it was not measured.
    mean_latency_s
        Mean over the traffic; ``None`` where a latency was not measured.
    energy_j, price_usd
        Mean per request; ``None`` where a figure is absent.
    worst_case_energy_j
        Largest energy of a request that every selected expert answers; ``None`` where a figure is absent.
    memory_bytes
        By device, what its selected experts hold; devices with an expert of unknown size are absent.
    usage
        Every limit and how much of it is used.
    violations
        A sentence for everything that is wrong; empty for a feasible decision.
    """

    value: float
    oracle_value: float
    category_value: float
    quality: dict[str, float]
    latency_s: dict[str, float]
    mean_latency_s: float | None
    energy_j: float | None
    price_usd: float | None
    worst_case_energy_j: float | None
    memory_bytes: dict[str, float]
    usage: tuple[Usage, ...]
    violations: tuple[str, ...]


Share = dict[str, dict[str, Fraction]]
"""By prompt name, the share of each expert."""


def evaluate(problem: SelectionProblem, decision: SelectionDecision) -> Evaluation:
    """Re-compute everything about ``decision``; whatever is wrong with it becomes a violation, never an exception."""
    experts = {expert.name: expert for expert in problem.experts}
    selected = [expert for expert in problem.experts if expert.name in decision.selected]
    wrong = _selection_faults(problem, decision)
    share = _shares(problem, decision, wrong)
    total = sum((_exact(prompt.weight) for prompt in problem.prompts), Fraction(0))
    weight = {prompt.name: _exact(prompt.weight) / total for prompt in problem.prompts}
    column = {expert.name: n for n, expert in enumerate(problem.experts)}
    quality = problem.quality.array.tolist()
    by_category: dict[str, list[Fraction]] = {name: [Fraction(0), Fraction(0)] for name in categories_in_use(problem)}
    for i, prompt in enumerate(problem.prompts):
        mean = sum((s * _exact(quality[i][column[name]]) for name, s in share[prompt.name].items()), Fraction(0))
        by_category[prompt.category][0] += weight[prompt.name]
        by_category[prompt.category][1] += weight[prompt.name] * mean
    usage = _Usages(problem, selected, share, weight)
    wrong += usage.broken()
    oracle, router = _other_values(problem, decision.selected, weight)
    return Evaluation(
        value=float(sum((gained for _, gained in by_category.values()), Fraction(0))),
        oracle_value=float(oracle),
        category_value=float(router),
        quality={name: float(gained / part) for name, (part, gained) in by_category.items()},
        latency_s={name: float(latency) for name, latency in usage.latency.items() if latency is not None},
        mean_latency_s=_float(usage.mean("total_latency_s", experts)),
        energy_j=_float(usage.energy),
        price_usd=_float(usage.mean("price_usd", experts)),
        worst_case_energy_j=_float(usage.worst_case),
        memory_bytes=usage.memory(),
        usage=tuple(usage.rows()),
        violations=tuple(wrong),
    )


def _selection_faults(problem: SelectionProblem, decision: SelectionDecision) -> list[str]:
    """Return what is wrong with the list of experts and the order of preference."""
    names = [expert.name for expert in problem.experts]
    wrong = [f"selected expert {name!r} is not in the problem" for name in decision.selected if name not in names]
    if len(set(decision.selected)) != len(decision.selected):
        wrong.append("an expert is selected twice")
    wrong += [f"required expert {name!r} is not selected" for name in problem.required if name not in decision.selected]
    wrong += [f"forbidden expert {name!r} is selected" for name in problem.forbidden if name in decision.selected]
    if not wrong and decision.preference != preference(problem, decision.selected):
        wrong.append("the order of preference is not the order of mean quality of the selected experts")
    return wrong


def _shares(problem: SelectionProblem, decision: SelectionDecision, wrong: list[str]) -> Share:
    """Return the share of each expert in each prompt, and add what is wrong with the routes."""
    experts = {expert.name: expert for expert in problem.experts}
    category_of = {prompt.name: prompt.category for prompt in problem.prompts}
    routes: dict[tuple[str, str | None], dict[str, Fraction]] = {}
    for route in decision.routes:
        expert = experts.get(route.expert)
        if expert is None or route.expert not in decision.selected:
            wrong.append(f"{route.category!r} is routed to {route.expert!r}, which is not selected")
        elif route.category not in category_of.values():
            wrong.append(f"a route is for {route.category!r}, which has no prompts")
        elif route.prompt is not None and category_of.get(route.prompt) != route.category:
            wrong.append(f"a route is for prompt {route.prompt!r}, which is not in {route.category!r}")
        elif not answerable(problem, expert, route.category):
            wrong.append(
                f"{route.expert!r} may not answer {route.category!r}: {_reason(problem, expert, route.category)}"
            )
        else:
            part = routes.setdefault((route.category, route.prompt), {})
            if route.expert in part:
                wrong.append(f"{route.category!r} is routed to {route.expert!r} twice")
            part[route.expert] = _exact(route.fraction)
    share: Share = {}
    for prompt in problem.prompts:
        own, shared = routes.get((prompt.category, prompt.name)), routes.get((prompt.category, None))
        if own is not None and shared is not None:
            wrong.append(f"prompt {prompt.name!r} has a route of its own and one of its category")
        if problem.gate == "category" and own is not None:
            wrong.append(f"prompt {prompt.name!r} has a route of its own, which the gate 'category' cannot tell apart")
        share[prompt.name] = own or shared or {}
        total = sum(share[prompt.name].values(), Fraction(0))
        if abs(total - 1) > TOLERANCE:
            wrong.append(f"the routes of prompt {prompt.name!r} add up to {float(total):.12g}, not to 1")
    return share


def _reason(problem: SelectionProblem, expert: Expert, category: str) -> str:
    latency = expert.total_latency_s(category)
    budget = next(part.latency_budget_s for part in problem.categories if part.name == category)
    if latency is None or budget is None:
        return "it was not measured there"
    return f"it takes {latency:g} s, and {budget:g} s are promised"


def _other_values(
    problem: SelectionProblem, selected: tuple[str, ...], weight: dict[str, Fraction]
) -> tuple[Fraction, Fraction]:
    """Return the value behind a perfect router, and behind one that knows only the category."""
    order = preference(problem, tuple(name for name in selected if name in {e.name for e in problem.experts}))
    column = {expert.name: n for n, expert in enumerate(problem.experts)}
    quality = problem.quality.array.tolist()
    oracle, router = Fraction(0), Fraction(0)
    for i, prompt in enumerate(problem.prompts):
        able = order.get(prompt.category, ())
        if able:
            oracle += weight[prompt.name] * _exact(max(quality[i][column[name]] for name in able))
            router += weight[prompt.name] * _exact(quality[i][column[able[0]]])
    return oracle, router


class _Usages:
    """Every limit of a problem and what a decision uses of it."""

    def __init__(
        self, problem: SelectionProblem, selected: list[Expert], share: Share, weight: dict[str, Fraction]
    ) -> None:
        self.problem, self.selected = problem, selected
        self.traffic: dict[tuple[str, str], Fraction] = {}
        for prompt in problem.prompts:
            for name, part in share[prompt.name].items():
                key = (prompt.category, name)
                self.traffic[key] = self.traffic.get(key, Fraction(0)) + weight[prompt.name] * part
        experts = {expert.name: expert for expert in problem.experts}
        self.latency = {name: self._latency(name, experts) for name in categories_in_use(problem)}
        mean = self.mean("energy_j", experts)
        self.energy = None if mean is None else mean + self._idle()
        worst = [
            sum((_exact(expert.energy_j[name]) for expert in selected if expert.energy_j), Fraction(0))
            for name in categories_in_use(problem)
            if all(expert.energy_j is not None and name in expert.energy_j for expert in selected)
        ]
        self.worst_case = max(worst) if selected and len(worst) == len(self.latency) else None
        self.price = self.mean("price_usd", experts)
        self.busy = self._busy(experts)

    def mean(self, field: str, experts: dict[str, Expert]) -> Fraction | None:
        """Return the mean of a figure over the traffic; ``None`` where one is absent."""
        total = Fraction(0)
        for (category, name), traffic in self.traffic.items():
            figure = _figure(experts[name], field, category)
            if figure is None:
                return None
            total += traffic * figure
        return total

    def _idle(self) -> Fraction:
        """Return the idle energy of the devices in use, per request."""
        rate = self.problem.arrival_rate_per_s
        if rate is None:
            return Fraction(0)
        used = {expert.device for expert in self.selected}
        watts = (
            _exact(device.idle_power_w)
            for device in self.problem.devices
            if device.idle_power_w and device.name in used
        )
        return sum(watts, Fraction(0)) / _exact(rate)

    def _latency(self, category: str, experts: dict[str, Expert]) -> Fraction | None:
        """Return the latency of a category: of the slowest expert that is waited for."""
        if self.problem.latency_rule == "selected":
            waited = self.selected
            step = _exact(self.problem.aggregation_s_per_expert or 0.0) * len(self.selected)
        else:
            waited = [experts[name] for (part, name) in self.traffic if part == category]
            step = Fraction(0)
        latencies = [_figure(expert, "total_latency_s", category) for expert in waited]
        known = [latency for latency in latencies if latency is not None]
        return max(known) + step if known and len(known) == len(latencies) else None

    def _busy(self, experts: dict[str, Expert]) -> dict[str, Fraction]:
        """Return the share of time each device with a limit on it is busy."""
        rate = self.problem.arrival_rate_per_s
        limited = [device.name for device in self.problem.devices if device.max_utilisation is not None]
        busy = dict.fromkeys(limited if rate is not None else (), Fraction(0))
        for (category, name), traffic in self.traffic.items():
            seconds = _figure(experts[name], "latency_s", category)
            if experts[name].device in busy and seconds is not None and rate is not None:
                busy[experts[name].device] += traffic * seconds * _exact(rate)
        return busy

    def memory(self) -> dict[str, float]:
        """Return the memory held on each device whose experts' sizes are all known."""
        held: dict[str, list[int | None]] = {}
        for expert in self.selected:
            held.setdefault(expert.device, []).append(expert.memory_bytes)
        return {device: float(sum(size or 0 for size in sizes)) for device, sizes in held.items() if None not in sizes}

    def rows(self) -> Iterable[Usage]:
        """Return every limit with what is used of it."""
        budgets = self.problem.budgets
        for what, used, limit in (
            ("energy_j", self.energy, budgets.energy_j),
            ("worst_case_energy_j", self.worst_case, budgets.worst_case_energy_j),
            ("price_usd", self.price, budgets.price_usd),
            ("experts", Fraction(len(self.selected)), budgets.experts),
        ):
            if limit is not None and used is not None:
                yield Usage(what=what, where="all", used=float(used), limit=float(limit))
        memory = self.memory()
        for device in self.problem.devices:
            if device.memory_bytes is not None:
                yield Usage(
                    what="memory_bytes", where=device.name, used=memory.get(device.name, 0.0), limit=device.memory_bytes
                )
            if device.name in self.busy and device.max_utilisation is not None:
                busy = float(self.busy[device.name])
                yield Usage(what="utilisation", where=device.name, used=busy, limit=device.max_utilisation)
        for category in self.problem.categories:
            latency = self.latency.get(category.name)
            if category.latency_budget_s is not None and self.problem.latency_rule == "selected":
                experts = {expert.name: expert for expert in self.problem.experts}
                latency = self._latency(category.name, experts)
            if category.latency_budget_s is not None and latency is not None:
                yield Usage(what="latency_s", where=category.name, used=float(latency), limit=category.latency_budget_s)
        for group in sorted({expert.group for expert in self.problem.experts if expert.group is not None}):
            members = sum(expert.group == group for expert in self.selected)
            yield Usage(what="group", where=group, used=float(members), limit=1.0)

    def broken(self) -> list[str]:
        """Return a sentence for each limit that is not kept."""
        wrong = [
            f"{row.what} of {row.where!r} is {row.used:.12g}, over the limit of {row.limit:.12g}"
            for row in self.rows()
            if _exact(row.used) > _exact(row.limit) + TOLERANCE * max(Fraction(1, 10**6), abs(_exact(row.limit)))
        ]
        budgets = self.problem.budgets
        for what, used, limit in (
            ("energy_j", self.energy, budgets.energy_j),
            ("worst_case_energy_j", self.worst_case, budgets.worst_case_energy_j),
            ("price_usd", self.price, budgets.price_usd),
        ):
            if limit is not None and used is None and self.selected:
                wrong.append(f"{what} is limited, but a figure of a selected expert is absent")
        if self.problem.latency_rule == "selected":
            for category in self.problem.categories:
                wrong += [
                    f"{expert.name!r} is selected, but was not measured in {category.name!r}"
                    for expert in self.selected
                    if category.latency_budget_s is not None and expert.total_latency_s(category.name) is None
                ]
        return wrong


def _figure(expert: Expert, field: str, category: str) -> Fraction | None:
    """Return a figure of an expert in a category; ``None`` when absent."""
    if field == "total_latency_s":
        computation = expert.latency_s.get(category)
        return None if computation is None else _exact(computation) + _exact(expert.transmission_s or 0.0)
    figure = (getattr(expert, field) or {}).get(category)
    return None if figure is None else _exact(figure)


def _exact(number: float) -> Fraction:
    """Return the decimal a float is written as: 0.1 is a tenth."""
    return Fraction(str(float(number)))


def _float(number: Fraction | None) -> float | None:
    return None if number is None else float(number)
