"""Bills."""

from __future__ import annotations

import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.models.budget.curves.costs import Request, independent
from coinfer.models.budget.curves.figures import PerToken, UnitFigures, bill, cascade

REQUEST = Request(prompt_tokens=100.0, answer_tokens=20.0, answer_cap_tokens=40.0, answer_log_deviation=0.0)
FIGURES = UnitFigures(
    usd=PerToken(input=1e-6, cached_input=1e-7, output=4e-6, call=0.01),
    seconds=PerToken(input=0.001, output=0.05),
    joules=PerToken(input=0.1, output=2.0, scored=0.5),
)


def test_bill_is_tokens_times_figures() -> None:
    """Money, energy, busy seconds and latency are sums of tokens times figures; latency is that of one sample."""
    made = bill(independent(REQUEST, 3, prompt="cached"), FIGURES).expected
    assert made.tokens[0] == 360
    assert made.usd is not None
    assert made.usd[0] == pytest.approx(100e-6 + 200e-7 + 60 * 4e-6 + 0.03)
    assert made.joules is not None
    assert made.joules[0] == pytest.approx(300 * 0.1 + 60 * 2.0)
    assert made.busy_s is not None
    assert made.busy_s[0] == pytest.approx(300 * 0.001 + 60 * 0.05)
    assert made.latency_s is not None
    assert made.latency_s[0] == pytest.approx(0.1 + 1.0)


def test_missing_figures_are_missing_not_nought() -> None:
    """What needs a figure that nobody gave is absent; what does not need it is there."""
    scored = bill(independent(REQUEST, 3, scored=True), FIGURES).expected
    assert scored.usd is None
    assert scored.busy_s is None
    assert scored.latency_s is None
    assert scored.joules is not None
    nothing = bill(independent(REQUEST, [0, 1]), UnitFigures()).worst
    assert nothing.usd is None
    assert nothing.tokens.tolist() == [0, 140]


def test_cascade_weighs_stages_by_reach() -> None:
    """Expected cost is reach times cost of each stage, worst cost all of them; a missing part makes it missing."""
    small, large = bill(independent(REQUEST, 1), FIGURES), bill(independent(REQUEST, [4]), FIGURES)
    made = cascade([small, large], [[1.0, 1.0], [0.25, 0.0]])
    assert small.expected.usd is not None
    assert made.expected.usd is not None
    np.testing.assert_allclose(made.expected.usd, small.expected.usd * [2.0, 1.0])
    assert made.worst.tokens.tolist() == [5 * 140]
    assert made.expected.latency_s is not None
    np.testing.assert_allclose(made.expected.latency_s, [1.1 * 1.25, 1.1])
    assert cascade([small, bill(independent(REQUEST, 1), UnitFigures())], [1.0, 0.5]).expected.usd is None


@pytest.mark.parametrize("reach", [[1.0], [0.9, 0.5], [1.0, 1.1], [1.0, -0.1], 1.0])
def test_reach_is_checked(reach: object) -> None:
    """Chances that do not fall from 1, one per stage, are refused."""
    stage = bill(independent(REQUEST, 1), FIGURES)
    with pytest.raises(InputError):
        cascade([stage, stage], reach)  # type: ignore[arg-type]
