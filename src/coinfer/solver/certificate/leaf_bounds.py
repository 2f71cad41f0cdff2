"""Re-evaluate a leaf of a monotonic search from its box and its witness."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import CertificateError
from coinfer.solver.certificate.boxes import BoxLeaf, BoxProof, Cut
from coinfer.solver.certificate.facility import FacilityLeaves, shifted
from coinfer.solver.certificate.gated import gated_leaf, size
from coinfer.solver.monotonic.program import (
    ROUNDING,
    Difference,
    FacilityLocation,
    FloatArray,
    GatedMean,
    IntArray,
    LinearRows,
    MixedAtMost,
    MixedMonotone,
    Monotone,
    MonotoneAtMost,
    MonotonicProgram,
    Submodular,
)

BoolArray = NDArray[np.bool_]
LeafBound = Callable[[BoxLeaf, IntArray, IntArray], float | None]
"""A leaf and the corners of its box to the bound it shows; ``None`` where it shows the box to be empty."""


class LeafBounds:
    """Evaluates the leaves of one proof.

    Parameters
    ----------
    program
        The program.
    proof
        Its cuts are checked first, its assignment prices are used as they are: any prices are valid.

    Raises
    ------
    CertificateError
        If a cut does not follow from the rows.

    Attributes
    ----------
    scale
        Size of the objective's terms: bounds that differ by a rounding error of this agree.
    """

    def __init__(self, program: MonotonicProgram, proof: BoxProof) -> None:
        rows = program.rows
        self._program, self._rows, self._limits = program, rows.coefficients, program.row_limits
        self._others = [part for part in program.constraints if not isinstance(part, LinearRows)]
        self._special: LeafBound | None = None  # what knows the leaves of an objective's own search
        if isinstance(program.objective, FacilityLocation):
            self._special = FacilityLeaves(program, proof.prices)
        elif isinstance(program.objective, GatedMean) and not self._others:
            self._special = gated_leaf(program, proof.prices)
        blocks, limits = [rows.coefficients], [program.row_limits]
        for number, cut in enumerate(proof.cuts):
            self._check_cut(number, cut)
            block = np.zeros((1, program.variables))
            block[0, list(cut.columns)] = 1.0
            blocks.append(block)
            limits.append(np.array([float(cut.limit + program.lower[list(cut.columns)].sum())]))
        self._priced, self._room = np.concatenate(blocks), np.concatenate(limits)
        self.scale = self._scale(program)

    @staticmethod
    def _scale(program: MonotonicProgram) -> float:
        """Return the size of the objective's terms: its values at the corners of the start box, or of its rows."""
        ends = np.stack([program.lower, program.upper])
        match program.objective:
            case FacilityLocation():
                return shifted(program.objective)[2]
            case GatedMean():
                return size(program.objective)
            case Submodular(oracle=oracle) | Monotone(oracle=oracle):
                return float(np.abs(oracle.values(ends)).max())
            case MixedMonotone(oracle=pair):
                return float(np.abs(pair.values(ends, ends[::-1])).max())
            case Difference(rising=rising, falling=falling):
                return float(max(np.abs(rising.values(ends)).max(), np.abs(falling.values(ends)).max()))

    def bound(self, leaf: BoxLeaf, lower: IntArray, upper: IntArray) -> float | None:
        """Return what a leaf shows of its box; ``None`` where it shows it to be empty.

        Raises
        ------
        CertificateError
            If its method is not one of the program's class, or does not show what it should.
        """
        objective, linear = self._program.objective, self._special is not None and not self._others
        if leaf.method == "gains" and isinstance(objective, FacilityLocation | Submodular):
            return self._gains(leaf, lower, upper)
        if leaf.method == "mixed" and isinstance(objective, GatedMean):
            return best_means(objective, lower >= 1, upper >= 1)
        if leaf.method == "constraint" and not linear:
            self._check_empty(leaf.constraint, lower, upper)
            return None
        if leaf.method == "unserved" and not (linear and isinstance(objective, GatedMean)):
            self._check_unserved(leaf.constraint, upper)
            return None
        if self._special is not None:
            return self._special(leaf, lower, upper)
        if leaf.method == "vertex" and isinstance(objective, Submodular | Monotone):
            return _one(objective.oracle.values(upper[None, :]))
        if leaf.method == "mixed" and isinstance(objective, MixedMonotone):
            return _one(objective.oracle.values(upper[None, :], lower[None, :]))
        if leaf.method == "mixed" and isinstance(objective, Difference):
            return _one(objective.rising.values(upper[None, :])) - _one(objective.falling.values(lower[None, :]))
        raise CertificateError(f"{leaf.method} is no method for {type(objective).__name__}")

    def _check_empty(self, number: int | None, lower: IntArray, upper: IntArray) -> None:
        """Refuse a leaf whose constraint can hold somewhere in the box, as far as its best corner says."""
        count = len(self._limits)
        if number is None or not 0 <= number < count + len(self._others):
            raise CertificateError(f"expected a constraint from 0 to {count + len(self._others) - 1}; found {number}")
        if number < count:
            own = self._rows[number]
            least = math.fsum(np.where(own > 0.0, own * lower, own * upper).tolist())
            given = float(self._program.rows.limits[number])  # half of the room for rounding is kept as a margin
            if not least > (given + float(self._limits[number])) / 2:
                raise CertificateError(f"linear row {number} can hold in its box")
            return
        part = self._others[number - count]
        slack = ROUNDING / 2 * max(1.0, abs(part.limit))
        if isinstance(part, MixedAtMost):
            empty = _one(part.oracle.values(lower[None, :], upper[None, :])) > part.limit + slack
        elif isinstance(part, MonotoneAtMost):
            empty = _one(part.oracle.values(lower[None, :])) > part.limit + slack
        else:
            empty = _one(part.oracle.values(upper[None, :])) < part.limit - slack
        if not empty:
            raise CertificateError(f"constraint {number} ({part.name}) can hold in its box")

    def _check_unserved(self, row: int | None, upper: IntArray) -> None:
        """Refuse a leaf whose row has a column in the box."""
        objective = self._program.objective
        if not isinstance(objective, FacilityLocation | GatedMean):
            raise CertificateError(f"unserved is no method for {type(objective).__name__}")
        if row is None or not 0 <= row < len(objective.weights):
            raise CertificateError(f"expected a row of the objective; found {row}")
        able = (
            objective.values[row] > -np.inf if isinstance(objective, FacilityLocation) else objective.shares[row] > 0.0
        )
        if (able & (upper >= 1)).any():
            raise CertificateError(f"row {row} of the objective can be served in its box")

    def _gains(self, leaf: BoxLeaf, lower: IntArray, upper: IntArray) -> float:
        """Return the value at the lower corner, the priced room there, and what priced single steps can add."""
        rows, prices = list(leaf.rows), np.array(leaf.row_prices, dtype=np.float64)
        if len(rows) != len(prices) or len(set(rows)) != len(rows):
            raise CertificateError("expected one price for each of its rows, each row once")
        if not all(0 <= row < len(self._room) for row in rows):
            raise CertificateError(f"expected rows from 0 to {len(self._room) - 1}; found {leaf.rows}")
        if not (np.isfinite(prices) & (prices >= 0.0)).all():
            raise CertificateError("expected finite prices of at least 0")
        free = np.flatnonzero(lower < upper)
        points = np.repeat(lower[None, :], len(free) + 1, axis=0)
        points[np.arange(1, len(free) + 1), free] += 1
        values = self._values(points)
        gains, widths = values[1:] - values[0], (upper - lower)[free].astype(np.float64)
        own = self._priced[rows]
        limits, used = prices * self._room[rows], prices[:, None] * own * lower
        added = widths * np.maximum(gains - prices @ own[:, free], 0.0)
        terms = [float(values[0]), *limits.tolist(), *(-used.ravel()).tolist(), *added.tolist()]
        total = math.fsum(map(abs, terms)) + float(widths @ (np.abs(gains) + prices @ np.abs(own[:, free])))
        return math.fsum(terms) + ROUNDING * total

    def _values(self, points: IntArray) -> FloatArray:
        """Return the objective at ``points`` (count, variables); a row without a column counts as its least."""
        objective = self._program.objective
        if isinstance(objective, FacilityLocation):
            above, constant, _ = shifted(objective)
            return np.array([constant + float(above[point >= 1].max(axis=0, initial=0.0).sum()) for point in points])
        if isinstance(objective, Submodular):
            return objective.oracle.values(points)
        raise CertificateError(f"gains are no method for {type(objective).__name__}")

    def _check_cut(self, number: int, cut: Cut) -> None:
        """Refuse a cut that the linear rows do not imply."""
        columns, where = list(cut.columns), f"cut {number}"
        program, count = self._program, len(self._limits)
        known = all(0 <= j < program.variables for j in columns) and len(set(columns)) == len(columns)
        if not known or not (program.upper - program.lower)[columns].max(initial=1) == 1 or cut.limit < 1:
            raise CertificateError(f"{where}: expected different variables of two levels, and a limit of at least 1")
        takes = np.maximum(self._rows, 0.0)
        least = takes @ program.lower + np.minimum(self._rows, 0.0) @ program.upper
        room = (program.rows.limits + self._limits) / 2 - least
        takes = takes[:, columns]
        if cut.row is not None:
            if not 0 <= cut.row < count:
                raise CertificateError(f"{where}: expected a linear row from 0 to {count - 1}; found {cut.row}")
            fewest = np.sort(takes[cut.row])[: cut.limit + 1]
            implied = len(columns) > cut.limit and bool(fewest.sum() > room[cut.row])
        else:
            pairs = (takes[:, :, None] + takes[:, None, :] > room[:, None, None]).any(axis=0)
            implied = cut.limit == 1 and bool((pairs | np.eye(len(columns), dtype=bool)).all())
        if not implied:
            raise CertificateError(f"{where}: the linear rows do not imply it")


def best_means(objective: GatedMean, opened: BoolArray, allowed: BoolArray) -> float:
    """Return the sum of the best mean of each row when ``opened`` columns are open and ``allowed`` ones may be."""
    means = []
    for values, shares in zip(objective.values, objective.shares, strict=True):
        able = shares > 0.0
        if objective.rule == "largest":
            order = np.argsort(-shares, kind="stable")
            order = order[(able & allowed)[order]]
            asked = np.flatnonzero(opened[order])
            order = order[: int(asked[0]) + 1] if len(asked) else order
            means.append(values[order].max(initial=-np.inf) if len(order) else values.min())
            continue
        inside, free = np.flatnonzero(able & opened), np.flatnonzero(able & allowed & ~opened)
        order = free[np.argsort(-values[free], kind="stable")]  # some first ones of these are the best to open
        above = np.append(shares[inside] @ values[inside], shares[order] * values[order]).cumsum()
        below = np.append(shares[inside].sum(), shares[order]).cumsum()
        served = below > 0.0
        means.append((above[served] / below[served]).max() if served.any() else values.min())
    found = np.log(means) if objective.mean == "log" else np.array(means)
    return float(objective.weights @ found) + ROUNDING * size(objective)


def _one(values: FloatArray) -> float:
    """Return the answer of an oracle that was asked for one point."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (1,):
        raise CertificateError(f"expected an oracle that returns one number; found an array of shape {numbers.shape}")
    return float(numbers[0])
