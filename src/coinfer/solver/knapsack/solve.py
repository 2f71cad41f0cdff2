"""Solve a multiple-choice knapsack with one or several budgets."""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
import numpy as np

from coinfer.solver.certificate.knapsack import KnapsackProof
from coinfer.solver.knapsack.binding import binding, only, taken_cost
from coinfer.solver.knapsack.multiple import solve_multiple
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.knapsack.single import MOST_STATES, solve_single
from coinfer.solver.limits import Limits
from coinfer.solver.program import IntArray
from coinfer.solver.progress import OnProgress, Stop


def solve(
    program: MultipleChoiceKnapsack,
    *,
    limits: Limits | None = None,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
    most_states: int = MOST_STATES,
) -> KnapsackResult:
    """Maximise the value of a choice within its budgets.

    Budgets that no choice can exceed are left out; one that is left is solved by its slopes and an exact search,
    several by their prices.

    Parameters
    ----------
    program
        With one resource or more.
    limits
        ``time_s``; ``nodes`` counts the states of the exact search for one budget, the passes over all rows for
        several; with a ``relative_gap`` or an ``absolute_gap`` the solve ends as soon as that is proven.
    stop
        Ends the solve soon; it keeps what it has.
    on_progress
        Called with each better value and upper bound, and at the end.
    most_states
        States of the exact search at a time, for one budget.

    Raises
    ------
    InputError
        For menus that are not what :class:`~coinfer.solver.knapsack.program.Block` says.
    """
    began = time.perf_counter()
    limits, stop = limits or Limits(), stop or Stop()
    resources = program.menus.resources
    kept = np.arange(resources) if resources == 1 else binding(program)
    if len(kept) > 1:
        part = only(program, kept)
        result = solve_multiple(part, limits=_left(limits, began), stop=stop, on_progress=on_progress)
    else:
        part = only(program, kept if len(kept) else np.zeros(1, dtype=np.int64))
        if not len(kept):
            part = replace(part, budget=np.array([np.inf]))
        result = solve_single(
            part, limits=_left(limits, began), stop=stop, on_progress=on_progress, most_states=most_states
        )
    if len(kept) == resources:
        return result
    return _widened(program, result, kept, time.perf_counter() - began)


def _left(limits: Limits, began: float) -> Limits:
    """Return the limits less the time that is gone."""
    if limits.time_s is None:
        return limits
    return msgspec.structs.replace(limits, time_s=max(0.0, limits.time_s - (time.perf_counter() - began)))


def _widened(program: MultipleChoiceKnapsack, result: KnapsackResult, kept: IntArray, seconds: float) -> KnapsackResult:
    """Return the result with a price of 0 and the cost of each budget that was left out."""
    resources = program.menus.resources
    proof = result.proof
    if proof is not None:
        prices = np.zeros(resources)
        prices[kept] = proof.prices[: len(kept)]
        proof = KnapsackProof(prices=tuple(prices.tolist()), shows=proof.shows, core_bound=proof.core_bound)
    cost = np.full(resources, np.nan)
    if result.taken is not None:
        cost = taken_cost(program.menus, result.taken)
        cost[kept] = result.cost[: len(kept)]
    return replace(result, proof=proof, cost=cost, seconds=seconds)
