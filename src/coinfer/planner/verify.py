"""Re-check a plan against its problem, by code that shares nothing with the solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coinfer.errors import PlanMismatch
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.problem import Problem
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.split.data import SplitProblem
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.budget.verify import verify as verify_budget
from coinfer.planner.claims import Verification
from coinfer.planner.placement.document import PlacementPlan
from coinfer.planner.placement.verify import verify as verify_placement
from coinfer.planner.plan import Plan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.selection.verify import verify as verify_selection
from coinfer.planner.split.document import SplitPlan
from coinfer.planner.split.verify import verify as verify_split

CHECKERS: dict[type[Problem], tuple[type[Plan], Callable[[Any, Any], Verification]]] = {
    SelectionProblem: (SelectionPlan, verify_selection),
    PlacementProblem: (PlacementPlan, verify_placement),
    BudgetProblem: (BudgetPlan, verify_budget),
    SplitProblem: (SplitPlan, verify_split),
}
"""The plan of each kind of problem, and what checks it; apart from what plans it, so that no solver comes along."""


def verify(problem: Problem, plan: Plan) -> Verification:
    """Re-derive feasibility, objective, bound and predictions of ``plan`` from ``problem`` alone.

    Raises
    ------
    PlanMismatch
        If the plan was made for another problem.
    CertificateError
        With a sentence, at the first claim that is not true.
    """
    document, check = next(checked for kind, checked in CHECKERS.items() if isinstance(problem, kind))
    if not isinstance(plan, document):
        raise PlanMismatch("the plan is for another kind of problem")
    return check(problem, plan)
