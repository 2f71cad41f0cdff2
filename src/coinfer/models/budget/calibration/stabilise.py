"""A scale on which the errors of a table no longer depend on its values.

Errors that were estimated beside the values are too small, or too large, where the value was lucky: those of a share
are smallest at 0 and 1. So the squared errors are fitted as a curve of the values, and the values are judged on the
scale where that curve is flat (Bartlett, Biometrics 3, 1947; the arcsine for shares, the logarithm for amounts).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from coinfer.solver.program import FloatArray

FLOOR = 0.03
"""Least squared error of the curve, as a share of the typical one."""
CELLS = 4
"""Fewest cells with errors that a curve is fitted to."""
EDGES = np.unique(np.concatenate([np.linspace(0.0, 1.0, 401), np.geomspace(1e-5, 1.0, 200)]))
STEP = 1e-4
"""Of the slope."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stabilised:
    """The scale.

    Attributes
    ----------
    curve, place
        (edges,): squared error in units of the typical one, and place on the scale, at the values ``EDGES``.
    """

    curve: FloatArray
    place: FloatArray

    def moved(self, by: float) -> Stabilised:
        """Return the scale with all places moved."""
        return replace(self, place=self.place + by)

    def curve_at(self, value: FloatArray) -> FloatArray:
        """Return the squared error that a value usually has."""
        return np.interp(value, EDGES, self.curve)

    def to_scale(self, value: FloatArray) -> FloatArray:
        """Return the places of values; straight on beyond 0..1."""
        first, last = (self.curve[[0, -1]] ** -0.5).tolist()
        beyond = np.minimum(value, 0.0) * first + np.maximum(value - 1.0, 0.0) * last
        found: FloatArray = np.interp(value, EDGES, self.place) + beyond
        return found

    def to_value(self, place: FloatArray) -> FloatArray:
        """Return the values at places."""
        first, last = (self.curve[[0, -1]] ** 0.5).tolist()
        beyond = np.minimum(place - self.place[0], 0.0) * first + np.maximum(place - self.place[-1], 0.0) * last
        found: FloatArray = np.interp(place, self.place, EDGES) + beyond
        return found

    def slope_at(self, place: FloatArray) -> FloatArray:
        """Return how fast the value rises."""
        return (self.to_value(place + STEP) - self.to_value(place - STEP)) / (2.0 * STEP)


def stabilised(value: FloatArray, squared_error: FloatArray) -> Stabilised:
    """Return the scale of a table whose largest value is 1; cells that are NaN, or have no error, tell nothing.

    The curve is a combination of v², v(1-v) and (1-v)² without negative parts, so it is above 0 everywhere.
    """
    from scipy.optimize import nnls

    told = np.isfinite(value) & (squared_error > 0.0)
    if told.sum() < CELLS:
        return Stabilised(curve=np.ones_like(EDGES), place=EDGES)
    seen, error = np.abs(value[told]), squared_error[told]
    typical = float(np.median(error))
    each = error + FLOOR * typical
    weights, _ = nnls(_parts(seen) / each[:, None], error / each)
    curve = _parts(EDGES) @ weights / typical + FLOOR
    speed = curve**-0.5
    place = np.concatenate([[0.0], np.cumsum(np.diff(EDGES) * 0.5 * (speed[1:] + speed[:-1]))])
    return Stabilised(curve=curve, place=place)


def _parts(value: FloatArray) -> FloatArray:
    rest = np.maximum(1.0 - value, 0.0)
    return np.stack([value**2, value * rest, rest**2], axis=-1)
