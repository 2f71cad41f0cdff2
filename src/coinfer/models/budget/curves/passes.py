"""Tries until right: the rate of a prompt is uncertain, and all its tries share it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import Plain, ProblemError
from coinfer.models.budget.curves.gamma import log_survival_curve
from coinfer.solver.program import FloatArray

TERMS = 64
"""Rounds that are summed one by one; the rest follows from the sum over single samples."""


def expected_tries(alpha: ArrayLike, beta: ArrayLike) -> FloatArray:
    r"""Return :math:`E[1/p] = (\alpha + \beta - 1) / (\alpha - 1)` for p ~ Beta, broadcast.

    Infinite for :math:`\alpha \le 1`: so much weight near p = 0 that the mean number of tries does not exist, however
    many samples were right on average. It is never less than :math:`1 / E[p]`, which is what the mean rate suggests.

    Raises
    ------
    ProblemError
        For parameters that are not above 0.

    >>> expected_tries([3.0, 1.0], [1.0, 1.0]).tolist()
    [1.5, inf]
    """
    a, b = np.broadcast_arrays(np.asarray(alpha, dtype=np.float64), np.asarray(beta, dtype=np.float64))
    if not ((a > 0.0) & (b > 0.0)).all():
        raise ProblemError("alpha", expected="parameters above 0", found=Plain("another number"))
    found: FloatArray = 1.0 + np.divide(b, a - 1.0, out=np.full(a.shape, np.inf), where=a > 1.0)
    return found


def expected_rounds(alpha: ArrayLike, beta: ArrayLike, draws: int) -> FloatArray:
    r"""Return the rounds of k samples that are expected until one sample is right, :math:`E[1 / (1 - (1-p)^k)]`.

    That is :math:`\sum_{j \ge 0} S_{jk}` with :math:`S_m = E[(1-p)^m]`. After :math:`M = Jk` samples, Euler and
    Maclaurin turn the sum over rounds into the one over single samples, :math:`\sum_{m \ge M} S_m = S_M
    \frac{\alpha + \beta + M - 1}{\alpha - 1}`; the derivatives are those of :math:`(m + \beta + \frac{\alpha -
    1}{2})^{-\alpha}`, which S follows there.

    Parameters
    ----------
    alpha, beta
        Of the posterior of the rate, (...,), broadcast.
    draws
        Samples of one round k, at least 1.

    Raises
    ------
    ProblemError
        For parameters that are not above 0, or no samples.

    >>> expected_rounds(3.0, 1.0, 1).tolist()
    1.5
    """
    if draws < 1:
        raise ProblemError("draws", expected="at least 1", found=draws)
    single = expected_tries(alpha, beta)
    a, b = np.broadcast_arrays(np.asarray(alpha, dtype=np.float64), np.asarray(beta, dtype=np.float64))
    finite = np.isfinite(single)
    if draws == 1 or not finite.any():
        return single
    a, b = a[finite], b[finite]
    last = float(TERMS * draws)
    survival = np.exp(log_survival_curve(b, a, draws * np.arange(TERMS + 1, dtype=np.float64)))
    left = survival[..., -1]
    rest = left * (1.0 + (b + last) / (a - 1.0))  # of the sum over single samples
    away = last + b + 0.5 * (a - 1.0)
    slope = -a / away * left
    third = -a * (a + 1.0) * (a + 2.0) / away**3 * left
    smooth = rest - 0.5 * left + slope / 12.0 - third / 720.0
    tail = smooth / draws + 0.5 * left - draws * slope / 12.0 + draws**3 * third / 720.0
    rounds = np.full(single.shape, np.inf)
    rounds[finite] = survival[..., :-1].sum(axis=-1) + tail
    return rounds
