"""Where the realised value of a decision is expected, by what the menus say of their own uncertainty."""

from __future__ import annotations

from coinfer.models.budget.calibration.claim import claim
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.planner.budget.document import Interval


def interval(problem: BudgetProblem, decision: BudgetDecision) -> Interval | None:
    """Return the interval of the mean value; ``None`` where the menus give none, or all are right in the end."""
    found = None if problem.objective == "cost_of_pass" else claim(problem, decision)
    if found is None:
        return None
    return Interval(mean=found.value, low=found.low, high=found.high, level=found.level, basis=found.basis)
