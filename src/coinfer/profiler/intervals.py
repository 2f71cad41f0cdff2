"""95 % intervals of means, ratios, quantiles and shares, each with what it assumes.

Every function returns ``None`` where the samples carry no interval. Sums are exactly rounded (``math.fsum``), so no
result depends on the order of the samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

LEVEL = 0.95
MIN_QUANTILE_SAMPLES = 20

Interval = tuple[float, float] | None


def mean_interval(values: Sequence[float]) -> tuple[float, Interval]:
    r"""Return the mean of independent samples of a quantity that is never negative, with Student's interval.

    .. math:: \bar x \pm t_{n-1}\, s / \sqrt n

    Exact for normal samples, and by the central limit theorem nearly so for the mean of many others; too narrow for
    few and skewed ones. The lower end is cut at 0, where the quantity ends.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return mean, None
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return mean, _around(mean, _student(count) * math.sqrt(variance / count))


def ratio_interval(totals: Sequence[float], counts: Sequence[float]) -> tuple[float, Interval]:
    r"""Return the ratio of two sums, with the interval of the delta method.

    .. math:: R = \frac{\sum s_i}{\sum t_i},\quad R \pm t_{n-1}
        \frac{\sqrt{n \sum (s_i - R t_i)^2 / (n-1)}}{\sum t_i}

    Long events weigh more, as they should in a rate. Samples are taken as independent; 0 cuts the lower end.

    Parameters
    ----------
    totals, counts
        Numerator and denominator of each sample; the denominators are above 0.
    """
    size = len(totals)
    whole = math.fsum(counts)
    ratio = math.fsum(totals) / whole
    if size < 2:
        return ratio, None
    rest = math.fsum((total - ratio * count) ** 2 for total, count in zip(totals, counts, strict=True))
    return ratio, _around(ratio, _student(size) * math.sqrt(size * rest / (size - 1)) / whole)


def quantile_interval(values: Sequence[float], share: float) -> tuple[float, Interval] | None:
    r"""Return a quantile by nearest rank, with an interval between two order statistics; no distribution is assumed.

    For independent samples :math:`x_{(l)} \le q \le x_{(u)}` holds with at least the stated chance when
    :math:`P(B \ge l) \ge 1 - \alpha/2` and :math:`P(B < u) \ge 1 - \alpha/2` for a binomial *B* of *n* trials with
    chance ``share`` (David and Nagaraja, Order Statistics, 2003, section 7.1). The 95th percentile has both ends from
    72 samples on. Fewer than 20 samples give nothing.
    """
    from scipy.special import bdtr

    count = len(values)
    if count < MIN_QUANTILE_SAMPLES:
        return None
    ordered = sorted(values)
    value = ordered[math.ceil(share * count) - 1]
    tail = (1.0 - LEVEL) / 2.0
    below = [float(bdtr(k, count, share)) for k in range(count)]  # P(B <= k)
    lower = max((rank for rank in range(1, count + 1) if below[rank - 1] <= tail), default=None)
    upper = min((rank for rank in range(1, count + 1) if below[rank - 1] >= 1.0 - tail), default=None)
    if lower is None or upper is None:
        return value, None
    return value, (min(value, ordered[lower - 1]), max(value, ordered[upper - 1]))


def share_interval(values: Sequence[float], *, independent: int) -> tuple[float, Interval]:
    r"""Return the mean of samples in [0, 1], with Wilson's score interval.

    .. math:: \frac{p + z^2/2n \pm z\sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    For grades between 0 and 1 it is on the safe side: their variance is at most :math:`p(1-p)` (E. B. Wilson,
    Journal of the American Statistical Association 22, 1927).

    Parameters
    ----------
    values
        The samples.
    independent
        How many of them are independent; answers to one prompt count once.
    """
    share = math.fsum(values) / len(values)
    if len(values) < 2:
        return share, None
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2.0)
    spread = z * z / independent
    centre = (share + spread / 2.0) / (1.0 + spread)
    half = z * math.sqrt(share * (1.0 - share) / independent + spread / (4.0 * independent)) / (1.0 + spread)
    return share, (max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def _around(value: float, half: float) -> Interval:
    return (max(0.0, value - half), value + half) if math.isfinite(half) else None


def _student(count: int) -> float:
    """Return the quantile of Student's distribution for ``count`` samples."""
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, 0.5 + LEVEL / 2.0))
