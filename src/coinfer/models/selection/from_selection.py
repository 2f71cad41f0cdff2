"""From a selection alone to a decision: who answers what once the experts are chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coinfer.models.selection.data import SCORED, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.decode import preference, routes_of
from coinfer.models.selection.deployed import deployed_gate, gate_shares
from coinfer.models.selection.units import Units, answerable, units
from coinfer.models.selection.validate import among
from coinfer.solver.program import FloatArray


def decode_selection(problem: SelectionProblem, selected: Sequence[str]) -> SelectionDecision:
    """Return the decision that keeps ``selected`` and routes as the gate of ``problem`` does.

    Gate ``oracle`` and ``category``: each prompt, or category, to its most valuable selected expert, the first of the
    problem among equals; limits on sums over the traffic (mean energy, money, utilisation, the quality floor) are not
    looked at, and the evaluation says when one is broken. Gate ``softmax`` and ``top_1``: as their scores say.

    Parameters
    ----------
    problem
        What is planned.
    selected
        Names of the experts; all are kept, also those that answer nothing. Prompts that none of them may answer get
        no route, and the evaluation says so.

    Raises
    ------
    ProblemError
        If a name is not one of the problem's experts.
    """
    names = [expert.name for expert in problem.experts]
    for i, name in enumerate(selected):
        among(f"selected[{i}]", name, names)
    kept = tuple(name for name in names if name in set(selected))
    parts = units(problem)
    share = _shares(problem, parts, _allowed(problem, kept, parts.category))
    return SelectionDecision(
        selected=kept, routes=routes_of(problem, parts, share), preference=preference(problem, kept)
    )


def _allowed(problem: SelectionProblem, kept: tuple[str, ...], categories: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return True, (units, experts), for selected experts that may answer the unit."""
    by_category = {
        category: [expert.name in kept and answerable(problem, expert, category) for expert in problem.experts]
        for category in set(categories)
    }
    return np.array([by_category[category] for category in categories])


def _shares(problem: SelectionProblem, parts: Units, allowed: NDArray[np.bool_]) -> FloatArray:
    """Return the share of each unit that each expert answers, (units, experts)."""
    if problem.gate in SCORED and problem.gate_scores is not None:
        scores = problem.gate_scores.array[[members[0] for members in parts.members]]  # equal within a unit
        return gate_shares(scores, allowed, deployed_gate(problem))
    return gate_shares(parts.value, allowed, "top_1")
