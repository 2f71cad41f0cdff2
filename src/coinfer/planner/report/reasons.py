"""Why an expert was left out, from the figures of the problem."""

from __future__ import annotations

import math

from coinfer.models.selection.data import Expert
from coinfer.planner.report.facts import Facts
from coinfer.planner.units import amount, count, digits

NO_SINGLE_FIGURE = (
    "No single figure rules it out: it keeps every promise, and the best combination found simply does without it."
)


def reasons(facts: Facts, expert: Expert) -> tuple[str, ...]:
    """Return sentences that say why ``expert`` is not among the selected ones, the hardest reason first."""
    hard = [*_forbidden(facts, expert), *_latency(facts, expert), *_memory(facts, expert), *_group(facts, expert)]
    return tuple(hard + (_dominated(facts, expert) or _trade(facts, expert))) or (NO_SINGLE_FIGURE,)


def _forbidden(facts: Facts, expert: Expert) -> list[str]:
    return ["The problem forbids it."] if expert.name in facts.problem.forbidden else []


def _latency(facts: Facts, expert: Expert) -> list[str]:
    """Name the categories whose promise it does not keep."""
    late: list[str] = []
    for category, promise in facts.promise_s.items():
        latency = expert.total_latency_s(category)
        if promise is not None and latency is None:
            late.append(f"{category} (latency not measured)")
        elif promise is not None and latency is not None and latency > promise:
            late.append(f"{category} ({amount(latency, 's')} against {amount(promise, 's')})")
    if not late:
        return []
    names = _listed(late)
    if len(late) == len(facts.promise_s):
        return [f"Not eligible anywhere, it breaks every latency promise: {names}."]
    if facts.problem.latency_rule == "selected":
        return [f"Not eligible, since every selected expert must keep every promise; too slow for {names}."]
    return [f"Not eligible, because of its latency, for {names}."]


def _memory(facts: Facts, expert: Expert) -> list[str]:
    """Say whether its device has room for it beside the selected experts."""
    device = next(device for device in facts.problem.devices if device.name == expert.device)
    if device.memory_bytes is None or expert.memory_bytes is None:
        return []
    others = [facts.experts[name] for name in facts.plan.decision.selected]
    used = sum(other.memory_bytes or 0 for other in others if other.device == expert.device)
    if used + expert.memory_bytes <= device.memory_bytes:
        return []
    needs, left = amount(expert.memory_bytes, "bytes"), amount(device.memory_bytes - used, "bytes")
    beside = " beside the selected experts" if used else ""
    return [f"Does not fit{beside}: it needs {needs} and {device.name} has {left} left."]


def _group(facts: Facts, expert: Expert) -> list[str]:
    """Name the selected configuration of the same model that takes its place."""
    if expert.group is None:
        return []
    chosen = [name for name in facts.plan.decision.selected if facts.experts[name].group == expert.group]
    return [f"{chosen[0]} was selected, and only one of group {expert.group} may be."] if chosen else []


def _open(facts: Facts, expert: Expert) -> list[str]:
    """Return the categories it may answer."""
    return [category for category in facts.promise_s if facts.eligible(category, expert) and facts.rows[category]]


def _dominated(facts: Facts, expert: Expert) -> list[str]:
    """Name a selected expert that is at least as good in quality, latency and energy wherever this one may answer."""
    categories = _open(facts, expert)
    for name in facts.plan.decision.selected:
        other = facts.experts[name]
        if categories and all(_beats(facts, other, expert, category) for category in categories):
            shown = max(categories, key=lambda category: facts.mean_quality(category, expert.name))
            mine, theirs = facts.mean_quality(shown, expert.name), facts.mean_quality(shown, name)
            return [
                f"Dominated by {name}, which is at least as good in quality, latency and energy in every category "
                f"it may answer (in {shown}, mean quality {digits(theirs)} against {digits(mine)})."
            ]
    return []


def _beats(facts: Facts, other: Expert, expert: Expert, category: str) -> bool:
    """Whether ``other`` is at least as good in every figure, none of them absent."""
    pairs = [
        (other.total_latency_s(category), expert.total_latency_s(category)),
        ((other.energy_j or {}).get(category), (expert.energy_j or {}).get(category)),
    ]
    better = all(theirs is not None and mine is not None and theirs <= mine for theirs, mine in pairs)
    rows = facts.rows[category]
    if facts.problem.gate == "oracle":
        return better and all(facts.quality(row, other.name) >= facts.quality(row, expert.name) for row in rows)
    return better and facts.mean_quality(category, other.name) >= facts.mean_quality(category, expert.name)


def _trade(facts: Facts, expert: Expert) -> list[str]:
    """Compare the quality it could add with the energy and the places left for it."""
    gain, extra_j = 0.0, 0.0
    categories: list[str] = []
    energy_known = expert.energy_j is not None
    for category in _open(facts, expert):
        added = _added(facts, category, expert)
        if added is not None and added[0] > 1e-12:
            gain, categories = gain + added[0], [*categories, category]
            energy_known = energy_known and added[1] is not None
            extra_j += added[1] or 0.0
    if not categories:
        return ["Adds no quality to any category it may answer."] if _open(facts, expert) else []
    found = f"It could add {digits(gain)} to the mean quality, in {_listed(categories)}"
    budgets, used = facts.problem.budgets, facts.prediction("energy_j")
    if budgets.energy_j is not None and used is not None and energy_known:
        left = budgets.energy_j - used.value
        if extra_j > left:
            costs = amount(extra_j, "J")
            return [f"{found}, but costs {costs} more per request where {amount(max(left, 0.0), 'J')} is left."]
    if budgets.experts is not None and len(facts.plan.decision.selected) >= budgets.experts:
        return [f"{found}, but only {count(budgets.experts, 'expert')} may be selected."]
    return []


def _added(facts: Facts, category: str, expert: Expert) -> tuple[float, float | None] | None:
    """Return the mean quality and the mean energy per request that it would add, or ``None`` where it never would.

    Under the gate ``category`` the whole category moves to it; under ``oracle`` the prompts it answers better.
    """
    current_j = {answer.expert.name: answer.energy_j for answer in facts.answers(category)}
    own_j = (expert.energy_j or {}).get(category)
    moves: list[tuple[float, float]] = []  # (weighted quality added, weighted energy added)
    known = own_j is not None
    for row in facts.rows[category]:
        weight = facts.problem.prompts[row].weight / facts.total_weight
        now = facts.assigned[row]
        step = facts.quality(row, expert.name) - math.fsum(
            facts.quality(row, name) * part for name, part in now.items()
        )
        if facts.problem.gate == "oracle" and step <= 0.0:
            continue
        before = [(current_j.get(name), part) for name, part in now.items()]
        known = known and all(energy is not None for energy, _ in before)
        spent = math.fsum((energy or 0.0) * part for energy, part in before)
        moves.append((weight * step, weight * ((own_j or 0.0) - spent)))
    if not moves:
        return None
    return math.fsum(move[0] for move in moves), math.fsum(move[1] for move in moves) if known else None


def _listed(names: list[str]) -> str:
    """Join names; of many, the first three."""
    shown = names if len(names) <= 3 else [*names[:3], f"{len(names) - 3} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
