"""The exact program over the options whose loss under the prices is below the gap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import msgspec
import numpy as np

from coinfer.solver import mip
from coinfer.solver.knapsack.base import Base, Choice, choice_of
from coinfer.solver.knapsack.plan import rounded_up
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, MixedIntegerProgram
from coinfer.solver.result import Status


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searched:
    """What the search over the options of ``base.near`` found.

    Attributes
    ----------
    choice
        The best choice known; ``None`` without one.
    bound
        No choice of these options gains more; ``inf`` where nothing was proven, ``-inf`` where there is no choice.
    done
        Whether the search went to its end.
    limit
        What stopped it.
    """

    choice: Choice | None
    bound: float
    done: bool
    limit: str | None


def search(base: Base, budget: FloatArray, known: Choice | None, watch: Watch, nodes: int) -> Searched:
    """Search at most so many ``nodes`` by branch and cut; ``known`` must be a choice of the same base."""
    near = base.near
    heads = near.first[:-1][near.row_of_option]
    gain = near.value - near.value[heads]
    slack = np.array([float(Fraction(own) - total) for own, total in zip(budget.tolist(), base.cost, strict=True)])
    program = _program(base, gain, near.cost - near.cost[:, heads], slack)
    left = None if watch.limits.time_s is None else max(0.0, watch.limits.time_s - watch.seconds)
    limits = msgspec.structs.replace(Limits(seed=watch.limits.seed), time_s=left, nodes=nodes)
    start = None if known is None else known.counts.astype(np.float64)
    result = mip.solve(program, limits=limits, start=start, stop=watch.stop)
    choice = known
    if result.incumbent is not None:
        found = choice_of(base, np.rint(result.incumbent).astype(np.int64), budget)
        if found is not None and (known is None or found.value > known.value):
            choice = found
    bound = math.inf
    if math.isfinite(result.bound):
        bound = _above(base.value - Fraction(result.bound), gain, base.value)
    if result.status is Status.INFEASIBLE:
        bound = -math.inf
    if choice is not None:
        bound = max(bound, rounded_up(choice.value))
    done = result.status in (Status.OPTIMAL, Status.INFEASIBLE)
    return Searched(choice=choice, bound=bound, done=done, limit=None if done else result.limit)


def _above(bound: Fraction, gain: FloatArray, base: Fraction) -> float:
    """Return the bound as a float; where all values are whole numbers, the whole number below it."""
    if base.denominator == 1 and bool((gain == np.trunc(gain)).all()) and float(np.abs(gain).sum()) < 2**40:
        return float(math.floor(bound + Fraction(1, 10**6)))
    return rounded_up(bound)


def _program(base: Base, gain: FloatArray, cost: FloatArray, slack: FloatArray) -> MixedIntegerProgram:
    """Return the program of least loss of gain: all copies of each row take an option, within what is left."""
    near = base.near
    rows, count, resources = len(near.row), len(near.option), len(slack)
    parts = [np.flatnonzero(own) for own in cost]
    starts = np.concatenate([near.first[:-1], count + np.cumsum([0, *(len(part) for part in parts)])])
    copies = near.copies.astype(np.float64)
    return MixedIntegerProgram(
        cost=-gain,
        offset=0.0,
        lower=np.zeros(count),
        upper=copies[near.row_of_option],
        integer=np.ones(count, dtype=np.bool_),
        row_start=starts.astype(np.int64),
        column=np.concatenate([np.arange(count), *parts]).astype(np.int64),
        coefficient=np.concatenate([np.ones(count), *(own[part] for own, part in zip(cost, parts, strict=True))]),
        row_lower=np.concatenate([copies, np.full(resources, -np.inf)]),
        row_upper=np.concatenate([copies, slack]),
        variable_blocks=MappingProxyType({"takes": slice(0, count)}),
        row_blocks=MappingProxyType({"one_each": slice(0, rows), "budget": slice(rows, rows + resources)}),
    )
