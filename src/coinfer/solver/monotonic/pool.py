"""The best points of a search, not only the best one: k best, and all within a distance of the best."""

from __future__ import annotations

import math

import numpy as np

from coinfer.solver.monotonic.program import IntArray


class Pool:
    """Collects points by value.

    A search with a pool goes on until no point outside the pool is worth more than :attr:`threshold`, the least value
    the pool would still take (up to the search's own tolerance).

    Parameters
    ----------
    count
        Most points kept, at least 1.
    within
        Only points within this distance of the best are kept; ``inf``: all.
    """

    def __init__(self, *, count: int, within: float = math.inf) -> None:
        self._count, self._within = count, within
        self._points: dict[bytes, tuple[float, IntArray]] = {}

    @property
    def threshold(self) -> float:
        """Value at or below which a point is of no interest; ``-inf`` while every point is."""
        if not self._points:
            return -math.inf
        values = sorted((value for value, _ in self._points.values()), reverse=True)
        last = values[self._count - 1] if len(values) >= self._count else -math.inf
        return max(last, float(np.nextafter(values[0] - self._within, -math.inf)))

    @property
    def points(self) -> list[tuple[float, IntArray]]:
        """Values and points, best first; points of one value in the order of the variables."""
        ranked = sorted(self._points.values(), key=lambda item: (-item[0], [-int(number) for number in item[1]]))
        if not ranked:
            return []
        least = ranked[0][0] - self._within
        return [item for item in ranked[: self._count] if item[0] >= least]

    def offer(self, point: IntArray, value: float) -> None:
        """Keep ``point`` while it belongs to the best."""
        if value <= self.threshold:
            return
        self._points[point.tobytes()] = (value, point)
        if len(self._points) > 2 * self._count + 64:
            self._points = {point.tobytes(): (value, point) for value, point in self.points}
