"""A mixture of two Weibull distributions: which of some numbers belong to the lower one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.program import FloatArray

LEAST_SHARE = 0.2
"""Of either component (arXiv 2510.15444: between 0.2 and 0.8)."""
FEWEST = 4
"""Different numbers that a mixture is fitted to; fewer are all kept."""


def low_component(numbers: FloatArray) -> NDArray[np.bool_]:
    """Return which numbers the component with the lower mean explains better, by maximum likelihood.

    Parameters
    ----------
    numbers
        (count,): at least 0.
    """
    from scipy.optimize import minimize
    from scipy.special import gammaln

    positive = np.maximum(numbers, 1e-300)
    if len(np.unique(positive)) < FEWEST:
        return np.zeros(len(numbers), dtype=np.bool_)
    scaled = positive / positive.max()
    low, high = np.quantile(scaled, [0.25, 0.75])

    def densities(point: FloatArray) -> tuple[FloatArray, FloatArray]:
        shape, scale = np.exp(point[:2]), np.exp(point[2:4])
        ratio = np.log(scaled[:, None]) - np.log(scale)
        each = np.log(shape) - np.log(scale) + (shape - 1.0) * ratio - np.exp(np.minimum(shape * ratio, 500.0))
        share = LEAST_SHARE + (1.0 - 2.0 * LEAST_SHARE) / (1.0 + np.exp(-point[4]))
        return each + np.log([share, 1.0 - share]), np.log(scale) + gammaln(1.0 + 1.0 / shape)

    def loss(point: FloatArray) -> float:
        each, _ = densities(point)
        return -float(np.logaddexp(each[:, 0], each[:, 1]).sum())

    start = np.array([1.0, 1.0, np.log(low + 1e-12), np.log(high + 1e-12), 0.0])
    bounds = [(-2.0, 4.0), (-2.0, 4.0), (-30.0, 2.0), (-30.0, 2.0), (-6.0, 6.0)]
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds)
    each, mean = densities(found.x)
    lower = int(np.argmin(mean))
    belongs: NDArray[np.bool_] = each[:, lower] > each[:, 1 - lower]
    return belongs
