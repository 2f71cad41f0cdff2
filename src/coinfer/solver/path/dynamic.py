r"""Paths without budgets whose carriers ascend: exact by dynamic programming over boundaries.

With :math:`A_{l,b}` the least cost of having arrived on carrier :math:`b` before step :math:`l`, and :math:`E_{l,b}`
that of having ended a piece there,

.. math:: A_{l,b} = \min_{a < b,\ c} E_{l,a} + \text{jump}_{l,a,b,c}, \qquad
   E_{l,b} = \min_{k < l,\ m} A_{k,b} + \sum_{k \le i < l} \text{step}_{b,m,i},

:math:`O(D^2 L C + D M L^2)` in all. For the bottleneck, sums become maxima.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coinfer.solver.path.program import LayeredPath, Path, Piece
from coinfer.solver.path.tables import Tables, ends, ends_busy, followers, tables_of
from coinfer.solver.program import FloatArray

Join = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chain:
    """The numbers of one recursion.

    ``join`` is the sum or the maximum; ``sums`` (carriers, modes, steps + 1); ``into``, ``back`` (carriers,);
    ``fixed``, ``rate`` (carriers, carriers), and ``closed``, infinite where there is no way, else 0; ``arrived`` and
    ``ended`` are :math:`A` (steps, carriers) and :math:`E` (steps + 1, carriers).
    """

    tables: Tables
    join: Join
    sums: FloatArray
    into: FloatArray
    back: FloatArray
    fixed: FloatArray
    rate: FloatArray
    closed: FloatArray
    below: float
    bottleneck: bool
    arrived: FloatArray
    ended: FloatArray

    def jumps(self, boundary: int, end: slice | int = slice(None)) -> FloatArray:
        """Return the costs of jumps to ``end``, (codecs, starts, ends); infinite where there is none."""
        program = self.tables.program
        amount, extra = program.amount[0, :, boundary], program.extra[0, :, boundary]
        weight = program.weight[0, boundary]
        moved = np.multiply.outer(weight * amount, self.rate[:, end])
        moved += extra.reshape(-1, *[1] * (moved.ndim - 1))
        if self.bottleneck:
            return np.asarray(moved + self.closed[:, end])
        cost: FloatArray = moved + (weight * self.fixed[:, end] + self.closed[:, end])
        if self.below < np.inf:
            cost[moved >= self.below] = np.inf
        return cost

    def pieces(self, first: int, carriers: slice | int = slice(None)) -> FloatArray:
        """Return the costs of pieces from ``first`` by their ends, as far as any goes, (carriers, modes, ends)."""
        reach = self.tables.reach[carriers, :, first, None]
        most = int(reach.max()) + 1
        cost: FloatArray = self.sums[carriers, :, first + 1 : most] - self.sums[carriers, :, first, None]
        cost[np.arange(first + 1, most) > reach] = np.inf
        return cost


def shortest(program: LayeredPath, *, bottleneck: bool = False, below: float = np.inf) -> Path | None:
    """Return the path of the least sum or bottleneck; ``None`` where there is none.

    Parameters
    ----------
    program
        Of fixed order, with one mode for each piece; budgets are not looked at.
    bottleneck
        Minimise the bottleneck, and not the sum.
    below
        Leave out pieces and jumps with this much busy time or more.
    """
    chain = _filled(_chain(program, bottleneck, below))
    steps = program.steps
    total = chain.join(chain.ended[steps], chain.back)
    carrier = int(np.argmin(total))
    if not np.isfinite(total[carrier]):
        return None
    pieces: list[Piece] = []
    end = steps
    while True:
        starts = np.flatnonzero((chain.tables.reach[carrier, :, :end] >= end).any(axis=0))
        begun = [
            chain.join(chain.arrived[first, carrier], chain.pieces(first, carrier)[:, end - first - 1])
            for first in starts.tolist()
        ]
        at, mode = (int(index) for index in np.unravel_index(int(np.argmin(begun)), (len(begun), program.modes)))
        first = int(starts[at])
        modes = (mode,) * (end - first)
        if first == 0:
            return (Piece(carrier, 0, end - 1, modes, 0), *reversed(pieces))
        costs = chain.join(chain.ended[first], chain.jumps(first, carrier))
        codec, previous = np.unravel_index(int(np.argmin(costs)), costs.shape)
        pieces.append(Piece(carrier, first, end - 1, modes, int(codec)))
        carrier, end = int(previous), first


def _chain(program: LayeredPath, bottleneck: bool, below: float) -> _Chain:
    tables = tables_of(program, below=below)
    into, back = (side[0] for side in ends(tables))
    if bottleneck or below < np.inf:
        busy = ends_busy(program)
        open_ends = [np.isfinite(side) & (own < below) for side, own in zip((into, back), busy, strict=True)]
        into, back = (
            np.where(there, own if bottleneck else side, np.inf)
            for there, own, side in zip(open_ends, busy, (into, back), strict=True)
        )
    count = program.carriers
    fixed = program.fixed[0, :count, :count]
    way = followers(program) & np.isfinite(fixed)
    sums = tables.busy if bottleneck and tables.busy is not None else tables.sums[0]
    return _Chain(
        tables=tables,
        join=np.maximum if bottleneck else np.add,
        sums=sums,
        into=into,
        back=back,
        fixed=np.where(way, fixed, 0.0),
        rate=np.where(way, program.rate[0, :count, :count], 0.0),
        closed=np.where(way, 0.0, np.inf),
        below=below,
        bottleneck=bottleneck,
        arrived=np.full((program.steps, program.carriers), np.inf),
        ended=np.full((program.steps + 1, program.carriers), np.inf),
    )


def _filled(chain: _Chain) -> _Chain:
    """Fill the recursion from the first boundary to the last."""
    for boundary in range(len(chain.arrived)):
        if boundary == 0:
            chain.arrived[0] = chain.into
        else:
            costs = chain.jumps(boundary).min(axis=0)
            chain.arrived[boundary] = chain.join(chain.ended[boundary][:, None], costs).min(axis=0)
        costs = chain.join(chain.arrived[boundary][:, None], chain.pieces(boundary).min(axis=1))
        into = chain.ended[boundary + 1 : boundary + 1 + costs.shape[1]]
        np.minimum(into, costs.T, out=into)
    return chain
