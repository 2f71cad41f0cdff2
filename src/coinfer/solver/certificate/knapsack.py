r"""Check what prices show about a multiple-choice knapsack: one pass over the rows, numpy and integers only.

**Claim.** For prices :math:`\lambda \ge 0` no choice that keeps the budgets gains more than

.. math:: L(\lambda) = \sum_i n_i \max_j (v_{ij} - \lambda \cdot c_{ij}) + \lambda \cdot B.

*Proof.* A choice that keeps the budgets has :math:`\lambda \cdot (B - \sum c) \ge 0`; add that to its value. ∎ A budget
without a limit must have the price 0.

**Claim.** If :math:`\sum_i n_i \min_j \lambda \cdot c_{ij} > \lambda \cdot B` there is no such choice. *Proof.* One
would have :math:`\lambda \cdot \sum c \le \lambda \cdot B`. ∎

**Rounding.** Where the menus of a block are decimals of at most twelve places they are turned into whole numbers and
the sums are exact. Elsewhere a float stands for itself: with :math:`u = 2^{-53}` and R prices, the worth of an option
is off by at most :math:`(R + 2) u (|v| + \sum_r \lambda_r |c_r|)`, products with copies add one :math:`u` and
``math.fsum`` one more; the sum of these, with :math:`R + 6` in place of :math:`R + 4`, is added to the bound.
Where options are few, these sums too are made in rational arithmetic, and nothing is added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from coinfer.errors import CertificateError
from coinfer.records import Record
from coinfer.solver.certificate.knapsack_exact import (
    best_of_rows,
    decimal,
    value_digits,
    weighted_sum,
    whole_block,
    whole_costs,
    worths,
)
from coinfer.solver.knapsack.program import Block, MultipleChoiceKnapsack, check_block
from coinfer.solver.program import FloatArray

UNIT = 2.0**-53
BLOCK_ROWS = 2**14
LARGEST = 10**290
FEW = 2**12
"""Options of all rows up to which sums of floats, too, are made without rounding."""
SHORT = 9
"""Significant digits of a price that a plan carries: few enough for whole numbers of 64 bits."""


class KnapsackProof(Record, frozen=True, kw_only=True, tag_field="kind", tag="prices"):
    r"""Prices of the resources; any that are at least 0 show something true.

    Attributes
    ----------
    prices
        One for each resource, at least 0.
    shows
        ``bound``, or ``infeasible``.
    core_bound
        A bound below the one of the prices: every choice above it would have to be made of options whose loss under the
        prices is less than the difference, and going through all of those finds none. Absent: the prices alone.
    """

    prices: tuple[float, ...]
    shows: Literal["bound", "infeasible"] = "bound"
    core_bound: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a proof shows.

    Attributes
    ----------
    bound
        No feasible choice gains more; ``None`` where that was not asked for.
    infeasible
        Whether there is no feasible choice.
    method
        How it was shown, in words.
    exact
        Whether all menus were decimals, so that the sums are exact.
    core
        Whether the core was gone through.
    """

    bound: float | None
    infeasible: bool
    method: str
    exact: bool
    core: bool


def short_prices(prices: tuple[float, ...], digits: int = SHORT) -> tuple[float, ...]:
    """Return the prices with so many significant digits: any price is valid, and short ones are summed quickly."""
    return tuple(float(f"{max(price, 0.0):.{digits - 1}e}") for price in prices)


def price_bound(program: MultipleChoiceKnapsack, prices: tuple[float, ...]) -> tuple[Fraction, bool]:
    """Return an upper bound on the value of any feasible choice, and whether its sums are exact.

    Raises
    ------
    CertificateError
        If the prices are not one number of at least 0 for each resource, or one without a limit has a price above 0.
    InputError
        If the menus are not what a block says.
    """
    given = _checked(program, prices)
    total, slack, exact = _budgets(program, given), 0.0, True
    for start, block in _blocks(program):
        check_block(block, start)
        whole = whole_block(block)
        if whole is not None:
            found = worths(whole, given)
            total += Fraction(weighted_sum(best_of_rows(found, whole.present), whole.copies), 10**found.digits)
            continue
        exact = False
        best, size = _floats(block, prices)
        if program.menus.rows * program.menus.options <= FEW:
            total += _fractions(block, given, program.budget)
            continue
        total += Fraction(math.fsum((best * block.copies).tolist()))
        slack += float(size @ block.copies)
    if exact:
        return total, True
    return total + Fraction(slack * (len(prices) + 6) * UNIT * 1.0001), False


def shows_infeasible(program: MultipleChoiceKnapsack, prices: tuple[float, ...]) -> bool:
    """Whether the cheapest choice under the prices costs more than all budgets under the prices.

    Raises
    ------
    CertificateError, InputError
        As :func:`price_bound`.
    """
    return _infeasible(program, prices)[0]


def _infeasible(program: MultipleChoiceKnapsack, prices: tuple[float, ...]) -> tuple[bool, bool]:
    """Return whether the prices show that there is no choice, and whether the sums are exact."""
    barred = program.budget == -np.inf
    if len(prices) == len(barred) and any(0.0 < prices[r] < math.inf for r in np.flatnonzero(barred).tolist()):
        _checked(program, tuple(0.0 if own else price for own, price in zip(barred.tolist(), prices, strict=True)))
        return True, True  # every cost is finite, and so above that limit
    free = MultipleChoiceKnapsack(menus=_Free(program), budget=program.budget)
    total, exact = price_bound(free, prices)
    return total < 0, exact  # the most that minus the priced cost can be, and the priced budgets


def shown_by(program: MultipleChoiceKnapsack, proof: KnapsackProof, *, most_states: int = 2_000_000) -> Shown:
    """Return what a proof shows of a program.

    Parameters
    ----------
    program, proof
        Any prices are checked; they need not be good.
    most_states
        Of the core; beyond it the core shows nothing, and the bound is that of the prices.

    Raises
    ------
    CertificateError
        If the proof does not fit the program, or its core finds a choice above what it says.
    InputError
        If the menus are not what a block says.
    """
    from coinfer.solver.certificate.knapsack_core import check_core

    words = "prices, one pass over the menus"
    if proof.shows == "infeasible":
        infeasible, exact = _infeasible(program, proof.prices)
        return Shown(bound=None, infeasible=infeasible, method=words, exact=exact, core=False)
    priced, exact = price_bound(program, proof.prices)
    bound = _whole_part(program, priced) if exact else priced
    whole = exact or program.menus.rows * program.menus.options <= FEW
    words += " in exact arithmetic" if whole else " with a margin for rounding"
    core = False
    if proof.core_bound is not None and not math.isfinite(proof.core_bound):
        raise CertificateError(f"proof.core_bound: expected a finite number; found {proof.core_bound}")
    if proof.core_bound is not None and decimal(proof.core_bound) < bound:
        checked = check_core(program, proof.prices, proof.core_bound, priced, most_states=most_states)
        core = checked is not None
        if checked is not None:
            bound = min(bound, checked)
            words += ", and every choice that they leave open"
    return Shown(bound=_up(bound, as_decimal=exact), infeasible=False, method=words, exact=exact, core=core)


def _whole_part(program: MultipleChoiceKnapsack, bound: Fraction) -> Fraction:
    """Round a bound down to a number with as many decimal places as the values have: no sum of them is in between."""
    unit = 1
    for _, block in _blocks(program):
        digits = value_digits(block)
        if digits is None:
            return bound
        unit = max(unit, 10**digits)
    return Fraction(math.floor(bound * unit), unit)


def _checked(program: MultipleChoiceKnapsack, prices: tuple[float, ...]) -> tuple[Fraction, ...]:
    if len(prices) != program.menus.resources:
        found = f"expected {program.menus.resources} price(s), one for each limit; found {len(prices)}"
        raise CertificateError(f"proof.prices: {found}")
    for i, (price, limit) in enumerate(zip(prices, program.budget.tolist(), strict=True)):
        if not 0.0 <= price < math.inf or (math.isinf(limit) and price > 0.0):
            expected = "a number of at least 0, and 0 where there is no limit"
            raise CertificateError(f"proof.prices[{i}]: expected {expected}; found {price}")
    return tuple(decimal(price) for price in prices)


def _budgets(program: MultipleChoiceKnapsack, prices: tuple[Fraction, ...]) -> Fraction:
    limits = zip(prices, program.budget.tolist(), strict=True)
    return sum((price * decimal(limit) for price, limit in limits if price), Fraction(0))


def _floats(block: Block, prices: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Return the best worth of each row in floats, and the size that its rounding error is measured by."""
    present = block.value > -np.inf
    worth, size = np.where(present, block.value, 0.0), np.abs(np.where(present, block.value, 0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        for price, sheet in zip(prices, block.cost, strict=True):
            priced = price * np.where(present, sheet, 0.0)
            worth, size = worth - priced, size + np.abs(priced)
    if not np.isfinite(size).all() or size.max() > LARGEST:
        raise CertificateError("proof: sums beyond the range of floats")
    return np.where(present, worth, -np.inf).max(axis=1), size.max(axis=1)


def _fractions(block: Block, prices: tuple[Fraction, ...], budget: FloatArray) -> Fraction:
    """Return the sum of the best worths without rounding, and what budgets are above the decimals they are written as.

    Beside costs that are no decimals a budget, too, is the float itself, where that is more.
    """
    of_cost: Callable[[float], Fraction] = decimal
    total = Fraction(0)
    if whole_costs(block) is None:
        of_cost = Fraction
        limits = zip(prices, budget.tolist(), strict=True)
        total += sum((p * max(Fraction(own) - decimal(own), Fraction(0)) for p, own in limits if p), Fraction(0))
    for i, copies in enumerate(block.copies.tolist()):
        nets = []
        for j in np.flatnonzero(block.value[i] > -np.inf).tolist():
            costs = zip(prices, block.cost[:, i, j].tolist(), strict=True)
            nets.append(Fraction(float(block.value[i, j])) - sum((p * of_cost(c) for p, c in costs if p), Fraction(0)))
        total += copies * max(nets)
    return total


def _blocks(program: MultipleChoiceKnapsack) -> Iterator[tuple[int, Block]]:
    for start in range(0, program.menus.rows, BLOCK_ROWS):
        yield start, program.menus.block(start, min(start + BLOCK_ROWS, program.menus.rows))


class _Free:
    """The menus of a program with nothing to gain."""

    def __init__(self, program: MultipleChoiceKnapsack) -> None:
        self._menus = program.menus
        self.rows, self.options, self.resources = self._menus.rows, self._menus.options, self._menus.resources

    def block(self, start: int, stop: int) -> Block:
        """Return the rows with values of 0."""
        block = self._menus.block(start, stop)
        return Block(value=np.where(block.value > -np.inf, 0.0, -np.inf), cost=block.cost, copies=block.copies)


def _up(number: Fraction, *, as_decimal: bool) -> float:
    """Return the least float that stands for no less: as the decimal it is written as, or as itself."""
    if abs(number) > LARGEST:
        raise CertificateError("proof: sums beyond the range of floats")
    found = float(number)
    while (decimal(found) if as_decimal else Fraction(found)) < number:
        found = math.nextafter(found, math.inf)
    return found
