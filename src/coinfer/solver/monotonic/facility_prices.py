"""Prices of the boxes of one search: by steps, or exactly where the program is small and steps would stall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coinfer.solver.monotonic.exact_prices import ExactPrices, worth_exact_prices
from coinfer.solver.monotonic.facility_start import BoolArray
from coinfer.solver.monotonic.kernels import Choice, kernel_for
from coinfer.solver.monotonic.prices import Priced
from coinfer.solver.monotonic.program import FloatArray, IntArray

ROOT_STEPS, ROOT_PATIENCE = 300, 10
STEPS, PATIENCE = 20, 4


class Pricer:
    """Prices box after box; the first one is priced with more steps.

    Parameters
    ----------
    values
        (columns, rows) weighted values, at least 0.
    coefficients, limits
        (linear rows, columns) and (linear rows,).
    kernel
        Which code takes the steps.

    Attributes
    ----------
    boxes
        How many were priced.
    first
        Prices of the first; ``None`` before it.
    """

    def __init__(self, values: FloatArray, coefficients: FloatArray, limits: FloatArray, kernel: Choice) -> None:
        self._values, self._coefficients, self._limits, self._kernel = values, coefficients, limits, kernel
        self._exact: ExactPrices | None = None
        self.boxes = 0
        self.first: FloatArray | None = None

    def price(
        self,
        inside: BoolArray,
        outside: BoolArray,
        free: IntArray,
        base: FloatArray,
        begin: tuple[FloatArray, FloatArray],
        *,
        target: float,
    ) -> Priced | FloatArray:
        """Return prices over a box, or prices of the linear rows that show it to be empty.

        Parameters
        ----------
        inside, outside, free
            Open and closed columns, (columns,) each, and the numbers of the others, at least one.
        base
            (rows,) the largest value of an open column.
        begin
            Assignment prices and row prices to begin from.
        target
            Value of the incumbent, or a guess.
        """
        capacities = self._limits - self._coefficients @ inside
        own = self._coefficients[:, free]
        binding = np.flatnonzero(np.maximum(own, 0.0).sum(axis=1) > capacities)
        root = self.boxes == 0
        self.boxes += 1
        if root and worth_exact_prices(self._values, len(binding)):
            self._exact = ExactPrices(self._values, self._coefficients, self._limits)
        exact = None if self._exact is None else self._exact.price(inside, outside, free, base)
        if exact is not None:
            return exact
        found = kernel_for(self._kernel, self.boxes)(
            self._values,
            free,
            base,
            np.ascontiguousarray(own[binding]),
            capacities[binding],
            begin[0],
            begin[1][binding],
            target,
            ROOT_STEPS if root else STEPS,
            ROOT_PATIENCE if root else PATIENCE,
        )
        if root:
            self.first = found.prices
        row_prices = np.zeros(len(self._limits))
        row_prices[binding] = found.row_prices
        return replace(found, row_prices=row_prices)
