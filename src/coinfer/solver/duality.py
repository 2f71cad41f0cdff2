"""What row multipliers show over a box, in floats with a rounding margin; the certificate checker does it exactly."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from coinfer.solver.program import FloatArray, MixedIntegerProgram

_UNIT = 2.0**-53  # rounding error of one float operation
_GRID_BITS = 44  # bits kept of the largest multiplier, so that sums of a few hundred of them are exact
_PASSES = 6


class DualBounds:
    """Weak duality over changing boxes of one program.

    A variable without a finite bound needs a reduced cost of exactly 0 or of the right sign: there no margin helps,
    so those columns are looked at in rational arithmetic, and multipliers can be moved by a hair to fit
    (:meth:`repaired`).

    Parameters
    ----------
    program
        Any program.
    """

    def __init__(self, program: MixedIntegerProgram) -> None:
        self._program = program
        self._row = program.row_of_entry
        entries = np.bincount(program.column, minlength=program.variables)
        self._unit = (entries + 4.0) * _UNIT  # (variables,): relative error of a reduced cost
        self._no_lower, self._no_upper = ~np.isfinite(program.lower), ~np.isfinite(program.upper)
        self._unlimited = self._no_lower | self._no_upper
        self._columns: dict[int, list[tuple[int, Fraction]]] = {int(j): [] for j in np.flatnonzero(self._unlimited)}
        for k in np.flatnonzero(self._unlimited[program.column]):
            self._columns[int(program.column[k])].append((int(self._row[k]), Fraction(float(program.coefficient[k]))))
        self._crowd = np.bincount(self._row, weights=self._unlimited[program.column], minlength=program.rows)

    def signed(self, multipliers: FloatArray) -> FloatArray:
        """Return multipliers without those whose sign asks for an infinite row side."""
        program = self._program
        useless = ((multipliers > 0.0) & ~np.isfinite(program.row_lower)) | (
            (multipliers < 0.0) & ~np.isfinite(program.row_upper)
        )
        return np.where(useless | (np.abs(multipliers) < 1e-13) | ~np.isfinite(multipliers), 0.0, multipliers)

    def bound(self, y: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
        """Return an objective bound that ``y`` shows over ``lower <= x <= upper``; ``-inf`` when it shows none."""
        total = self._weak_duality(y, self._program.cost, lower, upper) + self._program.offset
        return float(np.nextafter(total, -np.inf)) if math.isfinite(total) else -math.inf

    def empties(self, y: FloatArray, lower: FloatArray, upper: FloatArray) -> bool:
        """Return True when ``y`` shows that no point of the box keeps the rows (Farkas)."""
        total = self._weak_duality(y, np.zeros(self._program.variables), lower, upper)
        return math.isfinite(total) and total > 0.0

    def ray(self, ray: FloatArray | None, lower: FloatArray, upper: FloatArray) -> FloatArray | None:
        """Return multipliers that show the box to be empty, or ``None`` when the engine's ray does not."""
        if ray is None:
            return None
        nothing = np.zeros(self._program.variables)
        for sign in (1.0, -1.0):
            turned = self.signed(sign * ray)
            size = float(np.abs(turned).max(initial=0.0))
            turned = self.repaired(turned / size if size > 0.0 else turned, nothing)
            if self.empties(turned, lower, upper):
                return turned
        return None

    def repaired(self, y: FloatArray, cost: FloatArray, *, on_grid: bool = True) -> FloatArray:
        """Return multipliers moved by a hair, so that unlimited variables have reduced costs of the right sign.

        With ``on_grid`` the multipliers are first rounded to one power of two, so that sums of them are exact; a free
        variable, whose reduced cost must be 0 to the last bit, can often be served only then. Where no move helps, the
        multipliers may come back still unfit; :meth:`bound` then says ``-inf``.
        """
        size = float(np.abs(y).max(initial=0.0))
        if not self._columns or size == 0.0:
            return y
        y = y.copy()
        if on_grid:
            grid = 2.0 ** (math.frexp(size)[1] - _GRID_BITS)
            y = np.round(y / grid) * grid
        for _ in range(_PASSES):
            wrong = [(j, rest) for j in self._columns if self._wrong(j, rest := self._reduced(j, y, cost))]
            if not wrong:
                break
            for j, rest in wrong:
                self._move(y, j, rest)
        return y

    def _reduced(self, j: int, y: FloatArray, cost: FloatArray) -> Fraction:
        """Return the exact reduced cost of an unlimited variable."""
        entries = self._columns[j]
        return Fraction(float(cost[j])) - sum((Fraction(float(y[i])) * a for i, a in entries), Fraction(0))

    def _wrong(self, j: int, reduced: Fraction) -> bool:
        return bool((reduced < 0 and self._no_upper[j]) or (reduced > 0 and self._no_lower[j]))

    def _move(self, y: FloatArray, j: int, reduced: Fraction) -> None:
        """Change one multiplier so that the reduced cost of ``j`` becomes 0, or as good as 0 on the right side."""
        program = self._program
        for i, a in sorted(self._columns[j], key=lambda entry: (self._crowd[entry[0]], -abs(y[entry[0]]))):
            before = Fraction(float(y[i]))
            new = float(before + reduced / a)
            if self._wrong(j, reduced - a * (Fraction(new) - before)):  # rounded to the wrong side
                new = float(np.nextafter(new, np.inf if reduced / a > 0 else -np.inf))
            if math.isfinite((program.row_lower if new > 0.0 else program.row_upper)[i]) or new == 0.0:
                y[i] = new
                return

    def _weak_duality(self, y: FloatArray, cost: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
        """Return the weak-duality sum in floats, less a margin for every rounding on the way."""
        program = self._program
        side = np.where(y > 0.0, program.row_lower, np.where(y < 0.0, program.row_upper, 0.0))
        product = program.coefficient * y[self._row]
        reduced = cost - np.bincount(program.column, weights=product, minlength=program.variables)
        sums = np.bincount(program.column, weights=np.abs(product), minlength=program.variables)
        error = self._unit * (np.abs(cost) + sums)
        sure = np.abs(reduced) > error
        for j in self._columns:
            if not sure[j]:  # its sign is within rounding, and decides between a bound and none
                exact = self._reduced(j, y, cost)
                if self._wrong(j, exact):
                    return -math.inf
                reduced[j], error[j] = float(exact), _UNIT * abs(float(exact))
        with np.errstate(invalid="ignore"):
            ends = np.where(reduced > 0.0, lower, np.where(reduced < 0.0, upper, 0.0))
            terms = reduced * ends
            reach = np.where(self._unlimited, np.abs(ends), np.maximum(np.abs(lower), np.abs(upper)))
            margin = error * reach
        parts = np.concatenate([side * y, terms, -margin])
        if not np.isfinite(parts).all():
            return -math.inf
        return math.fsum(parts) - 4.0 * _UNIT * float(np.abs(parts).sum())


def rounded(y: FloatArray, digits: int) -> FloatArray:
    """Round each number to so many significant decimal digits."""
    short = np.zeros(len(y))
    for i in np.flatnonzero(y):
        short[i] = float(f"{y[i]:.{digits}g}")
    return short


def rounded_down(bound: Fraction | float) -> float:
    """Return the largest float that is not above ``bound``."""
    if isinstance(bound, float):
        return bound
    near = float(bound)
    return near if Fraction(near) <= bound else float(np.nextafter(near, -np.inf))
