"""The pipeline that sustains most: a sweep over its depth, each depth solved, each answer weighed by its balance.

Static flow is bought with depth, and depth costs latency and, by Little's law, room in the caches
(:mod:`coinfer.models.split.sustained`). So every number of stages is solved for its largest flow, first without regard
to caches, then, where they bind, with the flow through each unit held to what its cache allows for the stay found.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import msgspec

from coinfer.errors import Infeasible, LimitReached
from coinfer.models.split.pipeline import PipelinePlan
from coinfer.models.split.sustained import Sustained, sustained
from coinfer.models.split.throughput import PipelineCluster
from coinfer.solver.limits import Limits
from coinfer.solver.pattern.flow import Range, max_flow
from coinfer.solver.pattern.improve import improve_ranges
from coinfer.solver.pattern.solve import PatternResult, solve_pattern

_STAY_ROUNDS = 3
_GAIN = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputChoice:
    """One pipeline of the sweep.

    Attributes
    ----------
    stage_limit
        Most stages it was allowed.
    result
        The solve; its bounds are of the flow at that limit, and hold for the cluster where ``stay_s`` is ``None``.
    stay_s
        The stay of a request for which caches were counted; ``None`` where they were not.
    static_tokens_per_s
        Its largest flow without regard to caches.
    mean_units
        Units on the way of a token.
    ranges
        What each unit holds: that of the result, or better by the balance.
    plan
        What runs; its ``in_flight`` is what the sustained flow needs by Little's law.
    sustained
        What it sustains.
    """

    stage_limit: int
    result: PatternResult
    stay_s: float | None
    static_tokens_per_s: float
    mean_units: float
    ranges: tuple[Range, ...]
    plan: PipelinePlan
    sustained: Sustained


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputPlan:
    """The choice, and what it was chosen from.

    Attributes
    ----------
    best
        The choice that sustains most within the limit on latency.
    choices
        The best of each depth, by depth.
    complete
        False where a limit ended the sweep.
    seconds
        Wall-clock time.
    """

    best: ThroughputChoice
    choices: tuple[ThroughputChoice, ...]
    complete: bool
    seconds: float


def plan_throughput(
    cluster: PipelineCluster,
    *,
    prompt_tokens: float,
    output_tokens: float,
    token_limit_s: float | None = None,
    improve_s: float = 0.0,
    limits: Limits | None = None,
) -> ThroughputPlan:
    """Choose the pipeline that sustains the most tokens per second.

    Parameters
    ----------
    cluster
        Units and links.
    prompt_tokens, output_tokens
        Mean lengths of the requests.
    token_limit_s
        Longest time for a written token, as the balance predicts it.
    improve_s
        Seconds of local improvement of the best choice, by what it sustains.
    limits
        ``time_s`` is for the whole sweep.

    Raises
    ------
    Infeasible
        If the units cannot hold all layers, or no depth keeps the limit on latency.
    LimitReached
        If a limit was hit before any pipeline was found.
    """
    began = time.perf_counter()
    limits = limits or Limits()
    choices: list[ThroughputChoice] = []
    complete = True
    for stages in range(1, sum(len(names) for names in cluster.nodes.values()) + 1):
        left = None if limits.time_s is None else limits.time_s - (time.perf_counter() - began)
        if left is not None and left <= 0.0:
            complete = False
            break
        found = _best_of_depth(
            cluster, stages, (prompt_tokens, output_tokens), msgspec.structs.replace(limits, time_s=left)
        )
        if found is not None and (not choices or found.result.stages != choices[-1].result.stages):
            choices.append(found)
    limit = math.inf if token_limit_s is None else token_limit_s
    within = [choice for choice in choices if choice.sustained.token_s <= limit]
    if not within:
        if not complete:
            raise LimitReached("the time limit was reached before any pipeline was found")
        reason = f"within {limit:g} s a token" if choices else "that holds all layers"
        raise Infeasible(f"no pipeline of these units was found {reason}")
    best = max(within, key=lambda choice: choice.sustained.tokens_per_s)
    if improve_s > 0.0:
        best = _improved(cluster, best, (prompt_tokens, output_tokens), limit, improve_s)
    return ThroughputPlan(best=best, choices=tuple(choices), complete=complete, seconds=time.perf_counter() - began)


def _best_of_depth(
    cluster: PipelineCluster, stages: int, lengths: tuple[float, float], limits: Limits
) -> ThroughputChoice | None:
    """Return the pipeline of at most ``stages`` stages that sustains most; ``None`` where none was found."""
    best: ThroughputChoice | None = None
    stay_s: float | None = None
    for _ in range(_STAY_ROUNDS):
        result = solve_pattern(cluster.program(stage_limit=stages, stay_s=stay_s), limits)
        if not result.stages:
            break
        found = _weighed(cluster, stages, result, stay_s, lengths)
        if best is not None and found.sustained.tokens_per_s <= best.sustained.tokens_per_s * (1.0 + _GAIN):
            break
        best = found
        if found.sustained.limit != "cache":
            break
        stay_s = found.sustained.prompt_s + (lengths[1] - 1.0) * found.sustained.token_s
    return best


def _weighed(
    cluster: PipelineCluster,
    stages: int,
    result: PatternResult,
    stay_s: float | None,
    lengths: tuple[float, float],
) -> ThroughputChoice:
    """Return a result with what it sustains."""
    program = cluster.program(stage_limit=stages)
    ranges = tuple(
        replace(unit, rate=float(program.rate[unit.kind, unit.stop - unit.start - 1])) for unit in result.ranges
    )
    static = max_flow(ranges, steps=program.steps, link=program.link)
    # Weights come from the flow that counts caches, where there is one: its parts keep what each cache allows.
    plan = cluster.pipeline(result.ranges, result.flow)
    figures = sustained(plan, prompt_tokens=lengths[0], output_tokens=lengths[1])
    return ThroughputChoice(
        stage_limit=stages,
        result=result,
        stay_s=stay_s,
        static_tokens_per_s=static.value,
        mean_units=result.flow.mean_units,
        ranges=result.ranges,
        plan=_limited(plan, figures),
        sustained=figures,
    )


def _limited(plan: PipelinePlan, figures: Sustained) -> PipelinePlan:
    """Return the plan with as many requests in flight as its sustained flow needs: more would only wait."""
    return replace(plan, in_flight=max(1, math.ceil(figures.in_flight)))


def _improved(
    cluster: PipelineCluster, choice: ThroughputChoice, lengths: tuple[float, float], limit: float, time_s: float
) -> ThroughputChoice:
    """Return the choice after local improvement of its ranges, by what they sustain within the limit on latency."""
    program = cluster.program(stage_limit=choice.stage_limit, stay_s=choice.stay_s)

    def figures(ranges: tuple[Range, ...]) -> tuple[PipelinePlan, Sustained, float] | None:
        flow = max_flow(ranges, steps=program.steps, link=program.link)
        if not flow.value:
            return None
        plan = cluster.pipeline(ranges, flow)
        return plan, sustained(plan, prompt_tokens=lengths[0], output_tokens=lengths[1]), flow.mean_units

    def worth(ranges: tuple[Range, ...]) -> float:
        found = figures(ranges)
        return found[1].tokens_per_s if found is not None and found[1].token_s <= limit else 0.0

    ranges = improve_ranges(program, choice.ranges, time_s=time_s, value=worth)
    found = figures(ranges)
    if found is None or found[1].tokens_per_s <= choice.sustained.tokens_per_s:
        return choice
    free = cluster.program(stage_limit=choice.stage_limit)
    rated = tuple(replace(unit, rate=float(free.rate[unit.kind, unit.stop - unit.start - 1])) for unit in ranges)
    return replace(
        choice,
        static_tokens_per_s=max_flow(rated, steps=free.steps, link=free.link).value,
        mean_units=found[2],
        ranges=ranges,
        plan=_limited(found[0], found[1]),
        sustained=found[1],
    )
