r"""Every choice that prices leave open, as the whole points of a small polytope: made for few rows of many copies.

Let the copies of a row take its best option but for :math:`x_c` of them that take the option c. A choice within the
budgets that falls short of the bound of the prices by less than G has :math:`\sum_c \ell_c x_c + \lambda \cdot s < G`
with losses :math:`\ell_c \ge 0` and what it leaves of the budgets :math:`s \ge 0`. Options that lose next to nothing
may take any number of copies; there are about as many of them as budgets with a price, since these are split in the
linear relaxation. So the counts of all others are gone through first, of which there are few. With their sums fixed,
:math:`s` is in a simplex with the corners 0 and :math:`(G - \sum \ell x) / \lambda_r` on each axis, and each
remaining count, a linear function of s, is between its values at the corners.

Floats only say early what to give up, with room for their rounding. What they leave is checked in exact arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.certificate.knapsack_cells import Cell, cells_of, solved_for, unit_of
from coinfer.solver.certificate.knapsack_open import OpenRow
from coinfer.solver.program import FloatArray, IntArray

MOST_CELLS = 1000
"""Options that are gone through, besides the best of each row."""
MOST_POINTS = 1 << 18
"""Partial choices at a time."""
MOST_LEFT = 1 << 12
"""Choices that are checked in exact arithmetic."""
SMALLEST, LARGEST = 1e-250, 1e250
"""Sizes between which floats lose no more than a share of their size."""
UNIT = 2.0**-53
PLAY = 1e-9
"""Share by which ranges are widened for rounding."""


@dataclass(slots=True, kw_only=True)
class _Points:
    """Counts of some cells: their sums, and how they came about."""

    loss: FloatArray
    gain: FloatArray
    cost: FloatArray
    used: IntArray
    trail: list[tuple[Cell, IntArray, IntArray]] = field(default_factory=list)

    def spread(self, cell: Cell, low: IntArray, high: IntArray) -> bool:
        """Let ``low`` to ``high`` copies take the cell, for every point; false where that makes too many points."""
        high = np.minimum(high, np.minimum(cell.most, self.used[cell.row]))
        number = np.maximum(high - np.maximum(low, 0) + 1, 0)
        total = int(number.sum())
        if total > MOST_POINTS:
            return False
        parent = np.repeat(np.arange(len(number)), number)
        count = np.maximum(low, 0)[parent] + np.arange(total) - np.repeat(np.cumsum(number) - number, number)
        self.loss = self.loss[parent] + count * float(cell.loss)
        self.gain = self.gain[parent] + count * float(cell.gain)
        self.cost = self.cost[:, parent] + count * np.array([float(own) for own in cell.cost])[:, None]
        self.used = self.used[:, parent]
        self.used[cell.row] -= count
        self.trail.append((cell, parent, count))
        return True

    def keep(self, keep: NDArray[np.bool_]) -> None:
        """Drop the other points."""
        if keep.all():
            return
        self.loss, self.gain = self.loss[keep], self.gain[keep]
        self.cost, self.used = self.cost[:, keep], self.used[:, keep]
        if self.trail:
            cell, parent, count = self.trail[-1]
            self.trail[-1] = cell, parent[keep], count[keep]

    def counts(self, place: int) -> list[tuple[Cell, int]]:
        """Return how many copies take each cell in a point."""
        found = []
        for cell, parent, count in reversed(self.trail):
            found.append((cell, int(count[place])))
            place = int(parent[place])
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best choice of those gone through.

    Attributes
    ----------
    gain
        Against the best options.
    counts
        How many copies take each cell.
    """

    gain: Fraction
    counts: list[tuple[Cell, int]]


def best_left(
    rows: list[OpenRow], left: list[Fraction | None], prices: tuple[Fraction, ...], allowed: Fraction, above: Fraction
) -> tuple[bool, Best | None]:
    """Go through all choices that lose less than ``allowed`` and gain more than ``above``.

    Parameters
    ----------
    rows, left
        The open rows; the budgets less what the best options take, ``None`` without a limit.
    prices
        Of all resources.
    allowed, above
        What a choice may lose at most, and what it gains at least, both against the best options.

    Returns
    -------
    tuple
        Whether all were gone through, and the best that keeps the budgets, ``None`` without one.
    """
    kept = [r for r, room in enumerate(left) if room is not None]
    cells = cells_of(rows, kept, allowed)
    if len(cells) > MOST_CELLS or max((row.copies for row in rows), default=0) >= 2**40:
        return False, None
    unit = unit_of([allowed, above, *(cell.gain for cell in cells)])
    units = [unit_of([left[r] or Fraction(0), *(cell.cost[i] for cell in cells)]) for i, r in enumerate(kept)]
    scaled = [
        Cell(
            row=cell.row,
            place=cell.place,
            most=cell.most,
            loss=cell.loss / unit,
            gain=cell.gain / unit,
            cost=tuple(own / by for own, by in zip(cell.cost, units, strict=True)),
        )
        for cell in cells
    ]
    rooms = [(left[r] or Fraction(0)) / by for r, by in zip(kept, units, strict=True)]
    priced = [prices[r] * by / unit for r, by in zip(kept, units, strict=True)]
    numbers = [allowed / unit, above / unit, *rooms, *priced]
    numbers += [own for cell in scaled for own in (cell.loss, cell.gain, *cell.cost)]
    if not all(SMALLEST < abs(number) < LARGEST for number in numbers if number):
        return False, None
    done, best = _Search(rows, scaled, rooms, priced, allowed / unit, above / unit).run()
    return done, None if best is None else Best(gain=best.gain * unit, counts=best.counts)


class _Search:
    """One search."""

    def __init__(
        self,
        rows: list[OpenRow],
        cells: list[Cell],
        left: list[Fraction],
        prices: list[Fraction],
        allowed: Fraction,
        above: Fraction,
    ) -> None:
        self.exact_left, self.exact_above = left, above
        self.last, self.axes, self.inverse = solved_for(cells, prices)
        self.first = sorted((cell for cell in cells if cell not in self.last), key=lambda cell: -cell.loss)
        self.left = np.array([float(room) for room in left])
        self.prices = np.array([float(price) for price in prices])
        self.allowed = float(allowed) * (1.0 + PLAY)
        self.above = float(above)
        copies = np.array([row.copies for row in rows], dtype=np.int64)
        off = 4.0 * (len(cells) + 4) * UNIT
        most = np.array([float(cell.most) for cell in cells])
        costs = np.array([[abs(float(own)) for own in cell.cost] for cell in cells]).reshape(len(cells), len(left))
        self.size = np.abs(self.left) + most @ costs
        self.margin = off * self.size
        self.gain_margin = off * (abs(self.above) + float(most @ np.array([abs(float(own.gain)) for own in cells])))
        none = np.zeros((len(left), 1))
        self.points = _Points(loss=np.zeros(1), gain=np.zeros(1), cost=none, used=copies[:, None].copy())

    def run(self) -> tuple[bool, Best | None]:
        """Go through all; see :func:`best_left`."""
        points = self.points
        ahead = [*self.first, *self.last]
        for place, cell in enumerate(self.first):
            if not points.spread(cell, np.zeros(len(points.loss), dtype=np.int64), self._most_lost(cell)):
                return False, None
            self._give_up(ahead[place + 1 :])
        for place, cell in enumerate(self.last):
            low, high = self._between_corners(place)
            if place == len(self.last) - 1:
                low, high = self._within(cell, low, high)
            high = np.minimum(high, self._most_lost(cell))
            if not points.spread(cell, low, high):
                return False, None
            self._give_up(ahead[len(self.first) + place + 1 :])
        if len(points.loss) > MOST_LEFT:
            return False, None
        kept = [best for best in map(self._exactly, range(len(points.loss))) if best is not None]
        return True, max(kept, key=lambda best: best.gain, default=None)

    def _most_lost(self, cell: Cell) -> IntArray:
        """Return how many copies can take the cell before more is lost than allowed."""
        room = np.maximum(self.allowed - self.points.loss, 0.0)
        if float(cell.loss) * cell.most <= 0.0:
            return np.full(len(room), cell.most, dtype=np.int64)
        with np.errstate(over="ignore"):
            most: IntArray = np.minimum(room / float(cell.loss) * (1.0 + PLAY) + PLAY, cell.most).astype(np.int64)
        return most

    def _give_up(self, ahead: list[Cell]) -> None:
        """Drop the points that no counts of the cells ahead can bring inside the budgets, or near enough to them."""
        points = self.points
        most = np.array([float(cell.most) for cell in ahead])
        costs = np.array([[float(own) for own in cell.cost] for cell in ahead]).reshape(len(ahead), len(self.left))
        least, largest = most @ np.minimum(costs, 0.0), most @ np.maximum(costs, 0.0)
        unused = (self.left + self.margin)[:, None] - points.cost
        keep = (unused >= least[:, None]).all(axis=0)
        unspent = np.maximum(unused - largest[:, None] - 2.0 * self.margin[:, None], 0.0)
        keep &= points.loss * (1.0 - PLAY) + (self.prices @ unspent) * (1.0 - PLAY) <= self.allowed
        if not ahead:
            keep &= points.gain > self.above - self.gain_margin
        points.keep(keep)

    def _between_corners(self, place: int) -> tuple[IntArray, IntArray]:
        """Return the range of a count over the simplex that the budgets can be left with."""
        points, row = self.points, self.inverse[place]
        room = np.maximum(self.allowed - points.loss * (1.0 - PLAY), 0.0)
        corners = row / self.prices[self.axes]
        middle = row @ (self.left[self.axes, None] - points.cost[self.axes])
        play = np.abs(row) @ (self.margin + 1e-12 * self.size)[self.axes] + PLAY * (1.0 + room * np.abs(corners).max())
        low = middle - room * max(0.0, float(corners.max())) - play
        high = middle - room * min(0.0, float(corners.min())) + play
        return _whole(np.ceil(low)), _whole(np.floor(high))

    def _within(self, cell: Cell, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
        """Narrow the range of the last count to where every budget is kept and enough is gained."""
        points = self.points
        lines = [
            (float(own), room + margin - cost)
            for own, room, margin, cost in zip(cell.cost, self.left, self.margin, points.cost, strict=True)
        ]
        lines.append((-float(cell.gain), points.gain + self.gain_margin - self.above))
        for slope, room in lines:  # slope * count <= room
            if slope == 0.0:
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                end = room / slope
            play = PLAY * (1.0 + np.abs(end))
            if slope > 0.0:
                high = np.minimum(high, _whole(np.floor(end + play)))
            else:
                low = np.maximum(low, _whole(np.ceil(end - play)))
        return low, high

    def _exactly(self, place: int) -> Best | None:
        """Return a point that keeps the budgets and gains enough, in exact arithmetic."""
        counts = self.points.counts(place)
        gain = sum((count * cell.gain for cell, count in counts), Fraction(0))
        if gain <= self.exact_above:
            return None
        for r, room in enumerate(self.exact_left):
            if sum((count * cell.cost[r] for cell, count in counts), Fraction(0)) > room:
                return None
        return Best(gain=gain, counts=counts)


def _whole(numbers: FloatArray) -> IntArray:
    whole: IntArray = np.clip(numbers, -(2.0**52), 2.0**52).astype(np.int64)
    return whole
