"""Exact search from both sides for a choice within so much of the bound.

Under the prices, what a choice falls short of the bound is the sum of the losses of its options and the priced slack of
the budgets. For a given shortfall only few options, and few sums of them, come into question. The rows are split in two
halves; all sums of either half are listed, and pairs are looked up that use up the budgets closely enough: every budget
with a price leaves at most shortfall over price unused, so that partners stand in few cells of a grid (Horowitz and
Sahni, Computing partitions with applications to the knapsack problem, 1974, in several dimensions). The shortfall is
raised until a choice is found, which then is the best, or until the sums are too many, which leaves a better bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coinfer.solver.knapsack.base import Base
from coinfer.solver.knapsack.scan import Watch
from coinfer.solver.program import FloatArray, IntArray

MOST_PAIRS = 1 << 20
"""Pairs looked at together."""
MOST_WORK = 1 << 23
"""Pairs looked at in all; where there are more, the budgets do not narrow them down enough."""
MOST_ROUNDS = 1 << 13
"""Times that copies of a row are added to sums."""
LOSSES = 1 << 10
"""Classes of losses in every cell."""
DIMENSIONS, CELLS = 3, 1 << 15
"""Budgets that the grid is over at most, and cells for each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """All sums of changes to some rows, in the order in which they were made.

    Attributes
    ----------
    loss, cost
        (sums,), (resources, sums).
    parent, change
        (sums,): the sum it extends, and the place of the option that it adds; -1 for the empty sum.
    """

    loss: FloatArray
    cost: FloatArray
    parent: IntArray
    change: IntArray

    def changes(self, place: int) -> list[int]:
        """Return the options that the sum adds up."""
        found = []
        while place > 0:
            found.append(int(self.change[place]))
            place = int(self.parent[place])
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Choices in order of their shortfall, as lists of options that one copy each changes to."""

    shortfall: FloatArray
    changes: tuple[tuple[int, ...], ...]


def candidates(base: Base, slack: FloatArray, shortfall: float, most: int, watch: Watch) -> Candidates | None:
    """Return choices that fall short of the bound by less than ``shortfall``; ``None``: too many sums, or a limit.

    All of them where there are few, at least the best otherwise. Budgets are compared with an allowance for rounding,
    so that the best may exceed one by a hair; no choice within the shortfall is missed.
    """
    near = base.near
    heads = near.first[:-1][near.row_of_option]
    places = np.flatnonzero((base.loss < shortfall) & (heads != np.arange(len(heads))))
    rows = near.row_of_option[places]
    cost = near.cost[:, places] - near.cost[:, heads[places]]
    least = np.full(len(near.row), np.inf)
    np.minimum.at(least, rows, base.loss[places])
    order = np.argsort(-least[np.unique(rows)], kind="stable")
    side = np.zeros(len(near.row), dtype=np.int64)
    side[np.unique(rows)[order]] = np.arange(len(order)) % 2
    halves = []
    for half in range(2):
        own = np.unique(rows)[order][half::2]
        sums = _all_sums(own, rows, places, base.loss[places], cost, near.copies, shortfall, most, watch)
        if sums is None:
            return None
        halves.append(sums)
    return _joined(halves[0], halves[1], base.prices, slack, shortfall, watch)


def _all_sums(
    own: IntArray,
    rows: IntArray,
    places: IntArray,
    losses: FloatArray,
    costs: FloatArray,
    copies: IntArray,
    shortfall: float,
    most: int,
    watch: Watch,
) -> _Sums | None:
    """Return all sums of changes to the rows ``own`` with a loss below the shortfall; ``None``: more than ``most``."""
    loss, cost = np.empty(most), np.empty((len(costs), most))  # memory is taken only where it is written
    parent, change = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    used = np.empty(most, dtype=np.int64)  # copies of the row at hand that a sum changes
    loss[0], cost[:, 0], parent[0], change[0] = 0.0, 0.0, -1, -1
    count, rounds = 1, 0
    for row in own.tolist():
        used[:count] = 0
        for entry in np.flatnonzero(rows == row).tolist():
            fresh = np.flatnonzero(loss[:count] + losses[entry] < shortfall)
            while True:
                fresh = fresh[(loss[fresh] + losses[entry] < shortfall) & (used[fresh] < copies[row])]
                if not len(fresh):
                    break
                rounds += 1
                if count + len(fresh) > most or rounds > MOST_ROUNDS or watch.hit() is not None:
                    return None
                new = slice(count, count + len(fresh))
                parent[new], change[new], used[new] = fresh, places[entry], used[fresh] + 1
                loss[new] = loss[fresh] + losses[entry]
                cost[:, new] = cost[:, fresh] + costs[:, entry, None]
                fresh = np.arange(new.start, new.stop)
                count = new.stop
    return _Sums(loss=loss[:count], cost=cost[:, :count], parent=parent[:count], change=change[:count])


def _joined(
    left: _Sums, right: _Sums, prices: FloatArray, slack: FloatArray, shortfall: float, watch: Watch
) -> Candidates | None:
    """Return the pairs that keep all budgets and fall short by less than ``shortfall``; ``None``: a limit was hit."""
    allowance = 1e-12 * (np.abs(slack) + np.abs(left.cost).max(axis=1) + np.abs(right.cost).max(axis=1))
    grid = _grid(left, right, prices, slack, shortfall, allowance)
    key = _key(grid.right, grid.sizes) * LOSSES + (right.loss * (LOSSES / shortfall)).astype(np.int64)
    order = np.argsort(key, kind="stable")
    key = key[order]
    room = np.minimum(((shortfall - left.loss) * (LOSSES / shortfall)).astype(np.int64) + 1, LOSSES - 1)
    work, best = 0, shortfall
    pairs: list[tuple[float, int, int]] = []
    for shift in np.ndindex(*(2,) * len(grid.sizes)):
        wanted = grid.wanted - np.array(shift, dtype=np.int64)[:, None]
        sums = np.flatnonzero(((wanted >= 0) & (wanted < grid.sizes[:, None])).all(axis=0))
        cell = _key(wanted[:, sums], grid.sizes) * LOSSES
        first, last = np.searchsorted(key, cell), np.searchsorted(key, cell + room[sums], side="right")
        work += int((last - first).sum())
        if work > MOST_WORK:
            return None
        for one, two in _in_chunks(sums, first, last):
            if watch.hit() is not None:
                return None
            partner = order[two]
            unused = slack[:, None] - left.cost[:, one] - right.cost[:, partner]
            short = left.loss[one] + right.loss[partner] + prices @ np.maximum(unused, 0.0)
            good = np.flatnonzero((short < best) & (unused >= -allowance[:, None]).all(axis=0))
            if len(good):
                good = good[np.argsort(short[good], kind="stable")[:64]]
                pairs += [(float(short[at]), int(one[at]), int(partner[at])) for at in good.tolist()]
                pairs = sorted(pairs)[:256]
                best = pairs[-1][0] if len(pairs) == 256 else shortfall
    return Candidates(
        shortfall=np.array([short for short, _, _ in pairs]),
        changes=tuple((*left.changes(one), *right.changes(two)) for _, one, two in pairs),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Grid:
    """Cells of what the right sums take of some budgets.

    Attributes
    ----------
    right, wanted
        (dimensions, sums): the cell of each right sum, and the last cell of the partners of each left sum; the others
        are in the cell before.
    sizes
        (dimensions,): cells.
    """

    right: IntArray
    wanted: IntArray
    sizes: IntArray


def _grid(
    left: _Sums, right: _Sums, prices: FloatArray, slack: FloatArray, shortfall: float, allowance: FloatArray
) -> _Grid:
    """Return the grid over the budgets that leave fewest partners."""
    priced = np.flatnonzero(prices > 0.0)
    cell = shortfall / prices[priced] + 2.0 * allowance[priced]
    spread = np.ptp(right.cost[priced], axis=1)
    finest = np.argsort(-spread / cell, kind="stable")[:DIMENSIONS]
    priced, cell = priced[finest], cell[finest]
    origin = right.cost[priced].min(axis=1)
    width = np.maximum(cell * (1.0 + 1e-9), spread[finest] / CELLS)[:, None]
    cells = np.floor((right.cost[priced] - origin[:, None]) / width).astype(np.int64)
    most = (slack + allowance)[priced, None] - left.cost[priced] - origin[:, None]
    wanted = np.floor(np.clip(most / width, -2.0, 2.0 * CELLS)).astype(np.int64)
    return _Grid(right=cells, wanted=wanted, sizes=cells.max(axis=1, initial=0) + 1)


def _key(cells: IntArray, sizes: IntArray) -> IntArray:
    key = np.zeros(cells.shape[1], dtype=np.int64)
    for own, size in zip(cells, sizes.tolist(), strict=True):
        key = key * size + own
    return key


def _in_chunks(sums: IntArray, first: IntArray, last: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield sums and their partners' places, some millions at a time."""
    counts = last - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(sums):
        base = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, base + MOST_PAIRS, side="right")))
        own = counts[start:stop]
        offsets = np.arange(int(own.sum())) - np.repeat(np.cumsum(own) - own, own)
        yield np.repeat(sums[start:stop], own), np.repeat(first[start:stop], own) + offsets
        start = stop
