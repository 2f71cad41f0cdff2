"""Reading menus of one resource piece by piece: checked once, absent options without a cost, stops looked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coinfer.solver.knapsack.program import Block, Menus, check_block, check_shape
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray
from coinfer.solver.progress import Stop

FETCHED = 1 << 14
"""Rows asked for at a time, at most: enough for a formula to be worth its call."""
FETCHES = 8
"""Parts in which fewer rows are asked for, so that what is there at a time is small beside all of them."""
PIECE_CELLS = 1 << 16
"""Cells worked on at a time: few enough for the temporary arrays to stay in the processor's cache."""
SAFE = 300
"""Numbers up to 2 to this power are safe to multiply with copies and with the slopes between them."""


class OutOfRange(Exception):  # noqa: N818
    """Numbers are met for which floats are not safe."""


def check_slopes(slopes: FloatArray) -> None:
    """Raise :class:`OutOfRange` where a slope, all of them above 0, is not safe to multiply by."""
    if len(slopes) and not (slopes.max() < 2.0 ** (2 * SAFE) and slopes.min() > 2.0 ** (-2 * SAFE)):
        raise OutOfRange


class Stopped(Exception):  # noqa: N818
    """A limit was hit inside a pass; the text is its name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watch:
    """What may end a solve early.

    Attributes
    ----------
    began
        ``time.perf_counter()`` at the start of the solve.
    limits, stop
        As given by the caller.
    """

    began: float
    limits: Limits
    stop: Stop

    @property
    def seconds(self) -> float:
        """Seconds since the solve began."""
        return time.perf_counter() - self.began

    def hit(self) -> str | None:
        """Return the name of the limit that is hit now, ``None`` without one."""
        if self.stop:
            return "interrupt"
        return "time" if self.limits.time_s is not None and self.seconds >= self.limits.time_s else None

    def look(self) -> None:
        """Raise :class:`Stopped` where a limit is hit."""
        limit = self.hit()
        if limit is not None:
            raise Stopped(limit)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """Consecutive rows, ready for arithmetic.

    Attributes
    ----------
    start
        The first row.
    value, cost
        (rows, options): in C order; an absent option has the value ``-inf`` and a finite cost.
    copies
        (rows,): at least 1.
    """

    start: int
    value: FloatArray
    cost: FloatArray
    copies: IntArray


class Reader:
    """Rows of ``menus``, as often as they are needed; the first complete pass checks every number."""

    def __init__(self, menus: Menus, watch: Watch) -> None:
        self.menus = menus
        self.watch = watch
        self._checked = False
        self._tidy = True
        self._squares = [0.0, 0.0]
        self._zero = [True, True]

    def pieces(self) -> Iterator[Piece]:
        """Yield all rows in order.

        Raises
        ------
        InputError
            For numbers that :func:`~coinfer.solver.knapsack.program.check_block` refuses.
        OutOfRange
            For numbers that are not safe.
        Stopped
            Where a limit is hit.
        """
        rows = self.menus.rows
        size = max(16, PIECE_CELLS // self.menus.options)
        fetched = min(FETCHED, max(size, -(-rows // FETCHES)))
        for start in range(0, rows, fetched):
            self.watch.look()
            block = self._block(start, min(start + fetched, rows))
            for first in range(0, len(block.value), size):
                yield self._piece(block, start, first, first + size)
        if not self._checked and self._tiny():
            raise OutOfRange
        self._checked = True

    def _plain(self, value: FloatArray, cost: FloatArray, copies: IntArray) -> bool:
        """Tell by three quick sums that nothing is absent, infinite, NaN or huge; else the full check has to look."""
        squares = [float(np.vdot(table, table)) for table in (value, cost)]
        plain = bool(sum(squares) < 4.0**SAFE and copies.min() >= 1)
        if plain:
            for kind, table in enumerate((value, cost)):
                self._squares[kind] += squares[kind]
                self._zero[kind] = self._zero[kind] and not (squares[kind] or table.any())
        return plain

    def _tiny(self) -> bool:
        """Tell whether all values, or all costs, are too small for products, and not all 0."""
        return any(own < 4.0**-SAFE and not zero for own, zero in zip(self._squares, self._zero, strict=True))

    def at(self, start: int, stop: int) -> Piece:
        """Return a few rows, checked."""
        block = self._block(start, stop)
        check_block(block, start)
        return tidy_piece(block, start)

    def _block(self, start: int, stop: int) -> Block:
        """Return rows as floats, of the shapes that were asked for."""
        block = self.menus.block(start, stop)
        check_shape(block, self.menus, start, stop)
        value, cost = (np.asarray(table, dtype=np.float64) for table in (block.value, block.cost))
        return Block(value=value, cost=cost, copies=block.copies)

    def _piece(self, block: Block, start: int, first: int, last: int) -> Piece:
        part = Block(value=block.value[first:last], cost=block.cost[:, first:last], copies=block.copies[first:last])
        if not self._checked and not self._plain(part.value, part.cost, part.copies):
            check_block(part, start + first)
            there = part.value > -np.inf
            if not self._plain(np.where(there, part.value, 0.0), np.where(there, part.cost, 0.0), part.copies):
                raise OutOfRange
            self._tidy = self._tidy and bool(np.isfinite(part.cost).all())
        if self._tidy:
            value, cost = np.ascontiguousarray(part.value), np.ascontiguousarray(part.cost[0])
            return Piece(start=start + first, value=value, cost=cost, copies=part.copies)
        return tidy_piece(part, start + first)


def tidy_piece(block: Block, start: int) -> Piece:
    """Return the rows with a cost of 0 for whatever is absent."""
    value, cost = np.ascontiguousarray(block.value), np.ascontiguousarray(block.cost[0])
    if not np.isfinite(cost).all():
        cost = np.where(value > -np.inf, cost, 0.0)
    return Piece(start=start, value=value, cost=cost, copies=block.copies)
