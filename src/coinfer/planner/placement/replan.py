"""Old placement and new counts in, new placement out: whether the old one still stands, and what to move."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from coinfer.errors import PlanMismatch
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.evaluate import PlacementEvaluation, evaluate
from coinfer.models.placement.parts import Heldout, Running
from coinfer.planner.placement.document import PlacementPlan
from coinfer.planner.placement.make import plan as make_plan
from coinfer.planner.placement.verify import verify
from coinfer.profiler.trace.counts import RoutingCounts
from coinfer.records import Matrix
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray
from coinfer.solver.progress import OnProgress, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementReplan:
    """A new placement and why it was needed.

    Attributes
    ----------
    problem, plan
        The problem with the new counts and the old placement as the running one, and its plan.
    previous
        What the old placement is worth under the new counts.
    stale
        Whether the old placement breaks a limit now, or is worse than planned by more than the tolerance.
    changed
        Whether the new placement puts any copy elsewhere.
    """

    problem: PlacementProblem
    plan: PlacementPlan
    previous: PlacementEvaluation
    stale: bool
    changed: bool


def replan_placement(
    problem: PlacementProblem,
    plan: PlacementPlan,
    *,
    counts: RoutingCounts | None = None,
    heldout: RoutingCounts | None = None,
    cost_matrix: FloatArray | None = None,
    migration_cost: float = 0.0,
    tolerance: float = 0.1,
    engine: str = "auto",
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> PlacementReplan:
    """Put new counts, or measured link costs, into ``problem`` and plan again from the placement that runs.

    Parameters
    ----------
    problem, plan
        As planned before.
    counts, heldout
        Of the new tokens to fit to, and to score on; without ``counts`` the old ones stay.
    cost_matrix
        (devices, devices): what a move between two devices costs, as measured; absent: as before.
    migration_cost
        Cost of a copy on a device that does not hold it now, in link costs times tokens of the trace.
    tolerance
        Relative worsening of the objective that makes the old plan stale.
    engine, limits, on_progress, stop
        As in :func:`coinfer.plan`.

    Raises
    ------
    PlanMismatch, CertificateError
        If ``plan`` was not made for ``problem``, does not hold for it, or the counts are of another model.
    Infeasible, LimitReached
        As in :func:`coinfer.plan`.
    """
    verify(problem, plan)
    slots = np.array(plan.decision.slots, dtype=np.float64)
    fresh = msgspec.structs.replace(problem, running=Running(slots=Matrix(slots), migration_cost=migration_cost))
    if counts is not None:
        fresh = _counted(fresh, counts, heldout)
    if cost_matrix is not None:
        fresh = msgspec.structs.replace(fresh, cost_matrix=Matrix(cost_matrix), link_cost=None)
    before = evaluate(fresh, plan.decision)
    made = make_plan(fresh, engine=engine, limits=limits, start=plan.decision, on_progress=on_progress, stop=stop)
    planned = plan.certificate.value
    return PlacementReplan(
        problem=fresh,
        plan=made,
        previous=before,
        stale=bool(before.violations) or (cost_matrix is None and before.value > planned * (1.0 + tolerance)),
        changed=bool(made.moved),
    )


def _counted(problem: PlacementProblem, counts: RoutingCounts, heldout: RoutingCounts | None) -> PlacementProblem:
    """Return ``problem`` with new counts."""
    for name in ("layers", "experts", "top_k"):
        if getattr(counts, name) != getattr(problem, name):
            found, wanted = getattr(counts, name), getattr(problem, name)
            raise PlanMismatch(f"the trace has {name} {found}, the problem {wanted}")
    held = None
    if heldout is not None:
        held = Heldout(
            tokens=heldout.tokens,
            loads=Matrix(heldout.loads),
            transitions=_stacked(heldout),
            token_sets=None if heldout.token_sets is None else Matrix(heldout.token_sets),
        )
    return msgspec.structs.replace(
        problem,
        tokens=counts.tokens,
        loads=Matrix(counts.loads),
        transitions=_stacked(counts),
        token_sets=None if counts.token_sets is None else Matrix(counts.token_sets),
        heldout=held,
    )


def _stacked(counts: RoutingCounts) -> Matrix | None:
    return None if counts.transitions is None else Matrix(counts.transitions.reshape(-1, counts.experts))
