"""Why an expert was left out, from the figures of the problem."""

from __future__ import annotations

import math
from typing import NamedTuple

from coinfer.models.selection.data import SCORED, Expert
from coinfer.models.selection.evaluate import evaluate
from coinfer.models.selection.from_selection import decode_selection
from coinfer.planner.bound import scale_of
from coinfer.planner.report.facts import Facts
from coinfer.planner.units import amount, count, digits

NO_SINGLE_FIGURE = (
    "No single figure rules it out: it keeps every promise, and the best combination found simply does without it."
)


def reasons(facts: Facts, expert: Expert) -> tuple[str, ...]:
    """Return sentences that say why ``expert`` is not among the selected ones, the hardest reason first."""
    hard = [*_forbidden(facts, expert), *_latency(facts, expert), *_memory(facts, expert), *_group(facts, expert)]
    if facts.problem.gate in SCORED:
        return tuple(hard + _added_to_gate(facts, expert)) or (NO_SINGLE_FIGURE,)
    return tuple(hard + (_dominated(facts, expert) or _trade(facts, expert))) or (NO_SINGLE_FIGURE,)


def _added_to_gate(facts: Facts, expert: Expert) -> list[str]:
    """Say what the value would be with ``expert`` too: the gate would send it prompts, wanted or not."""
    with_it = evaluate(facts.problem, decode_selection(facts.problem, (*facts.plan.decision.selected, expert.name)))
    change, value = with_it.value - facts.plan.certificate.value, facts.worth.reach(with_it.value)
    told = f"With it beside the selected ones, the gate would make it {value}"
    if abs(change) <= 1e-9 * scale_of(facts.problem):
        return ["Beside the selected ones it would change nothing: the gate sends it no prompt, or it does no better."]
    if change < 0.0:
        return [f"{told}, which is worse: it would be sent prompts that others do better."]
    return [f"{told}, but that breaks a limit: {with_it.violations[0]}."] if with_it.violations else []


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
    """Name a selected expert that is at least as good in every figure that counts wherever this one may answer."""
    categories = _open(facts, expert)
    for name in facts.plan.decision.selected:
        other = facts.experts[name]
        if categories and all(_beats(facts, other, expert, category) for category in categories):
            shown = max(categories, key=lambda category: facts.mean_quality(category, expert.name))
            mine, theirs = facts.mean_quality(shown, expert.name), facts.mean_quality(shown, name)
            figures = "quality, price" if facts.problem.objective == "cost_of_pass" else "quality"
            return [
                f"Dominated by {name}, which is at least as good in {figures}, latency and energy in every category "
                f"it may answer (in {shown}, mean quality {digits(theirs)} against {digits(mine)})."
            ]
    return []


def _beats(facts: Facts, other: Expert, expert: Expert, category: str) -> bool:
    """Whether ``other`` is at least as good in every figure, none of them absent."""
    pairs = [
        (other.total_latency_s(category), expert.total_latency_s(category)),
        ((other.energy_j or {}).get(category), (expert.energy_j or {}).get(category)),
    ]
    if facts.problem.objective == "cost_of_pass":
        pairs.append(((other.price_usd or {}).get(category), (expert.price_usd or {}).get(category)))
    better = all(theirs is not None and mine is not None and theirs <= mine for theirs, mine in pairs)
    rows = facts.rows[category]
    if facts.problem.gate == "oracle":
        return better and all(facts.quality(row, other.name) >= facts.quality(row, expert.name) for row in rows)
    return better and facts.mean_quality(category, other.name) >= facts.mean_quality(category, expert.name)


def _trade(facts: Facts, expert: Expert) -> list[str]:
    """Compare the value it could add with the energy and the places left for it."""
    gain, extra_j, quality = 0.0, 0.0, 0.0
    categories: list[str] = []
    energy_known = expert.energy_j is not None
    for category in _open(facts, expert):
        added = _added(facts, category, expert)
        if added is not None and added.value > 1e-12 * scale_of(facts.problem):
            gain, categories, quality = gain + added.value, [*categories, category], quality + added.quality
            energy_known = energy_known and added.energy_j is not None
            extra_j += added.energy_j or 0.0
    name = facts.worth.title[0].lower() + facts.worth.title[1:]
    verb = "lower" if facts.worth.cost else "raise"
    if not categories:
        return [f"Does not {verb} the {name} in any category it may answer."] if _open(facts, expert) else []
    found = f"It could {verb} the {name} by {amount(gain, facts.worth.unit, significant=3)}, in {_listed(categories)}"
    floor, now = facts.problem.quality_floor, facts.prediction("quality")
    if floor is not None and now is not None and now.value + quality < floor:
        return [
            f"{found}, but with a mean quality of {digits(now.value + quality)}, below the floor of {digits(floor)}."
        ]
    budgets, used = facts.problem.budgets, facts.prediction("energy_j")
    if budgets.energy_j is not None and used is not None and energy_known:
        left = budgets.energy_j - used.value
        if extra_j > left:
            costs = amount(extra_j, "J")
            return [f"{found}, but costs {costs} more per request where {amount(max(left, 0.0), 'J')} is left."]
    if budgets.experts is not None and len(facts.plan.decision.selected) >= budgets.experts:
        return [f"{found}, but only {count(budgets.experts, 'expert')} may be selected."]
    return []


class _Added(NamedTuple):
    """What an expert would add to the means over the traffic; the energy is ``None`` where a figure is absent."""

    value: float
    quality: float
    energy_j: float | None


def _added(facts: Facts, category: str, expert: Expert) -> _Added | None:
    """Return what it would add, or ``None`` where it would answer nothing.

    Under the gate ``category`` the whole category moves to it; under ``oracle`` the prompts it answers better.
    """
    current_j = {answer.expert.name: answer.energy_j for answer in facts.answers(category)}
    own_j = (expert.energy_j or {}).get(category)
    moves: list[_Added] = []
    known = own_j is not None
    for row in facts.rows[category]:
        weight = facts.problem.prompts[row].weight / facts.total_weight
        now = facts.assigned[row]
        step = facts.value(row, expert.name) - math.fsum(facts.value(row, name) * part for name, part in now.items())
        if math.isnan(step) or (facts.problem.gate == "oracle" and step <= 0.0):
            continue
        before = [(current_j.get(name), part) for name, part in now.items()]
        known = known and all(energy is not None for energy, _ in before)
        spent = math.fsum((energy or 0.0) * part for energy, part in before)
        better = facts.quality(row, expert.name) - math.fsum(facts.quality(row, n) * part for n, part in now.items())
        moves.append(_Added(weight * step, weight * better, weight * ((own_j or 0.0) - spent)))
    if not moves:
        return None
    value, quality, energy_j = (math.fsum(move[k] or 0.0 for move in moves) for k in range(3))
    return _Added(value, quality, energy_j if known else None)


def _listed(names: list[str]) -> str:
    """Join names; of many, the first three."""
    shown = names if len(names) <= 3 else [*names[:3], f"{len(names) - 3} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
