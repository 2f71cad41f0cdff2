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
majorants that :mod:`coinfer.solver.monotonic.gated_bound` proves: *best*, *chord*, and *split* for each reference. The
least of them at :math:`\hat x` is taken, with its slope. The objective is at most the sum of these tangents, and its
maximum over the box and the linear rows is at most the priced one. Sums are floats; each bound is raised by
:data:`MARGIN` times the size of the objective, which is above their rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import CertificateError
from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.certificate.gated_lines import GateLines
from coinfer.solver.monotonic.program import FloatArray, GatedMean, IntArray, LinearRows, MonotonicProgram

BoolArray = NDArray[np.bool_]

LEAST_MAJORANT = 1e-3
"""Below this part of the largest mean, a majorant is left out where its logarithm is wanted."""
TIE = 1e-9
"""A later majorant replaces an earlier one when it is lower by more than this part of the largest mean."""
MARGIN = 5e-12
"""Relative to :func:`size`: more than the rounding of any sum here."""
BLOCK = 1 << 14
"""Numbers of one block of points times rows."""
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
        self._preferred = np.argsort(-objective.shares, axis=1, kind="stable")
        self._lines = GateLines(objective, self._shares, self._matrix, self._limits)

    def __call__(self, leaf: BoxLeaf, lower: IntArray, upper: IntArray) -> float | None:
        """Return the bound that ``leaf`` shows of its box."""
        if leaf.method == "constraint":
            self._check_constraint(leaf.constraint, lower > 0, upper > 0)
            return None
        if leaf.method not in ("unserved", "vertex", "shares"):
            raise CertificateError(f"the method {leaf.method!r} is none of a deployed gate")
        box = self._narrowed(lower > 0, upper > 0)
        if box is None:
            return None
        if leaf.method == "unserved":
            self._check_unserved(leaf.constraint, box[1])
            return None
        if leaf.method == "vertex":
            return self._each_point(*box)
        return self._priced(leaf, *box)

    def _least(self, lower: BoolArray, upper: BoolArray) -> FloatArray:
        least: FloatArray = np.maximum(self._matrix, 0.0) @ lower + np.minimum(self._matrix, 0.0) @ upper
        return least

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

    def _check_constraint(self, row: int | None, lower: BoolArray, upper: BoolArray) -> None:
        if row is None or not 0 <= row < len(self._limits):
            raise CertificateError(f"expected a linear row from 0 to {len(self._limits) - 1}; found {row}")
        if not self._least(lower, upper)[row] > self._limits[row]:
            raise CertificateError(f"linear row {row} can hold in the box")

    def _check_unserved(self, row: int | None, upper: BoolArray) -> None:
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
        held = points.all(axis=0)
        loose = points.any(axis=0) & ~held
        differing = points[:, loose].astype(np.float64)
        step = max(16, BLOCK // max(1, len(points)))
        for part in range(0, len(self._shares), step):
            rows = slice(part, part + step)
            own = self._shares[rows]
            share = differing @ own[:, loose].T + own[:, held].sum(axis=1)
            served &= (share > 0.0).all(axis=1)
            if objective.rule == "largest":
                means = self._winners(points, rows)
            else:
                own = own * objective.values[rows]
                means = differing @ own[:, loose].T + own[:, held].sum(axis=1)
                np.divide(means, share, out=means, where=share > 0.0)
            if objective.mean == "log":
                means[~served] = 1.0
                np.log(means, out=means)
            total += means @ objective.weights[rows]
        return np.where(served, total, -np.inf)

    def _winners(self, points: BoolArray, rows: slice) -> FloatArray:
        """Return the value of the column that serves each row, (points, rows); any value where there is none."""
        order = self._preferred[rows]
        able = np.take_along_axis(self._shares[rows], order, 1) > 0.0
        first = (points[:, order] & able).argmax(axis=2)
        winner = np.take_along_axis(order, first.T, 1)
        return np.take_along_axis(self._objective.values[rows], winner, 1).T

    def _priced(self, leaf: BoxLeaf, lower: BoolArray, upper: BoolArray) -> float | None:
        """Return the priced bound of a box."""
        point, prices = self._point(leaf), self._row_prices(leaf)
        shares = self._objective.shares
        if not shares[:, upper].any(axis=1).all():
            return None
        free = np.flatnonzero(upper & ~lower)
        best, lines = self._lines.over(lower, upper, free)
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
