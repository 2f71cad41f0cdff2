"""Points are judged in exact arithmetic, with a tolerance that nothing which is checked can widen."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from coinfer.errors import CertificateError
from coinfer.solver import exhaustive
from coinfer.solver.certificate.point import TOLERANCE, check_point
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.testing.programs import mixed_integer_programs


def budget(*, size: float = 1.0) -> MixedIntegerProgram:
    """Two shares that must fill a budget of ``size``, and one whole choice."""
    builder = ProgramBuilder()
    builder.offset = 0.1
    share = builder.variables("share", 2, cost=[0.1, 0.2], upper=size)
    choice = builder.variables("choice", 1, cost=1.0, upper=3.0, integer=True)
    builder.rows("fill", row=[0, 0], column=share, coefficient=1.0, lower=size, upper=size)
    builder.rows("most", row=[0], column=choice, coefficient=2.0, upper=4.0)
    return builder.build()


@given(program=mixed_integer_programs(max_variables=5, max_continuous=0, fractions=False))
@settings(max_examples=100, deadline=None)
def test_whole_programs_are_judged_without_any_error(program: MixedIntegerProgram) -> None:
    """On whole numbers the value is the value of enumeration, exactly, and the violation is 0."""
    found = exhaustive.solve(program)
    if found.incumbent is not None:
        checked = check_point(program, found.incumbent)
        assert (checked.value, checked.violation) == (Fraction(found.value), 0)


def test_the_value_is_not_rounded() -> None:
    """The objective is that of the exact binary values of the floats, down to the last digit."""
    checked = check_point(budget(), np.array([0.75, 0.25, 1.0]))
    expected = Fraction(0.1) * Fraction(3, 4) + Fraction(0.2) / 4 + 1 + Fraction(0.1)
    assert checked.value == expected
    assert checked.violation == 0


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_the_tolerance_grows_with_the_numbers_of_the_row(size: float) -> None:
    """Half the tolerance passes and is reported, twice the tolerance does not, at any scale."""
    hair = float(TOLERANCE) * size
    checked = check_point(budget(size=size), np.array([size / 2, size / 2 + hair / 2, 0.0]))
    assert 0 < checked.violation <= TOLERANCE
    with pytest.raises(CertificateError, match=r"row fill\[0\]"):
        check_point(budget(size=size), np.array([size / 2, size / 2 + 2 * hair, 0.0]))


@pytest.mark.parametrize(
    ("point", "sentence"),
    [
        ([0.5, 0.5, 1.0 + 1e-12], r"choice\[0\].*whole number"),
        ([0.5, 0.5, 3.0], r"row most\[0\]"),
        ([1.5, -0.5, 0.0], r"share\[0\] is 1.5"),
        ([0.5, math.nan, 0.0], r"share\[1\] is nan"),
        ([math.inf, 0.5, 0.0], r"share\[0\] is inf"),
        ([0.5, 0.5], "expected 3 numbers"),
    ],
)
def test_a_point_that_breaks_something_is_refused_by_name(point: list[float], sentence: str) -> None:
    """Each kind of error has its sentence, which names the row or the variable."""
    with pytest.raises(CertificateError, match=sentence):
        check_point(budget(), np.array(point))


def test_a_row_that_asks_for_infinity_is_refused() -> None:
    """No finite point reaches an infinite side, so the row is broken and not skipped."""
    builder = ProgramBuilder()
    x = builder.variables("x", 1, upper=1.0)
    builder.rows("never", row=[0], column=x, coefficient=1.0, lower=math.inf)
    with pytest.raises(CertificateError, match=r"row never\[0\] can never be kept"):
        check_point(builder.build(), np.array([1.0]))
