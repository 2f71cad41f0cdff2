"""Feasible points: greedy construction, filling up, and local search by single steps and swaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coinfer.solver.monotonic.feasible import Feasibility
from coinfer.solver.monotonic.goal import Goal
from coinfer.solver.monotonic.program import FloatArray, IntArray

ROUNDS = 60
"""Most improving steps of one local search."""
MOST_SWAPS = 4096
"""Swaps looked at in one round; with more of them, those of the first variables."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """A feasible point and its value."""

    point: IntArray
    value: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Climber:
    """Looks for good points.

    Attributes
    ----------
    goal, feasibility
        Objective and constraints, counted.
    halted
        Says whether a limit ends the search.
    """

    goal: Goal
    feasibility: Feasibility
    halted: Callable[[], bool]

    def best(self, points: IntArray) -> Found | None:
        """Return the best of ``points`` (count, variables) that is known to be feasible; ``None`` without one."""
        kept = points[self.feasibility.kept(points)]
        values = self.goal.values(kept) if len(kept) else np.zeros(0)
        if not (~np.isnan(values)).any():
            return None
        i = int(np.nanargmax(values))
        return Found(point=kept[i].copy(), value=float(values[i]))

    def filled(self, lower: IntArray, upper: IntArray, score: FloatArray) -> IntArray:
        """Raise the variables of a box in the order of ``score`` (variables,) as far as the linear rows allow.

        Twice, since one variable may need another. A row that is broken may only get better.
        """
        matrix, limits = self.feasibility.matrix, self.feasibility.limits
        point = lower.copy()
        activity = matrix @ point
        order = [i for i in np.argsort(-score, kind="stable").tolist() if upper[i] > lower[i]]
        for i in order + order:
            takes = matrix[:, i]
            hurt = takes > 0.0
            room = np.floor((limits - activity)[hurt] / takes[hurt]).min(initial=np.inf)
            steps = int(min(max(room, 0.0), upper[i] - point[i]))
            if steps:
                point[i] += steps
                activity = activity + steps * takes
        return point

    def built(self, start: IntArray, lower: IntArray, upper: IntArray) -> Found | None:
        """Step from ``start`` towards feasible points, then to better ones, by the best single step each time."""
        point = start.copy()
        violation = float(self.feasibility.violation(point[None, :])[0])
        while violation > 0.0 and not self.halted():
            steps = _steps(point, lower, upper)
            if len(steps) == 0:
                return None
            violations = self.feasibility.violation(steps)
            least = float(violations.min())
            if not least < violation:
                return None
            good = steps[violations <= least]
            values = np.nan_to_num(self.goal.values(good), nan=-np.inf)
            point, violation = good[int(np.argmax(values))], least
        found = self.best(point[None, :])
        return None if found is None else self.climbed(found, lower, upper, swaps=False)

    def climbed(self, found: Found, lower: IntArray, upper: IntArray, *, swaps: bool = True) -> Found:
        """Improve a feasible point by single steps, by their value per use of rows, then by swaps."""
        for _ in range(ROUNDS):
            if self.halted():
                break
            steps = _steps(found.point, lower, upper)
            if not self.goal.by_lower:  # a step down cannot be worth more
                steps = steps[(steps >= found.point).all(axis=1)]
            better = self._stepped(found, steps)
            if better is None and swaps:
                better = self.best(_swaps(found.point, lower, upper, self.feasibility))
                better = better if better is not None and better.value > found.value else None
            if better is None:
                break
            found = better
        return found

    def _stepped(self, found: Found, steps: IntArray) -> Found | None:
        """Return the improving step with the most value for what it takes of the rows."""
        kept = steps[self.feasibility.kept(steps)]
        if len(kept) == 0:
            return None
        values = self.goal.values(kept)
        gains = np.where(values > found.value, values - found.value, 0.0)
        if not gains.any():
            return None
        room = np.maximum(self.feasibility.limits - self.feasibility.matrix @ found.point, 1e-12)
        takes = np.maximum((kept - found.point) @ self.feasibility.matrix.T, 0.0) / room
        i = int(np.argmax(gains / (takes.max(axis=1, initial=0.0) + 0.05)))
        return Found(point=kept[i].copy(), value=float(values[i]))


def _steps(point: IntArray, lower: IntArray, upper: IntArray) -> IntArray:
    """Return the points one step of one variable away, and half of the way to its ends, (count, variables)."""
    ups, downs = np.flatnonzero(point < upper), np.flatnonzero(point > lower)
    half_up, half_down = (upper - point + 1) // 2, (point - lower + 1) // 2
    wide_up, wide_down = ups[half_up[ups] > 1], downs[half_down[downs] > 1]
    which = np.concatenate([ups, downs, wide_up, wide_down])
    change = np.concatenate([np.ones(len(ups)), -np.ones(len(downs)), half_up[wide_up], -half_down[wide_down]]).astype(
        np.int64
    )
    points = np.repeat(point[None, :], len(which), axis=0)
    points[np.arange(len(which)), which] += change
    return points


def _swaps(point: IntArray, lower: IntArray, upper: IntArray, feasibility: Feasibility) -> IntArray:
    """Return the points where one variable is a step higher and another a step lower, rows kept."""
    ups, downs = np.flatnonzero(point < upper), np.flatnonzero(point > lower)
    up, down = (side.ravel() for side in np.meshgrid(ups, downs))
    apart = np.flatnonzero(up != down)[:MOST_SWAPS]
    points = np.repeat(point[None, :], len(apart), axis=0)
    points[np.arange(len(apart)), up[apart]] += 1
    points[np.arange(len(apart)), down[apart]] -= 1
    return points[feasibility.rows_kept(points)]
