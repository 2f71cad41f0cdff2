"""Options left of some rows, one after another, and what all other rows sum to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ragged:
    """Rows with a choice left; the first option of each is the one that is best at the prices of the pass.

    Attributes
    ----------
    row
        (rows,): numbers of the rows, rising.
    copies
        (rows,): copies of each.
    first
        (rows + 1,): row ``i`` has the options ``first[i]:first[i + 1]``.
    option
        (options,): their numbers in the menus.
    value
        (options,): of one copy.
    cost
        (resources, options): of one copy.
    fixed_value, fixed_cost
        Sums over the rows that have no choice left, as floats.
    """

    row: IntArray
    copies: IntArray
    first: IntArray
    option: IntArray
    value: FloatArray
    cost: FloatArray
    fixed_value: float
    fixed_cost: FloatArray

    @property
    def row_of_option(self) -> IntArray:
        """Place of its row, for every option."""
        return np.repeat(np.arange(len(self.row)), np.diff(self.first))

    def best(self, prices: FloatArray) -> tuple[FloatArray, IntArray]:
        """Return what the best option of each row gains at ``prices``, and its place."""
        if not len(self.row):
            return np.zeros(0), np.zeros(0, dtype=np.int64)
        net = self.value - prices @ self.cost
        best = np.maximum.reduceat(net, self.first[:-1])
        hits = np.flatnonzero(net == np.repeat(best, np.diff(self.first)))
        return best, hits[np.searchsorted(hits, self.first[:-1])]
