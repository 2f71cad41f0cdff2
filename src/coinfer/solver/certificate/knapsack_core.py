r"""Go through every choice that prices leave open, to show a bound below the one of the prices.

With the best worth :math:`w_i = \max_j (v_{ij} - \lambda c_{ij})` of each row, a choice that keeps the budgets has
the value :math:`L(\lambda) - \sum \ell_{ij} - \lambda \cdot s`, where :math:`\ell_{ij} \ge 0` is what its options lose
against :math:`w_i` and :math:`s \ge 0` what it leaves of the budgets. So one above a claimed bound :math:`\beta` is
made of options that together lose less than :math:`G = L(\lambda) - \beta`, and leaves less than that unspent. The rows
with more than one such option are gone through one after another, keeping the sums (cost, value) that no other sum
dominates. A sum is given up where even the rest of the rows can bring it neither inside the budgets nor near enough.

Where the menus are no decimals the same is done in floats, with a tolerance that is added to the bound shown.

Where few choices are open, as for few rows of many copies, they are listed instead
(:mod:`coinfer.solver.certificate.knapsack_lattice`), and the bound shown is exact for all numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import CertificateError
from coinfer.solver.certificate.knapsack_exact import decimal
from coinfer.solver.certificate.knapsack_lattice import best_left
from coinfer.solver.certificate.knapsack_open import Open, collect, rounding
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack

MOST_ROWS = 20_000
"""Rows, each copy counted, that are gone through at most."""
UNIT = 2.0**-53
ROUNDING = Fraction(1, 2**50)
"""What a claim may be too low by, relative to the sizes summed up: it is a float, and so was what it is the sum of."""
MOST_WORK = (16, 1)
"""Sums made in all, as a multiple of those kept at a time: for one limit, and for several, which hardly dominate."""
ROOM = 2**61
ROUNDED = 1.0 + 1e-9
"""What sums of losses, none below 0, are allowed more for their rounding."""

Numbers = NDArray[Any]


def check_core(
    program: MultipleChoiceKnapsack, prices: tuple[float, ...], claimed: float, bound: Fraction, *, most_states: int
) -> Fraction | None:
    """Return the bound that is shown, ``claimed`` or a little above; ``None`` where the core is too large to tell.

    Parameters
    ----------
    program, prices
        See the module.
    claimed
        The bound to be shown.
    bound
        The one of the prices, not rounded, above ``claimed``.
    most_states
        Sums that are kept at a time.

    Raises
    ------
    CertificateError
        If a choice is found that keeps the budgets and is above the claim.
    """
    given = tuple(decimal(price) for price in prices)
    claim = decimal(claimed)
    found = collect(program, given, bound - claim)
    if found is None:
        return None
    left = _left(program, found, max)
    unspent = (price * room for price, room in zip(given, left, strict=True) if room is not None)
    allowed = found.value + sum(unspent, Fraction(0)) - claim
    if allowed <= 0:
        return claim
    above = claim - found.value
    done, best = best_left(found.rows, left, given, allowed, above)
    if not done:
        return _by_sums(found, left, given, claimed, allowed, most_states)
    if best is None or best.gain - above <= ROUNDING * (Fraction(found.size) + abs(claim)):
        return claim if best is None else found.value + best.gain
    done, best = best_left(found.rows, _left(program, found, min), given, allowed, above)
    if best is None:
        return None  # whether that choice keeps the limits is a matter of how a float is read
    raise CertificateError(f"proof.core_bound: a choice above {claimed!r} keeps the limits")


def _left(
    program: MultipleChoiceKnapsack, found: Open, pick: Callable[[Fraction, Fraction], Fraction]
) -> list[Fraction | None]:
    """Return the budgets less what the best options take.

    Beside costs that are decimals a budget is the decimal that it is written as; beside others, the larger or the
    smaller of that and the float itself.
    """
    left: list[Fraction | None] = []
    for limit, used in zip(program.budget.tolist(), found.taken, strict=True):
        if math.isinf(limit):
            left.append(None)
        else:
            room = decimal(limit) if found.exact_costs else pick(decimal(limit), Fraction(limit))
            left.append(room - used)
    return left


def _by_sums(
    found: Open,
    left: list[Fraction | None],
    prices: tuple[Fraction, ...],
    claimed: float,
    allowed: Fraction,
    most_states: int,
) -> Fraction | None:
    """Do the same row by row, where there are too many choices to list them."""
    tolerance = Fraction(0)
    sums = _Sums.of(found, left, prices, allowed, exact=True, exact_costs=True) if found.exact else None
    if sums is None:  # no decimals, or too many digits for whole numbers
        tolerance = rounding(found)
        if found.exact_costs:
            sums = _Sums.of(found, left, prices, allowed, exact=False, exact_costs=True)
        sums = sums or _Sums.of(found, left, prices, allowed, exact=False, exact_costs=False)
    if sums is None or not sums.run(most_states):
        return None
    above = decimal(claimed) - found.value
    if found.exact and tolerance == 0 and not sums.gains_more_than(above, surely=False):
        return decimal(claimed)
    tolerance += ROUNDING * (Fraction(found.size) + abs(decimal(claimed)))
    if sums.gains_more_than(above + tolerance, surely=True):
        raise CertificateError(f"proof.core_bound: a choice above {claimed!r} keeps the limits")
    if sums.gains_more_than(above + tolerance, surely=False):
        return None  # in floats it cannot be told whether that choice keeps the limits
    return decimal(claimed) + 2 * tolerance


class _Sums:
    """Undominated sums over the rows gone through so far: what they take of each resource, gain, and lose."""

    def __init__(
        self,
        rows: list[tuple[int, Numbers, Numbers, Numbers]],
        left: Numbers,
        weights: list[float],
        allowed: float,
        unit: int,
        margin: Numbers,
    ) -> None:
        self.rows, self.left, self.allowed, self.unit = rows, left, allowed, unit
        self.weights = np.array(weights)
        self.margin = margin
        self.cost = np.zeros((1, len(left)), dtype=left.dtype)
        self.gain, self.loss = np.zeros(1, dtype=rows[0][2].dtype if rows else np.float64), np.zeros(1)

    @classmethod
    def of(
        cls,
        found: Open,
        left: list[Fraction | None],
        prices: tuple[Fraction, ...],
        allowed: Fraction,
        *,
        exact: bool,
        exact_costs: bool,
    ) -> _Sums | None:
        """Put the rows into arrays: whole numbers where exact; ``None`` where those are too large or rows too many.

        Resources without a limit are left out. Gains and costs each have a unit of their own. Losses are floats: they
        only say early which sums to give up, with room for their rounding.
        """
        rows = found.rows
        kept = [r for r, room in enumerate(left) if room is not None]
        gains = [number for row in rows for number in row.gain]
        costs = [[*(each[r] for row in rows for each in row.cost), left[r] or Fraction(0)] for r in kept]
        whole = [exact, *(exact_costs for _ in kept)]
        units = [_unit(numbers) if ints else 1 for ints, numbers in zip(whole, (gains, *costs), strict=True)]
        copies = sum(row.copies for row in rows) + 1
        for ints, unit, numbers in zip(whole, units, (gains, *costs), strict=True):
            if ints and max((abs(number) for number in numbers), default=Fraction(0)) * unit * copies >= ROOM:
                return None
        kind = np.int64 if exact_costs else np.float64
        made = []
        for row in rows:
            table = [
                _array([each[r] for each in row.cost], unit, ints=exact_costs)
                for r, unit in zip(kept, units[1:], strict=True)
            ]
            cost = np.array(table, dtype=kind).reshape(len(kept), len(row.loss)).T
            loss = np.array([max(float(number), 0.0) for number in row.loss])
            others = loss[loss > 0.0]
            most = row.copies
            if len(others) == len(loss) - 1 and len(others):  # each copy that deviates loses something
                most = min(most, int(min(float(allowed) / float(others.min()), most)) + 1)
            made.append((most, cost, _array(row.gain, units[0], ints=exact), loss))
        if sum(row[0] for row in made) > MOST_ROWS:
            return None
        made.sort(key=lambda row: -float(np.abs(row[1]).max(initial=0)))
        rooms = [
            _array([left[r] or Fraction(0)], unit, ints=exact_costs) for r, unit in zip(kept, units[1:], strict=True)
        ]
        room = np.concatenate(rooms) if rooms else np.zeros(0, dtype=kind)
        weights = [float(prices[r]) / unit for r, unit in zip(kept, units[1:], strict=True)]
        margin = np.zeros_like(room)
        if not exact_costs:  # what a sum of so many floats can be off by, from the size of all that was added
            steps = sum(row[0] for row in made) + 8
            size = sum((row[0] * np.abs(row[1]).max(axis=0) for row in made), np.abs(room))
            margin = steps * UNIT * size
        most_lost = (float(allowed) + 2.0 * float(margin @ np.array(weights))) * ROUNDED
        return cls(made, room, weights, most_lost, units[0], margin)

    def run(self, most_states: int) -> bool:
        """Go through all rows; false where there were too many sums."""
        ahead = [most * np.stack([cost.min(axis=0), cost.max(axis=0)]) for most, cost, _, _ in self.rows]
        future = np.zeros((2, len(self.left)), dtype=self.left.dtype)
        for each in ahead:
            future += each
        self._give_up(future)
        work = MOST_WORK[len(self.left) > 1] * most_states
        for most, cost, gain, loss in self.rows:
            step = np.stack([cost.min(axis=0), cost.max(axis=0)])
            for _ in range(most):
                future = future - step
                work -= len(self.loss) * len(loss)
                if len(self.loss) * len(loss) > most_states or work < 0:
                    return False
                self.cost = (self.cost[:, None] + cost[None]).reshape(len(self.loss) * len(loss), len(self.left))
                self.gain = (self.gain[:, None] + gain[None]).ravel()
                self.loss = (self.loss[:, None] + loss[None]).ravel()
                self._give_up(future)
                self._dominate()
                if not len(self.loss):
                    return True
        return True

    def _give_up(self, future: Numbers) -> None:
        """Drop the sums that no rest can bring inside the limits, or near enough to them."""
        if not len(self.left):
            keep = self.loss <= self.allowed
        else:
            inside = (self.cost + future[0] <= self.left + self.margin).all(axis=1)
            unspent = np.maximum(self.left - self.cost - future[1], 0) @ self.weights
            keep = inside & (self.loss + unspent <= self.allowed)
        self.cost, self.gain, self.loss = self.cost[keep], self.gain[keep], self.loss[keep]

    def _dominate(self) -> None:
        """Drop a sum where another takes no more and gains no less."""
        if not self.cost.shape[1]:  # no limit: the sum that gains most
            keep = np.argsort(-self.gain, kind="stable")[:1]
        elif self.cost.shape[1] == 1:
            order = np.lexsort((-self.gain, self.cost[:, 0]))
            best = np.maximum.accumulate(self.gain[order])
            keep = order[np.concatenate([[True], best[1:] > best[:-1]])] if len(order) else order
        else:
            order = np.lexsort((-self.gain, *self.cost.T))
            ordered = self.cost[order]
            keep = order[np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])] if len(order) else order
        self.cost, self.gain, self.loss = self.cost[keep], self.gain[keep], self.loss[keep]

    def gains_more_than(self, gain: Fraction, *, surely: bool) -> bool:
        """Whether a sum that is left gains more than ``gain``; ``surely``: one that is well inside the limits."""
        inside = (
            (self.cost <= self.left - self.margin).all(axis=1) if surely else np.ones(len(self.gain), dtype=np.bool_)
        )
        return any(Fraction(found) > gain * self.unit for found in self.gain[inside].tolist())


def _array(numbers: list[Fraction], unit: int, *, ints: bool) -> Numbers:
    if ints:
        return np.array([int(number * unit) for number in numbers], dtype=np.int64)
    return np.array([float(number) for number in numbers])


def _unit(numbers: list[Fraction]) -> int:
    """Return a number that makes all of them whole."""
    return math.lcm(1, *(number.denominator for number in numbers))
