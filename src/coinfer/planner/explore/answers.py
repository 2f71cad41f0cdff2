"""What each calibration prompt is worth under a selection or a decision; many selections, one preparation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coinfer.models.selection.check import read_shares
from coinfer.models.selection.data import SCORED, SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.deployed import deployed_gate, gate_shares
from coinfer.models.selection.units import answerable, units
from coinfer.models.selection.values import values
from coinfer.solver.program import FloatArray


class Answers:
    """The answers of one problem, where they follow from the selection: no limit couples the routing.

    Parameters
    ----------
    problem
        The problem.
    """

    def __init__(self, problem: SelectionProblem) -> None:
        self._problem = problem
        self._units = units(problem)
        able = {
            name: [answerable(problem, expert, name) for expert in problem.experts]
            for name in set(self._units.category)
        }
        self._able = np.array([able[name] for name in self._units.category])
        self._unit_of = np.empty(len(problem.prompts), dtype=np.int64)
        for r, members in enumerate(self._units.members):
            self._unit_of[list(members)] = r
        self._worth = np.nan_to_num(values(problem))

    def _shares(self, selected: Sequence[str]) -> FloatArray:
        """Return who answers each unit, (units, experts)."""
        problem, chosen = self._problem, set(selected)
        allowed = self._able & np.array([expert.name in chosen for expert in problem.experts])
        if problem.gate in SCORED and problem.gate_scores is not None:
            scores = problem.gate_scores.array[[members[0] for members in self._units.members]]
            return gate_shares(scores, allowed, deployed_gate(problem))
        return gate_shares(self._units.value, allowed, "top_1")

    def idle(self, selected: Sequence[str]) -> tuple[str, ...]:
        """Return those of ``selected`` that answer nothing."""
        experts, chosen = self._problem.experts, set(selected)
        busy = {experts[n].name for n in np.flatnonzero(self._shares(selected).sum(axis=0)).tolist()}
        return tuple(expert.name for expert in experts if expert.name in chosen - busy)

    def worth(self, selected: Sequence[str]) -> FloatArray:
        """Return the value of each prompt's answer, (prompts,)."""
        found: FloatArray = (self._shares(selected)[self._unit_of] * self._worth).sum(axis=1)
        return found


def worth_of(problem: SelectionProblem, decision: SelectionDecision) -> FloatArray:
    """Return the value of each prompt's answer under the routes of a decision, (prompts,)."""
    column = {expert.name: n for n, expert in enumerate(problem.experts)}
    table, (shares, _, _) = values(problem), read_shares(problem, decision)
    rows = [
        sum(float(share) * float(table[i, column[name]]) for name, share in row.items()) for i, row in enumerate(shares)
    ]
    return np.array(rows, dtype=np.float64)


def weights_of(problem: SelectionProblem) -> FloatArray:
    """Return the share of the traffic that each prompt stands for, (prompts,)."""
    weights = np.array([prompt.weight for prompt in problem.prompts])
    weights /= weights.max()  # so that no sum overflows
    shares: FloatArray = weights / weights.sum()
    return shares
