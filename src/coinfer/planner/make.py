"""Problem in, plan out: formulate, solve, prove, and check before anything is handed over."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from coinfer.errors import PlanMismatch
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
from coinfer.planner.placement.document import PlacementPlan
from coinfer.planner.placement.make import plan as plan_placement
from coinfer.planner.plan import Plan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.selection.make import plan as plan_selection
from coinfer.planner.split.make import plan as plan_split
from coinfer.profiler.profile import Profile
from coinfer.solver.limits import Limits
from coinfer.solver.progress import OnProgress, Stop

MAKERS: dict[type[Problem], tuple[type[Decision], Callable[..., Plan]]] = {
    SelectionProblem: (SelectionDecision, plan_selection),
    PlacementProblem: (PlacementDecision, plan_placement),
    BudgetProblem: (BudgetDecision, plan_budget),
    SplitProblem: (SplitDecision, plan_split),
}
"""The decision of each kind of problem, and what plans it: the options of :func:`plan`, ``profile`` for selections."""


@overload
def plan(
    problem: SelectionProblem,
    *,
    engine: str = ...,
    limits: Limits | None = ...,
    start: Decision | None = ...,
    profile: Profile | None = ...,
    with_proof: bool = ...,
    on_progress: OnProgress | None = ...,
    stop: Stop | None = ...,
) -> SelectionPlan: ...


@overload
def plan(
    problem: PlacementProblem,
    *,
    engine: str = ...,
    limits: Limits | None = ...,
    start: Decision | None = ...,
    profile: Profile | None = ...,
    with_proof: bool = ...,
    on_progress: OnProgress | None = ...,
    stop: Stop | None = ...,
) -> PlacementPlan: ...


@overload
def plan(
    problem: BudgetProblem,
    *,
    engine: str = ...,
    limits: Limits | None = ...,
    start: Decision | None = ...,
    profile: Profile | None = ...,
    with_proof: bool = ...,
    on_progress: OnProgress | None = ...,
    stop: Stop | None = ...,
) -> BudgetPlan: ...


@overload
def plan(
    problem: Problem,
    *,
    engine: str = ...,
    limits: Limits | None = ...,
    start: Decision | None = ...,
    profile: Profile | None = ...,
    with_proof: bool = ...,
    on_progress: OnProgress | None = ...,
    stop: Stop | None = ...,
) -> Plan: ...


def plan(
    problem: Problem,
    *,
    engine: str = "auto",
    limits: Limits | None = None,
    start: Decision | None = None,
    profile: Profile | None = None,
    with_proof: bool = True,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> Plan:
    """Find the best decision, prove how far from optimal it can be, and re-check both.

    Parameters
    ----------
    problem
        What is to be decided.
    engine
        ``auto`` takes the engine made for the problem. Selection: ``monotonic`` searches the selections, ``highs``,
        ``cp-sat``, ``scip`` and ``cbc`` solve the integer program. Placement: ``search`` (local search with
        semidefinite bounds), ``chain`` (the exact dynamic program), and the same four for ExFlow's integer program.
        Budget: ``prices`` (hulls, one price for each limit, exact core), and the same four for the integer program.
    limits
        Of the search and the proof together; none by default. A placement that cannot be solved exactly then stops
        after :data:`coinfer.planner.placement.make.DEFAULT_TIME_S`.
    start
        A decision to begin from, as of an older plan; it never makes the result worse.
    profile
        The profile that the problem was assembled from; its hash and its intervals go into the plan of a selection.
    with_proof
        False skips the proof: the bound is then only what the engine claims.
    on_progress, stop
        Called with each report of the search; ends it early, keeping incumbent and bound.

    Raises
    ------
    Infeasible
        No decision satisfies every constraint. The sentence says which ones clash, where that is plain.
    LimitReached
        A limit was hit before any decision was found.
    BackendMissing
        The engine is not installed.
    PlanMismatch
        ``start`` is the decision of another kind of problem.
    """
    decision, make = next(made for kind, made in MAKERS.items() if isinstance(problem, kind))
    if start is not None and not isinstance(start, decision):
        raise PlanMismatch("the decision to begin from is for another kind of problem")
    return make(
        problem,
        engine=engine,
        limits=limits or Limits(),
        start=start,
        with_proof=with_proof,
        on_progress=on_progress,
        stop=Stop() if stop is None else stop,
        **({"profile": profile} if isinstance(problem, SelectionProblem) else {}),
    )
