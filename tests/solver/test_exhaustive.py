"""The oracle of the other tests is right by itself."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings

from coinfer.errors import InputError
from coinfer.solver import exhaustive
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.solver.result import Status
from coinfer.testing.programs import mixed_integer_programs


@given(mixed_integer_programs(max_variables=4, max_range=2, max_continuous=0))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_equals_a_plain_loop(program: MixedIntegerProgram) -> None:
    """On pure integer programs the value is the least over a loop written without arrays."""
    ranges = [range(int(low), int(high) + 1) for low, high in zip(program.lower, program.upper, strict=True)]
    points = [np.array(point, dtype=np.float64) for point in itertools.product(*ranges)]
    values = [program.value(point) for point in points if program.violation(point) <= 1e-7]
    result = exhaustive.solve(program)
    assert result.value == pytest.approx(min(values, default=math.inf))
    assert (result.status is Status.INFEASIBLE) == (not values)
    assert result.bound == result.value


def test_continuous_part_is_optimised_per_assignment() -> None:
    """With n in {0, 1} and x <= 0.5 + n / 2, min -x + 0.6 n is at n = 0, x = 0.5."""
    builder = ProgramBuilder()
    n = builder.variables("n", 1, cost=0.6, upper=1.0, integer=True)
    x = builder.variables("x", 1, cost=-1.0, upper=9.0)
    builder.rows("cap", row=[0, 0], column=[n[0], x[0]], coefficient=[-0.5, 1.0], upper=0.5)
    result = exhaustive.solve(builder.build())
    assert result.incumbent == pytest.approx(np.array([0.0, 0.5]))
    assert result.value == pytest.approx(-0.5)


def test_unbounded_and_infeasible() -> None:
    """A free continuous direction is unbounded, unless no integer assignment is feasible."""
    for side, status in ((4.0, Status.UNBOUNDED), (3.0, Status.INFEASIBLE)):
        builder = ProgramBuilder()
        n = builder.variables("n", 1, upper=9.0, integer=True)
        builder.variables("x", 1, cost=-1.0)
        builder.rows("even", row=0, column=n, coefficient=2.0, lower=side, upper=side)
        result = exhaustive.solve(builder.build())
        assert (result.status, result.incumbent) == (status, None)


def test_chunks_cover_every_point() -> None:
    """With more points than one chunk, the only feasible point, the last, is found."""
    builder = ProgramBuilder()
    n = builder.variables("n", 17, cost=1.0, upper=1.0, integer=True)
    builder.rows("all", row=np.zeros(17, dtype=int), column=n, coefficient=1.0, lower=17.0)
    result = exhaustive.solve(builder.build())
    assert (result.value, result.nodes) == (17.0, 2**17)


def test_large_programs_are_refused() -> None:
    """More assignments than allowed is a sentence with the number, before any work."""
    builder = ProgramBuilder()
    builder.variables("n", 40, upper=1.0, integer=True)
    with pytest.raises(InputError, match=r"at most 2,000,000 assignments.*found 1,099,511,627,776"):
        exhaustive.solve(builder.build())
