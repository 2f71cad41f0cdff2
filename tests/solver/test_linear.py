"""Linear relaxations: right on their own, and right again after every change of the box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from coinfer.solver.duality import DualBounds
from coinfer.solver.linear import LinearResult, Relaxation, elastic
from coinfer.solver.program import FloatArray, MixedIntegerProgram, ProgramBuilder
from coinfer.testing.programs import mixed_integer_programs

PROGRAMS = mixed_integer_programs(max_variables=6)


def dense(program: MixedIntegerProgram) -> FloatArray:
    """The rows as a full matrix, (rows, variables)."""
    matrix = np.zeros((program.rows, program.variables))
    matrix[program.row_of_entry, program.column] = program.coefficient
    return matrix


def reference(program: MixedIntegerProgram, lower: FloatArray, upper: FloatArray) -> float | None:
    """The optimum by another code path, built from scratch; ``None`` when infeasible."""
    matrix = dense(program)
    above, below = np.isfinite(program.row_lower), np.isfinite(program.row_upper)
    sides = np.concatenate([program.row_upper[below], -program.row_lower[above]])
    rows = np.concatenate([matrix[below], -matrix[above]])
    answer = linprog(
        program.cost,
        A_ub=rows if len(rows) else None,
        b_ub=sides if len(rows) else None,
        bounds=np.stack([lower, upper], axis=1),
    )
    return float(answer.fun) + program.offset if answer.status == 0 else None


def clash() -> MixedIntegerProgram:
    """Two variables in 0..1 that must add up to 3: empty, but no single bound says so."""
    builder = ProgramBuilder()
    x = builder.variables("x", 2, cost=[1.0, 2.0], upper=1.0)
    builder.rows("sum", row=[0, 0], column=x, coefficient=1.0, lower=3.0)
    return builder.build()


def shows_empty(program: MixedIntegerProgram, result: LinearResult) -> bool:
    """Whether the ray of a result proves the program's own box to be empty."""
    return DualBounds(program).ray(result.multipliers, program.lower, program.upper) is not None


@given(program=PROGRAMS, data=st.data())
@settings(max_examples=120, deadline=None)
def test_a_hot_start_gives_what_a_cold_start_gives(program: MixedIntegerProgram, data: st.DataObject) -> None:
    """One model solved over a series of boxes agrees with a fresh solve of each by other code."""
    relaxation = Relaxation(program)
    for _ in range(3):
        share = st.lists(st.integers(0, 3), min_size=program.variables, max_size=program.variables)
        width = program.upper - program.lower
        ends = np.sort([data.draw(share), data.draw(share)], axis=0) / 3.0
        lower, upper = program.lower + ends[0] * width, program.lower + ends[1] * width
        found, expected = relaxation.solve(lower, upper), reference(program, lower, upper)
        assert found.status == ("infeasible" if expected is None else "optimal")
        if expected is not None and found.point is not None:
            assert found.value == pytest.approx(expected, abs=1e-6)
            assert program.value(found.point) == pytest.approx(expected, abs=1e-6)
            assert (found.point >= lower - 1e-9).all()
            assert (found.point <= upper + 1e-9).all()


@given(program=PROGRAMS)
@settings(max_examples=120, deadline=None)
def test_multipliers_show_the_value(program: MixedIntegerProgram) -> None:
    """Strong duality: the row duals prove the optimum of the relaxation, so a leaf can be closed with them."""
    found = Relaxation(program).solve(program.lower, program.upper)
    if found.status != "optimal" or found.multipliers is None:
        return
    dual = DualBounds(program)
    shown = dual.bound(dual.signed(found.multipliers), program.lower, program.upper)
    assert shown <= found.value + 1e-7
    assert shown == pytest.approx(found.value, abs=1e-6)


@given(program=PROGRAMS)
@settings(max_examples=120, deadline=None)
def test_an_infeasible_relaxation_comes_with_its_ray(program: MixedIntegerProgram) -> None:
    """Whatever the engine calls infeasible by a clear margin, its ray or the elastic program proves empty."""
    found = Relaxation(program).solve(program.lower, program.upper)
    missed = elastic(program, program.lower, program.upper)
    if found.status == "infeasible" and missed.value > 1e-6:
        assert shows_empty(program, found) or shows_empty(program, missed)
    if found.status == "optimal":
        assert missed.value <= 1e-8


def test_the_elastic_program_measures_the_clash() -> None:
    """The least total by which rows must be broken is found, and its duals are a ray."""
    missed = elastic(clash(), clash().lower, clash().upper)
    assert missed.value == pytest.approx(1.0)
    assert shows_empty(clash(), missed)


def test_an_infeasible_box_does_not_spoil_the_next() -> None:
    """After a box without points the same model still solves one that has some."""
    program = clash()
    relaxation = Relaxation(program)
    assert relaxation.solve(program.lower, program.upper).status == "infeasible"
    found = relaxation.solve(program.lower, np.array([2.0, 2.0]))
    assert found.value == pytest.approx(4.0)


def test_an_objective_without_end_is_told_apart() -> None:
    """Unbounded is neither infeasible nor unknown: no bound can be shown, and the search must not go on."""
    builder = ProgramBuilder()
    builder.variables("x", 1, cost=-1.0)
    program = builder.build()
    assert Relaxation(program).solve(program.lower, program.upper).status == "unbounded"


@pytest.mark.parametrize(("side", "status"), [(0.0, "optimal"), (1.0, "infeasible")])
def test_a_program_without_variables_is_decided(side: float, status: str) -> None:
    """Where there is nothing to choose, each row reads 0, and that keeps it or not."""
    builder = ProgramBuilder()
    builder.offset = 7.0
    builder.rows("row", row=[], column=[], coefficient=[], lower=side, count=1)
    program = builder.build()
    found = Relaxation(program).solve(program.lower, program.upper)
    assert found.status == status
    assert (found.value == 7.0) == (status == "optimal")
    assert shows_empty(program, found) == (status == "infeasible")


def test_a_time_limit_is_a_status() -> None:
    """Cut short, a relaxation says so, and the next call without a limit is solved to its end."""
    rng = np.random.default_rng(0)
    builder = ProgramBuilder()
    x = builder.variables("x", 300, cost=rng.random(300))
    row, column = np.divmod(np.arange(300 * 300), 300)
    builder.rows("cover", row=row, column=x[column], coefficient=rng.random(300 * 300), lower=1.0)
    program = builder.build()
    relaxation = Relaxation(program)
    assert relaxation.solve(program.lower, program.upper, time_s=0.0).status == "unknown"
    assert relaxation.solve(program.lower, program.upper).status == "optimal"
