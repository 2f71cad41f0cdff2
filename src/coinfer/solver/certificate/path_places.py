"""The places of a layered path program and their potentials, as the checker sees them: no solver's code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import CertificateError
from coinfer.solver.path.program import LayeredPath
from coinfer.solver.program import FloatArray, IntArray

ROUNDING = 1e-12
"""Share of priced sums by which rounding may be wrong: more than their terms times the machine's epsilon."""
SLACK = 1e-9
"""Share of its memory by which a carrier of a feasible path may be overfull."""


class Places:
    """Where beginnings of paths end, and the potentials there.

    A beginning has *ended* a piece on a carrier at a boundary, or *arrived* on a carrier and not begun there.

    Parameters
    ----------
    program
        What to bound.
    prices, carrier_prices
        (rows, resources), (rows, carriers): at least 0.
    most
        (resources,): most of each that a path may use; may be infinite.
    below
        Pieces and jumps with this much busy time or more are closed.

    Attributes
    ----------
    ended, arrived
        (rows, steps + 1, carriers), (rows, steps, carriers): least priced cost of going on, infinite where no way is.
    limit
        (rows,): most priced cost of a whole path without its carriers; infinite where that says nothing.
    """

    def __init__(
        self,
        program: LayeredPath,
        *,
        prices: FloatArray,
        carrier_prices: FloatArray,
        most: FloatArray,
        below: float,
    ) -> None:
        self.program, self.prices, self.most, self.below = program, prices, most, below
        self.carrier_prices = carrier_prices
        # An unlimited resource shows nothing: its rows of prices only see where no way is.
        self.limit = np.array([np.sum(row[row > 0.0] * most[row > 0.0]) for row in prices])
        self.limited = np.isfinite(program.budget)
        self.limited[0] = True
        count = program.carriers
        ways = np.isfinite(program.fixed[self.limited, :count, :count]).all(axis=0) & _follows(program)
        self.ways = ways[..., None]
        self.fixed = np.where(np.isfinite(program.fixed), program.fixed, 0.0)
        self.possible = np.asarray(np.isfinite(program.step[self.limited]).all(axis=0))
        self.step = np.where(self.possible, program.step, 0.0)
        self.step[~np.isfinite(self.step)] = 0.0  # of a resource without a limit
        self.busy_before = None if program.busy is None or below == np.inf else _before(program.busy)
        if program.mixed_modes and below < np.inf:
            raise CertificateError("proof: a bottleneck of mixed modes has no proof of this kind")
        self.reach = self._reach()
        self.sums = _before(self.step)
        self.priced_step = np.tensordot(prices, self.step, axes=1)
        if program.mixed_modes:
            self.priced_step = self.priced_step + carrier_prices[:, :, None, None] * program.size
        self.priced_sums = _before(self.priced_step)
        self.ended = np.full((len(prices), program.steps + 1, program.carriers), np.inf)
        self.arrived = np.full((len(prices), program.steps, program.carriers), np.inf)
        self._fill()
        noise = self.priced_sums[..., -1].reshape(len(prices), -1).max(axis=1) * program.steps * 1e-15
        self.limit = self.limit * (1.0 + ROUNDING) + noise

    def jumps(self, boundary: int) -> FloatArray:
        """Return what jumps use, (resources, carriers, carriers, codecs); all infinite where there is no way."""
        program, count = self.program, self.program.carriers
        fixed, rate = self.fixed[:, :count, :count, None], program.rate[:, :count, :count, None]
        way = self.ways
        amount, extra = program.amount[:, None, None, :, boundary], program.extra[:, None, None, :, boundary]
        weight = program.weight[:, boundary, None, None, None]
        use = weight * (fixed + rate * amount) + extra
        if self.below < np.inf:
            way = way & (weight[0] * rate[0] * amount[0] + extra[0] < self.below)
        return np.where(way, use, np.inf)

    def outer(self, *, back: bool) -> FloatArray:
        """Return what the first jumps, or the returns, use, (resources, carriers); infinite where there is no way."""
        program, home = self.program, self.program.carriers
        use = np.empty((program.resources, home))
        for carrier in range(home):
            jump = (program.steps, carrier, home, 0) if back else (0, home, carrier, 0)
            own = program.jump(*jump)
            use[:, carrier] = np.where(np.isfinite(own), own, 0.0)
            if not np.isfinite(own[self.limited]).all() or program.jump_busy(*jump) >= self.below:
                use[:, carrier] = np.inf
        return use

    def entry(self) -> FloatArray:
        """Return the price of beginning a piece on each carrier, (rows, carriers)."""
        if self.program.order == "free" and not self.program.mixed_modes:
            return self.carrier_prices
        return np.zeros_like(self.carrier_prices)

    def spare(self) -> FloatArray:
        """Return what each carrier that is not used yet may still cost at its price, (rows, carriers)."""
        if not self.program.mixed_modes:
            return self.entry()
        spare = np.zeros_like(self.carrier_prices)
        capacity = np.broadcast_to(self.program.capacity * (1.0 + SLACK), spare.shape)
        return np.multiply(self.carrier_prices, capacity, out=spare, where=self.carrier_prices > 0.0)

    def pieces(self, sums: FloatArray, first: int) -> FloatArray:
        """Return sums over pieces from ``first``, (..., carriers, modes, ends); infinite where there is none."""
        cost = sums[..., first + 1 :] - sums[..., first, None]
        closed = np.arange(first + 1, sums.shape[-1]) > self.reach[..., first, None]
        return np.where(closed, np.inf, cost)

    def _fill(self) -> None:
        program, prices = self.program, self.prices
        back = _priced(prices, self.outer(back=True))
        self.ended[:, program.steps] = back
        entry = self.entry()
        for boundary in range(program.steps - 1, -1, -1):
            if program.mixed_modes:
                onward = self.priced_step[..., boundary] + self.ended[:, boundary + 1, :, None]
                onward = np.where(self.possible[..., boundary], onward, np.inf).min(axis=-1)
            else:
                costs = self.pieces(self.priced_sums, boundary)
                costs += self.ended[:, boundary + 1 :].transpose(0, 2, 1)[:, :, None, :]
                onward = costs.min(axis=(2, 3))
            self.arrived[:, boundary] = onward + entry
            if boundary:
                jumps = _priced(prices, self.jumps(boundary)).min(axis=-1)
                self.ended[:, boundary] = (jumps + self.arrived[:, boundary, None, :]).min(axis=-1)
                if program.mixed_modes:
                    self.ended[:, boundary] = np.minimum(self.ended[:, boundary], onward)

    def _reach(self) -> IntArray:
        """Return the last boundary at which a piece may end, by carrier, mode and first step."""
        program = self.program
        carriers, modes, steps = program.size.shape
        held = _before(program.size)
        room = program.capacity * (1.0 + SLACK)
        reach = np.empty((carriers, modes, steps), dtype=np.int64)
        for first in range(steps):
            inside = held[..., first + 1 :] - held[..., first, None]
            fits = inside <= (room[:, None, None] + held[..., -1:] * ROUNDING)
            fits &= np.logical_and.accumulate(self.possible[..., first:], axis=-1)
            if self.busy_before is not None:
                fits &= self.busy_before[..., first + 1 :] - self.busy_before[..., first, None] < self.below
            reach[..., first] = first + np.logical_and.accumulate(fits, axis=-1).sum(axis=-1)
        return reach


def _before(numbers: FloatArray) -> FloatArray:
    return np.concatenate([np.zeros((*numbers.shape[:-1], 1)), np.cumsum(numbers, axis=-1)], axis=-1)


def _follows(program: LayeredPath) -> NDArray[np.bool_]:
    one = np.ones((program.carriers, program.carriers), dtype=bool)
    return np.triu(one, 1) if program.order == "fixed" else ~np.eye(program.carriers, dtype=bool)


def _priced(prices: FloatArray, use: FloatArray) -> FloatArray:
    """Return the priced use; infinite where the use is."""
    closed = np.isinf(use).any(axis=0)
    return np.where(closed, np.inf, np.tensordot(prices, np.where(np.isinf(use), 0.0, use), axes=1))
