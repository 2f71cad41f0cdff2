"""Dynamic programming over boundaries: against enumeration, and its bound against the checker."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver.certificate.path import check_path
from coinfer.solver.path.dynamic import shortest
from coinfer.solver.path.solve import solve_path
from coinfer.solver.result import Status
from coinfer.testing.path import all_paths, enumerate_path, random_path, split_like

OBJECTIVES = ("sum", "bottleneck")


@settings(max_examples=150)
@given(seed=st.integers(0, 10**6), objective=st.sampled_from(OBJECTIVES))
def test_equals_enumeration(seed, objective):
    """Value and bound are the least of all paths, the path is feasible, and the checker agrees."""
    program = random_path(seed, budgets=False, objective=objective)
    best, result = enumerate_path(program), solve_path(program)
    assert result.engine == "dynamic"
    assert result.value == result.bound == best
    assert result.certified
    assert result.status is (Status.OPTIMAL if math.isfinite(best) else Status.INFEASIBLE)
    if result.path is not None:
        assert program.broken(result.path) is None
        assert check_path(program, result.proof) == pytest.approx(best, rel=1e-9)


@settings(max_examples=80)
@given(seed=st.integers(0, 10**6), below=st.integers(1, 8))
def test_busy_parts_are_left_out(seed, below):
    """With a limit on busy times, the path is the least of those that stay below it."""
    program = random_path(seed, budgets=False)
    kept = [p for p in all_paths(program) if program.broken(p) is None and program.bottleneck(p) < below]
    path = shortest(program, below=float(below))
    found = math.inf if path is None else program.value(path)
    assert found == min((program.value(path) for path in kept), default=math.inf)
    assert path is None or program.bottleneck(path) < below


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_large_split_is_certified(objective):
    """Eighty steps on a hundred carriers are solved, and shown optimal by the checker."""
    result = solve_path(split_like(0, steps=80, carriers=100, tightness=None, objective=objective))
    assert result.status is Status.OPTIMAL
    assert result.certified


def test_other_classes_are_refused():
    """Asked for by name, it refuses a program with budgets."""
    program = replace(random_path(1, budgets=False), order="free")
    with pytest.raises(InputError, match="fixed order"):
        solve_path(program, engine="dynamic")
    with pytest.raises(InputError, match="one of auto"):
        solve_path(program, engine="simplex")
