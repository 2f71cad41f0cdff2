"""What a decision is expected to cost and to be worth, taken from the problem (and the profile's intervals)."""

from __future__ import annotations

from coinfer.models.selection.data import Expert, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.evaluate import Evaluation
from coinfer.planner.selection.document import Deployment, Prediction
from coinfer.planner.units import amount
from coinfer.profiler.profile import Estimate, Profile, Quantity

_WEAKEST_FIRST = ("declared", "published", "derived", "measured")


def predictions(
    problem: SelectionProblem, decision: SelectionDecision, evaluation: Evaluation, profile: Profile | None
) -> tuple[Prediction, ...]:
    """Return every figure the plan expects to be measured, each with the budget (a quality: the floor) it must keep.

    Intervals come from ``profile`` where one expert answers the whole category; a figure that several experts
    share, or that a problem carries without a profile, has none.
    """
    found = [Prediction(quantity="quality", value=evaluation.mean_quality, budget=problem.quality_floor)]
    energy = evaluation.energy_j
    if energy is not None:
        used = [expert for expert in problem.experts if expert.name in decision.selected]
        bases = {expert.energy_basis for expert in used}
        basis = next((name for name in _WEAKEST_FIRST if name in bases), None)
        found.append(Prediction(quantity="energy_j", value=energy, budget=problem.budgets.energy_j, basis=basis))
    if evaluation.price_usd is not None:
        found.append(Prediction(quantity="price_usd", value=evaluation.price_usd, budget=problem.budgets.price_usd))
    for category in problem.categories:
        expert = _only_expert(problem, decision, category.name)
        if category.name in evaluation.quality:
            low, high = _interval(profile, expert, "quality", category.name, evaluation.quality[category.name])
            found.append(
                Prediction(
                    quantity="quality",
                    category=category.name,
                    value=evaluation.quality[category.name],
                    low=low,
                    high=high,
                )
            )
        if category.name in evaluation.latency_s:
            value = evaluation.latency_s[category.name]
            quantity: Quantity = "request_p95_s" if problem.latency_statistic == "p95" else "request_s"
            low, high = _interval(profile, expert, quantity, category.name, value)
            found.append(
                Prediction(
                    quantity="latency_s",
                    category=category.name,
                    value=value,
                    low=low,
                    high=high,
                    budget=category.latency_budget_s,
                )
            )
    for device in problem.devices:
        if device.name in evaluation.memory_bytes:
            value = evaluation.memory_bytes[device.name]
            found.append(
                Prediction(quantity="memory_bytes", device=device.name, value=value, budget=device.memory_bytes)
            )
    return tuple(found)


def deployments(problem: SelectionProblem, decision: SelectionDecision) -> tuple[Deployment, ...]:
    """Return the selected experts with their endpoints."""
    chosen = set(decision.selected)
    return tuple(
        Deployment(expert=expert.name, device=expert.device, endpoint=expert.endpoint)
        for expert in problem.experts
        if expert.name in chosen
    )


def notes(problem: SelectionProblem) -> tuple[str, ...]:
    """Return what left the menu before planning, each with its reason."""
    found = []
    for category in problem.categories:
        budget = category.latency_budget_s
        for expert in problem.experts if budget is not None else ():
            latency = expert.total_latency_s(category.name)
            if latency is None:
                found.append(f"{expert.name} cannot answer {category.name}: its latency there was not measured")
            elif budget is not None and latency > budget:
                times = f"it takes {amount(latency, 's')}, and {amount(budget, 's')} are promised"
                found.append(f"{expert.name} cannot answer {category.name}: {times}")
    found += [f"{name} was forbidden" for name in problem.forbidden]
    return tuple(found)


def _only_expert(problem: SelectionProblem, decision: SelectionDecision, category: str) -> Expert | None:
    """Return the expert that answers all of a category; ``None`` when several share it."""
    names = {route.expert for route in decision.routes if route.category == category}
    return next((expert for expert in problem.experts if names == {expert.name}), None)


def _interval(
    profile: Profile | None, expert: Expert | None, quantity: Quantity, category: str, value: float
) -> tuple[float | None, float | None]:
    """Return the profile's interval, moved along when the plan used another point of it than its middle."""
    if profile is None or expert is None:
        return None, None
    estimate: Estimate | None = profile.find(
        device=expert.device, model=expert.name, quantity=quantity, category=category
    )
    if estimate is None or estimate.low is None or estimate.high is None:
        return None, None
    moved = expert.transmission_s or 0.0 if quantity != "quality" else 0.0
    low, high = estimate.low + moved, estimate.high + moved
    return min(low, value), max(high, value)
