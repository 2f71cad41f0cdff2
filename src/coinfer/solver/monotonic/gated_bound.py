r"""Upper bounds of a deployed gate over a box: linear majorants of each row's mean, and a priced knapsack.

Let a box hold the columns :math:`L` open, the columns :math:`F` free and the others closed. Write
:math:`N(x) = \sum_j a_j v_j x_j`, :math:`A(x) = \sum_j a_j x_j` for one row, :math:`N_L, A_L` for their values with
only :math:`L` open, :math:`t^\*` for the largest mean :math:`N/A` over the box, :math:`t_L = N_L / A_L`, and
:math:`\bar A` for an upper bound of :math:`A` over the feasible points of the box. For every :math:`t`

.. math:: \frac{N(x)}{A(x)} - t = \frac{G_L + \sum_{j \in F} d_j x_j}{A(x)}, \quad
          d_j = a_j (v_j - t), \quad G_L = N_L - t A_L .

Three majorants, each linear in :math:`x`, hold at every feasible point of the box:

*best*: :math:`t^\*`, by its definition.

*chord*: :math:`t^\* + (G_L + \sum_j d_j x_j) / \bar A` at :math:`t = t^\*`. The numerator is at most 0 (else the mean
would be above :math:`t^\*`), and a larger denominator makes such a fraction larger.

*split*: :math:`t + G_L / \bar A + \sum_{d_j > 0} d_j x_j / (A_L + a_j) + \sum_{d_j < 0} d_j x_j / \bar A` for any
:math:`t \ge t_L`. There :math:`G_L \le 0`; a column that is open has its own share in :math:`A(x) \ge A_L + a_j`; and
:math:`A(x) \le \bar A`. (Where :math:`A_L = 0` also :math:`G_L = 0`, and any :math:`t` will do.)

With the rule ``largest`` a row takes one column. Only columns before the first column of :math:`L` in the row's
order of shares can still win, and :math:`t^\*` is the best value among them and the one of :math:`L`. There *chord*
is :math:`t^\* + (v_k - t^\*) x_k` with :math:`k` the first of all in the order, which wins whenever it is open; *split*
is :math:`t + \sum_j (v_j - t)^+ x_j` over the columns that can win, for :math:`t \ge v_L`.

The least of the majorants is concave, so is its image under the logarithm (concave, increasing), and so is the
weighted sum :math:`H` over the rows. At any point :math:`\hat x` of the unit cube a supergradient :math:`\rho` gives
:math:`f(x) \le H(\hat x) + \rho^\top (x - \hat x)`, and with prices :math:`\lambda \ge 0` of the linear rows
:math:`C x \le b`

.. math:: f(x) \le H(\hat x) - \rho^\top \hat x + \lambda^\top (b - C_L 1)
          + \sum_{j \in F} (\rho_j - C_j^\top \lambda)^+ .

The evidence of a box is thus :math:`\hat x` and :math:`\lambda`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.certificate.gated import LEAST_MAJORANT, TIE
from coinfer.solver.certificate.gated_lines import CHORD_ROWS, REFERENCES
from coinfer.solver.monotonic.program import FloatArray, GatedMean, IntArray

BoolArray = NDArray[np.bool_]

STEPS = 8
"""Most touching points of one box."""
DIGITS = 2
"""Digits of a touching point: any point proves a bound, and short numbers make a small proof."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What a bound of a box is made of.

    Attributes
    ----------
    bound
        No feasible point of the box is worth more.
    point
        Where the majorant touches, (variables,), 0 to 1.
    prices
        Prices of the linear rows, (rows,).
    slopes
        Slope of the majorant in each variable, (variables,).
    """

    bound: float
    point: FloatArray
    prices: FloatArray
    slopes: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Majorants:
    """Linear majorants of each row's mean over one box: ``base + slopes @ x`` over its free columns."""

    free: IntArray
    best: FloatArray
    bases: tuple[FloatArray, ...]
    slopes: tuple[FloatArray, ...]


class GateBounds:
    """Bounds of one gate; the arrays stand column by column, (variables, rows)."""

    def __init__(self, objective: GatedMean, coefficients: FloatArray, limits: FloatArray) -> None:
        self.log = objective.mean == "log"
        self.largest = objective.rule == "largest"
        self.weights = objective.weights
        self.coefficients, self.limits = coefficients, limits
        self.values = np.ascontiguousarray(objective.values.T)
        top = objective.shares.max(axis=1, keepdims=True, initial=0.0)
        shares = objective.shares / np.where(top > 0.0, top, 1.0)
        self.shares = np.ascontiguousarray(shares.T)
        self.products = self.shares * self.values
        self.served = self.shares > 0.0
        order = np.argsort(-objective.shares, axis=1, kind="stable")
        self.ranks = np.ascontiguousarray(np.argsort(order, axis=1, kind="stable").T)
        self._earlier = np.tri(len(self.values), k=-1)
        self._knapsacks = [] if self.largest else [self._knapsack(i) for i in chord_rows(coefficients)]

    def _knapsack(self, i: int) -> tuple[int, IntArray, FloatArray, BoolArray]:
        """Return a linear row's columns in descending share per coefficient, the quotients, and what costs nothing."""
        row = self.coefficients[i][:, None]
        density = np.where(row > 0.0, self.shares / np.where(row > 0.0, row, 1.0), 0.0)
        order = np.argsort(-density, axis=0, kind="stable")
        return i, order, np.take_along_axis(density, order, 0), self.coefficients[i] == 0.0

    def majorants(self, lower: BoolArray, upper: BoolArray) -> Majorants:
        """Return the majorants of a box in which every row of the objective has a column."""
        free = np.flatnonzero(upper & ~lower)
        if self.largest:
            return self._winner_majorants(lower, free)
        held = np.flatnonzero(lower)
        shares, products = self.shares[free], self.products[free]
        share, product = self.shares[held].sum(axis=0), self.products[held].sum(axis=0)
        empty = share <= 0.0
        whole = share + shares.sum(axis=0)
        at_lower = np.where(empty, (product + products.sum(axis=0)) / whole, product / np.where(empty, 1.0, share))
        best = self._best(free, shares, products, share, product, at_lower)
        inverse = 1.0 / self._most_share(lower, upper, share, whole)
        bases, slopes = [best + (product - best * share) * inverse], [(products - best * shares) * inverse]
        dearer = 1.0 / np.maximum(share + shares, np.finfo(np.float64).tiny)
        dearer -= inverse
        for part in REFERENCES:
            reference = at_lower + part * (best - at_lower)
            bases.append(reference + np.minimum(product - reference * share, 0.0) * inverse)
            surplus = products - reference * shares
            slope = np.maximum(surplus, 0.0)
            slope *= dearer
            surplus *= inverse
            slope += surplus
            slopes.append(slope)
        return Majorants(free, best, tuple(bases), tuple(slopes))

    def _best(
        self,
        free: IntArray,
        shares: FloatArray,
        products: FloatArray,
        share: FloatArray,
        product: FloatArray,
        start: FloatArray,
    ) -> FloatArray:
        """Return each row's largest mean over the box: Newton steps on the columns above the mean, ever fewer."""
        values, best = self.values[free], start
        for _ in range(len(free) + 1):
            above = values > best
            total = share + np.einsum("ij,ij->j", shares, above)
            better = np.where(total > 0.0, product + np.einsum("ij,ij->j", products, above), best)
            better = np.maximum(best, better / np.where(total > 0.0, total, 1.0))
            if np.array_equal(better, best):
                break
            best = better
        return best

    def _most_share(self, lower: BoolArray, upper: BoolArray, share: FloatArray, whole: FloatArray) -> FloatArray:
        """Return the most share that each row can have open within the linear rows (fractional knapsacks)."""
        most = whole
        free = upper & ~lower
        for i, order, density, gratis in self._knapsacks:
            room = self.limits[i] - self.coefficients[i][lower].sum()
            costs = np.where(free, self.coefficients[i], 0.0).take(order)
            left = self._earlier @ costs
            np.subtract(room, left, out=left)
            np.minimum(left, costs, out=left)
            np.maximum(left, 0.0, out=left)
            added = np.einsum("ij,ij->j", density, left) + self.shares[free & gratis].sum(axis=0)
            most = np.minimum(most, share + added)
        return np.maximum(most, np.where(share > 0.0, share, np.finfo(np.float64).tiny))

    def _winner_majorants(self, lower: BoolArray, free: IntArray) -> Majorants:
        """Return the majorants of a box under the rule ``largest``."""
        columns, rows = self.values.shape
        each = np.arange(rows)
        open_ranks = np.where(lower[:, None] & self.served, self.ranks, columns)
        holder = open_ranks.argmin(axis=0)
        held = open_ranks[holder, each]
        can_win = self.served[free] & (self.ranks[free] < held)
        first = np.where(can_win, self.ranks[free], columns).argmin(axis=0) if len(free) else None
        at_lower = self.values[holder, each]
        if first is not None:
            at_lower = np.where(held < columns, at_lower, self.values[free][first, each])
        best = np.maximum(at_lower, np.where(can_win, self.values[free], -np.inf).max(axis=0, initial=-np.inf))
        chord = np.zeros((len(free), rows))
        if first is not None:
            chord[first, each] = np.where(can_win[first, each], self.values[free][first, each] - best, 0.0)
        bases, slopes = [best], [chord]
        for part in REFERENCES:
            reference = at_lower + part * (best - at_lower)
            bases.append(reference)
            slopes.append(np.where(can_win, np.maximum(self.values[free] - reference, 0.0), 0.0))
        return Majorants(free, best, tuple(bases), tuple(slopes))

    def touching(self, parts: Majorants, at: FloatArray) -> tuple[float, FloatArray]:
        """Return constant and slopes of a linear function of the free columns above the objective, exact at ``at``."""
        least, which = parts.best.copy(), np.full(len(parts.best), -1)
        slack = TIE * np.abs(parts.best)
        for k, (base, slopes) in enumerate(zip(parts.bases, parts.slopes, strict=True)):
            height = base + at @ slopes
            lower = height < least - slack
            if self.log:
                lower &= height > LEAST_MAJORANT * parts.best
            which[lower] = k
            least = np.where(lower, height, least)
        scale = self.weights / least if self.log else self.weights
        total = np.zeros(len(at))
        for k, slopes in enumerate(parts.slopes):
            total += slopes @ np.where(which == k, scale, 0.0)
        value = float(self.weights @ (np.log(least) if self.log else least))
        return value - float(total @ at), total


def chord_rows(coefficients: FloatArray) -> list[int]:
    """Return the linear rows that limit the open shares: the first ones without negative numbers, mostly above 0."""
    plain = (coefficients >= 0.0).all(axis=1) & ((coefficients > 0.0).sum(axis=1) * 2 > coefficients.shape[1])
    return [int(i) for i in np.flatnonzero(plain)[:CHORD_ROWS]]


def price_rows(slopes: FloatArray, coefficients: FloatArray, room: FloatArray, prices: FloatArray) -> FloatArray:
    """Return prices of the linear rows that make the priced knapsack small, one row after the other, (rows,)."""
    prices = prices.copy()
    rest = slopes - prices @ coefficients
    for _ in range(1 if len(room) == 1 else 3):
        for i, row in enumerate(coefficients):
            rest += prices[i] * row
            with np.errstate(divide="ignore", invalid="ignore"):
                steps = np.where(row != 0.0, rest / row, 0.0)
            steps = np.append(np.maximum(steps, 0.0), 0.0)
            costs = steps * room[i] + np.maximum(rest - steps[:, None] * row, 0.0).sum(axis=1)
            prices[i] = steps[int(costs.argmin())]
            rest -= prices[i] * row
    return prices


def priced(slopes: FloatArray, coefficients: FloatArray, room: FloatArray, prices: FloatArray) -> float:
    """Return the most that the slopes can give within the linear rows, by the prices."""
    return float(prices @ room + np.maximum(slopes - prices @ coefficients, 0.0).sum())


def fractional(slopes: FloatArray, coefficients: FloatArray, room: FloatArray, prices: FloatArray) -> FloatArray:
    """Return a point that the prices want: columns that pay, in descending order, until the priced rows are full."""
    rest = slopes - prices @ coefficients
    tight = prices > 0.0
    least = 0.0 if not tight.any() else -1e-9 * np.abs(slopes).max(initial=0.0)
    order = np.argsort(-rest, kind="stable")
    order = order[rest[order] > least]
    costs = np.maximum(coefficients[tight][:, order], 0.0)
    left = room[tight, None] - (costs.cumsum(axis=1) - costs)
    parts = np.where(costs > 0.0, left / np.where(costs > 0.0, costs, 1.0), 1.0)
    point = np.zeros(len(slopes))
    point[order] = np.clip(parts.min(axis=0, initial=1.0), 0.0, 1.0)
    return point


def bounded(gate: GateBounds, lower: BoolArray, upper: BoolArray, hint: FloatArray, target: float) -> Evidence:
    """Bound a box: touch the majorants where the last ones were largest, until the bound is at most ``target``.

    The touching point moves as in the method of Frank and Wolfe, from ``hint`` (variables,); it also stops as soon as
    the majorants at a point within the linear rows show that they cannot give ``target``.
    """
    parts = gate.majorants(lower, upper)
    free = parts.free
    coefficients, room = gate.coefficients[:, free], gate.limits - gate.coefficients @ lower
    at = np.round(hint[free], DIGITS)
    prices = np.zeros(len(room))
    best = (np.inf, at, prices, np.zeros(len(free)))
    for step in range(STEPS):
        constant, slopes = gate.touching(parts, at)
        prices = price_rows(slopes, coefficients, room, prices)
        bound = constant + priced(slopes, coefficients, room, prices)
        if bound < best[0]:
            best = bound, at, prices, slopes
        if best[0] <= target or (step > 1 and constant + float(slopes @ at) > target):
            break
        towards = fractional(slopes, coefficients, room, prices)
        at = np.round(at + 2.0 / (step + 3.0) * (towards - at), DIGITS)
    point, whole = np.zeros(len(lower)), np.zeros(len(lower))
    point[free], whole[free] = best[1], best[3]
    return Evidence(bound=best[0], point=point, prices=best[2], slopes=whole)
