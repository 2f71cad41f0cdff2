"""Incumbents of a facility location under linear rows: greedy filling and swaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.monotonic.program import FloatArray

BoolArray = NDArray[np.bool_]
FEASIBLE = 1e-12
"""Relative tolerance on a linear row: only rounding is forgiven."""


class Filler:
    """Adds columns to a choice while every linear row allows it.

    Parameters
    ----------
    values
        (columns, rows) weighted values, at least 0.
    coefficients, limits
        (linear rows, columns) and (linear rows,).
    allowed
        (columns,) columns that may be open.
    """

    def __init__(self, values: FloatArray, coefficients: FloatArray, limits: FloatArray, allowed: BoolArray) -> None:
        self._values, self._coefficients, self._allowed = values, coefficients, allowed
        self.limits = limits + FEASIBLE * (np.abs(limits) + np.abs(coefficients).sum(axis=1))

    def feasible(self, chosen: BoolArray) -> bool:
        """Return True when ``chosen`` keeps every linear row."""
        return bool((self._coefficients @ chosen <= self.limits).all() and (chosen <= self._allowed).all())

    def value(self, chosen: BoolArray) -> float:
        """Return the objective of ``chosen``, above the sum of the least."""
        return float(self._values[chosen].max(axis=0, initial=0.0).sum())

    def fill(self, chosen: BoolArray, *, order: FloatArray | None = None, without: int = -1) -> BoolArray:
        """Return ``chosen`` with columns added, best gain (or highest ``order``) first, as long as any fits.

        A row with negative coefficients may be broken at first; columns that mend one go first.
        """
        chosen = chosen.copy()
        used = self._coefficients @ chosen
        best = self._values[chosen].max(axis=0, initial=0.0)
        while True:
            worse = np.maximum(used, self.limits)  # a broken row may stay as it is, and no row may break
            fits = self._allowed & ~chosen & (used[:, None] + self._coefficients <= worse[:, None]).all(axis=0)
            if without >= 0:
                fits[without] = False
            broken = used > self.limits
            if broken.any():
                fits &= (self._coefficients[broken] < 0.0).any(axis=0)
            candidates = np.flatnonzero(fits)
            if len(candidates) == 0:
                return chosen
            if order is None:
                scores = np.maximum(self._values[candidates], best).sum(axis=1) - best.sum()
                if not broken.any() and scores.max() <= 0.0:
                    return chosen
            else:
                scores = order[candidates]
            column = int(candidates[int(np.argmax(scores))])
            chosen[column] = True
            used = used + self._coefficients[:, column]
            best = np.maximum(best, self._values[column])

    def improve(self, chosen: BoolArray, required: BoolArray, *, passes: int = 50) -> BoolArray:
        """Return a choice that taking any one column out, and filling up again, does not improve."""
        value = self.value(chosen)
        for _ in range(passes):
            for column in np.flatnonzero(chosen & ~required):
                fewer = chosen.copy()
                fewer[column] = False
                other = self.fill(fewer, without=int(column))
                if self.feasible(other) and self.value(other) > value:
                    chosen, value = other, self.value(other)
                    break
            else:
                return chosen
        return chosen


def first_choices(filler: Filler, values: FloatArray, coefficients: FloatArray, required: BoolArray) -> list[BoolArray]:
    """Return choices from greedy fillings: by gain, and by value per share of the tightest row."""
    size = np.maximum(coefficients, 0.0)
    scale = np.maximum(size.max(axis=1, initial=0.0), 1e-300)
    load = (size / scale[:, None]).max(axis=0, initial=0.0) + 1e-3
    alone = values.sum(axis=1)
    return [filler.fill(required), filler.fill(required, order=alone / load), filler.fill(required, order=-load)]
