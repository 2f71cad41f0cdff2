"""Bounds in floats are never above what the checker derives exactly from the same multipliers."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError
from coinfer.solver.certificate.exact import ExactProgram
from coinfer.solver.certificate.tree import Leaf, leaf_bound
from coinfer.solver.compact import leaf
from coinfer.solver.duality import DualBounds, rounded
from coinfer.solver.program import FloatArray, MixedIntegerProgram, ProgramBuilder
from coinfer.testing.programs import mixed_integer_programs


def exactly(program: MixedIntegerProgram, evidence: Leaf) -> float:
    """The bound of a leaf over the whole box by the checker, rounded up; the offset counts."""
    bound = leaf_bound(ExactProgram(program), evidence, program.lower.tolist(), program.upper.tolist())
    return bound if isinstance(bound, float) else math.nextafter(float(bound + Fraction(program.offset)), math.inf)


def least(*, cost: float, free: bool = False) -> MixedIntegerProgram:
    """One variable without an upper bound that must be at least 2."""
    builder = ProgramBuilder()
    x = builder.variables("x", 1, cost=cost, lower=-math.inf if free else 0.0)
    builder.rows("least", row=[0], column=x, coefficient=1.0, lower=2.0)
    return builder.build()


@given(
    program=mixed_integer_programs(max_variables=5),
    unlimited=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1e-9, 1.0, 1e9]),
)
@settings(max_examples=150)
def test_the_float_bound_is_never_above_the_exact_one(
    program: MixedIntegerProgram, unlimited: bool, seed: int, size: float
) -> None:
    """The margin covers every rounding, for multipliers of any size and variables with or without bounds."""
    open_ended = np.where(~program.integer & unlimited, np.inf, program.upper)
    program = dataclasses.replace(program, upper=open_ended)
    dual = DualBounds(program)
    y: FloatArray = dual.signed(size * np.random.default_rng(seed).normal(size=program.rows))
    for multipliers in (y, dual.repaired(y, program.cost), dual.signed(rounded(y, 3))):
        shown = dual.bound(multipliers, program.lower, program.upper)
        assert shown <= exactly(program, leaf("bound", multipliers))
        if dual.empties(multipliers, program.lower, program.upper):
            assert exactly(program, leaf("infeasible", multipliers)) == math.inf


@pytest.mark.parametrize("free", [False, True])
def test_a_hair_too_much_shows_nothing_and_is_repaired(free: bool) -> None:
    """One unit in the last place too much on an unlimited variable gives -inf; the repair takes it back."""
    program = least(cost=1.0, free=free)
    dual = DualBounds(program)
    above = np.array([math.nextafter(1.0, 2.0)])
    assert dual.bound(above, program.lower, program.upper) == -math.inf
    fitted = dual.repaired(above, program.cost, on_grid=False)
    assert dual.bound(fitted, program.lower, program.upper) == pytest.approx(2.0, abs=1e-12)
    assert exactly(program, leaf("bound", fitted)) >= 2.0 - 1e-12


def test_a_sum_that_only_cancels_in_floats_is_seen() -> None:
    """1 and 1e-17 make 1 in floats and more in truth: the exact sign of the reduced cost decides."""
    builder = ProgramBuilder()
    x = builder.variables("x", 1, cost=1.0)
    builder.rows("parts", row=[0, 1], column=[x[0], x[0]], coefficient=1.0, lower=1.0)
    program = builder.build()
    assert DualBounds(program).bound(np.array([1.0, 1e-17]), program.lower, program.upper) == -math.inf
    assert DualBounds(program).bound(np.array([1.0, 0.0]), program.lower, program.upper) > 0.99


def test_the_margin_covers_a_reduced_cost_that_cancels() -> None:
    """With a wide bound instead of none, what cancels in floats is still paid for: 1e-17 times 1e12."""
    builder = ProgramBuilder()
    x = builder.variables("x", 1, cost=1.0, upper=1e12)
    builder.rows("parts", row=[0, 1], column=[x[0], x[0]], coefficient=1.0, lower=1.0)
    program, y = builder.build(), np.array([1.0, 1e-17])
    assert DualBounds(program).bound(y, program.lower, program.upper) <= exactly(program, leaf("bound", y)) < 1.0 - 9e-6


def test_a_sign_without_a_side_is_taken_out() -> None:
    """Multipliers that the checker would refuse never leave the search."""
    program = least(cost=1.0)
    cleaned = DualBounds(program).signed(np.array([-1.0]))
    assert cleaned.tolist() == [0.0]
    with pytest.raises(CertificateError, match="infinite"):
        exactly(program, leaf("bound", np.array([-1.0])))


def test_rounding_keeps_so_many_digits() -> None:
    """Significant digits, whatever the size; zeros stay zeros."""
    assert rounded(np.array([0.0, 123.456, -1.23456e-9]), 3).tolist() == [0.0, 123.0, -1.23e-9]
