r"""Re-evaluates the leaves of a facility location over a box, from the program alone.

For any assignment prices :math:`\lambda_r \ge 0` and row prices :math:`\mu_i \ge 0`, no feasible point
:math:`l \le x \le u` is worth more than

.. math::

   \sum_r \lambda_r + \sum_i \mu_i \Bigl(b_i - \sum_{n \in l} a_{in}\Bigr) + \sum_{n \in l} \rho_n
   + \sum_{n \in u \setminus l} \Bigl(\rho_n - \sum_i \mu_i a_{in}\Bigr)^+,
   \qquad \rho_n = \sum_r (c_{rn} - \lambda_r)^+,

since :math:`\max_{n \in S} c_{rn} \le \lambda_r + \sum_{n \in S} (c_{rn} - \lambda_r)^+` for every row and every set
:math:`S`. Here :math:`c_{rn} = w_r (v_{rn} - \min_m v_{rm}) \ge 0`, and a column that cannot serve a row counts 0.
Sums are floats; every bound is raised by :data:`MARGIN` times the size of its terms, which is above their rounding.
"""

from __future__ import annotations

import numpy as np

from coinfer.errors import CertificateError
from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.monotonic.program import FacilityLocation, FloatArray, IntArray, LinearRows, MonotonicProgram

MARGIN = 2.0**-43
"""Relative to the sum of absolute terms: a sum of a million float64 terms, added in pairs, errs by less."""


def coverage(objective: FacilityLocation) -> LinearRows:
    """Return the rows ``-sum x <= -1`` over the columns that can serve each row of the objective, each pattern once.

    A point that leaves a row without a column is infeasible; these rows say so, and :class:`FacilityLeaves` counts
    them behind the linear rows of the program. A pattern that contains another one says nothing new and is left out.
    """
    able = np.isfinite(objective.values)
    packed = np.ascontiguousarray(np.packbits(able, axis=1))
    _, first = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_index=True)
    patterns = able[np.sort(first)]
    kept = [row for i, row in enumerate(patterns) if not _holds_another(row, np.delete(patterns, i, axis=0))]
    coefficients = -np.array(kept, dtype=np.float64).reshape(len(kept), able.shape[1])
    return LinearRows(
        coefficients=coefficients,
        limits=np.full(len(kept), -1.0),
        names=tuple(f"coverage {i}" for i in range(len(kept))),
    )


def _holds_another(
    row: np.ndarray[tuple[int], np.dtype[np.bool_]], others: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
) -> bool:
    return bool((others <= row).all(axis=1).any())


class FacilityLeaves:
    """The leaves of one program; assignment prices are priced once for all the leaves that share them.

    Parameters
    ----------
    program
        A program with a facility location objective; only its box, objective and linear rows are looked at.
    prices
        The proof's lists of assignment prices.

    Raises
    ------
    CertificateError
        If a list has not one finite number of at least 0 per row of the objective.
    """

    def __init__(self, program: MonotonicProgram, prices: tuple[tuple[float, ...], ...]) -> None:
        objective = program.objective
        if not isinstance(objective, FacilityLocation):
            raise CertificateError("expected a facility location objective")
        own, extra = program.rows, coverage(objective)
        self._coefficients = np.concatenate([own.coefficients, extra.coefficients])
        self._limits = np.concatenate([own.limits, extra.limits])
        self._values, self._constant, self._size = shifted(objective)
        self._prices = prices
        self._profits: dict[int, tuple[FloatArray, float]] = {}

    def __call__(self, leaf: BoxLeaf, lower: IntArray, upper: IntArray) -> float | None:
        """Return the bound that ``leaf`` shows of its box; ``None`` where it shows the box to be empty.

        Raises
        ------
        CertificateError
            If the leaf does not show what its method says.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # absurd prices show inf or nan, which no leaf may state
            return self._shown(leaf, lower, upper)

    def _shown(self, leaf: BoxLeaf, lower: IntArray, upper: IntArray) -> float | None:
        if leaf.method == "constraint":
            self._check_empty(leaf, lower, upper)
            return None
        if leaf.method == "vertex":
            best = self._values[upper > 0].max(axis=0, initial=0.0)
            return self._constant + float(best.sum()) + MARGIN * (self._size + float(best.sum()))
        if leaf.method == "prices":
            return self._priced(leaf, lower, upper)
        raise CertificateError(f"the method {leaf.method!r} is none of a facility location")

    def _check_empty(self, leaf: BoxLeaf, lower: IntArray, upper: IntArray) -> None:
        """Refuse a leaf whose row, or whose priced sum of rows, can hold somewhere in the box."""
        if leaf.constraint is not None:
            if not 0 <= leaf.constraint < len(self._limits):
                expected = f"a linear row from 0 to {len(self._limits) - 1}"
                raise CertificateError(f"expected {expected}; found {leaf.constraint}")
            rows, prices = [leaf.constraint], np.ones(1)
        else:
            rows, prices = self._row_prices(leaf)
        own, limit = prices @ self._coefficients[rows], float(prices @ self._limits[rows])
        terms = np.where(own > 0.0, own * lower, own * upper)
        size = float((prices @ np.abs(self._coefficients[rows])).sum()) + float(prices @ np.abs(self._limits[rows]))
        if not float(terms.sum()) - MARGIN * size > limit:
            raise CertificateError(f"the linear rows {rows} can hold in the box")

    def _row_prices(self, leaf: BoxLeaf) -> tuple[list[int], FloatArray]:
        """Return the linear rows that a leaf prices, and their prices."""
        rows, prices = list(leaf.rows), np.array(leaf.row_prices, dtype=np.float64)
        known = all(0 <= row < len(self._limits) for row in rows)
        if len(rows) != len(prices) or not known or len(set(rows)) != len(rows):
            raise CertificateError("expected one price for each of its linear rows, each row once")
        if not (np.isfinite(prices).all() and (prices >= 0.0).all()):
            raise CertificateError("expected finite row prices of at least 0")
        return rows, prices

    def _priced(self, leaf: BoxLeaf, lower: IntArray, upper: IntArray) -> float:
        if leaf.table is None or not 0 <= leaf.table < len(self._prices):
            raise CertificateError(f"expected a list of prices from 0 to {len(self._prices) - 1}; found {leaf.table}")
        rows, row_prices = self._row_prices(leaf)
        profits, total = self._profits_at(leaf.table)
        inside, free = lower > 0, (upper > 0) & (lower == 0)
        own = self._coefficients[rows]
        paid = row_prices @ own
        rest = row_prices * self._limits[rows]
        reduced = np.maximum(profits[free] - paid[free], 0.0)
        sums = (
            total,
            float(profits[inside].sum()),
            float(reduced.sum()),
            float(rest.sum()),
            -float(paid[inside].sum()),
        )
        size = self._size + total + float(profits.sum()) + float(np.abs(rest).sum())
        size += float((row_prices @ np.abs(own)).sum())
        return self._constant + sum(sums) + MARGIN * size

    def _profits_at(self, table: int) -> tuple[FloatArray, float]:
        """Return the profit of each column at one list of prices, and the sum of the list."""
        if table not in self._profits:
            prices = np.array(self._prices[table], dtype=np.float64)
            if prices.shape != self._values.shape[1:] or not (np.isfinite(prices).all() and (prices >= 0.0).all()):
                raise CertificateError(f"prices {table}: expected a finite number of at least 0 for each row")
            self._profits[table] = np.maximum(self._values - prices, 0.0).sum(axis=1), float(prices.sum())
        return self._profits[table]


def shifted(objective: FacilityLocation) -> tuple[FloatArray, float, float]:
    """Return the weighted values above each row's least as (columns, rows), the sum of the least, and a size.

    A column that cannot serve a row counts as its least, which leaves every feasible point its value.
    """
    able = np.isfinite(objective.values)
    least = np.where(able, objective.values, np.inf).min(axis=1)
    least = np.where(np.isfinite(least), least, 0.0)  # a row that nobody serves: its coverage row is empty
    above = np.where(able, objective.values - least[:, None], 0.0) * objective.weights[:, None]
    largest = np.abs(np.where(able, objective.values, 0.0)).max(axis=1, initial=0.0)
    return np.ascontiguousarray(above.T), float(objective.weights @ least), float(objective.weights @ largest)
