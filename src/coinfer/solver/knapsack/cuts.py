"""Cutting planes of a bound that is convex in a few prices: their least value, a point below a level, their extent."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from coinfer.solver.program import FloatArray

MOST_CUTS = 160
"""Cuts kept, the latest."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Box:
    """Prices that are looked at: (resources,) each."""

    low: FloatArray
    high: FloatArray

    @property
    def widths(self) -> FloatArray:
        """How wide the box is, 1 where it is a point."""
        return np.where(self.high > self.low, self.high - self.low, 1.0)


@dataclass(slots=True, kw_only=True, eq=False)
class Cuts:
    """The bound is nowhere below ``height + gradient * prices``, for every cut.

    Attributes
    ----------
    gradients
        (cuts, resources).
    heights
        (cuts,): at prices of 0.
    """

    gradients: FloatArray
    heights: FloatArray = field(default_factory=lambda: np.empty(0))

    def add(self, point: FloatArray, bound: float, gradient: FloatArray) -> None:
        """Add the cut that touches the bound at ``point``."""
        self.gradients = np.vstack([self.gradients, gradient])[-MOST_CUTS:]
        self.heights = np.append(self.heights, bound - gradient @ point)[-MOST_CUTS:]

    def least(self, box: Box) -> tuple[FloatArray, float] | None:
        """Return where in ``box`` the largest cut is least, and its value there; ``None``: not found."""
        from scipy.optimize import linprog

        scaled, heights = self._in(box)
        top = float(heights.max())
        size = max(float(np.abs(scaled).max()), top - float(heights.min()), 1e-300)
        room = (box.high - box.low) / box.widths
        answer = linprog(
            np.append(np.zeros(len(room)), 1.0),
            A_ub=np.hstack([scaled / size, np.full((len(heights), 1), -1.0)]),
            b_ub=(top - heights) / size,
            bounds=[*((0.0, end) for end in room.tolist()), (None, None)],
            method="highs",
        )
        if answer.status != 0 or answer.x is None:
            return None
        place = np.clip(answer.x[:-1], 0.0, room)
        return box.low + place * box.widths, float((heights + scaled @ place).max())

    def nearest(self, centre: FloatArray, level: float, box: Box) -> FloatArray | None:
        """Return the prices nearest to ``centre``, in units of the box, at which no cut is above ``level``."""
        from scipy.optimize import nnls

        scaled, heights = self._in(box)
        room = (box.high - box.low) / box.widths
        own = (centre - box.low) / box.widths
        norms = np.maximum(np.linalg.norm(scaled, axis=1), 1e-300)
        matrix = np.vstack([-scaled / norms[:, None], np.eye(len(own)), -np.eye(len(own))])
        least = np.concatenate([-(level - heights - scaled @ own) / norms, -own, own - room])
        target = np.append(np.zeros(len(own)), 1.0)
        system = np.vstack([matrix.T, least])
        try:
            weights, _ = nnls(system, target)
        except RuntimeError:  # too many steps
            return None
        residual = system @ weights - target
        if abs(residual[-1]) < 1e-12:
            return None
        place = np.clip(own - residual[:-1] / residual[-1], 0.0, room)
        nearest: FloatArray = box.low + place * box.widths
        return nearest

    def extent(self, level: float, box: Box) -> Box:
        """Return the least box, and a little more, of the prices at which no cut is above ``level``."""
        from scipy.optimize import linprog

        scaled, heights = self._in(box)
        norms = np.maximum(np.linalg.norm(scaled, axis=1), 1e-300)
        room = (box.high - box.low) / box.widths
        ends = np.stack([np.zeros(len(room)), room])
        for resource in range(len(room)):
            for side, sign in ((0, 1.0), (1, -1.0)):
                aim = np.zeros(len(room))
                aim[resource] = sign
                answer = linprog(
                    aim,
                    A_ub=scaled / norms[:, None],
                    b_ub=(level - heights) / norms + 1e-9,
                    bounds=[(0.0, end) for end in room.tolist()],
                    method="highs",
                )
                if answer.status != 0 or answer.x is None:
                    return box
                ends[side, resource] = answer.x[resource]
        more = 0.01 * (ends[1] - ends[0]) + 1e-6
        low, high = np.maximum(ends[0] - more, 0.0), np.minimum(ends[1] + more, room)
        return Box(low=box.low + low * box.widths, high=box.low + high * box.widths)

    def _in(self, box: Box) -> tuple[FloatArray, FloatArray]:
        """Return gradients in units of the box, and heights at its lower corner."""
        return self.gradients * box.widths, self.heights + self.gradients @ box.low
