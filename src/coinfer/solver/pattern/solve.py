"""The best line of aligned stages: a search over the rates a stage can have, an integer program at each."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from coinfer.solver.certificate.pattern import AnyLineBound, StagesBound, stage_rates
from coinfer.solver.limits import Limits
from coinfer.solver.mip import solve
from coinfer.solver.pattern.bound import any_line_bound
from coinfer.solver.pattern.columns import column_delays
from coinfer.solver.pattern.flow import Flow, Range, max_flow
from coinfer.solver.pattern.program import PatternProgram, Stage
from coinfer.solver.pattern.target import decode_stages, target_program
from coinfer.solver.prove import prove
from coinfer.solver.result import Status

_EMPTY = Flow(value=0.0, edges={})


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternResult:
    """The best line found, and how far from the best it can be.

    Attributes
    ----------
    status
        ``OPTIMAL`` where no line of aligned stages is faster, as the engine found; ``FEASIBLE`` where a limit was hit,
        or links within the chosen stages carry less than the integer program needs; ``UNSOLVED`` and ``INFEASIBLE``
        without stages.
    stages
        In the order of the line.
    ranges
        One for every unit that is used.
    flow
        What the ranges carry.
    stages_bound
        No line of aligned stages carries more, as the engine found; ``inf`` where nothing was found.
    any_bound
        No line at all carries as much; with its proof.
    programs
        Integer programs solved.
    seconds
        Wall-clock time.
    """

    status: Status
    stages: tuple[Stage, ...]
    ranges: tuple[Range, ...]
    flow: Flow
    stages_bound: float
    any_bound: AnyLineBound
    programs: int
    seconds: float

    @property
    def rate(self) -> float:
        """The flow that the line carries."""
        return self.flow.value


def solve_pattern(program: PatternProgram, limits: Limits | None = None) -> PatternResult:
    """Find the line of aligned stages with the largest rate.

    The rate of a line is one of finitely many rates of stages; whether a rate is reached is monotone, so a binary
    search over them with one integer program each finds the exact optimum of the class.

    Parameters
    ----------
    program
        What to cover.
    limits
        ``time_s`` is for the whole search; the incumbent and the bound are then what was shown by then.
    """
    began = time.perf_counter()
    limits = limits or Limits()
    any_bound = any_line_bound(program)
    rates = stage_rates(program)
    rates = rates[(rates > 0.0) & (rates < any_bound.rate)]
    low, high = -1, len(rates)  # all up to low are reached, none from high on
    stages: tuple[Stage, ...] = ()
    programs, sure = 0, True
    while high - low > 1:
        left = None if limits.time_s is None else limits.time_s - (time.perf_counter() - began)
        if left is not None and left <= 0.0:
            sure = False
            break
        middle = (low + high) // 2
        reached = _stages_at(program, float(rates[middle]), msgspec.structs.replace(limits, time_s=left))
        programs += 1
        if reached is None:
            sure = False
            break
        if reached:
            low, stages = middle, reached
        else:
            high = middle
    if program.delay is not None and low >= 0 and sure:
        left = None if limits.time_s is None else max(0.0, limits.time_s - (time.perf_counter() - began))
        soonest = _stages_at(program, float(rates[low]), msgspec.structs.replace(limits, time_s=left), soonest=True)
        stages, programs = soonest or stages, programs + 1
    ranges = ranges_of(program, stages)
    flow = max_flow(ranges, steps=program.steps, link=program.link) if stages else _EMPTY
    bound = float(rates[high - 1]) if high > 0 else 0.0
    tight = flow.value >= bound * (1.0 - 1e-9)
    if stages:
        status = Status.OPTIMAL if sure and tight else Status.FEASIBLE
    else:
        status = Status.INFEASIBLE if sure else Status.UNSOLVED
    return PatternResult(
        status=status,
        stages=stages,
        ranges=ranges,
        flow=flow,
        stages_bound=bound,
        any_bound=any_bound,
        programs=programs,
        seconds=time.perf_counter() - began,
    )


def _stages_at(
    program: PatternProgram, rate: float, limits: Limits, *, soonest: bool = False
) -> tuple[Stage, ...] | None:
    """Return stages that reach ``rate``, those passed ``soonest`` or any.

    Empty where there are none, ``None`` where a limit left it open.
    """
    target = target_program(program, rate)
    if not len(target.columns.steps):
        return ()
    # Any covering will do during the search: to look for the longest as well takes many times as long.
    cost = np.zeros(target.program.variables)
    if soonest:
        cost[target.program.variable_blocks["stages"]] = column_delays(program, target.columns, rate)
    found = solve(replace(target.program, cost=cost), limits=limits)
    if found.incumbent is not None:
        return decode_stages(target, found.incumbent, program)
    return () if found.status is Status.INFEASIBLE else None


def ranges_of(program: PatternProgram, stages: tuple[Stage, ...]) -> tuple[Range, ...]:
    """Return what every unit of the stages holds, stage by stage."""
    found, start = [], 0
    for stage in stages:
        stop = start + stage.steps
        for kind, count in enumerate(stage.units):
            rate = float(program.rate[kind, stage.steps - 1])
            found += [Range(region=stage.region, kind=kind, start=start, stop=stop, rate=rate)] * count
        start = stop
    return tuple(found)


def prove_stages(program: PatternProgram, result: PatternResult, limits: Limits | None = None) -> StagesBound | None:
    """Prove that no line of aligned stages carries more than ``result.stages_bound``.

    Returns
    -------
    StagesBound or None
        What :func:`~coinfer.solver.certificate.pattern.check_stages` accepts; ``None`` where a limit ended the proof.
    """
    rates = stage_rates(program)
    above = rates[rates > result.stages_bound]
    if not len(above):
        return StagesBound(rate=result.stages_bound, refuted=None, proof=None)
    refuted = float(above[0])
    target = target_program(program, refuted)
    shown = prove(target.program, limits=limits, scale=float(program.steps))
    if shown.bound != math.inf:
        return None
    return StagesBound(rate=result.stages_bound, refuted=refuted, proof=shown.proof)
