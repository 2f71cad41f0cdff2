"""The kinds of problem and, for each, its documents and the functions that plan and check it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.problem import Decision, Problem
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.split.data import SplitProblem
from coinfer.models.split.decision import SplitDecision
from coinfer.planner.budget.document import BudgetPlan
from coinfer.planner.budget.make import plan as plan_budget
from coinfer.planner.budget.verify import verify as verify_budget
from coinfer.planner.claims import Verification
from coinfer.planner.placement.document import PlacementPlan
from coinfer.planner.placement.make import plan as plan_placement
from coinfer.planner.placement.verify import verify as verify_placement
from coinfer.planner.plan import Plan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.selection.make import plan as plan_selection
from coinfer.planner.selection.verify import verify as verify_selection
from coinfer.planner.split.document import SplitPlan
from coinfer.planner.split.make import plan as plan_split
from coinfer.planner.split.verify import verify as verify_split


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of problem.

    Attributes
    ----------
    problem, decision, plan
        The classes of its problem, decision and plan.
    make
        Plans it; takes the problem and the options of :func:`coinfer.planner.make.plan`, ``profile`` aside.
    verify
        Checks a plan of it; takes the problem and the plan.
    takes_profile
        Whether ``make`` also takes the profile.
    """

    problem: type[Problem]
    decision: type[Decision]
    plan: type[Plan]
    make: Callable[..., Plan]
    verify: Callable[[Any, Any], Verification]
    takes_profile: bool = False


KINDS: tuple[Kind, ...] = (
    Kind(
        problem=SelectionProblem,
        decision=SelectionDecision,
        plan=SelectionPlan,
        make=plan_selection,
        verify=verify_selection,
        takes_profile=True,
    ),
    Kind(
        problem=PlacementProblem,
        decision=PlacementDecision,
        plan=PlacementPlan,
        make=plan_placement,
        verify=verify_placement,
    ),
    Kind(problem=BudgetProblem, decision=BudgetDecision, plan=BudgetPlan, make=plan_budget, verify=verify_budget),
    Kind(problem=SplitProblem, decision=SplitDecision, plan=SplitPlan, make=plan_split, verify=verify_split),
)


def kind_of(problem: Problem) -> Kind:
    """Return the kind of ``problem``."""
    return next(kind for kind in KINDS if isinstance(problem, kind.problem))
