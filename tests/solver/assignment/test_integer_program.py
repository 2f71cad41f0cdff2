"""ExFlow's integer program over counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from coinfer.solver import mip
from coinfer.solver.assignment.chain import solve_chain
from coinfer.solver.assignment.integer_program import encode_assignment, formulate_assignment, read_assignment
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Stop
from coinfer.solver.result import Status
from coinfer.testing.assignment import enumerate_assignments, layered_assignments


@given(layered_assignments())
def test_the_best_assignment_is_a_point_of_the_same_value(program: LayeredAssignment):
    """A feasible assignment is a feasible point, costs the same there, and is read back."""
    best = enumerate_assignments(program)
    if best.part is None:
        return
    formulated = formulate_assignment(program)
    point = encode_assignment(program, best.part)
    assert formulated.violation(point) <= 1e-9
    assert formulated.value(point) == pytest.approx(best.value, abs=1e-9)
    assert np.array_equal(read_assignment(program, point), best.part)


@pytest.mark.parametrize("engine", ["highs", "cp-sat", "cbc"])
@settings(max_examples=20)
@given(program=layered_assignments(max_items=4))
def test_engines_agree_with_enumeration(engine: str, program: LayeredAssignment):
    """Each engine finds the least cost of all assignments, or that there is none, under every option."""
    best = enumerate_assignments(program)
    result = mip.solve(formulate_assignment(program), engine=engine)
    if best.part is None:
        assert result.status is Status.INFEASIBLE
        return
    assert result.status is Status.OPTIMAL
    assert result.incumbent is not None
    found = evaluate(program, read_assignment(program, result.incumbent))
    assert not found.violations
    assert found.value == pytest.approx(best.value, abs=1e-6)


@pytest.mark.parametrize("engine", ["highs", "cp-sat", "cbc"])
def test_engines_agree_with_the_chain(engine: str):
    """On four layers of six items, more than is enumerated, the engines agree with the dynamic program."""
    rng = np.random.default_rng(3)
    program = LayeredAssignment(
        weights=np.floor(rng.gamma(0.4, 20.0, (3, 6, 6))),
        distance=2.0 * (1.0 - np.eye(2)),
        capacity=np.array([4, 3]),
        loads=rng.integers(1, 9, (4, 6)).astype(float),
        load_caps=np.full(4, 19.0),
    )
    expected = solve_chain(program, limits=Limits(), stop=Stop())
    result = mip.solve(formulate_assignment(program), engine=engine, limits=Limits(time_s=60.0))
    assert result.status is expected.status is Status.OPTIMAL
    assert result.value == pytest.approx(expected.value, abs=1e-6)


def test_counts_make_the_program_small():
    """Mixtral's size, 32 layers of 8 experts on 4 devices, needs fewer than 3,100 columns, and not one per token."""
    program = LayeredAssignment(
        weights=np.ones((31, 8, 8)),
        distance=1.0 - np.eye(4),
        capacity=np.full(4, 2),
    )
    formulated = formulate_assignment(program)
    assert formulated.variables == 32 * 8 * 4 + 31 * 64
    assert formulated.rows == 32 * 8 + 32 * 4 + 31 * 64 * 4
