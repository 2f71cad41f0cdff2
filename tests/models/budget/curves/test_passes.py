"""Tries until right are the mean of one over an uncertain chance."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from coinfer.errors import ProblemError
from coinfer.models.budget.curves.coverage import expected_coverage
from coinfer.models.budget.curves.passes import expected_rounds, expected_tries


@pytest.mark.parametrize(("alpha", "beta"), [(3.0, 2.0), (4.5, 30.0), (2.5, 0.5)])
def test_expected_tries_are_the_mean_of_one_over_p(alpha: float, beta: float) -> None:
    """The closed form is the integral of 1/p under the posterior, and more than one over its mean."""
    from scipy.integrate import quad
    from scipy.stats import beta as law

    integral, _ = quad(lambda p: law.pdf(p, alpha, beta) / p, 0.0, 1.0, limit=200)
    assert float(expected_tries(alpha, beta)) == pytest.approx(integral, rel=1e-6)
    assert float(expected_tries(alpha, beta)) > (alpha + beta) / alpha


@pytest.mark.parametrize("draws", [2, 3, 8, 64])
@pytest.mark.parametrize(("alpha", "beta"), [(1.05, 2.0), (1.5, 400.0), (3.0, 0.2), (40.0, 9.0), (300.0, 5000.0)])
def test_expected_rounds_are_the_mean_of_one_over_the_coverage(alpha: float, beta: float, draws: int) -> None:
    """They are the integral of 1 / (1 - (1-p)^k), whose part 1 / (k p) is known; and at least one over its mean."""
    from scipy.integrate import quad
    from scipy.stats import beta as law

    def bounded(p: float) -> float:
        miss = -np.expm1(draws * np.log1p(-p))
        return float(law.pdf(p, alpha, beta) * (1.0 / miss - 1.0 / (draws * p)))

    cuts = np.geomspace(1e-12, 1.0, 60)
    parts = [quad(bounded, a, min(b, 1.0 - 1e-12))[0] for a, b in pairwise(cuts)]
    whole = float(expected_tries(alpha, beta)) / draws + sum(parts)
    found = float(expected_rounds(alpha, beta, draws))
    assert found == pytest.approx(whole, rel=1e-5)
    assert found >= 1.0 / float(expected_coverage(alpha, beta, [draws]).item())


def test_rounds_of_one_sample_are_tries_and_have_no_mean_up_to_one_success() -> None:
    """One sample a round is a try; with alpha at most 1 the mean is infinite, whatever the round."""
    alpha = np.array([0.5, 1.0, 1.5])
    np.testing.assert_array_equal(expected_rounds(alpha, 2.0, 1), expected_tries(alpha, 2.0))
    assert np.isinf(expected_rounds(alpha, 2.0, 5)).tolist() == [True, True, False]


def test_parameters_and_rounds_that_are_none_are_refused() -> None:
    """A posterior needs parameters above 0, and a round a sample."""
    with pytest.raises(ProblemError):
        expected_tries(0.0, 1.0)
    with pytest.raises(ProblemError):
        expected_rounds(2.0, 1.0, 0)
