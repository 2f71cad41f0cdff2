"""Fits of laws to curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.models.budget.forecast import power_law
from coinfer.models.budget.forecast.curves import Curve
from coinfer.models.budget.forecast.power_law import PowerLaw


def drawn_from(failing):
    """Return a curve of these shares at 1, 2, 4 ... samples."""
    shares = np.asarray(failing, dtype=float)
    nothing = np.zeros(len(shares))
    return Curve(samples=2 ** np.arange(len(shares)), failing=shares, first_passed=nothing, unpassed=nothing)


@given(level=st.floats(-1.5, 2.0), exponent=st.floats(0.01, 0.6))
def test_fit_returns_the_law_that_made_the_curve(level, exponent):
    """A curve without noise gives its law back."""
    law = PowerLaw(level=level, exponent=exponent)
    found = power_law.fit(drawn_from(law.failing(2 ** np.arange(8))))
    assert found is not None
    assert (found.level, found.exponent) == pytest.approx((level, exponent), abs=1e-6)


@pytest.mark.parametrize("shares", [[1.0] * 8, [0.0] * 8, [0.5, 0.3], [1.0, 1.0, 0.9, 0.8]])
def test_too_few_points_inside_give_no_law(shares):
    """All failed, all passed, or two points: there is nothing to fit a line to."""
    assert power_law.fit(drawn_from(shares)) is None


def test_a_flat_curve_stays_flat():
    """Where more samples pass nothing new, the exponent is 0 and so is the gain."""
    found = power_law.fit(drawn_from([0.5] * 6))
    assert found is not None
    assert found.failing(np.array([10, 10**9])) == pytest.approx([0.5, 0.5])


def test_tail_is_the_slope_of_the_last_decade():
    """A pure power law in the last decade is found whatever came before it."""
    samples = 2.0 ** np.arange(8)
    shares = np.where(samples < 10, 0.9, samples**-0.3)
    assert power_law.tail(drawn_from(shares)) == pytest.approx(0.3)
    assert power_law.tail(drawn_from([0.0] * 8)) is None


@given(st.floats(-4, 4), st.floats(0, 2), st.integers(0, 10**15))
def test_the_share_that_fails_is_always_a_share(level, exponent, samples):
    """No law and no number of samples leaves 0..1, and no samples pass nothing."""
    share = float(PowerLaw(level=level, exponent=exponent).failing(np.array(samples)))
    assert 0.0 <= share <= 1.0
    assert samples or share == 1.0
