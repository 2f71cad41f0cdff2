r"""Allocation of whole units that costs a sum and a maximum.

.. math:: \min_w \sum_i s_i(w_i) + f \max_i p_i(w_i) \quad\text{s.t. } \sum_i w_i = W,\ w_i \in \{0, \dots, W\}

with any tables :math:`s` and :math:`p`. For a threshold :math:`T` on the maximum, the least sum :math:`S(T)` is a
dynamic program over the parts, and falls as :math:`T` rises. Between two thresholds :math:`T_a < T_b` no allocation
costs less than :math:`S(T_b) + f T_a`: thresholds are searched by halving, and halves that cannot do better are
dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.program import FloatArray

Amounts = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The best allocation: units of each part, its cost, its sum and its maximum."""

    amounts: Amounts
    value: float
    total: float
    peak: float


def allocate(total_cost: FloatArray, peak_cost: FloatArray, units: int, *, factor: float) -> Allocation | None:
    """Return an allocation of least cost, exactly; ``None`` where none is possible.

    Parameters
    ----------
    total_cost, peak_cost
        :math:`s, p`, (parts, at least units + 1): by amount; infinite where an amount is not possible.
    units
        :math:`W`.
    factor
        :math:`f`, at least 0.

    Raises
    ------
    InputError
        If the tables do not fit each other, or hold NaN.
    """
    sums, peaks = total_cost[:, : units + 1], peak_cost[:, : units + 1]
    if sums.shape != peaks.shape or sums.shape[1] != units + 1 or not len(sums) or not factor >= 0.0:
        found = Plain(f"{total_cost.shape} and {peak_cost.shape}")
        raise InputError("allocation", expected=f"tables of at least {units + 1} amounts for each part", found=found)
    if np.isnan(sums).any() or np.isnan(peaks).any():
        raise InputError("allocation", expected="tables without NaN", found=Plain("NaN"))
    if len(sums) == 1:
        return _told((units,), sums, peaks, factor)
    if len(sums) == 2:
        first = np.arange(units + 1)
        peak = np.maximum(peaks[0], peaks[1, ::-1])
        paired = sums[0] + sums[1, ::-1] + (factor * peak if factor > 0.0 else 0.0)  # 0 * inf is no number
        best = int(np.argmin(np.where(np.isinf(peak), np.inf, paired)))
        return _told((int(first[best]), units - int(first[best])), sums, peaks, factor)
    return _search(sums, peaks, factor)


def _told(amounts: Amounts, sums: FloatArray, peaks: FloatArray, factor: float) -> Allocation | None:
    parts = range(len(amounts))
    total = sum(float(sums[i, amounts[i]]) for i in parts)
    peak = max(float(peaks[i, amounts[i]]) for i in parts)
    value = total + factor * peak
    return Allocation(amounts=amounts, value=value, total=total, peak=peak) if np.isfinite(value) else None


def _search(sums: FloatArray, peaks: FloatArray, factor: float) -> Allocation | None:
    """Halve the thresholds, the most promising interval first."""
    thresholds = np.unique(peaks[np.isfinite(sums) & np.isfinite(peaks)])
    if not len(thresholds):
        return None
    least: dict[int, float] = {}
    best: Allocation | None = None

    def bound(index: int) -> float:
        """Return the least sum below a threshold, keeping the best allocation met."""
        nonlocal best
        if index not in least:
            amounts, least[index] = _least_sum(np.where(peaks <= thresholds[index], sums, np.inf))
            found = None if amounts is None else _told(amounts, sums, peaks, factor)
            if found is not None and (best is None or found.value < best.value):
                best = found
        return least[index]

    last = len(thresholds) - 1
    intervals = [(bound(last) + factor * float(thresholds[0]), 0, last)]
    while intervals:
        lower, low, high = intervals.pop()
        if best is None or lower >= best.value:
            continue
        if low == high:
            bound(low)
            continue
        middle = (low + high) // 2
        intervals.append((bound(high) + factor * float(thresholds[middle + 1]), middle + 1, high))
        intervals.append((bound(middle) + factor * float(thresholds[low]), low, middle))
        intervals.sort(reverse=True)
    return best


def _least_sum(sums: FloatArray) -> tuple[Amounts | None, float]:
    """Return the allocation of least sum by dynamic programming over the parts."""
    parts, size = sums.shape
    units = size - 1
    # rows[w, v] = w - v: amounts of the part that leave v to the parts before.
    rest = np.arange(size)[:, None] - np.arange(size)[None, :]
    reached = sums[0]
    chosen = np.zeros((parts, size), dtype=np.int64)
    chosen[0] = np.arange(size)
    for i in range(1, parts):
        cost = np.where(rest >= 0, sums[i][np.maximum(rest, 0)] + reached[None, :], np.inf)
        before = np.argmin(cost, axis=1)
        chosen[i] = np.arange(size) - before
        reached = cost[np.arange(size), before]
    if not np.isfinite(reached[units]):
        return None, np.inf
    left, amounts = units, []
    for i in range(parts - 1, -1, -1):
        amounts.append(int(chosen[i, left]))
        left -= amounts[-1]
    return tuple(reversed(amounts)), float(reached[units])
