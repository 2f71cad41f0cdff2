r"""A bound on the rate of *any* line of units: aligned or not, whatever links carry, flow split in any way.

At rate :math:`F` each unit passes at most :math:`\min(\mathrm{rate}(k), F)` through each of its :math:`k` steps, and
:math:`F` must pass every one of :math:`L` steps. If no way leads through more than :math:`S` units, the flows through
all units add up to at most :math:`S F`. So for every price :math:`\mu \ge 0`

.. math:: F\,(L - \mu S) \;\le\; \sum_u \max_k\, (k - \mu)^+ \min(\mathrm{rate}_u(k), F).

Divided by :math:`F` the right side never grows with :math:`F`: where the inequality fails, it fails for all above.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from coinfer.solver.certificate.pattern import AnyLineBound, check_any_line
from coinfer.solver.pattern.program import PatternProgram

_ROUNDS = 60
_ROUNDING = 1e-12


def any_line_bound(program: PatternProgram) -> AnyLineBound:
    """Return the least bound that a price of stages shows, as the checker accepts it."""
    counts = program.units.sum(axis=0).astype(np.float64)
    held = np.arange(1, program.rate.shape[1] + 1, dtype=np.float64)
    limit = program.stage_limit

    def slack(rate: float, price: float) -> float:
        gained = np.maximum(held - price, 0.0) * np.minimum(program.rate, rate)
        return float(counts @ gained.max(axis=1)) - rate * (program.steps - price * (limit or 0))

    def least(rate: float) -> tuple[float, float]:
        if limit is None:
            return slack(rate, 0.0), 0.0
        low, high = 0.0, program.steps / limit
        for _ in range(_ROUNDS):  # convex in the price
            left, right = low + (high - low) / 3, high - (high - low) / 3
            low, high = (low, right) if slack(rate, left) <= slack(rate, right) else (left, high)
        return min((slack(rate, price), price) for price in (0.0, low, high))

    low, high = 0.0, max(1e-9, float((counts @ (held * program.rate).max(axis=1)) / program.steps))
    while least(high)[0] > 0.0:
        high *= 2.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        # The slack is 0 over whole intervals: rounding must not end the search below them.
        low, high = (middle, high) if least(middle)[0] >= -_ROUNDING * middle * program.steps else (low, middle)
    margin = 1e-13
    while True:
        rate = high * (1.0 + margin) + 1e-300
        bound = AnyLineBound(rate=rate, price=least(rate)[1])
        if check_any_line(program, bound, raises=False) < Fraction(0):
            return bound
        margin *= 10.0
