"""Re-check a plan against its problem, by code that shares nothing with the solvers."""

from __future__ import annotations

from coinfer.errors import PlanMismatch
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.problem import Problem
from coinfer.models.selection.data import SelectionProblem
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.budget.verify import verify as verify_budget
from coinfer.planner.claims import Verification
from coinfer.planner.placement.document import PlacementPlan
from coinfer.planner.placement.verify import verify as verify_placement
from coinfer.planner.plan import Plan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.selection.verify import verify as verify_selection


def verify(problem: Problem, plan: Plan) -> Verification:
    """Re-derive feasibility, objective, bound and predictions of ``plan`` from ``problem`` alone.

    Raises
    ------
    PlanMismatch
        If the plan was made for another problem.
    CertificateError
        With a sentence, at the first claim that is not true.
    """
    if isinstance(problem, SelectionProblem):
        if isinstance(plan, SelectionPlan):
            return verify_selection(problem, plan)
    elif isinstance(problem, BudgetProblem):
        if isinstance(plan, BudgetPlan):
            return verify_budget(problem, plan)
    elif isinstance(plan, PlacementPlan):
        return verify_placement(problem, plan)
    raise PlanMismatch("the plan is for another kind of problem")
