"""Oracles of every property, for tests: they count the points they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.monotonic.program import FloatArray, IntArray


@dataclass(slots=True, eq=False)
class Capped:
    """``weights @ min(caps, rates @ x)``: nondecreasing, and its gains shrink.

    Attributes
    ----------
    rates, caps, weights
        (rows, variables), (rows,), (rows,), all at least 0.
    points
        Points asked so far.
    """

    rates: FloatArray
    caps: FloatArray
    weights: FloatArray
    points: int = 0

    def values(self, points: IntArray) -> FloatArray:
        """Return the value of each row of ``points``."""
        self.points += len(points)
        return self._values(points)

    def _values(self, points: IntArray) -> FloatArray:
        found: FloatArray = np.minimum(self.caps, points @ self.rates.T) @ self.weights
        return found


@dataclass(slots=True, eq=False)
class CappedSteps(Capped):
    """The same, and it knows single steps."""

    def gains(self, point: IntArray) -> FloatArray:
        """Return what one more of each variable gains."""
        self.points += len(point)
        return self._values(point + np.eye(len(point), dtype=np.int64)) - self._values(point[None, :])

    def losses(self, point: IntArray) -> FloatArray:
        """Return what one less of each variable loses."""
        self.points += len(point)
        return self._values(point[None, :]) - self._values(point - np.eye(len(point), dtype=np.int64))


@dataclass(slots=True, eq=False)
class Quadratic:
    """``x' matrix x + linear @ x``, nondecreasing above 0 when both are at least 0."""

    matrix: FloatArray
    linear: FloatArray
    points: int = 0

    def values(self, points: IntArray) -> FloatArray:
        """Return the value of each row of ``points``."""
        self.points += len(points)
        found: FloatArray = np.einsum("ki,ij,kj->k", points, self.matrix, points) + points @ self.linear
        return found


@dataclass(slots=True, eq=False)
class Ratio:
    """``(1 + rising @ x) / (1 + falling @ y)``."""

    rising: FloatArray
    falling: FloatArray
    points: int = 0

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows."""
        self.points += len(rising)
        found: FloatArray = (1.0 + rising @ self.rising) / (1.0 + falling @ self.falling)
        return found
