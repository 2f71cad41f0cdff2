r"""Re-evaluates the leaves of a deployed gate over a box, from the program alone.

The box is first narrowed by the linear rows: a free column that no feasible point can open is closed, one that every
feasible point opens is opened. Then, by the leaf's method:

``constraint``, ``unserved``
    A linear row cannot hold, or a row of the objective has no share, anywhere in the box.
``vertex``
    Every feasible point of the box is evaluated; there may be at most :data:`MOST_POINTS`.
``shares``
    A linear majorant of the objective, and prices of the linear rows. The proof's list ``table`` is the point
    :math:`\hat x` (a number from 0 to 1 for each variable) at which the majorant touches.

With :math:`L` the open and :math:`F` the free columns, every row of the objective has, for its mean over the box, the
majorants that :mod:`coinfer.solver.monotonic.gated_bound` proves: *best* (the largest mean, found here by the prefix
of the free columns in descending value), *chord* and, for each reference of :data:`REFERENCES`, *split*. The least of
them at :math:`\hat x` is taken, with its slope. The objective is at most the sum of these tangents, and its maximum
over the box and the linear rows is at most the priced one. Sums are floats; each bound is raised by :data:`MARGIN`
times the size of the objective, which is above their rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import CertificateError
from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.monotonic.program import FloatArray, GatedMean, IntArray, LinearRows, MonotonicProgram

BoolArray = NDArray[np.bool_]

REFERENCES = (0.0, 0.3)
"""Where the references of *split* stand, from the mean of the lower corner (0) to the largest over the box (1)."""
CHORD_ROWS = 2
"""Most linear rows that limit the open shares."""
LEAST_MAJORANT = 1e-3
"""Below this part of the largest mean, a majorant is left out where its logarithm is wanted."""
TIE = 1e-9
"""A later majorant replaces an earlier one when it is lower by more than this part of the largest mean."""
MARGIN = 5e-12
"""Relative to :func:`size`: more than the rounding of any sum here."""
MOST_POINTS = 4096
"""Most feasible points of a box that a leaf may have evaluated one by one."""


def gated_leaf(
    program: MonotonicProgram, prices: Sequence[Sequence[float]] = ()
) -> Callable[[BoxLeaf, IntArray, IntArray], float | None]:
    """Return what re-evaluates a leaf: from the leaf and the corners of its box to the bound that it shows.

    Parameters
    ----------
    program
        A program with a gate as objective and linear rows.
    prices
        The proof's lists: points at which majorants touch, one number per variable each.

    Returns
    -------
    Callable
        Gives ``None`` where the leaf shows its box to be empty. Raises :class:`CertificateError` with a sentence if
        the leaf does not show what it claims.

    Raises
    ------
    CertificateError
        If the program is another one.
    """
    return _GateLeaves(program, prices)


def size(objective: GatedMean) -> float:
    """Return the size of the objective's terms, to which rounding is compared."""
    magnitudes = 1.0 + np.abs(np.log(objective.values)) if objective.mean == "log" else np.abs(objective.values)
    return float(objective.weights @ magnitudes.max(axis=1, initial=0.0))


class _GateLeaves:
    """The leaves of one program."""

    def __init__(self, program: MonotonicProgram, prices: Sequence[Sequence[float]]) -> None:
        objective = program.objective
        if not isinstance(objective, GatedMean) or any(
            not isinstance(part, LinearRows) for part in program.constraints
        ):
            raise CertificateError("expected a deployed gate with linear rows only")
        self._objective, self._prices = objective, prices
        top = objective.shares.max(axis=1, keepdims=True, initial=0.0)
        self._shares = objective.shares / np.where(top > 0.0, top, 1.0)
        self._matrix, self._limits = program.rows.coefficients, program.row_limits
        self._margin = MARGIN * size(objective)
        self._falling = np.argsort(-objective.values, axis=1, kind="stable")
        self._preferred = np.argsort(-objective.shares, axis=1, kind="stable")
        plain = (self._matrix >= 0.0).all(axis=1) & ((self._matrix > 0.0).sum(axis=1) * 2 > program.variables)
        self._chords = [int(i) for i in np.flatnonzero(plain)[:CHORD_ROWS]]
        self._densest = {i: self._by_density(self._matrix[i]) for i in self._chords}

    def _by_density(self, row: FloatArray) -> IntArray:
        """Return the columns in descending share per coefficient of a linear row, (rows, variables)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            density = np.where(row > 0.0, self._shares / row, np.inf)
        return np.argsort(-density, axis=1, kind="stable")

    def __call__(self, leaf: BoxLeaf, lower: IntArray, upper: IntArray) -> float | None:
        """Return the bound that ``leaf`` shows of its box."""
        if leaf.method == "constraint":
            return self._constraint(leaf.constraint, lower > 0, upper > 0)
        if leaf.method not in ("unserved", "vertex", "shares"):
            raise CertificateError(f"the method {leaf.method!r} is none of a deployed gate")
        box = self._narrowed(lower > 0, upper > 0)
        if box is None:
            return None
        if leaf.method == "unserved":
            return self._unserved(leaf.constraint, box[1])
        if leaf.method == "vertex":
            return self._each_point(*box)
        return self._priced(leaf, *box)

    def _least(self, lower: BoolArray, upper: BoolArray) -> FloatArray:
        return np.maximum(self._matrix, 0.0) @ lower + np.minimum(self._matrix, 0.0) @ upper

    def _narrowed(self, lower: BoolArray, upper: BoolArray) -> tuple[BoolArray, BoolArray] | None:
        """Return the box without what the linear rows exclude; ``None`` when nothing is left."""
        lower, upper = lower.copy(), upper.copy()
        if (lower & ~upper).any():
            return None
        while True:
            room = self._limits - self._least(lower, upper)
            if (room < 0.0).any():
                return None
            free = upper & ~lower
            shut = free & (np.maximum(self._matrix, 0.0) > room[:, None]).any(axis=0)
            forced = free & (np.maximum(-self._matrix, 0.0) > room[:, None]).any(axis=0)
            if (shut & forced).any():
                return None
            if not (shut | forced).any():
                return lower, upper
            lower, upper = lower | forced, upper & ~shut

    def _constraint(self, row: int | None, lower: BoolArray, upper: BoolArray) -> None:
        if row is None or not 0 <= row < len(self._limits):
            raise CertificateError(f"expected a linear row from 0 to {len(self._limits) - 1}; found {row}")
        if not self._least(lower, upper)[row] > self._limits[row]:
            raise CertificateError(f"linear row {row} can hold in the box")

    def _unserved(self, row: int | None, upper: BoolArray) -> None:
        shares = self._objective.shares
        if row is None or not 0 <= row < len(shares):
            raise CertificateError(f"expected a row of the objective from 0 to {len(shares) - 1}; found {row}")
        if shares[row, upper].any():
            raise CertificateError(f"row {row} of the objective has a share in the box")

    def _each_point(self, lower: BoolArray, upper: BoolArray) -> float | None:
        """Return the best of all feasible points of a box."""
        points = lower[None, :]
        for j in np.flatnonzero(upper & ~lower):
            opened = points.copy()
            opened[:, j] = True
            points = np.concatenate([points, opened])
            later = upper.copy()
            later[: j + 1] = False
            least = points @ self._matrix.T + np.minimum(self._matrix, 0.0) @ (later & ~lower)
            points = points[(least <= self._limits).all(axis=1)]
            if len(points) > MOST_POINTS:
                raise CertificateError(f"expected at most {MOST_POINTS} feasible points in the box; found more")
        points = points[(points @ self._matrix.T <= self._limits).all(axis=1)]
        best = self._values(points).max(initial=-np.inf)
        return None if best == -np.inf else float(best) + self._margin

    def _values(self, points: BoolArray) -> FloatArray:
        """Return the objective of points, (count, variables); ``-inf`` where some row has no share."""
        objective = self._objective
        total, served = np.zeros(len(points)), np.ones(len(points), dtype=np.bool_)
        whole = points.astype(np.float64)
        for part in range(0, len(self._shares), 128):
            rows = slice(part, part + 128)
            own, values = self._shares[rows], objective.values[rows]
            share = whole @ own.T
            served &= (share > 0.0).all(axis=1)
            if objective.rule == "largest":
                order = self._preferred[rows]
                first = (points[:, order] & (np.take_along_axis(own, order, 1) > 0.0)).argmax(axis=2)
                winner = np.take_along_axis(order, first.T, 1)
                means = np.take_along_axis(values, winner, 1).T
            else:
                means = (whole @ (own * values).T) / np.where(share > 0.0, share, 1.0)
                means = np.where(share > 0.0, means, 1.0)
            total += (np.log(means) if objective.mean == "log" else means) @ objective.weights[rows]
        return np.where(served, total, -np.inf)

    def _priced(self, leaf: BoxLeaf, lower: BoolArray, upper: BoolArray) -> float | None:
        """Return the priced bound of a box."""
        point, prices = self._point(leaf), self._row_prices(leaf)
        shares = self._objective.shares
        if not shares[:, upper].any(axis=1).all():
            return None
        free = np.flatnonzero(upper & ~lower)
        majorants = self._winning if self._objective.rule == "largest" else self._mixed
        best, lines = majorants(lower, upper, free)
        height, which = best.copy(), np.full(len(best), -1)
        for k, (base, slopes) in enumerate(lines):
            here = base + slopes @ point[free]
            taken = here < height - TIE * np.abs(best)
            if self._objective.mean == "log":
                taken &= here > LEAST_MAJORANT * best
            height, which = np.where(taken, here, height), np.where(taken, k, which)
        log = self._objective.mean == "log"
        weights = self._objective.weights / height if log else self._objective.weights
        rho = np.zeros(len(free))
        for k, (_, slopes) in enumerate(lines):
            rho += weights[which == k] @ slopes[which == k]
        constant = float(self._objective.weights @ (np.log(height) if log else height)) - float(rho @ point[free])
        room = self._limits - self._matrix @ lower
        spent = prices @ self._matrix[:, free]
        return constant + float(prices @ room) + float(np.maximum(rho - spent, 0.0).sum()) + self._margin

    def _point(self, leaf: BoxLeaf) -> FloatArray:
        if leaf.table is None or not 0 <= leaf.table < len(self._prices):
            raise CertificateError(
                f"expected a list of the proof from 0 to {len(self._prices) - 1}; found {leaf.table}"
            )
        point = np.array(self._prices[leaf.table], dtype=np.float64)
        inside = point.shape == self._matrix.shape[1:] and bool(((point >= 0.0) & (point <= 1.0)).all())
        if not inside:
            raise CertificateError(f"list {leaf.table}: expected a number from 0 to 1 for each variable")
        return point

    def _row_prices(self, leaf: BoxLeaf) -> FloatArray:
        prices = np.zeros(len(self._limits))
        known = all(0 <= row < len(prices) for row in leaf.rows) and len(set(leaf.rows)) == len(leaf.rows)
        if not known or len(leaf.rows) != len(leaf.row_prices):
            raise CertificateError("expected one price for each of its linear rows, each row once")
        prices[list(leaf.rows)] = leaf.row_prices
        if not (np.isfinite(prices).all() and (prices >= 0.0).all()):
            raise CertificateError("expected finite row prices of at least 0")
        return prices

    def _mixed(
        self, lower: BoolArray, upper: BoolArray, free: IntArray
    ) -> tuple[FloatArray, list[tuple[FloatArray, FloatArray]]]:
        """Return the largest mean of each row and the lines *chord* and *split* of the rule ``proportional``."""
        values, whole = self._objective.values, self._shares
        share = whole[:, lower].sum(axis=1)
        product = (whole[:, lower] * values[:, lower]).sum(axis=1)
        own, worth = whole[:, free], values[:, free]
        everything = share + own.sum(axis=1)
        held = share > 0.0
        at_lower = np.where(
            held, product / np.where(held, share, 1.0), (product + (own * worth).sum(axis=1)) / everything
        )
        best = self._best_prefix(upper & ~lower, share, product)
        most = everything
        for i in self._chords:
            most = np.minimum(most, share + self._knapsack(i, upper & ~lower, float(self._matrix[i] @ lower)))
        most = np.maximum(most, np.where(held, share, np.finfo(np.float64).tiny))
        lines = [(best + (product - best * share) / most, own * (worth - best[:, None]) / most[:, None])]
        for part in REFERENCES:
            reference = at_lower + part * (best - at_lower)
            surplus = own * (worth - reference[:, None])
            least = np.maximum(share[:, None] + own, np.finfo(np.float64).tiny)
            slopes = np.where(surplus > 0.0, surplus / least, surplus / most[:, None])
            lines.append((reference + np.minimum(product - reference * share, 0.0) / most, slopes))
        return best, lines

    def _best_prefix(self, free: BoolArray, share: FloatArray, product: FloatArray) -> FloatArray:
        """Return each row's largest mean over the box: some prefix of the free columns in descending value gives it."""
        order = self._falling
        shares = np.where(free[order], np.take_along_axis(self._shares, order, 1), 0.0)
        worth = np.take_along_axis(self._objective.values, order, 1)
        shares = np.concatenate([share[:, None], shares], axis=1).cumsum(axis=1)
        products = np.diff(shares, axis=1) * worth
        products = np.concatenate([product[:, None], products], axis=1).cumsum(axis=1)
        means = np.where(shares > 0.0, products / np.where(shares > 0.0, shares, 1.0), -np.inf)
        best: FloatArray = means.max(axis=1)
        return best

    def _knapsack(self, i: int, free: BoolArray, used: float) -> FloatArray:
        """Return the most share that each row of the objective can add within linear row ``i``."""
        order, row = self._densest[i], self._matrix[i]
        costs = np.where(free[order], row[order], 0.0)
        left = np.maximum(self._limits[i] - used - (costs.cumsum(axis=1) - costs), 0.0)
        parts = np.where(costs > 0.0, np.minimum(left / np.where(costs > 0.0, costs, 1.0), 1.0), 1.0)
        shares = np.where(free[order], np.take_along_axis(self._shares, order, 1), 0.0)
        most: FloatArray = (shares * parts).sum(axis=1)
        return most

    def _winning(
        self, lower: BoolArray, upper: BoolArray, free: IntArray
    ) -> tuple[FloatArray, list[tuple[FloatArray, FloatArray]]]:
        """Return the best value of each row and the lines *chord* and *split* of the rule ``largest``."""
        objective, order = self._objective, self._preferred
        rows, columns = objective.values.shape
        served = np.take_along_axis(objective.shares, order, 1) > 0.0
        worth = np.take_along_axis(objective.values, order, 1)
        held = served & lower[order]
        settled = np.where(held.any(axis=1), held.argmax(axis=1), columns)
        can_win = served & upper[order] & (np.arange(columns) < settled[:, None])
        each, first = np.arange(rows), can_win.argmax(axis=1)
        contested = can_win[each, first]
        at_lower = worth[each, np.where(settled < columns, np.minimum(settled, columns - 1), first)]
        best = np.maximum(at_lower, np.where(can_win, worth, -np.inf).max(axis=1))
        chord = np.zeros((rows, columns))
        leader = order[each, first]
        chord[each[contested], leader[contested]] = (worth[each, first] - best)[contested]
        lines = [(best, chord[:, free])]
        wins = np.zeros((rows, columns), dtype=np.bool_)
        np.put_along_axis(wins, order, can_win, axis=1)
        for part in REFERENCES:
            reference = at_lower + part * (best - at_lower)
            above = np.maximum(objective.values - reference[:, None], 0.0)
            lines.append((reference, np.where(wins, above, 0.0)[:, free]))
        return best, lines
