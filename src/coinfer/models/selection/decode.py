"""From a point of the program to a decision, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import Route, SelectionDecision
from coinfer.models.selection.formulate import Variables, formulate, variables_of
from coinfer.models.selection.units import Units, answerable, units
from coinfer.solver.linear import Relaxation
from coinfer.solver.program import FloatArray

SHARE = 1e-7
"""A routing share below this is rounding noise of an engine."""
SHARED_ROWS = ("energy", "price", "utilisation")
"""Families of rows that shares of traffic count towards, each divided by its limit."""
EXCESS = 1e-10
"""Relative excess over a budget that is left as it is; engines allow themselves 1e-6, the evaluation 1e-9."""


def decode(problem: SelectionProblem, point: NDArray[np.float64]) -> SelectionDecision:
    """Return the decision that a point of the program stands for.

    Experts that answer nothing are left out unless they are required: every limit still holds without them. Where
    no budget couples the prompts, each goes wholly to its best selected expert; else the engine's shares are kept,
    freed of its rounding noise, and solved anew for the same selection where that noise breaks a budget.

    Parameters
    ----------
    problem
        What was planned.
    point
        (variables,) of ``formulate(problem)``, feasible to an engine's tolerance. A unit without any share gets no
        route, and the evaluation says so.
    """
    parts = units(problem)
    variables = variables_of(problem, parts)
    pair_share = np.asarray(point, dtype=np.float64)[variables.route]
    if _coupled(problem):
        pair_share = _cleaned(pair_share, variables, len(parts.weight))
        pair_share = _within_budgets(problem, variables, point, pair_share, len(parts.weight))
    else:
        pair_share = _to_the_best(parts, variables, point)
    share = np.zeros((len(parts.weight), len(problem.experts)))
    share[variables.unit, variables.expert] = pair_share
    answering = share.sum(axis=0) > 0.0
    selected = tuple(
        expert.name for n, expert in enumerate(problem.experts) if answering[n] or expert.name in problem.required
    )
    return SelectionDecision(
        selected=selected, routes=routes_of(problem, parts, share), preference=preference(problem, selected)
    )


def routes_of(problem: SelectionProblem, parts: Units, share: FloatArray) -> tuple[Route, ...]:
    """Return the routes of shares, (units, experts): of each category under that gate, else of each prompt."""
    routes = []
    for r, members in enumerate(parts.members):
        for prompt in (None,) if problem.gate == "category" else (problem.prompts[i].name for i in members):
            routes += [
                Route(category=parts.category[r], prompt=prompt, expert=problem.experts[n].name, fraction=share[r, n])
                for n in np.flatnonzero(share[r]).tolist()
            ]
    return tuple(routes)


def _coupled(problem: SelectionProblem) -> bool:
    """Return True when a limit binds the sum over prompts, so that splitting a prompt's traffic can pay."""
    budgets = problem.budgets
    loaded = problem.arrival_rate_per_s is not None and any(part.max_utilisation for part in problem.devices)
    # With objective quality the best answer to each prompt is also the best way to keep the floor.
    floored = problem.quality_floor is not None and problem.objective != "quality"
    return budgets.energy_j is not None or budgets.price_usd is not None or loaded or floored


def _to_the_best(parts: Units, variables: Variables, point: FloatArray) -> FloatArray:
    """Return shares, (pairs,), that send each unit to its best selected expert; ties go to the engine's choice."""
    open_pairs = np.flatnonzero(point[variables.select[variables.expert]] > 0.5)
    value = parts.value[variables.unit[open_pairs], variables.expert[open_pairs]]
    order = np.lexsort((-point[variables.route[open_pairs]], -value, variables.unit[open_pairs]))
    _, first = np.unique(variables.unit[open_pairs][order], return_index=True)
    share = np.zeros(len(variables.route))
    share[open_pairs[order[first]]] = 1.0
    return share


def _cleaned(share: FloatArray, variables: Variables, count: int) -> FloatArray:
    """Drop rounding noise and let the shares of each of ``count`` units add up to 1."""
    kept = np.where(share < SHARE, 0.0, share)
    total = np.bincount(variables.unit, weights=kept, minlength=count)
    fraction = np.divide(kept, total[variables.unit], out=np.zeros_like(kept), where=kept > 0.0)
    return np.minimum(fraction, 1.0)


def _within_budgets(
    problem: SelectionProblem, variables: Variables, point: FloatArray, share: FloatArray, count: int
) -> FloatArray:
    """Return shares that keep every budget to :data:`EXCESS`, solved anew for the same selection where needed."""
    program = formulate(problem)
    whole = np.where(program.integer, np.round(point), point)
    whole[variables.route] = share
    budgets = np.zeros(program.rows, dtype=bool)
    for name in (*SHARED_ROWS, "quality_floor"):
        budgets[program.row_blocks.get(name, slice(0, 0))] = True
    if ((program.activity(whole) - program.row_upper)[budgets] <= EXCESS).all():
        return share
    margin = 2 * EXCESS * np.abs(program.row_upper)
    margin[program.row_blocks.get("quality_floor", slice(0, 0))] = 2 * EXCESS
    lower, upper = (np.where(program.integer, whole, side) for side in (program.lower, program.upper))
    for slack in (margin, 0.0):  # a limit that can only just be kept leaves no room for a margin
        tightened = replace(program, row_upper=np.where(budgets, program.row_upper - slack, program.row_upper))
        answer = Relaxation(tightened).solve(lower, upper)
        if answer.point is not None:
            return _cleaned(answer.point[variables.route], variables, count)
    return share


def preference(problem: SelectionProblem, selected: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return, by category in use, the selected experts that may answer it, best mean quality first."""
    weights = np.array([prompt.weight for prompt in problem.prompts])
    weights /= weights.max()  # so that no sum overflows
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
        mean = np.round(mean, 12)  # so that equal means rank by the order of the problem on every machine
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
