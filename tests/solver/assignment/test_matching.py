"""One item per part and layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.solver.assignment.chain import solve_chain
from coinfer.solver.assignment.matching import matching_class, solve_matching
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.solver.certificate.matching import check_matching
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Stop
from coinfer.solver.result import Status
from coinfer.testing.assignment import enumerate_assignments


def program_of(seed: int, items: int, layers: int, *, spare: int = 0, whole: bool = True) -> LayeredAssignment:
    """Make a program with a part for each item, and some to spare."""
    weights = np.random.default_rng(seed).random((layers - 1, items, items)) * 20.0
    parts = items + spare
    return LayeredAssignment(
        weights=np.floor(weights) if whole else weights,
        distance=2.0 * (1.0 - np.eye(parts)),
        capacity=np.ones(parts, dtype=np.int64),
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 3), st.integers(0, 1))
def test_equals_enumeration(seed: int, items: int, layers: int, spare: int):
    """The matchings give the least cost of all assignments, and prices that show it to the last bit."""
    program = program_of(seed, items, layers, spare=spare if items < 4 else 0)
    result = solve_matching(program, limits=Limits(), stop=Stop())
    assert result.status is Status.OPTIMAL
    assert result.part is not None
    assert result.proof is not None
    assert evaluate(program, result.part).violations == ()
    assert result.value == result.bound == enumerate_assignments(program).value
    assert check_matching(program, result.proof) == result.value


@given(st.integers(0, 2**32 - 1))
def test_equals_the_chain_at_fractions(seed: int):
    """With fractional weights value and bound agree with the dynamic program up to rounding."""
    program = program_of(seed, 6, 4, whole=False)
    result = solve_matching(program, limits=Limits(), stop=Stop())
    chain = solve_chain(program, limits=Limits(), stop=Stop())
    assert result.value == pytest.approx(chain.value, rel=1e-12)
    assert result.bound == pytest.approx(result.value, rel=1e-9)
    assert result.bound <= result.value


def test_large_ones_are_proven():
    """64 items in 8 layers come with a bound equal to the value."""
    result = solve_matching(program_of(1, 64, 8), limits=Limits(), stop=Stop())
    assert result.status is Status.OPTIMAL
    assert result.gap == 0.0


def test_loads_only_decide_feasibility():
    """An item heavier than the cap of its layer makes the program infeasible; else caps change nothing."""
    free = program_of(2, 4, 3)
    loads = np.arange(12.0).reshape(3, 4)
    for caps, status in ((np.full(3, 11.0), Status.OPTIMAL), (np.array([3.0, 7.0, 10.0]), Status.INFEASIBLE)):
        program = LayeredAssignment(
            weights=free.weights, distance=free.distance, capacity=free.capacity, loads=loads, load_caps=caps
        )
        result = solve_matching(program, limits=Limits(), stop=Stop())
        assert result.status is status
        assert enumerate_assignments(program).value == result.value


def test_a_limit_keeps_incumbent_and_bound():
    """Without time, or when stopped, an assignment and a true bound come back."""
    program = program_of(5, 6, 5)
    best = solve_matching(program, limits=Limits(), stop=Stop()).value
    stopped = Stop()
    stopped.set()
    for limits, stop, limit in ((Limits(time_s=0.0), Stop(), "time"), (Limits(), stopped, "interrupt")):
        result = solve_matching(program, limits=limits, stop=stop)
        assert (result.status, result.limit) == (Status.FEASIBLE, limit)
        assert result.bound <= best <= result.value
        assert result.part is not None
        assert evaluate(program, result.part).value == result.value


def test_class():
    """Parts with room for two, or places that cost, are of another class."""
    program = program_of(0, 4, 2)
    assert matching_class(program)
    for change in ({"capacity": np.full(4, 2)}, {"cost": np.zeros((2, 4, 4))}):
        fields = {"weights": program.weights, "distance": program.distance, "capacity": program.capacity} | change
        assert not matching_class(LayeredAssignment(**fields))  # type: ignore[arg-type]
