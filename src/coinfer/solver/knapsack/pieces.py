"""Reading menus of several resources piece by piece: checked once, absent options without a cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coinfer.solver.knapsack.program import Block, Menus, check_block
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.program import FloatArray, IntArray

FETCHED = 1 << 14
"""Rows asked for at a time: enough for a formula to be worth its call."""
PIECE_CELLS = 1 << 15
"""Cells worked on at a time: few enough for the temporary arrays to stay in the processor's cache."""
RUNS = 64
"""Runs of consecutive rows that a sample is made of."""

Runs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Consecutive rows, ready for arithmetic.

    Attributes
    ----------
    start
        The first row, counted among the rows that are read.
    value
        (rows, options): ``-inf`` where there is no such option.
    cost
        (resources, rows, options): finite.
    copies
        (rows,): at least 1.
    """

    start: int
    value: FloatArray
    cost: FloatArray
    copies: IntArray


class Pieces:
    """Rows of ``menus``, as often as they are needed; every block is checked the first time it is read."""

    def __init__(self, menus: Menus, watch: Watch, keep: IntArray) -> None:
        self.menus = menus
        self.watch = watch
        self._keep = keep
        self._all = len(keep) == menus.resources
        self._checked: set[tuple[int, int]] = set()
        self._tidy = True

    @property
    def whole(self) -> Runs:
        """All rows."""
        return ((0, self.menus.rows),)

    def sample(self, wanted: int) -> Runs:
        """Return about so many rows in runs spread evenly, or all where they are not many more."""
        rows = self.menus.rows
        if wanted * 2 >= rows:
            return self.whole
        length = max(1, wanted // RUNS)
        starts = np.linspace(0, rows - length, RUNS).astype(np.int64).tolist()
        return tuple((start, start + length) for start in dict.fromkeys(starts))

    def read(self, runs: Runs) -> Iterator[Part]:
        """Yield the rows of ``runs`` in order.

        Raises
        ------
        InputError
            For numbers that :func:`~coinfer.solver.knapsack.program.check_block` refuses.
        Stopped
            Where a limit is hit.
        """
        size = max(16, PIECE_CELLS // self.menus.options)
        done = 0
        for first, last in runs:
            for start in range(first, last, FETCHED):
                self.watch.look()
                block = self.menus.block(start, min(start + FETCHED, last))
                self._check(block, start)
                for own in range(0, len(block.value), size):
                    yield self._part(block, slice(own, own + size), done + own)
                done += len(block.value)

    def _check(self, block: Block, start: int) -> None:
        place = (start, len(block.value))
        if place in self._checked:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            plain = np.isfinite(float(block.value.sum()) + float(block.cost.sum())) and block.copies.min() >= 1
        if not plain:
            check_block(block, start)
            self._tidy = self._tidy and bool(np.isfinite(block.cost).all())
        self._checked.add(place)

    def _part(self, block: Block, own: slice, start: int) -> Part:
        cost = block.cost[:, own] if self._all else block.cost[self._keep, own]
        if not self._tidy:
            cost = np.where(np.isfinite(cost), cost, 0.0)
        return Part(start=start, value=block.value[own], cost=cost, copies=block.copies[own])


def rows_of(runs: Runs) -> int:
    """Return how many rows the runs have."""
    return sum(last - first for first, last in runs)
