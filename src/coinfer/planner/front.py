"""The quality, latency and energy trade-off of a problem: a front of plans, each solved to its own optimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coinfer.errors import Infeasible, LimitReached
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.evaluate import Evaluation, evaluate
from coinfer.models.selection.pareto import non_dominated, sweep_problems
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.selection.make import plan as make_plan
from coinfer.solver.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPoint:
    """One plan that no other plan of the sweep beats in quality, latency and energy at once.

    Attributes
    ----------
    quality
        Mean quality.
    latency_s
        Mean latency per request over the traffic; ``None`` where one was not measured.
    energy_j
        Mean energy per request; ``None`` where the problem has no energy figures.
    selected
        Names of the selected experts.
    proven
        True when the engine closed the gap of this point.
    chosen
        True for the point of the plan itself.
    """

    quality: float
    latency_s: float | None
    energy_j: float | None
    selected: tuple[str, ...]
    proven: bool
    chosen: bool


def front(
    problem: SelectionProblem,
    *,
    plan: SelectionPlan | None = None,
    points: int = 24,
    engine: str = "auto",
    limits: Limits | None = None,
    on_point: Callable[[int, int], None] | None = None,
) -> tuple[FrontPoint, ...]:
    """Sweep the energy budget and the latency promises, solve each, and keep what nothing else beats.

    Parameters
    ----------
    problem
        The problem; its own energy budget and promises are what the sweep varies, all else is kept.
    plan
        The plan to mark as chosen; it is on the returned list even when a cheaper plan is as good.
    points
        About how many budgets to solve.
    engine, limits
        As in :func:`coinfer.plan`; the limits hold for each point.
    on_point
        Called after each point with how many are done and how many there are.

    Returns
    -------
    The points by rising energy, then latency.
    """
    swept = sweep_problems(problem, points=points)
    found: list[FrontPoint] = []
    for done, variant in enumerate(swept, start=1):
        point = _solve(variant, engine, limits or Limits())
        if point is not None:
            found.append(point)
        if on_point is not None:
            on_point(done, len(swept))
    unique = {(p.quality, p.latency_s, p.energy_j): p for p in found}
    candidates = list(unique.values())
    kept = non_dominated([(p.quality, p.latency_s or 0.0, p.energy_j or 0.0) for p in candidates])
    points_kept = [candidates[i] for i in kept]
    if plan is not None:
        evaluation = evaluate(problem, plan.decision)
        proven = plan.certificate.status == "optimal"
        chosen = _point(evaluation, plan.decision.selected, proven=proven, chosen=True)
        points_kept = [p for p in points_kept if not _same(p, chosen)] + [chosen]
    return tuple(sorted(points_kept, key=lambda p: (p.energy_j or 0.0, p.latency_s or 0.0, p.quality)))


def _solve(variant: SelectionProblem, engine: str, limits: Limits) -> FrontPoint | None:
    """Return the best point under one pair of budgets; ``None`` where there is none."""
    try:
        made = make_plan(variant, engine=engine, limits=limits, with_proof=False)
    except (Infeasible, LimitReached):
        return None
    evaluation = evaluate(variant, made.decision)
    return _point(evaluation, made.decision.selected, proven=made.certificate.status == "optimal", chosen=False)


def _point(evaluation: Evaluation, selected: tuple[str, ...], *, proven: bool, chosen: bool) -> FrontPoint:
    return FrontPoint(
        quality=evaluation.mean_quality,
        latency_s=evaluation.mean_latency_s,
        energy_j=evaluation.energy_j,
        selected=selected,
        proven=proven,
        chosen=chosen,
    )


def _same(a: FrontPoint, b: FrontPoint) -> bool:
    return (a.quality, a.latency_s, a.energy_j) == (b.quality, b.latency_s, b.energy_j)
