"""Sections that set the plan beside others: the front, and the plan before it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from coinfer.planner.front import FrontPoint
from coinfer.planner.report.chart import closed, front_chart, key_mark, shade_edges
from coinfer.planner.report.element import Child, Element, named, tag
from coinfer.planner.report.facts import Facts
from coinfer.planner.report.parts import badge, facts_list, listing, note, section, table
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.units import TITLES, amount, count, digits, figure, percent, unit_of

Line = tuple[float, str]  # where, and what to call it
COSTS = (("energy_j", "J", "Mean energy per request"), ("latency_s", "s", "Mean latency"))


def front(facts: Facts, points: Sequence[FrontPoint]) -> Element:
    """Draw the front over energy and over latency, with a table of its points."""
    if not points:
        return section("front", "What other budgets would buy", tag("p", "No front was computed with this plan."))
    heights, costs = _lines(facts)
    charts = [
        tag("figure", drawn, tag("figcaption", f"Quality against {label.lower()}"))
        for field, unit, label in COSTS
        if (
            drawn := front_chart(
                points,
                horizontal=field,
                unit=unit,
                label=label,
                bound=heights,
                limit=costs if field == "energy_j" else None,
            )
        )
    ]
    return section(
        "front",
        "What other budgets would buy",
        tag(
            "p",
            f"Each mark is the plan found for another budget, with {_sought(facts)}; its height is the mean quality. "
            "A mark keeps its colour in both charts.",
        ),
        _legend(points),
        tag("div", charts, class_="charts"),
        tag("details", tag("summary", f"{count(len(points), 'plan')} as a table"), _points(points)),
    )


def _lines(facts: Facts) -> tuple[Line | None, Line | None]:
    """Return what to draw across the qualities and across the energies: bound, floor and budget."""
    problem, bound = facts.problem, facts.shown_bound
    budget, floor = problem.budgets.energy_j, problem.quality_floor
    across = None if floor is None else (floor, "quality floor")
    up = None if budget is None else (budget, "budget")
    if bound is not None and problem.objective == "quality":
        across = bound
    if bound is not None and problem.objective == "energy_j" and problem.arrival_rate_per_s is None:
        up = facts.worth.figure(bound[0]), bound[1]
    return across, up


def _sought(facts: Facts) -> str:
    return f"the least {facts.worth.title.lower()}" if facts.worth.cost else "the largest mean quality"


def _legend(points: Sequence[FrontPoint]) -> Element:
    edges = shade_edges(points)
    names = [f"up to {amount(edge, 's')}" for edge in edges] + [
        f"above {amount(edges[-1], 's')}" if edges else "one latency"
    ]
    shades = [tag("li", key_mark(f"mark shade{level}"), f" {name}") for level, name in enumerate(names)]
    shapes = [
        tag("li", key_mark("ring"), " this plan"),
        tag("li", key_mark("mark none"), " optimum found by the engine"),
        tag("li", key_mark("mark none", square=True), " stopped with a gap"),
        tag("li", tag("span", class_="dash", aria_hidden="true"), " bound, floor or budget of this plan"),
    ]
    return tag("ul", tag("li", "Mean latency:"), shades, shapes, class_="legend")


def _points(points: Sequence[FrontPoint]) -> Element:
    rows = [
        (
            [digits(point.quality, 4), " ", badge("this plan", "") if point.chosen else None],
            figure(point.energy_j, "J"),
            figure(point.latency_s, "s"),
            closed(point),
            [
                [", " if index else "", named(name)][part]
                for index, name in enumerate(point.selected)
                for part in (0, 1)
            ],
        )
        for point in points
    ]
    return table("Plans of the front", ("Quality", "Energy#", "Latency#", "Search", "Experts"), rows)


def changes(facts: Facts, previous: SelectionPlan) -> Element:
    """Say what is different from the plan before: experts, routes, predictions, proof."""
    plan = facts.plan
    before, after = set(previous.decision.selected), set(plan.decision.selected)
    added = [name for name in plan.decision.selected if name not in before]
    removed = [name for name in previous.decision.selected if name not in after]
    moved = _moved(previous, plan)
    same = previous.problem_sha256 == plan.problem_sha256
    pairs: list[tuple[str, Child]] = [
        ("Problem", "the same" if same else "changed: other figures, budgets or experts"),
        (facts.worth.title, _values(facts, previous)),
        ("Experts added", _names(added)),
        ("Experts removed", _names(removed)),
        ("Categories routed otherwise", _names(moved)),
        ("Proof", f"{previous.certificate.status} → {plan.certificate.status}"),
    ]
    rows = _changed_predictions(previous, plan)
    head = ("Quantity", "Before#", "Now#", "Change#")
    figures = table("Predictions that changed", head, rows) if rows else note("No prediction changed.")
    return section("changes", "What changed since the previous plan", facts_list(pairs), figures)


def _values(facts: Facts, previous: SelectionPlan) -> str:
    """Write the value before and now; only where the plan before had the same objective, as far as that shows."""
    worth, plan = facts.worth, facts.plan
    before, now = previous.certificate.value, plan.certificate.value
    quality = next((item.value for item in previous.predictions if item.quantity == "quality"), None)
    was_quality = quality is not None and math.isclose(quality, before, rel_tol=1e-9)
    if was_quality is worth.cost:
        return f"{worth.amount(now)}; the previous plan had another objective"
    change = worth.figure(now) - worth.figure(before)
    signed = "±0" if change == 0.0 else ("+" if change > 0.0 else "") + amount(change, worth.unit, significant=2)
    return f"{worth.amount(before)} → {worth.amount(now)} ({signed})"


def _names(names: Sequence[str]) -> Child:
    return listing([named(name) for name in names], class_="inline") if names else "none"


def _moved(previous: SelectionPlan, plan: SelectionPlan) -> list[str]:
    """Return the categories whose routes differ, in the order of the plan."""
    old, new = _routes(previous), _routes(plan)
    return [category for category in {**new, **old} if old.get(category) != new.get(category)]


def _routes(plan: SelectionPlan) -> dict[str, frozenset[tuple[str | None, str, float]]]:
    categories = dict.fromkeys(route.category for route in plan.decision.routes)
    return {
        category: frozenset(
            (route.prompt, route.expert, route.fraction) for route in plan.decision.routes if route.category == category
        )
        for category in categories
    }


def _changed_predictions(previous: SelectionPlan, plan: SelectionPlan) -> list[Sequence[Child]]:
    old = {(item.quantity, item.category, item.device): item for item in previous.predictions}
    rows: list[Sequence[Child]] = []
    for item in plan.predictions:
        before = old.get((item.quantity, item.category, item.device))
        if before is not None and before.value == item.value:
            continue
        place, unit = item.device or item.category, unit_of(item)
        change = "–"
        if before is not None and before.value != 0.0:
            change = percent((item.value - before.value) / abs(before.value), signed=True)
        rows.append(
            (
                [TITLES[item.quantity], *((", ", named(place)) if place else (", whole workload",))],
                "not predicted" if before is None else amount(before.value, unit),
                amount(item.value, unit),
                change,
            )
        )
    return rows
