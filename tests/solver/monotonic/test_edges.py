"""Programs at the edge: no points, very wide variables, oracles that do not answer with numbers."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.monotonic.maximise import maximise_general
from coinfer.solver.monotonic.program import FloatArray, IntArray, LinearRows, Monotone, MonotonicProgram
from coinfer.solver.monotonic.result import SearchStatus
from coinfer.testing.monotonic import program_from_seed


def test_a_box_without_points_is_infeasible() -> None:
    """A lower end above the upper one leaves no point; the proof says so."""
    program = program_from_seed(3, "monotone", max_variables=4)
    crossed = dataclasses.replace(program, lower=program.upper + 1)
    result = maximise_general(crossed)
    assert result.status is SearchStatus.INFEASIBLE
    assert result.proof is not None
    assert check_boxes(crossed, result.proof).bound == -math.inf


def test_wide_variables_are_bisected() -> None:
    """A variable of a million levels takes a few dozen calls, not a million."""

    class Square:
        def values(self, points: IntArray) -> FloatArray:
            return (points[:, 0] ** 2 + 3.0 * points[:, 1]).astype(np.float64)

    program = MonotonicProgram(
        lower=np.zeros(2, np.int64),
        upper=np.full(2, 10**6),
        objective=Monotone(oracle=Square()),
        constraints=(LinearRows(coefficients=np.array([[3.0, 7.0]]), limits=np.array([2e6 + 1]), names=("budget",)),),
    )
    result = maximise_general(program)
    assert result.status is SearchStatus.OPTIMAL
    assert result.incumbent is not None
    assert result.incumbent.tolist() == [666667, 0]
    assert result.oracle_calls < 5000


@pytest.mark.parametrize("answer", [math.nan, math.inf])
def test_an_oracle_without_numbers_is_refused(answer: float) -> None:
    """NaN or infinity as an objective is an error that names the oracle, not a wrong bound."""

    class Broken:
        def values(self, points: IntArray) -> FloatArray:
            return np.full(len(points), answer)

    program = MonotonicProgram(
        lower=np.zeros(2, np.int64), upper=np.ones(2, np.int64), objective=Monotone(oracle=Broken())
    )
    with pytest.raises(InputError, match="objective: expected an oracle that returns finite numbers"):
        maximise_general(program)
