"""Why a problem has no solution, where one limit alone shows it."""

from __future__ import annotations

from collections import Counter

from coinfer.models.selection.data import Expert, SelectionProblem
from coinfer.models.selection.units import answerable, categories_in_use, quality_scale, units, unselectable

_SAFE = 1.0 + 1e-9  # sums of floats are compared with this margin, so that every sentence is true


def explain_infeasible(problem: SelectionProblem) -> tuple[str, ...]:
    """Say in plain sentences why nothing is feasible.

    Returns
    -------
    One sentence for each limit that no decision can keep, whatever the other limits. Empty for a feasible problem,
    and also where only several limits together rule everything out.
    """
    menu = [
        expert
        for expert in problem.experts
        if expert.name not in problem.forbidden and unselectable(problem, expert) is None
    ]
    return (
        *_categories(problem, menu),
        *_required(problem),
        *_budgets(problem, menu),
        *_floor(problem, menu),
        *_load(problem, menu),
    )


def _categories(problem: SelectionProblem, menu: list[Expert]) -> list[str]:
    """Name the categories that no expert of the menu may answer, and the expert that comes closest."""
    found = []
    for name in categories_in_use(problem):
        if any(answerable(problem, expert, name) for expert in menu):
            continue
        allowed = [expert for expert in problem.experts if expert.name not in problem.forbidden]
        barred = [
            reason
            for expert in allowed
            if answerable(problem, expert, name) and (reason := unselectable(problem, expert)) is not None
        ]
        budget = next(category.latency_budget_s for category in problem.categories if category.name == name)
        known = [(expert.total_latency_s(name), expert.name) for expert in allowed]
        timed = [(latency, expert) for latency, expert in known if latency is not None]
        if barred:
            found.append(f"no expert that can be selected answers {name!r}: {'; '.join(barred[:3])}")
        elif timed and budget is not None:
            latency, fastest = min(timed)
            takes = f"the fastest, {fastest!r}, takes {latency:g} s"
            found.append(f"no expert answers {name!r} within {budget:g} s: {takes}")
        elif not allowed:
            found.append(f"no expert answers {name!r}: all are forbidden")
        else:
            found.append(f"no expert has the figures in {name!r} that the limits need")
    return found


def _required(problem: SelectionProblem) -> list[str]:
    """Say what the required experts alone break."""
    required = [expert for expert in problem.experts if expert.name in problem.required]
    reasons = [unselectable(problem, expert) for expert in required]
    found = [f"a required expert cannot be selected: {reason}" for reason in reasons if reason is not None]
    for device in problem.devices:
        needed = sum(expert.memory_bytes or 0 for expert in required if expert.device == device.name)
        if device.memory_bytes is not None and needed > device.memory_bytes * _SAFE:
            have = f"{device.name!r}, which has {device.memory_bytes}"
            found.append(f"the required experts together need {needed} bytes of {have}")
    most = problem.budgets.experts
    if most is not None and len(required) > most:
        found.append(f"{len(required)} experts are required, and at most {most} may be selected")
    for group, count in Counter(expert.group for expert in required if expert.group is not None).items():
        if count > 1:
            found.append(f"{count} experts of group {group!r} are required, and at most one may be selected")
    worst_case = problem.budgets.worst_case_energy_j
    for name in categories_in_use(problem) if worst_case is not None else ():
        energy = sum((expert.energy_j or {}).get(name, 0.0) for expert in required)
        if worst_case is not None and energy > worst_case * _SAFE:
            limit = f"the worst-case energy of {worst_case:g} J"
            found.append(f"the required experts together take {energy:g} J in {name!r}, over {limit}")
    return found


def _budgets(problem: SelectionProblem, menu: list[Expert]) -> list[str]:
    """Compare the mean energy and money budgets with the cheapest routing."""
    found = []
    energy, price = problem.budgets.energy_j, problem.budgets.price_usd
    least = least_mean(problem, menu, "energy_j")
    if energy is not None and least is not None:
        idle = _least_idle_j(problem, menu)
        if least + idle > energy * _SAFE:
            share = f" ({idle:g} of it idle)" if idle else ""
            need = f"the cheapest routing needs a mean energy_j of {least + idle:g}{share}"
            found.append(f"{need}, over the budget of {energy:g}")
    least = least_mean(problem, menu, "price_usd")
    if price is not None and least is not None and least > price * _SAFE:
        found.append(f"the cheapest routing needs a mean price_usd of {least:g}, over the budget of {price:g}")
    return found


def _floor(problem: SelectionProblem, menu: list[Expert]) -> list[str]:
    """Compare the floor of quality with the best routing over the whole menu."""
    if problem.quality_floor is None:
        return []
    parts = units(problem)
    able = {
        category: [
            n for n, expert in enumerate(problem.experts) if expert in menu and answerable(problem, expert, category)
        ]
        for category in set(parts.category)
    }
    if not all(able.values()):  # said already
        return []
    best = sum(
        weight * float(row[able[category]].max())
        for row, category, weight in zip(parts.quality, parts.category, parts.weight.tolist(), strict=True)
    )
    if best >= problem.quality_floor - 1e-9 * quality_scale(problem):
        return []
    return [f"the best routing has a mean quality of {best:g}, below the floor of {problem.quality_floor:g}"]


def least_mean(problem: SelectionProblem, menu: list[Expert], field: str) -> float | None:
    """Return the least mean of a figure per request that any routing over ``menu`` has.

    ``None`` when a category has no expert on the menu that may answer it with a known figure.
    """
    parts = units(problem)
    least: dict[str, float] = {}
    for category in set(parts.category):
        able = [expert for expert in menu if answerable(problem, expert, category)]
        tables: list[dict[str, float]] = [getattr(expert, field) or {} for expert in able]
        figures = [table.get(category) for table in tables]
        known = [figure for figure in figures if figure is not None]
        if not known:
            return None
        least[category] = min(known)
    weights: list[float] = parts.weight.tolist()
    return sum(weight * least[name] for name, weight in zip(parts.category, weights, strict=True))


def _least_idle_j(problem: SelectionProblem, menu: list[Expert]) -> float:
    """Return the least idle energy per request: that of the thriftiest device an answering expert stands on."""
    rate = problem.arrival_rate_per_s
    if rate is None:
        return 0.0
    held = {expert.device for expert in menu}
    return min(((device.idle_power_w or 0.0) / rate for device in problem.devices if device.name in held), default=0.0)


def _load(problem: SelectionProblem, menu: list[Expert]) -> list[str]:
    """Compare the work that arrives with what all devices together may do."""
    rate = problem.arrival_rate_per_s
    shares = [device.max_utilisation for device in problem.devices]
    limits = [share for share in shares if share is not None]
    seconds = least_mean(problem, menu, "latency_s")
    if rate is None or len(limits) < len(shares) or seconds is None or rate * seconds <= sum(limits) * _SAFE:
        return []
    work = f"{rate * seconds:g} s of work arrive per second even on the fastest experts"
    return [f"{work}; the devices together may do {sum(limits):g} s"]
