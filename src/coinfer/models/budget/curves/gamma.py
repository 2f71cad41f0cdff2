"""A quotient of Gamma functions that keeps its digits where the arguments are large or the steps tiny."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from coinfer.solver.program import FloatArray

SHIFT = 16
RUNNING = 32  # the closed form takes about as long as this many terms of the sum
# Stirling's series of log Gamma, DLMF 5.11.1: B_2j / (2j (2j - 1)) for j = 1 to 5; past x = 16 the rest is below 1e-16.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)


def log_survival(failures: ArrayLike, successes: ArrayLike, samples: ArrayLike) -> FloatArray:
    r"""Return :math:`\log \frac{\Gamma(B + k)\,\Gamma(B + A)}{\Gamma(B)\,\Gamma(B + A + k)}`, broadcast.

    B = ``failures`` > 0, A = ``successes`` > -B, k = ``samples`` >= 0; symmetric in A and k. For p ~ Beta(A, B) it is
    :math:`\log E[(1-p)^k]`; with B = n - c - k + 1 and A = c it is :math:`\log[\binom{n-c}{k} / \binom{n}{k}]`.

    Differences of ``gammaln`` lose all digits where B is large and A or k small. Here every term is of the size of the
    result, about A k / B: Stirling's formula with its logarithms gathered first, after the recurrence has moved B past
    16. The relative error stays near 1e-15.
    """
    b, a, k = (np.asarray(each, dtype=np.float64) for each in (failures, successes, samples))
    b, a, k = np.broadcast_arrays(b, a, k)
    moved = np.zeros(b.shape)
    low = b < SHIFT
    if low.any():
        moved[low] = _recurrence(b[low], a[low], k[low])
        b = np.where(low, b + SHIFT, b)
    whole = b + a + k
    main = (b - 0.5) * np.log1p(a / b * (k / whole)) - k * np.log1p(a / (b + k)) - a * np.log1p(k / (b + a))
    return main + _series_step(b, a) - _series_step(b + k, a) - moved


def _recurrence(b: FloatArray, a: FloatArray, k: FloatArray) -> FloatArray:
    """Return what the quotient at B + 16 has more than at B."""
    total = np.zeros(b.shape)
    for i in range(SHIFT):
        total += np.log1p(a / (b + i) * (k / (b + i + a + k)))
    return total


def _series_step(x: FloatArray, step: FloatArray) -> FloatArray:
    """Return Stirling's series at x + step less that at x, proportional to the step also in floating point."""
    near, far = 1 / (x + step), 1 / x
    # near^p - far^p is (near - far) times a symmetric polynomial, written in S = (near + far)^2 and Q = near far;
    # near - far = -step Q.
    s, q = (near + far) ** 2, near * far
    one, three, five, seven, nine = STIRLING
    series = one + three * (s - q) + five * (s * (s - 3 * q) + q * q)
    series += seven * (s * (s * (s - 5 * q) + 6 * q * q) - q * q * q)
    series += nine * (s * (s * (s * (s - 7 * q) + 15 * q * q) - 10 * q * q * q) + q * q * q * q)
    return -step * q * series


def log_survival_curve(failures: FloatArray, successes: FloatArray, draws: FloatArray) -> FloatArray:
    """Return ``log_survival`` of every prompt (...,) at every whole number of draws (draws,), (..., draws).

    As the running sum of log(1 - A / (A + B + j)) where the draws are few or dense, which is far quicker.
    """
    most = int(draws.max(initial=0))
    if most > RUNNING * len(draws):
        return log_survival(failures[..., None], successes[..., None], draws)
    made = np.zeros((len(draws), *failures.shape))
    total, whole, done = np.zeros(failures.shape), failures + successes, 0
    for place in np.argsort(draws, kind="stable"):
        while done < draws[place]:
            with np.errstate(divide="ignore"):  # nothing survives where failures are too rare to be told from none
                total += np.log1p(-successes / (whole + done))
            done += 1
        made[place] = total
    return np.moveaxis(made, 0, -1)
