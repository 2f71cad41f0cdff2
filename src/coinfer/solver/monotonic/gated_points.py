"""Points of a deployed gate: their objective, the feasible ones of a small box, and good ones to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.monotonic.program import FloatArray, GatedMean, MonotonicProgram

BoolArray = NDArray[np.bool_]

BLOCK = 1 << 14
"""Numbers of one block of points times rows: a few such blocks stay in the processor's cache."""
STARTS = 8
"""Points from which the first incumbent is sought."""
LONGEST = 62
"""A box with more free columns than bits of an integer is not evaluated point by point."""


class GatePoints:
    """The objective of a gate at points, many at a time.

    Attributes
    ----------
    calls
        Points evaluated so far.
    """

    def __init__(self, objective: GatedMean, shares: FloatArray, ranks: NDArray[np.int64]) -> None:
        self.calls = 0
        self._log = objective.mean == "log"
        self._largest = objective.rule == "largest"
        self._weights = objective.weights
        self._values = np.ascontiguousarray(objective.values.T)
        self._shares, self._products, self._ranks = shares, shares * self._values, ranks

    def values(self, points: BoolArray) -> FloatArray:
        """Return the objective of each of ``points`` (count, variables); ``-inf`` where some row has no share."""
        self.calls += len(points)
        if len(points) == 0:
            return np.zeros(0)
        common = points.all(axis=0)
        fixed, varying = np.flatnonzero(common), np.flatnonzero(points.any(axis=0) & ~common)
        chosen = points[:, varying].astype(np.float64)
        total, served = np.zeros(len(points)), np.ones(len(points), dtype=np.bool_)
        step = max(64, BLOCK // len(points))
        for begin in range(0, len(self._weights), step):
            rows = slice(begin, begin + step)
            share = chosen @ self._shares[varying, rows]
            share += self._shares[fixed, rows].sum(axis=0)
            if share.min() <= 0.0:
                np.logical_and(served, (share > 0.0).all(axis=1), out=served)
                share[share <= 0.0] = 1.0
            if self._largest:
                means = self._winners(points, np.concatenate([fixed, varying]), rows)
            else:
                means = chosen @ self._products[varying, rows]
                means += self._products[fixed, rows].sum(axis=0)
                means /= share
            if self._log:
                if not served.all():
                    means[~served] = 1.0
                np.log(means, out=means)
            total += means @ self._weights[rows]
        return np.where(served, total, -np.inf)

    def _winners(self, points: BoolArray, columns: NDArray[np.int64], rows: slice) -> FloatArray:
        """Return the value of the column that serves each row, (points, rows); any value where there is none."""
        means = np.ones((len(points), len(self._weights[rows])))
        standing = np.full(means.shape, len(self._values))
        for j in columns:
            ranks = np.where(self._shares[j, rows] > 0.0, self._ranks[j, rows], len(self._values))
            wins = points[:, j, None] & (ranks < standing)
            np.copyto(standing, np.broadcast_to(ranks, standing.shape), where=wins)
            np.copyto(means, np.broadcast_to(self._values[j, rows], means.shape), where=wins)
        return means


class Rows:
    """The linear rows of a program over boxes of binary variables."""

    def __init__(self, program: MonotonicProgram) -> None:
        self.matrix = program.rows.coefficients
        self.limits = program.row_limits
        self.rising, self.falling = np.maximum(self.matrix, 0.0), np.minimum(self.matrix, 0.0)

    def kept(self, points: BoolArray) -> BoolArray:
        """Return which of ``points`` (count, variables) keep every linear row."""
        activities: FloatArray = points.astype(np.float64) @ self.matrix.T
        kept: BoolArray = np.logical_and.reduce(activities <= self.limits, axis=1)
        return kept

    def broken(self, lower: BoolArray, upper: BoolArray) -> int | None:
        """Return a linear row that cannot hold in the box; ``None`` when each one can."""
        over = np.flatnonzero(self.rising @ lower + self.falling @ upper > self.limits)
        return int(over[0]) if len(over) else None

    def narrowed(self, lower: BoolArray, upper: BoolArray) -> tuple[BoolArray, BoolArray] | None:
        """Return the box without what some linear row excludes; ``None`` when nothing is left."""
        while True:
            room = self.limits - (self.rising @ lower + self.falling @ upper)
            if (room < 0.0).any():
                return None
            free = upper & ~lower
            shut = free & (self.rising > room[:, None]).any(axis=0)
            forced = free & (-self.falling > room[:, None]).any(axis=0)
            if (shut & forced).any():
                return None
            if not (shut | forced).any():
                return lower, upper
            lower, upper = lower | forced, upper & ~shut

    def points(self, lower: BoolArray, upper: BoolArray, *, most: int) -> BoolArray | None:
        """Return the feasible points of a box, (count, variables); ``None`` when there are more than ``most``."""
        free = np.flatnonzero(upper & ~lower)
        free = free[np.argsort(np.abs(self.matrix[:, free]).sum(axis=0), kind="stable")]  # the cheap ones tell soonest
        least = self.rising @ lower + self.falling @ upper
        dearest = least[:, None] + np.cumsum(np.abs(self.matrix[:, free]), axis=1)
        if len(free) > LONGEST or 2.0 ** int((dearest <= self.limits[:, None]).all(axis=0).sum()) > most:
            return None
        activities, picks = least[None, :], np.zeros(1, dtype=np.int64)
        for place, j in enumerate(free):
            # Until it is settled a column counts at its best; both ways are then dearer, or as dear.
            opened = activities + self.rising[:, j]
            within = (opened <= self.limits).all(axis=1)
            opened, added = opened[within], picks[within] | (1 << place)
            if self.falling[:, j].any():
                activities = activities - self.falling[:, j]
                without = (activities <= self.limits).all(axis=1)
                activities, picks = activities[without], picks[without]
            activities, picks = np.concatenate([activities, opened]), np.concatenate([picks, added])
            if len(picks) > most:
                return None
        points = np.repeat(lower[None, :], len(picks), axis=0)
        points[:, free] = (picks[:, None] >> np.arange(len(free))) & 1 > 0
        kept: BoolArray = points[self.kept(points)]
        return kept


def climbed(
    gate: GatePoints,
    rows: Rows,
    box: tuple[BoolArray, BoolArray],
    start: BoolArray | None,
    halted: Callable[[], bool],
    *,
    most: int | None,
) -> Iterator[tuple[BoolArray, float]]:
    """Yield good feasible points and their values.

    Climbs from the given point, from the lower corner, and from the best single columns beside it, until ``halted``;
    evaluates at most ``most`` points.
    """
    lower, upper = box
    free = np.flatnonzero(upper & ~lower)
    near = np.repeat(lower[None, :], 1 + len(free), axis=0)
    near[1 + np.arange(len(free)), free] = True
    if start is not None:
        near = np.concatenate([start[None, :], near])
    near = near[rows.kept(near)][:most]
    values = gate.values(near)
    for i in np.argsort(-values, kind="stable")[:STARTS]:
        point, value, better = near[i], float(values[i]), values[i] > -np.inf
        while better:
            yield point, value
            around = _neighbours(point, free)
            around = around[rows.kept(around)]
            if halted() or len(around) == 0 or (most is not None and gate.calls + len(around) > most):
                break
            found = gate.values(around)
            best = int(found.argmax())
            better = found[best] > value
            point, value = around[best], float(found[best])


def _neighbours(point: BoolArray, free: NDArray[np.int64]) -> BoolArray:
    """Return the points that differ by one free column, or by a swap of two, (count, variables)."""
    inside, outside = free[point[free]], free[~point[free]]
    out, into = np.meshgrid(inside, outside, indexing="ij")
    near = np.repeat(point[None, :], len(free) + out.size, axis=0)
    singles = np.arange(len(free))
    near[singles, free] ^= True
    swaps = np.arange(len(free), len(near))
    near[swaps, out.ravel()] = False
    near[swaps, into.ravel()] = True
    return near
