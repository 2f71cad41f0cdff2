"""What a solve by floats with one budget leaves: numbers out of range, and gaps that only rounding keeps open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.certificate.knapsack import KnapsackProof
from coinfer.solver.knapsack.exact import exact_product_sum
from coinfer.solver.knapsack.plan import rounded_up
from coinfer.solver.knapsack.price import choose
from coinfer.solver.knapsack.program import Menus, MultipleChoiceKnapsack
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.knapsack.scales import Scales, scales_of
from coinfer.solver.knapsack.scan import FETCHED, Reader, Stopped, Watch
from coinfer.solver.knapsack.small import MOST_CELLS, TooMany, best_of_few
from coinfer.solver.limits import Limits
from coinfer.solver.program import IntArray
from coinfer.solver.result import Status

CLOSED = 1e-9
"""Gap relative to the value up to which rounding may keep the bound of an optimum above it."""
SUMS = 4
"""Sums that the search in whole numbers looks at, as a multiple of the states of the search by floats."""


def rescaled(
    program: MultipleChoiceKnapsack, watch: Watch, solve: Callable[[MultipleChoiceKnapsack], KnapsackResult]
) -> KnapsackResult:
    """Solve a program with numbers that are not safe as floats, by ``solve`` in other units.

    Raises
    ------
    InputError
        For menus that are not what they should be, and sums beyond the range of floats.
    Stopped
        Where a limit is hit before there is a choice.
    """
    scales = scales_of(Reader(program.menus, watch))
    above = solve(scales.program(program, hopeful=True))
    if scales.fits or above.status in {Status.INFEASIBLE, Status.UNSOLVED}:
        return _in_true_units(program, scales, above, above.taken)
    taken = solve(scales.program(program, hopeful=False)).taken
    if taken is None:
        taken = _cheapest(program, watch)
    if taken is None:
        proof = KnapsackProof(prices=(1.0,), shows="infeasible")
        return replace(above, status=Status.INFEASIBLE, limit=None, taken=None, value=-math.inf, bound=-math.inf,
                       cost=np.full(1, np.nan), proof=proof)  # fmt: skip
    return _in_true_units(program, scales, above, taken)


def settled(program: MultipleChoiceKnapsack, result: KnapsackResult, watch: Watch, most_states: int) -> KnapsackResult:
    """Return the result where its gap is closed; else what a search in whole numbers makes of it.

    A gap that stays open for more than :data:`CLOSED` is said to be open, whatever the cause.
    """
    if result.status is Status.INFEASIBLE or result.limit not in {None, "states"}:
        return result
    menus = program.menus
    asked = max(watch.limits.relative_gap, watch.limits.absolute_gap) > 0.0
    closed = result.status is Status.OPTIMAL and _closed(result, watch.limits)
    if closed and (asked or result.gap == 0.0 or not _whole(menus)):
        return result
    opened = replace(result, status=Status.FEASIBLE, limit="states")
    if menus.rows * menus.options > MOST_CELLS:
        return opened
    value = None if result.taken is None else taken_sums(menus, result.taken)[0]
    price = 0.0 if result.proof is None else result.proof.prices[0]
    try:
        best = best_of_few(program, price=price, known=value, watch=watch, most=SUMS * most_states)
    except TooMany:
        return opened
    except Stopped as stopped:
        return replace(opened, limit=str(stopped))
    if best is not None:
        value, cost = best.value, best.cost
        result = replace(result, taken=best.taken, value=in_range(value, "menus.value"))
        result = replace(result, cost=np.array([in_range(cost, "menus.cost")]))
    if value is None:
        proof = KnapsackProof(prices=(1.0,), shows="infeasible")
        return replace(result, status=Status.INFEASIBLE, limit=None, bound=-math.inf, proof=proof)
    bound = max(result.value, min(result.bound, rounded_up(value)))
    proof = KnapsackProof(prices=(price,), core_bound=bound)
    return replace(result, status=Status.OPTIMAL, limit=None, bound=bound, proof=proof, seconds=watch.seconds)


def taken_sums(menus: Menus, taken: IntArray) -> tuple[Fraction, Fraction]:
    """Return what a choice gains and takes of the first resource, exactly."""
    value, cost = Fraction(0), Fraction(0)
    for start in range(0, menus.rows, FETCHED):
        stop = min(start + FETCHED, menus.rows)
        row, option, count = taken[np.searchsorted(taken[:, 0], start) : np.searchsorted(taken[:, 0], stop)].T
        block = menus.block(start, stop)
        value += exact_product_sum(block.value[row - start, option], count)
        cost += exact_product_sum(block.cost[0, row - start, option], count)
    return value, cost


def in_range(number: Fraction, where: str) -> float:
    """Return a sum as a float.

    Raises
    ------
    InputError
        Where it is beyond the range of floats.
    """
    try:
        return float(number)
    except OverflowError:
        raise InputError(where, expected="sums within the range of floats", found=Plain("larger ones")) from None


def _closed(result: KnapsackResult, limits: Limits) -> bool:
    asked = max(limits.absolute_gap, limits.relative_gap * max(abs(result.value), 1e-9))
    return result.gap <= max(asked * (1.0 + CLOSED), CLOSED * abs(result.value))


def _whole(menus: Menus) -> bool:
    """Tell whether all values are whole numbers whose sums floats hold."""
    total, start, stop = 0.0, 0, 0
    while stop < menus.rows:
        start, stop = stop, min(menus.rows, 4 * stop + 64, stop + FETCHED)  # a few rows tell in most cases
        block = menus.block(start, stop)
        value = np.where(block.value > -np.inf, block.value, 0.0)
        if (value != np.trunc(value)).any():
            return False
        total += float(np.abs(value).max(axis=1) @ block.copies)
    return total < 2.0**52


def _in_true_units(
    program: MultipleChoiceKnapsack, scales: Scales, above: KnapsackResult, taken: IntArray | None
) -> KnapsackResult:
    """Return the result with the choice ``taken`` and the bound of ``above``, which is in other units."""
    bound = scales.bound(above.bound)
    proof = above.proof
    if proof is not None and proof.shows == "bound":
        alone = proof.core_bound is None and scales.exactly(proof.prices[0])
        core = None if alone or math.isinf(bound) else bound
        proof = KnapsackProof(prices=(scales.price(proof.prices[0]),), core_bound=core)
    if taken is None:
        return replace(above, bound=bound, proof=proof)
    value, cost = taken_sums(program.menus, taken)
    own = in_range(value, "menus.value")
    return replace(
        above,
        taken=taken,
        value=own,
        cost=np.array([in_range(cost, "menus.cost")]),
        bound=max(bound, own),
        proof=proof,
    )


def _cheapest(program: MultipleChoiceKnapsack, watch: Watch) -> IntArray | None:
    """Return the choice of least cost; ``None`` where it takes more than the budget."""
    reader, parts, total = Reader(program.menus, watch), [], Fraction(0)
    for start in range(0, program.menus.rows, FETCHED):
        watch.look()
        piece = reader.at(start, min(start + FETCHED, program.menus.rows))
        option = choose(piece.value, piece.cost, math.inf)
        line = np.arange(len(option))
        total += exact_product_sum(piece.cost[line, option], piece.copies)
        parts.append(np.stack([line + start, option, piece.copies], axis=1))
    return np.concatenate(parts) if total <= Fraction(float(program.budget[0])) else None
