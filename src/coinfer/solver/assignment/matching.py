"""Exact layered assignment where parts have room for one item of each layer: a matching for each pair of layers."""

from __future__ import annotations

import math
import time

import numpy as np

from coinfer.records import Matrix
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.solver.assignment.result import AssignmentResult, Moment
from coinfer.solver.certificate.matching import MatchingProof, check_matching
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop
from coinfer.solver.result import Status


def matching_class(program: LayeredAssignment) -> bool:
    """Return whether :func:`solve_matching` takes the program: interchangeable parts with room for one item each."""
    return program.interchangeable and int(program.capacity[0]) == 1


def solve_matching(program: LayeredAssignment, *, limits: Limits, stop: Stop) -> AssignmentResult:
    """Return the best assignment: each pair of layers by itself, for relabelling the later layers costs nothing.

    Parameters
    ----------
    program
        What is to be assigned; see :func:`matching_class`. Loads decide only whether anything is feasible: every
        item is alone.
    limits
        Only time is heeded.
    stop
        Ends the search soon.
    """
    from scipy.optimize import linear_sum_assignment

    began = time.perf_counter()
    part = np.tile(np.arange(program.items, dtype=np.int64), (program.layers, 1))
    prices = np.zeros((2, program.layers - 1, program.items))
    limit = None
    for pair, weights in enumerate(program.weights):
        late = limits.time_s is not None and time.perf_counter() - began >= limits.time_s
        limit = "interrupt" if stop else "time" if late else None
        if limit is not None:
            part[pair + 1 :] = part[pair]
            prices[0, pair:] = program.weights[pair:].max(axis=2)
            break
        matched = np.asarray(linear_sum_assignment(weights, maximize=True)[1], dtype=np.int64)
        part[pair + 1, matched] = part[pair]
        prices[:, pair] = _prices(weights, matched)
    found = evaluate(program, part)
    if found.violations:  # loads: those of any assignment are the same
        return _result(Status.INFEASIBLE, None, None, math.inf, None, math.inf, began)
    proof = MatchingProof(first=Matrix(prices[0]), second=Matrix(prices[1]))
    bound = min(check_matching(program, proof), found.value)
    status = Status.OPTIMAL if limit is None else Status.FEASIBLE
    return _result(status, limit, part, found.value, proof, bound, began)


def _prices(weights: FloatArray, matched: IntArray) -> FloatArray:
    """Return prices of the items of both layers, (2, items), that no weight exceeds and matched pairs meet.

    The prices of the second layer are longest paths along exchanges: taking f instead of the partner of e gains
    ``w[e, f] - w[e, partner]``, and around no circle is anything gained, since the matching is the best.
    """
    items = len(matched)
    own = weights[np.arange(items), matched]
    gain = weights - own[:, None]
    second = np.zeros(items)
    for _ in range(items):
        longer = np.maximum(second, (second[matched][:, None] + gain).max(axis=0))
        if np.array_equal(longer, second):
            break
        second = longer
    return np.stack([own - second[matched], second])


def _result(
    status: Status,
    limit: str | None,
    part: IntArray | None,
    value: float,
    proof: MatchingProof | None,
    bound: float,
    began: float,
) -> AssignmentResult:
    seconds = time.perf_counter() - began
    return AssignmentResult(
        status=status,
        limit=limit,
        part=part,
        value=value,
        bound=bound,
        proof=proof,
        trajectory=(Moment(seconds=seconds, value=value, bound=bound),),
        seconds=seconds,
        engine="matching",
    )
