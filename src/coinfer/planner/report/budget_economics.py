"""What options are worth for their price: to be filled in."""

from __future__ import annotations

from coinfer.models.budget.data import BudgetProblem
from coinfer.planner.report.element import Element


def economics(problem: BudgetProblem) -> Element | None:
    """Return the section."""
    return None
