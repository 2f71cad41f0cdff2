"""Old plan and new measurements in, new plan out: what moved, whether the plan is stale, and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np

from coinfer.models.selection.data import Expert, SelectionProblem
from coinfer.models.selection.evaluate import Evaluation, evaluate
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.selection.make import plan as make_plan
from coinfer.planner.selection.verify import verify
from coinfer.profiler.profile import Estimate, Profile, Quantity
from coinfer.records import Matrix
from coinfer.solver.limits import Limits
from coinfer.solver.progress import OnProgress, Stop

NOISE = 1e-9
"""Rounding of shares, which shows where a limit is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A figure of the problem that the new measurements contradict.

    Attributes
    ----------
    expert, category, quantity
        Which figure.
    planned
        What the plan was made with.
    measured
        The new estimate: ``planned`` lies outside its interval and further off than the tolerance.
    """

    expert: str
    category: str | None
    quantity: str
    planned: float
    measured: Estimate

    def __str__(self) -> str:
        place = f" in {self.category}" if self.category else ""
        return (
            f"{self.quantity} of {self.expert}{place}: planned {self.planned:.4g}, "
            f"measured {self.measured.value:.4g} [{self.measured.low:.4g}, {self.measured.high:.4g}]"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replan:
    """A new plan and why it was needed.

    Attributes
    ----------
    problem, plan
        The problem with the new figures, and its plan.
    moved
        Figures that moved beyond tolerance and interval.
    stale
        True when a figure of a selected expert moved, or the old decision now breaks a limit by more than the
        tolerance. A budget that was used up to its end is broken by any noise at all.
    broken
        Limits the old decision breaks under the new figures, by however little, in words.
    previous_value
        What the old decision is worth under the new figures; ``None`` when it breaks a limit.
    changed
        True when the new decision selects or routes differently.
    """

    problem: SelectionProblem
    plan: SelectionPlan
    moved: tuple[Moved, ...]
    stale: bool
    broken: tuple[str, ...]
    previous_value: float | None
    changed: bool


def replan(
    problem: SelectionProblem,
    plan: SelectionPlan,
    profile: Profile,
    *,
    tolerance: float = 0.1,
    engine: str = "auto",
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> Replan:
    """Put new estimates into ``problem`` and plan again, starting from the old decision.

    Parameters
    ----------
    problem, plan
        As planned before.
    profile
        Estimates fitted to the new measurements (or to old and new together); experts are found by name.
    tolerance
        Relative change below which a figure counts as unchanged.
    engine, limits, on_progress, stop
        As in :func:`coinfer.plan`.

    Raises
    ------
    PlanMismatch, CertificateError
        If ``plan`` was not made for ``problem``, or does not hold for it.
    Infeasible, LimitReached
        As in :func:`coinfer.plan`.
    """
    verify(problem, plan)  # staleness must not be blamed for what was never true
    fresh, moved = updated(problem, profile, tolerance=tolerance)
    before = evaluate(fresh, plan.decision)
    made = make_plan(
        fresh, engine=engine, limits=limits, start=plan.decision, profile=profile, on_progress=on_progress, stop=stop
    )
    selected = set(plan.decision.selected)
    return Replan(
        problem=fresh,
        plan=made,
        moved=moved,
        stale=_broken_beyond(before, tolerance) or any(figure.expert in selected for figure in moved),
        broken=before.violations,
        previous_value=None if before.violations else before.value,
        changed=(made.decision.selected, made.decision.routes) != (plan.decision.selected, plan.decision.routes),
    )


def _broken_beyond(evaluation: Evaluation, tolerance: float) -> bool:
    """Return True when some limit is broken by more than ``tolerance`` of it."""
    return any(row.used > row.limit * (1.0 + tolerance) + NOISE for row in evaluation.usage)


def updated(
    problem: SelectionProblem, profile: Profile, *, tolerance: float
) -> tuple[SelectionProblem, tuple[Moved, ...]]:
    """Return ``problem`` with the figures that ``profile`` knows, and the list of those that moved.

    Latency, energy and memory are replaced per expert; quality only for rows that stand for a whole category
    (prompts named like their category), because a mean says nothing of a single prompt.
    """
    moved: list[Moved] = []
    experts = tuple(_expert(problem, expert, profile, tolerance, moved) for expert in problem.experts)
    quality = problem.quality.array.copy()
    for row, prompt in enumerate(problem.prompts):
        if prompt.name != prompt.category:
            continue
        for column, expert in enumerate(problem.experts):
            new = profile.find(device=expert.device, model=expert.name, quantity="quality", category=prompt.category)
            if new is not None:
                _note(moved, expert, prompt.category, "quality", float(quality[row, column]), new, tolerance)
                quality[row, column] = new.value
    same = np.array_equal(quality, problem.quality.array)
    matrix = problem.quality if same else Matrix(quality)
    return msgspec.structs.replace(problem, experts=experts, quality=matrix), tuple(moved)


def _expert(
    problem: SelectionProblem, expert: Expert, profile: Profile, tolerance: float, moved: list[Moved]
) -> Expert:
    """Return ``expert`` with new latencies, energies and memory where the profile has them."""
    statistic: Quantity = "request_p95_s" if problem.latency_statistic == "p95" else "request_s"
    latency_s = dict(expert.latency_s)
    energy_j = dict(expert.energy_j or {})
    for category in [category.name for category in problem.categories]:
        find = partial(profile.find, device=expert.device, model=expert.name, category=category)
        latency = find(quantity=statistic)
        energy = find(quantity="request_energy_j")
        planned_s = latency_s.get(category)
        if latency is not None:
            latency_s[category] = latency.value
            if planned_s is not None:
                _note(moved, expert, category, "latency_s", planned_s, latency, tolerance)
        if energy is not None and expert.energy_j is not None:
            if category in energy_j:
                _note(moved, expert, category, "energy_j", energy_j[category], energy, tolerance)
            energy_j[category] = energy.value
        elif latency is not None and planned_s and category in energy_j and expert.energy_basis != "measured":
            energy_j[category] *= latency.value / planned_s  # the power figure stays, the time is new
    memory = profile.find(device=expert.device, model=expert.name, quantity="memory_bytes")
    if energy_j.keys() != latency_s.keys() and expert.energy_j is not None:
        latency_s = {category: latency_s[category] for category in latency_s if category in energy_j}
    return msgspec.structs.replace(
        expert,
        latency_s=latency_s,
        energy_j=energy_j if expert.energy_j is not None else None,
        memory_bytes=expert.memory_bytes if memory is None else round(memory.value),
    )


def _note(
    moved: list[Moved],
    expert: Expert,
    category: str,
    quantity: str,
    planned: float,
    measured: Estimate,
    tolerance: float,
) -> None:
    """Add a figure that lies outside the new interval and further off than the tolerance."""
    if measured.low is None or measured.high is None or measured.low <= planned <= measured.high:
        return
    if abs(measured.value - planned) > tolerance * abs(planned):
        moved.append(
            Moved(expert=expert.name, category=category, quantity=quantity, planned=planned, measured=measured)
        )
