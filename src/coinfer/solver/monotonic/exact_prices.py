"""Exact prices of a small facility location: the linear program of its p-median, hot-started from box to box.

Steps along subgradients stall where many linear rows bind at once, as groups of configurations under a shared budget
do. There the linear program is small, and its duals are the best prices there are.
"""

from __future__ import annotations

import numpy as np

from coinfer.solver.linear import Relaxation
from coinfer.solver.monotonic.facility_start import BoolArray
from coinfer.solver.monotonic.prices import Priced
from coinfer.solver.monotonic.program import FloatArray, IntArray
from coinfer.solver.program import ProgramBuilder

MOST_PAIRS = 4000
FEWEST_ROWS = 2
CLEARLY = 1e-10


def worth_exact_prices(values: FloatArray, binding_rows: int) -> bool:
    """Return True where the linear program is small and has rows that steps would stall on."""
    return binding_rows >= FEWEST_ROWS and int((values > 0.0).sum()) <= MOST_PAIRS


class ExactPrices:
    """The linear program of one facility location.

    Parameters
    ----------
    values
        (columns, rows) weighted values, at least 0.
    coefficients, limits
        (linear rows, columns) and (linear rows,).
    """

    def __init__(self, values: FloatArray, coefficients: FloatArray, limits: FloatArray) -> None:
        self._values, self._coefficients, self._limits = values, coefficients, limits
        column, row = np.nonzero(values)
        pairs = np.arange(len(row))
        builder = ProgramBuilder()
        opened = builder.variables("open", len(values), upper=1.0)
        served = builder.variables("serve", len(row), cost=-values[column, row], upper=1.0)
        builder.rows("once", row=row, column=served, coefficient=1.0, upper=1.0, count=values.shape[1])
        builder.rows(
            "link",
            row=np.concatenate([pairs, pairs]),
            column=np.concatenate([served, opened[column]]),
            coefficient=np.repeat([1.0, -1.0], len(pairs)),
            upper=0.0,
            count=len(pairs),
        )
        at, variable = np.nonzero(coefficients)
        builder.rows(
            "rows",
            row=at,
            column=opened[variable],
            coefficient=coefficients[at, variable],
            upper=limits,
            count=len(limits),
        )
        self._program = builder.build()
        self._relaxation = Relaxation(self._program)

    def price(
        self, inside: BoolArray, outside: BoolArray, free: IntArray, base: FloatArray
    ) -> Priced | FloatArray | None:
        """Return the best prices over a box.

        Where the linear rows leave the box no point, instead the prices of the linear rows that show it (Farkas);
        ``None`` where the linear program gives neither.
        """
        lower, upper = self._program.lower.copy(), self._program.upper.copy()
        lower[: len(inside)] = inside
        upper[: len(outside)] = ~outside
        found = self._relaxation.solve(lower, upper)
        if found.multipliers is None:
            return None
        duals = -found.multipliers
        if found.status != "optimal":
            ray = duals[self._program.row_blocks["rows"]]
            return next((prices for prices in (ray, -ray) if self._shows_empty(prices, inside, outside)), None)
        prices = np.maximum(duals[self._program.row_blocks["once"]], base)
        row_prices = np.maximum(duals[self._program.row_blocks["rows"]], 0.0)
        above = self._values[free]
        reduced = np.maximum(above - prices, 0.0).sum(axis=1) - row_prices @ self._coefficients[:, free]
        left = self._limits - self._coefficients @ inside
        bound = float(prices.sum()) + float(row_prices @ left) + float(np.maximum(reduced, 0.0).sum())
        gains = np.maximum(above - base, 0.0).sum(axis=1)
        relaxed = None if found.point is None else found.point[free]
        return Priced(bound=bound, prices=prices, row_prices=row_prices, reduced=reduced, gains=gains, relaxed=relaxed)

    def _shows_empty(self, row_prices: FloatArray, inside: BoolArray, outside: BoolArray) -> bool:
        """Return True when the priced sum of the rows is out of reach of the box, whatever rounding does."""
        kept = np.maximum(row_prices, 0.0)
        own = kept @ self._coefficients
        least = float(own[inside].sum() + np.minimum(own[~inside & ~outside], 0.0).sum())
        limit = float(kept @ self._limits)
        return least - limit > CLEARLY * (abs(least) + abs(limit) + float((kept @ np.abs(self._coefficients)).sum()))
