"""Hypothesis strategies of mixed-integer programs, small enough for :mod:`coinfer.solver.exhaustive`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder

_SIDES = st.sampled_from(["<=", ">=", "=", "range"])


@st.composite
def mixed_integer_programs(
    draw: st.DrawFn,
    *,
    max_variables: int = 8,
    max_rows: int = 4,
    max_range: int = 3,
    max_continuous: int = 2,
    fractions: bool = True,
) -> MixedIntegerProgram:
    """Draw a bounded program: feasible or not, with ties, equality rows, negative numbers and empty rows.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    max_variables, max_rows
        Most variables, at least 1, and most rows.
    max_range
        Most steps between the bounds of an integer variable.
    max_continuous
        Most continuous variables among them; 0 makes pure integer programs.
    fractions
        Whether costs and coefficients may be fractions such as 1/3 beside whole numbers.
    """
    whole = st.integers(-6, 6).map(float)
    broken = st.fractions(Fraction(-6), Fraction(6), max_denominator=7).map(float)
    numbers = st.one_of(whole, broken) if fractions else whole
    count = draw(st.integers(1, max_variables))
    continuous = draw(st.integers(0, min(max_continuous, count)))
    lower = np.array(draw(st.lists(st.integers(-3, 2), min_size=count, max_size=count)), dtype=np.float64)
    width = np.array(draw(st.lists(st.integers(0, max_range), min_size=count, max_size=count)), dtype=np.float64)
    cost = np.array(draw(st.lists(numbers, min_size=count, max_size=count)))
    builder = ProgramBuilder()
    builder.offset = draw(numbers)
    part = count - continuous
    builder.variables("n", part, cost=cost[:part], lower=lower[:part], upper=(lower + width)[:part], integer=True)
    builder.variables("x", continuous, cost=cost[part:], lower=lower[part:], upper=(lower + width)[part:])
    for row in range(draw(st.integers(0, max_rows))):
        coefficient = np.array(draw(st.lists(numbers, min_size=count, max_size=count)))
        # A right-hand side that some point of the box reaches, most times: else nearly all would be infeasible.
        point = np.array([draw(st.integers(0, int(steps))) for steps in width]) + lower
        side = float(coefficient @ point) + draw(st.sampled_from([0.0, 0.0, 0.0, 1.0, -40.0]))
        kind = draw(_SIDES)
        low = side if kind != "<=" else -np.inf
        high = side if kind in ("<=", "=") else side + 2.0 if kind == "range" else np.inf
        builder.rows(
            f"row{row}",
            row=np.zeros(count, dtype=np.int64),
            column=np.arange(count),
            coefficient=coefficient,
            lower=low,
            upper=high,
            count=1,
        )
    return builder.build()


def market_split(
    *, rows: int = 4, columns: int = 30, seed: int = 1, integer_slack: bool = False
) -> MixedIntegerProgram:
    """Return a market split program: tiny, with a bound that stays at 0, and out of reach of branch and bound.

    Parameters
    ----------
    rows, columns
        Size; 4 x 30 takes every engine far longer than a test may.
    seed
        Seed of the coefficients, uniform in 0..99.
    integer_slack
        Whether the slacks are integer, for engines without continuous variables.

    References
    ----------
    G. Cornuejols and M. Dawande, "A class of hard small 0-1 programs", INFORMS J. Computing 11 (1999).
    """
    weight = np.random.default_rng(seed).integers(0, 100, (rows, columns)).astype(np.float64)
    target = np.floor(weight.sum(axis=1) / 2.0)
    builder = ProgramBuilder()
    choice = builder.variables("choice", columns, upper=1.0, integer=True)
    over = builder.variables("over", rows, cost=1.0, upper=100.0 * columns, integer=integer_slack)
    under = builder.variables("under", rows, cost=1.0, upper=100.0 * columns, integer=integer_slack)
    each = np.arange(rows)
    builder.rows(
        "split",
        row=np.concatenate([np.repeat(each, columns), each, each]),
        column=np.concatenate([np.tile(choice, rows), under, over]),
        coefficient=np.concatenate([weight.ravel(), np.ones(rows), -np.ones(rows)]),
        lower=target,
        upper=target,
    )
    return builder.build()
