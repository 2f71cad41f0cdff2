"""Widened programs: a proof on floats that speaks about decimals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coinfer.planner.rounding import objective_margin, widened
from coinfer.solver.program import ProgramBuilder

DECIMALS = st.integers(1, 10**6).map(lambda n: n / 1000)


@given(sizes=st.lists(DECIMALS, min_size=1, max_size=6))
def test_a_decision_that_keeps_a_budget_in_decimals_keeps_the_widened_row(sizes: list[float]) -> None:
    """Take a budget that is exactly used up in decimals: rounding to floats never puts the decision outside."""
    budget = sum((Fraction(str(size)) for size in sizes), Fraction(0))
    builder = ProgramBuilder()
    take = builder.variables("take", len(sizes), upper=1.0, integer=True)
    limit = float(budget)
    scaled = np.array(sizes) / limit
    builder.rows("budget", row=np.zeros(len(sizes)), column=take, coefficient=scaled, upper=1.0)
    loose = widened(builder.build())
    exact = sum((Fraction(float(part)) for part in loose.coefficient), Fraction(0))
    assert exact <= Fraction(float(loose.row_upper[0]))
    assert loose.row_upper[0] <= 1.0 + 1e-9


def test_rows_of_whole_numbers_are_left_alone() -> None:
    """Numbers that floats hold exactly need no margin, so proofs on them stay exact."""
    builder = ProgramBuilder()
    take = builder.variables("take", 3, cost=[1.0, 2.0, 3.0], upper=1.0, integer=True)
    builder.rows("count", row=[0, 0, 0], column=take, coefficient=1.0, lower=1.0, upper=2.0)
    program = builder.build()
    assert np.array_equal(widened(program).row_upper, program.row_upper)
    assert np.array_equal(widened(program).row_lower, program.row_lower)
    assert 0.0 < objective_margin(program) < 1e-9
