"""What happens to one box of a facility location: rows propagate, prices bound it, reductions shrink it, it splits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.certificate.facility import coverage, shifted
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.facility_prices import Pricer
from coinfer.solver.monotonic.facility_start import BoolArray, Filler
from coinfer.solver.monotonic.kernels import Choice
from coinfer.solver.monotonic.pool import Pool
from coinfer.solver.monotonic.prices import Priced
from coinfer.solver.monotonic.program import FacilityLocation, FloatArray, IntArray, MonotonicProgram
from coinfer.solver.monotonic.proof_tree import NOWHERE, ROOT, ProofTree

ROUND_FIRST, ROUND_EVERY = 20, 10
"""Boxes of which every one, and later one in so many, is rounded to a point."""
EXACT = 1e-10
"""Relative to the largest possible value: boxes that cannot win by more than this are closed."""
STATED = 1e-11
"""Relative to the largest possible value: leaves state their bound that much higher, above the checker's rounding."""
AMBIGUITY = 0.5
"""Weight of the gap against a column's reduced profit when the branching column is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Box:
    """An open box.

    Attributes
    ----------
    inside, outside
        (columns,) columns that are open, and closed, in every point of the box.
    bound
        No feasible point of it is worth more (above the sum of the rows' least values).
    base
        (rows,) the largest value of an open column.
    prices, row_prices, table
        Prices that show the bound, and the place of the first in the proof.
    at
        Position of the box in the proof.
    """

    inside: BoolArray
    outside: BoolArray
    bound: float
    base: FloatArray
    prices: FloatArray
    row_prices: FloatArray
    table: int
    at: int


class Boxes:
    """The program, the incumbent and the proof, which all boxes share."""

    def __init__(
        self, program: MonotonicProgram, limits: Limits, kernel: Choice, pool: Pool | None, *, keep: bool
    ) -> None:
        if not isinstance(program.objective, FacilityLocation):
            raise TypeError("expected a facility location objective")
        self._limits, self._pool = limits, pool
        own, extra = program.rows, coverage(program.objective)
        self.coefficients = np.concatenate([own.coefficients, extra.coefficients])
        self.limit = np.concatenate([own.limits, extra.limits])
        self.values, self.constant, size = shifted(program.objective)
        self.required, self.allowed = program.lower > 0, program.upper > 0
        self.filler = Filler(self.values, self.coefficients, self.limit, self.allowed)
        self.tree = ProofTree(keep=keep)
        self.scale = max(float(self.values.max(axis=0, initial=0.0).sum()), size) or 1.0
        self._above = STATED * self.scale
        self.value = -math.inf
        self.best: BoolArray | None = None
        self.closed = -math.inf
        self.pricer = Pricer(self.values, self.coefficients, self.limit, kernel)
        self.evaluated = 0

    def threshold(self) -> float:
        """Return the bound at or below which a box is of no interest."""
        value = self.value if self._pool is None else self._pool.threshold - self.constant
        if not math.isfinite(value):
            return value
        gap = max(self._limits.absolute_gap, self._limits.relative_gap * abs(value + self.constant))
        return value + max(gap, EXACT * self.scale)

    def offer(self, chosen: BoolArray) -> None:
        """Take ``chosen`` as incumbent where it is feasible and better."""
        self.evaluated += 1
        if not self.filler.feasible(chosen) or not (chosen >= self.required).all():
            return
        value = self.filler.value(chosen)
        if self._pool is not None:
            self._pool.offer(chosen.astype(np.int64), self.constant + value)
        if value > self.value:
            self.value, self.best = value, chosen.copy()

    def root(self, prices: FloatArray | None) -> Box:
        """Return the whole box, bounded by ``prices``, or by what the incumbent pays for each row."""
        if prices is None:
            prices = np.zeros(self.values.shape[1])
            if self.best is not None:
                prices = 0.9 * self.values[self.best].max(axis=0, initial=0.0)
        profits = np.maximum(self.values - prices, 0.0).sum(axis=1)
        return Box(
            inside=self.required,
            outside=~self.allowed,
            bound=float(prices.sum()) + float(profits[self.allowed].sum()),
            base=self.values[self.required].max(axis=0, initial=0.0),
            prices=prices,
            row_prices=np.zeros(len(self.limit)),
            table=self.tree.table(prices),
            at=ROOT,
        )

    def close(self, box: Box) -> None:
        """Close a box with the prices it has."""
        self._leaf(box.at, box.bound, box.table, box.row_prices)

    def expand(self, box: Box) -> list[Box]:
        """Bound a box and shrink it; return what is left of it, split in two, or nothing."""
        if self.tree.full and box.at != NOWHERE:
            self._write(box.at, box.bound + self._above, box.table, box.row_prices)
            box = replace(box, at=NOWHERE)
        inside, outside = box.inside.copy(), box.outside.copy()
        at = self._propagate(inside, outside, box.at)
        if at is None or self._settled(inside, outside, at):
            return []
        free = np.flatnonzero(~inside & ~outside)
        base = self._base(box, inside)
        target = self.threshold()
        priced = self.pricer.price(
            inside,
            outside,
            free,
            base,
            (box.prices, box.row_prices),
            target=target if math.isfinite(target) else 0.9 * box.bound,
        )
        if not isinstance(priced, Priced):
            rows = np.flatnonzero(priced > 0.0)
            prices = tuple(priced[rows].tolist())
            self.tree.leaf(at, BoxLeaf(method="constraint", rows=tuple(rows.tolist()), row_prices=prices))
            return []
        improved = priced.bound <= box.bound
        if improved:
            box = replace(
                box,
                bound=priced.bound,
                prices=priced.prices,
                row_prices=priced.row_prices,
                table=box.table if box.at == NOWHERE else self.tree.table(priced.prices),
            )
        if box.bound <= self.threshold():
            self._leaf(at, box.bound, box.table, box.row_prices)
            return []
        if improved:
            self._round(inside, free, priced.reduced if priced.relaxed is None else priced.relaxed)
            at = self._reduce(inside, outside, at, box, free, priced.reduced)
        at = self._propagate(inside, outside, at)
        if at is None or self._settled(inside, outside, at):
            return []
        left = np.flatnonzero(~inside[free] & ~outside[free])
        column = int(free[left[int(np.argmax(self._doubt(priced, box)[left]))]])
        return self._split(inside, outside, at, box, column)

    def _doubt(self, priced: Priced, box: Box) -> FloatArray:
        """Return how much branching on each free column promises: a large gain that the prices are not sure about."""
        doubt = priced.gains / (np.abs(priced.reduced) + AMBIGUITY * max(box.bound - self.value, 1e-300))
        if priced.relaxed is not None:
            doubt = doubt / max(float(doubt.max()), 1e-300) * 1e-3 + np.minimum(priced.relaxed, 1.0 - priced.relaxed)
        return doubt

    def _base(self, box: Box, inside: BoolArray) -> FloatArray:
        """Return the largest value of an open column, (rows,), given that of the box before columns were opened."""
        opened = np.flatnonzero(inside & ~box.inside)
        return np.maximum(box.base, self.values[opened].max(axis=0)) if len(opened) else box.base

    def _propagate(self, inside: BoolArray, outside: BoolArray, at: int | None) -> int | None:
        """Fix, in place, what the linear rows leave no choice about; ``None`` when they leave no point at all."""
        if at is None:
            return None
        slack = self.filler.limits - self.coefficients @ inside
        while True:
            free = np.flatnonzero(~inside & ~outside)
            own = self.coefficients[:, free]
            room = slack - np.minimum(own, 0.0).sum(axis=1)
            empty = np.flatnonzero(room < 0.0)
            if len(empty):
                self.tree.leaf(at, BoxLeaf(method="constraint", constraint=int(empty[0])))
                return None
            too_much, needed = own > room[:, None], -own > room[:, None]
            out, into = too_much.any(axis=0), needed.any(axis=0)
            if not (out.any() or into.any()):
                return at
            for i in np.flatnonzero(out | into):
                below, above = self.tree.branch(at, int(free[i]), 0)
                rows = too_much if out[i] else needed
                at, cut = (below, above) if out[i] else (above, below)
                self.tree.leaf(cut, BoxLeaf(method="constraint", constraint=int(np.argmax(rows[:, i]))))
            outside[free[out]] = True
            inside[free[into & ~out]] = True
            slack = self.filler.limits - self.coefficients @ inside

    def _settled(self, inside: BoolArray, outside: BoolArray, at: int) -> bool:
        """Close a box whose upper corner is feasible, and so is its best point; with a pool only where that is all."""
        if not self.filler.feasible(~outside):
            return False
        value = self.filler.value(~outside)
        self.offer(~outside)
        if self._pool is not None and value > self.threshold() and not (inside | outside).all():
            return False
        self.closed = max(self.closed, value + self._above)
        self.tree.leaf(at, BoxLeaf(method="vertex", bound=self.constant + value + self._above))
        return True

    def _reduce(
        self,
        inside: BoolArray,
        outside: BoolArray,
        at: int,
        bounded: Box,
        free: IntArray,
        reduced: FloatArray,
    ) -> int:
        """Fix, in place, every column whose other value the prices already exclude (reduced-cost fixing)."""
        threshold = self.threshold()
        for i in np.flatnonzero(bounded.bound - np.abs(reduced) <= threshold):
            column, bound = int(free[i]), bounded.bound - abs(float(reduced[i]))
            below, above = self.tree.branch(at, column, 0)
            at, cut = (above, below) if reduced[i] > 0.0 else (below, above)
            self._leaf(cut, bound, bounded.table, bounded.row_prices)
            (inside if reduced[i] > 0.0 else outside)[column] = True
        return at

    def _round(self, inside: BoolArray, free: IntArray, reduced: FloatArray) -> None:
        """Try the point that the prices suggest."""
        if self.pricer.boxes > ROUND_FIRST and self.pricer.boxes % ROUND_EVERY:
            return
        order = np.full(len(inside), -math.inf)
        order[free] = reduced
        point = self.filler.fill(inside, order=order)
        if self.filler.feasible(point) and self.filler.value(point) > self.value:
            self.offer(self.filler.improve(point, self.required))

    def _split(self, inside: BoolArray, outside: BoolArray, at: int, box: Box, column: int) -> list[Box]:
        """Return the box without and with ``column``."""
        below, above = self.tree.branch(at, column, 0)
        without, with_it = outside.copy(), inside.copy()
        without[column] = with_it[column] = True
        base = self._base(box, inside)
        return [
            replace(box, inside=inside, outside=without, base=base, at=below),
            replace(box, inside=with_it, outside=outside, base=np.maximum(base, self.values[column]), at=above),
        ]

    def _leaf(self, at: int, bound: float, table: int, row_prices: FloatArray) -> None:
        """Close a box with prices."""
        self.closed = max(self.closed, bound + self._above)
        self._write(at, bound + self._above, table, row_prices)

    def _write(self, at: int, bound: float, table: int, row_prices: FloatArray) -> None:
        rows = np.flatnonzero(row_prices)
        leaf = BoxLeaf(
            method="prices",
            bound=self.constant + bound,
            table=table,
            rows=tuple(rows.tolist()),
            row_prices=tuple(row_prices[rows].tolist()),
        )
        self.tree.leaf(at, leaf)
