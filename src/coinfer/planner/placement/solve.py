"""Which solver takes which placement problem, and what it found in the problem's own unit."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from coinfer.errors import InputError
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import scale
from coinfer.models.placement.formulate import (
    device_of_slot,
    fan_out_program,
    held_by,
    layered_assignment,
    slot_program,
    slots_of,
    slots_of_held,
)
from coinfer.models.placement.least_imbalance import least_imbalance
from coinfer.planner.placement.document import PlacementProof
from coinfer.records import Matrix
from coinfer.solver.assignment.bounds.levels import bound_levels
from coinfer.solver.assignment.fan_out.solve import solve_fan_out
from coinfer.solver.assignment.program import BoolArray, LayeredAssignment
from coinfer.solver.assignment.replicas.improve import place_replicas
from coinfer.solver.assignment.replicas.pack import balanced_copies
from coinfer.solver.assignment.search.portfolio import search_assignment
from coinfer.solver.assignment.solve import DEFAULT_TIME_S
from coinfer.solver.assignment.solve import ENGINES as ASSIGNMENT_ENGINES
from coinfer.solver.assignment.solve import solve as solve_assignment
from coinfer.solver.certificate.replicas import extra_kept
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import OnProgress, Progress, Stop
from coinfer.solver.result import Status

ENGINES = ASSIGNMENT_ENGINES
SEARCH_SHARE = 0.4
"""Share of the time for the search for copies; the bound has the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a solver found.

    Attributes
    ----------
    decision
        The best placement; ``None`` without one.
    bound
        Proven lower bound in the unit of the objective; 0 where nothing was proven.
    proof
        Evidence for the bound; ``None`` without.
    engine
        What found the placement.
    limit
        What ended the search; ``None`` for an optimum.
    infeasible
        Whether it was proven that there is no placement.
    notes
        What a reader should know.
    """

    decision: PlacementDecision | None
    bound: float
    proof: PlacementProof | None
    engine: str
    limit: str | None
    infeasible: bool
    notes: tuple[str, ...] = ()


def solve(
    problem: PlacementProblem,
    *,
    engine: str,
    limits: Limits,
    start: PlacementDecision | None,
    with_proof: bool,
    on_progress: OnProgress | None,
    stop: Stop,
) -> Found:
    """Find a placement and a bound; see :func:`coinfer.planner.make.plan`.

    Raises
    ------
    InputError
        If ``engine`` cannot solve such a problem.
    """
    ours = problem.objective != "transitions" or bool(problem.replicas)
    if ours and engine not in ("auto", "search"):
        what = f"{problem.replicas} replicas" if problem.objective == "transitions" else problem.objective
        raise InputError("engine", expected=f"auto or search, for {what}", found=engine)
    run = _Run(problem, limits, stop, on_progress)
    if problem.objective == "imbalance":
        return run.imbalance()
    if problem.objective == "fan_out":
        return run.fan_out(start, with_proof=with_proof)
    if problem.replicas:
        return run.replicas(start, with_proof=with_proof)
    return run.assignment(engine, start, with_proof=with_proof)


@dataclass(frozen=True, slots=True)
class _Run:
    """One search for one problem."""

    problem: PlacementProblem
    limits: Limits
    stop: Stop
    on_progress: OnProgress | None
    began: float = field(default_factory=time.perf_counter)

    def tell(self, value: float, bound: float) -> None:
        """Report value and bound in the unit of the objective."""
        if self.on_progress is not None:
            seconds = time.perf_counter() - self.began
            self.on_progress(Progress(seconds=seconds, value=value, bound=bound, nodes=None))

    def assignment(self, engine: str, start: PlacementDecision | None, *, with_proof: bool) -> Found:
        """One copy of each expert, few transitions between devices."""
        problem, unit = self.problem, scale(self.problem)
        result = solve_assignment(
            layered_assignment(problem),
            engine=engine,
            limits=self.limits,
            start=_start(problem, start),
            with_proof=with_proof,
            on_progress=lambda report: self.tell(report.value / unit, report.bound / unit),
            stop=self.stop,
        )
        return Found(
            decision=None if result.part is None else PlacementDecision(slots=slots_of(result.part, problem)),
            bound=max(0.0, result.bound) / unit,
            proof=result.proof,
            engine=result.engine,
            limit=result.limit,
            infeasible=result.status is Status.INFEASIBLE,
        )

    def replicas(self, start: PlacementDecision | None, *, with_proof: bool) -> Found:
        """Second copies where they pay, and the bound for shares."""
        problem, unit, cap = self.problem, scale(self.problem), self.problem.load_cap
        total_s = DEFAULT_TIME_S if self.limits.time_s is None else self.limits.time_s
        search_s = total_s * (SEARCH_SHARE if with_proof else 1.0)
        program = layered_assignment(problem)
        first = _start(problem, start)
        if first is None:
            searched = search_assignment(_first_copies(program), limits=self.until(search_s / 3.0), stop=self.stop)
            first = searched.part
        result = place_replicas(
            slot_program(problem),
            load_cap=None if cap is None else cap.imbalance,
            over="worst_layer" if cap is None else cap.over,
            dispatch=problem.dispatch,
            start=first,
            limits=self.until(search_s),
            stop=self.stop,
            on_value=lambda value: self.tell(value / unit, 0.0),
        )
        lost = 0.0
        if problem.dispatch == "local":
            lost = float(program.distance.max()) * extra_kept(program.weights, program.capacity, problem.replicas or 0)
        bound, proof = 0.0, None
        if with_proof and not self.stop:
            shown = bound_levels(
                program,
                limits=self.until(total_s),
                stop=self.stop,
                on_bound=lambda found: self.tell(result.value / unit, max(0.0, found - lost) / unit),
                target=result.value + lost,
            )
            bound, proof = max(0.0, shown.value - lost), shown.proof
        return Found(
            decision=_with_shares(problem, result.held, result.shares) if result.within_cap else None,
            bound=bound / unit,
            proof=proof,
            engine="replica search",
            limit="interrupt" if self.stop else "time",
            infeasible=False,
        )

    def fan_out(self, start: PlacementDecision | None, *, with_proof: bool) -> Found:
        """Few devices for each token and layer."""
        problem, unit = self.problem, scale(self.problem)
        result = solve_fan_out(
            fan_out_program(problem),
            start=_start(problem, start),
            limits=self.limits,
            stop=self.stop,
            with_proof=with_proof,
            on_value=lambda value: self.tell(value / unit, 0.0),
        )
        return Found(
            decision=None if result.part is None else PlacementDecision(slots=slots_of(result.part, problem)),
            bound=max(0.0, result.bound) / unit,
            proof=result.proof,
            engine="fan-out search",
            limit="interrupt" if self.stop else "time",
            infeasible=False,
        )

    def imbalance(self) -> Found:
        """Even loads, with second copies where there is room for them."""
        held, shares = balanced_copies(slot_program(self.problem))
        return Found(
            decision=_with_shares(self.problem, held, shares),
            bound=least_imbalance(self.problem),
            proof=None,
            engine="balanced copies",
            limit="other",
            infeasible=False,
        )

    def until(self, end_s: float) -> Limits:
        """Return the limits with what is left of the time until ``end_s`` after the beginning."""
        left = max(0.0, end_s - (time.perf_counter() - self.began))
        return msgspec.structs.replace(self.limits, time_s=left)


def _first_copies(program: LayeredAssignment) -> LayeredAssignment:
    """Return the program for the first copies: without caps on loads, which second copies can keep."""
    return replace(program, loads=None, load_caps=None, mean_imbalance_cap=None)


def _with_shares(problem: PlacementProblem, held: BoolArray, shares: FloatArray) -> PlacementDecision:
    """Return copies and shares as slots; shares are left out where no expert has two copies."""
    slots = slots_of_held(held, problem)
    if not (held.sum(axis=2) > 1).any():
        return PlacementDecision(slots=slots)
    table, device = np.array(slots, dtype=np.int64), device_of_slot(problem)
    layer, slot = np.nonzero(table >= 0)
    made = np.zeros(table.shape)
    made[layer, slot] = shares[layer, table[layer, slot], device[slot]]
    return PlacementDecision(slots=slots, shares=Matrix(made))


def _start(problem: PlacementProblem, start: PlacementDecision | None) -> IntArray | None:
    """Return the device of each expert, (layers, experts), of the decision to begin from, or of what runs now."""
    if start is not None:
        slots = np.array(start.slots, dtype=np.int64)
    elif problem.running is not None:
        slots = np.asarray(problem.running.slots.array, dtype=np.int64)
    else:
        return None
    if slots.shape != (problem.layers, len(device_of_slot(problem))):
        return None
    held = held_by(slots, problem)
    return held.argmax(axis=2) if held.any(axis=2).all() else None
