"""The builder makes the matrix it was told, and refuses what is no program."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.testing.programs import mixed_integer_programs

ROWS, COLUMNS = 4, 5
triples = st.lists(
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1), st.integers(-3, 3).map(float)), max_size=25
)


def dense(program: MixedIntegerProgram) -> np.ndarray:
    """Return the matrix, entry by entry."""
    matrix = np.zeros((program.rows, program.variables))
    for i in range(program.rows):
        for entry in range(program.row_start[i], program.row_start[i + 1]):
            matrix[i, program.column[entry]] += program.coefficient[entry]
    return matrix


@given(first=triples, second=triples)
@settings(max_examples=80, derandomize=True, deadline=None)
def test_build_is_the_dense_matrix(first: list, second: list) -> None:
    """Triples of two families, duplicates and zeros among them, add up to the dense matrix, in canonical order."""
    builder = ProgramBuilder()
    builder.variables("x", COLUMNS)
    expected = np.zeros((2 * ROWS, COLUMNS))
    for name, entries, shift in (("first", first, 0), ("second", second, ROWS)):
        row, column, coefficient = np.array(entries).reshape(-1, 3).T
        builder.rows(
            name, row=row.astype(int), column=column.astype(int), coefficient=coefficient, upper=1.0, count=ROWS
        )
        np.add.at(expected, (row.astype(int) + shift, column.astype(int)), coefficient)
    program = builder.build()
    assert (dense(program) == expected).all()
    assert (program.coefficient != 0.0).all()
    for i in range(program.rows):
        columns = program.column[program.row_start[i] : program.row_start[i + 1]]
        assert (np.diff(columns) > 0).all()
    point = np.arange(COLUMNS) - 1.5
    assert program.activity(point) == pytest.approx(expected @ point)


@given(mixed_integer_programs())
@settings(max_examples=50, derandomize=True, deadline=None)
def test_violation_is_the_largest_breach(program: MixedIntegerProgram) -> None:
    """Violation is 0 exactly on points of the program, and else the distance to the worst row, bound or integer."""
    for point in (program.lower, program.upper + 0.5, (program.lower + program.upper) / 2.0):
        activity = dense(program) @ point
        breaches = [0.0, *(program.row_lower - activity), *(activity - program.row_upper)]
        breaches += [*(program.lower - point), *(point - program.upper)]
        breaches += [abs(x - round(x)) for x in point[program.integer].tolist()]
        assert program.violation(point) == pytest.approx(max(breaches))
        assert program.value(point) == pytest.approx(sum(program.cost * point) + program.offset)


def test_blocks_name_their_slices() -> None:
    """Families keep their order, and indices returned are those of the block."""
    builder = ProgramBuilder()
    assert builder.variables("x", 2).tolist() == [0, 1]
    y = builder.variables("y", 3)
    builder.rows("r", row=[0, 1], column=y[:2], coefficient=1.0, lower=0.0)
    program = builder.build()
    assert program.variable_blocks == {"x": slice(0, 2), "y": slice(2, 5)}
    assert program.row_blocks == {"r": slice(0, 2)}


def test_integer_may_be_a_number() -> None:
    """A truthy flag that is not a bool still marks integers, and never indexes them."""
    builder = ProgramBuilder()
    builder.variables("x", 2, upper=1.0, integer=1)  # type: ignore[arg-type]
    assert builder.build().integer.dtype == np.bool_


@pytest.mark.parametrize(
    ("cost", "lower", "upper", "integer", "where"),
    [
        (np.nan, 0.0, 1.0, False, "cost"),
        (np.inf, 0.0, 1.0, False, "cost"),
        (1.0, np.nan, 1.0, False, "lower"),
        (1.0, 0.0, np.nan, False, "upper"),
        (1.0, 0.0, np.inf, True, "integer"),
    ],
)
def test_bad_variables_are_refused(cost: float, lower: float, upper: float, integer: bool, where: str) -> None:
    """NaN, an infinite cost and an unbounded integer are refused by the name of the array."""
    builder = ProgramBuilder()
    builder.variables("x", 1, cost=cost, lower=lower, upper=upper, integer=integer)
    with pytest.raises(InputError, match=f"program.{where}"):
        builder.build()


@pytest.mark.parametrize(
    ("column", "coefficient", "lower", "where"),
    [
        (0, np.nan, 0.0, "coefficient"),
        (0, np.inf, 0.0, "coefficient"),
        (0, 1.0, np.nan, "row_lower"),
        (7, 1.0, 0.0, "column"),
    ],
)
def test_bad_rows_are_refused(column: int, coefficient: float, lower: float, where: str) -> None:
    """NaN, an infinite coefficient and a column that does not exist are refused."""
    builder = ProgramBuilder()
    builder.variables("x", 1)
    builder.rows("r", row=0, column=column, coefficient=coefficient, lower=lower)
    with pytest.raises(InputError, match=where):
        builder.build()


def test_a_name_may_be_used_once() -> None:
    """A second block of one name is refused, of variables and of rows."""
    builder = ProgramBuilder()
    builder.variables("x", 1)
    builder.rows("r", row=0, column=0, coefficient=1.0)
    with pytest.raises(InputError, match="new block name"):
        builder.variables("x", 1)
    with pytest.raises(InputError, match="new family name"):
        builder.rows("r", row=0, column=0, coefficient=1.0)
