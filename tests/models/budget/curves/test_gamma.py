"""The quotient of Gamma functions behind all coverage curves."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from coinfer.models.budget.curves.gamma import log_survival, log_survival_curve


@pytest.mark.parametrize("failures", ["0.01", "0.5", "1", "15.9", "16", "1000", "1000000"])
@pytest.mark.parametrize("successes", ["1e-30", "1e-9", "0.3", "1", "7.5", "1000000"])
def test_quotient_against_the_exact_product(failures: str, successes: str) -> None:
    """The logarithm agrees with that of the exact product of fractions to 14 digits, whatever the sizes."""
    counts = (1, 2, 9, 150)
    found = log_survival(float(failures), float(successes), counts)
    for k, logarithm in zip(counts, found, strict=True):
        exact = Fraction(1)
        for j in range(k):
            b = Fraction(float(failures)) + j
            exact *= b / (b + Fraction(float(successes)))
        with localcontext(prec=70):
            right = float(Decimal(exact.numerator).ln() - Decimal(exact.denominator).ln())
        assert logarithm == pytest.approx(right, rel=1e-14)


def test_quotient_is_symmetric_and_nought_for_no_samples() -> None:
    """Successes and samples may be exchanged, and no samples leave no logarithm."""
    a, b, k = 37.0, 1e6, 12345.0
    assert log_survival(b, a, k) == pytest.approx(float(log_survival(b, k, a)), rel=1e-14)
    assert np.array_equal(log_survival([0.1, 1e6], [3.0, 1e-9], 0), [0.0, 0.0])


def test_curve_is_the_same_summed_or_closed() -> None:
    """The running sum for dense draws and the closed form for sparse ones agree, in any order of the draws."""
    failures, successes = np.array([[0.1, 3.0], [1e6, 20.0]]), np.array([[5.0, 0.3], [1e-9, -0.7]])
    for draws in (np.array([7.0, 0.0, 20.0, 7.0]), np.array([1e6, 3.0])):
        closed = log_survival(failures[..., None], successes[..., None], draws)
        np.testing.assert_allclose(log_survival_curve(failures, successes, draws), closed, rtol=1e-13)
