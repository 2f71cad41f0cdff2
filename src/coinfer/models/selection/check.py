"""Whether a decision is one at all: its names, its routes and its order of preference."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from coinfer.models.exact import exact
from coinfer.models.selection.data import NEEDED, Expert, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.usage import TOLERANCE, figure
from coinfer.solver.program import FloatArray


def check_selection(problem: SelectionProblem, decision: SelectionDecision) -> list[str]:
    """Return what is wrong with the list of selected experts."""
    names = {expert.name for expert in problem.experts}
    wrong = [f"selected expert {name!r} is not in the problem" for name in decision.selected if name not in names]
    if len(set(decision.selected)) != len(decision.selected):
        wrong.append("an expert is selected twice")
    wrong += [f"required expert {name!r} is not selected" for name in problem.required if name not in decision.selected]
    wrong += [f"forbidden expert {name!r} is selected" for name in problem.forbidden if name in decision.selected]
    return wrong


def check_preference(decision: SelectionDecision, means: dict[str, dict[str, Fraction]]) -> list[str]:
    """Return what is wrong with the order of preference.

    Parameters
    ----------
    decision
        The decision.
    means
        By category that has prompts, the mean quality of each selected expert that may answer it.
    """
    unknown = [name for name in decision.preference if name not in means]
    wrong = [f"there is an order of preference for {name!r}, which has no prompts" for name in unknown]
    for category, quality in means.items():
        order = decision.preference.get(category)
        if order is None:
            wrong.append(f"the order of preference for {category!r} is missing")
        elif sorted(order) != sorted(quality):
            wrong.append(f"the order of preference for {category!r} does not name the experts that may answer it")
        elif any(
            quality[later] > quality[first] + TOLERANCE * max(Fraction(1), abs(quality[first]))
            for first, later in pairwise(order)
        ):
            wrong.append(f"the order of preference for {category!r} is not the order of mean quality")
    return wrong


def read_shares(
    problem: SelectionProblem, decision: SelectionDecision
) -> tuple[list[dict[str, Fraction]], list[str], Fraction]:
    """Return by prompt the share of each expert, what is wrong with the routes, and the worst unanswered share."""
    routes, wrong = _read_routes(problem, decision)
    shares, worst = [], Fraction(0)
    for prompt in problem.prompts:
        own, shared = routes.get((prompt.category, prompt.name)), routes.get((prompt.category, None))
        if own is not None and shared is not None:
            wrong.append(f"prompt {prompt.name!r} has a route of its own and one of its category")
        if problem.gate == "category" and own is not None:
            wrong.append(f"prompt {prompt.name!r} has a route of its own, which the gate 'category' cannot tell apart")
        share = own or shared or {}
        total = sum(share.values(), Fraction(0))
        if abs(total - 1) > TOLERANCE:
            wrong.append(f"the routes of prompt {prompt.name!r} add up to {float(total):.12g}, not to 1")
        worst = max(worst, abs(total - 1))
        shares.append(share)
    return shares, wrong, worst


def _read_routes(
    problem: SelectionProblem, decision: SelectionDecision
) -> tuple[dict[tuple[str, str | None], dict[str, Fraction]], list[str]]:
    """Return the valid routes by (category, prompt), and a sentence for each that is not."""
    experts = {expert.name: expert for expert in problem.experts if expert.name in decision.selected}
    category_of = {prompt.name: prompt.category for prompt in problem.prompts}
    used = set(category_of.values())
    reasons: dict[tuple[str, str], str | None] = {}
    routes: dict[tuple[str, str | None], dict[str, Fraction]] = {}
    wrong = []
    for route in decision.routes:
        expert = experts.get(route.expert)
        if expert is None:
            wrong.append(f"{route.category!r} is routed to {route.expert!r}, which is not selected")
            continue
        if route.category not in used:
            wrong.append(f"a route is for {route.category!r}, which has no prompts")
            continue
        if route.prompt is not None and category_of.get(route.prompt) != route.category:
            wrong.append(f"a route is for prompt {route.prompt!r}, which is not in {route.category!r}")
            continue
        key = (route.category, route.expert)
        if key not in reasons:
            reasons[key] = why_not(problem, expert, route.category)
        if reasons[key] is not None:
            wrong.append(f"{route.expert!r} may not answer {route.category!r}: {reasons[key]}")
            continue
        part = routes.setdefault((route.category, route.prompt), {})
        if route.expert in part:
            wrong.append(f"{route.category!r} is routed to {route.expert!r} twice")
        part[route.expert] = part.get(route.expert, Fraction(0)) + exact(route.fraction)
    return routes, wrong


def check_gate(problem: SelectionProblem, shares: list[dict[str, Fraction]], deployed: FloatArray) -> list[str]:
    """Return where the routes are not the gate's.

    Parameters
    ----------
    problem
        The problem; its gate follows scores.
    shares
        By prompt, the share of each expert.
    deployed
        (prompts, experts): the shares that the gate gives.
    """
    names = [expert.name for expert in problem.experts]
    wrong = []
    for i, prompt in enumerate(problem.prompts):
        for name, wanted in zip(names, deployed[i].tolist(), strict=True):
            share = shares[i].get(name, Fraction(0))
            if abs(share - exact(wanted)) > TOLERANCE:
                said = f"{float(share):.12g} of prompt {prompt.name!r} goes to {name!r}"
                wrong.append(f"{said}; the gate {problem.gate!r} sends {wanted:.12g} of it there")
    return wrong


def able(problem: SelectionProblem, expert: Expert, category: str) -> bool:
    """Return True when ``expert`` may answer ``category``."""
    return why_not(problem, expert, category) is None


def why_not(problem: SelectionProblem, expert: Expert, category: str) -> str | None:
    """Say why ``expert`` may not answer ``category``; ``None`` when it may."""
    promise = next(part.latency_budget_s for part in problem.categories if part.name == category)
    latency = figure(expert, "latency_s", category, moved=True)
    if promise is not None:
        if latency is None:
            return "it was not measured there"
        if problem.latency_rule == "routed" and latency > exact(promise):
            return f"it takes {float(latency):g} s, and {promise:g} s are promised"
    limited = {part.name for part in problem.devices if part.max_utilisation is not None}
    if latency is None and problem.arrival_rate_per_s is not None and expert.device in limited:
        return "it was not measured there, and the utilisation of its device is limited"
    for field, budget in (("energy_j", problem.budgets.energy_j), ("price_usd", problem.budgets.price_usd)):
        if budget is not None and figure(expert, field, category) is None:
            return f"its {field} is absent there, and there is a budget for it"
    needed = NEEDED[problem.objective]
    if needed is not None and figure(expert, needed, category) is None:
        return f"its {needed} is absent there, and the objective needs it"
    return None
