"""Statistics of measured values with their 95 % intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A statistic of measured rows.

    Attributes
    ----------
    value
        The statistic, in the unit of the prediction.
    low, high
        Ends of its 95 % interval; absent where there are too few rows for one.
    samples
        Rows behind it.
    """

    value: float
    samples: int
    low: float | None = None
    high: float | None = None


def mean_of(values: Sequence[float]) -> Measured:
    """Return mean and 95 % interval: Wilson's for values that are all 0 or 1, Student's otherwise.

    Student's interval of ten right answers out of ten would have no width, a certainty that nobody has.
    """
    count, mean = len(values), math.fsum(values) / len(values)
    if all(value in (0.0, 1.0) for value in values):
        z = statistics.NormalDist().inv_cdf(0.975)
        centre = (mean + z * z / (2 * count)) / (1 + z * z / count)
        half = z / (1 + z * z / count) * math.sqrt(mean * (1 - mean) / count + z * z / (4 * count * count))
        return Measured(value=mean, low=min(centre - half, mean), high=max(centre + half, mean), samples=count)
    if count < 2:
        return Measured(value=mean, samples=count)
    from scipy.special import stdtrit

    half = float(stdtrit(count - 1, 0.975)) * statistics.stdev(values) / math.sqrt(count)
    return Measured(value=mean, low=mean - half, high=mean + half, samples=count)


def quantile_of(values: Sequence[float], level: float) -> Measured:
    """Return a quantile and the distribution-free 95 % interval between two order statistics.

    The interval is absent when the samples are too few for one: below 36 for p90, below 72 for p95.
    """
    from scipy.special import bdtr

    ordered, count = sorted(values), len(values)
    value = float(np.quantile(ordered, level))
    below = bdtr(np.arange(count, dtype=np.float64), count, level)  # chance of at most k samples below the quantile
    lower = int(np.searchsorted(below, 0.025, side="right"))  # largest rank with P(fewer than rank below) <= 2.5 %
    upper = int(np.searchsorted(below, 0.975, side="left")) + 1
    if lower < 1 or upper > count:
        return Measured(value=value, samples=count)
    return Measured(value=value, low=min(ordered[lower - 1], value), high=max(ordered[upper - 1], value), samples=count)


def weighted(parts: list[tuple[float, Measured]]) -> Measured:
    """Combine independent means with their weights.

    The interval squares each part's own, possibly lopsided, half-widths (the method of variance estimates recovery:
    G. Y. Zou and A. Donner, Statistics in Medicine 27, 2008, equation 2).
    """
    value = math.fsum(weight * part.value for weight, part in parts)
    samples = sum(part.samples for _, part in parts)
    down = up = 0.0
    for weight, part in parts:
        if part.low is None or part.high is None:
            return Measured(value=value, samples=samples)
        down += (weight * (part.value - part.low)) ** 2
        up += (weight * (part.high - part.value)) ** 2
    return Measured(value=value, low=value - math.sqrt(down), high=value + math.sqrt(up), samples=samples)
