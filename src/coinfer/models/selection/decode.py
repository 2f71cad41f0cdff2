"""From a point of the program to a decision, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import Route, SelectionDecision
from coinfer.models.selection.formulate import variables_of
from coinfer.models.selection.units import answerable, units

SHARE = 1e-7
"""A routing share below this is rounding noise of an engine."""


def decode(problem: SelectionProblem, point: NDArray[np.float64]) -> SelectionDecision:
    """Return the decision that a point of the program stands for.

    Experts that answer nothing are left out unless they are required: every limit still holds without them.
    """
    parts = units(problem)
    variables = variables_of(problem, parts)
    share = np.zeros((len(parts.weight), len(problem.experts)))
    share[variables.unit, variables.expert] = point[variables.route]
    share[share < SHARE] = 0.0
    share /= share.sum(axis=1, keepdims=True)
    answering = share.sum(axis=0) > 0.0
    selected = tuple(
        expert.name for n, expert in enumerate(problem.experts) if answering[n] or expert.name in problem.required
    )
    routes = []
    for r, members in enumerate(parts.members):
        for prompt in (None,) if problem.gate == "category" else (problem.prompts[i].name for i in members):
            routes += [
                Route(category=parts.category[r], prompt=prompt, expert=expert.name, fraction=float(share[r, n]))
                for n, expert in enumerate(problem.experts)
                if share[r, n] > 0.0
            ]
    return SelectionDecision(selected=selected, routes=tuple(routes), preference=preference(problem, selected))


def preference(problem: SelectionProblem, selected: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return, by category in use, the selected experts that may answer it, best mean quality first."""
    weights = np.array([prompt.weight for prompt in problem.prompts])
    categories = [prompt.category for prompt in problem.prompts]
    found = {}
    for category in dict.fromkeys(categories):
        rows = [i for i, name in enumerate(categories) if name == category]
        mean = np.average(problem.quality.array[rows], axis=0, weights=weights[rows])
        able = [
            n
            for n, expert in enumerate(problem.experts)
            if expert.name in selected and answerable(problem, expert, category)
        ]
        found[category] = tuple(problem.experts[n].name for n in sorted(able, key=lambda n: (-mean[n], n)))
    return found


def encode(problem: SelectionProblem, decision: SelectionDecision) -> NDArray[np.float64] | None:
    """Return the point of ``problem``'s program for a decision, which may come from a similar, older problem.

    Returns
    -------
    The point, or ``None`` when the decision names nothing that still exists. It need not be feasible: engines check
    the point they start from.
    """
    parts = units(problem)
    variables = variables_of(problem, parts)
    number = {expert.name: n for n, expert in enumerate(problem.experts)}
    kept = [number[name] for name in decision.selected if name in number]
    if not kept:
        return None
    point = np.zeros(len(variables.select) + len(variables.route) + len(variables.device_on))
    point[variables.select[kept]] = 1.0
    share: dict[tuple[str, str | None], dict[int, float]] = {}
    for route in decision.routes:
        if route.expert in number:
            share.setdefault((route.category, route.prompt), {})[number[route.expert]] = route.fraction
    pair = {
        (r, n): k
        for r, n, k in zip(variables.unit.tolist(), variables.expert.tolist(), variables.route.tolist(), strict=True)
    }
    for r, members in enumerate(parts.members):
        category = parts.category[r]
        wanted = share.get((category, problem.prompts[members[0]].name)) or share.get((category, None)) or {}
        for n, fraction in wanted.items():
            if (r, n) in pair:
                point[pair[r, n]] = fraction
    for expert in (problem.experts[n] for n in kept):
        if expert.device in variables.device_on:
            point[variables.device_on[expert.device]] = 1.0
    return point
