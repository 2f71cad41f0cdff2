"""Re-check a plan against its problem, by code that shares nothing with the solvers."""

from __future__ import annotations

from coinfer.errors import PlanMismatch
from coinfer.models.problem import Problem
from coinfer.planner.claims import Verification
from coinfer.planner.kinds import kind_of
from coinfer.planner.plan import Plan


def verify(problem: Problem, plan: Plan) -> Verification:
    """Re-derive feasibility, objective, bound and predictions of ``plan`` from ``problem`` alone.

    Raises
    ------
    PlanMismatch
        If the plan was made for another problem.
    CertificateError
        With a sentence, at the first claim that is not true.
    """
    kind = kind_of(problem)
    if not isinstance(plan, kind.plan):
        raise PlanMismatch("the plan is for another kind of problem")
    return kind.verify(problem, plan)
