"""The integer program of a path: every engine finds what enumeration finds, in every class."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.solver.path.solve import solve_path
from coinfer.testing.path import enumerate_path, random_path


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    order=st.sampled_from(("fixed", "free")),
    mixed_modes=st.booleans(),
    objective=st.sampled_from(("sum", "bottleneck")),
    engine=st.sampled_from(("highs", "cp-sat")),
)
def test_equals_enumeration(seed, order, mixed_modes, objective, engine):
    """Value, bound and feasibility are those of the least path."""
    if objective == "bottleneck":
        engine = "highs"  # CP-SAT takes no continuous variable that rounding could hurt
    program = random_path(seed, order=order, mixed_modes=mixed_modes, objective=objective)
    best, result = enumerate_path(program), solve_path(program, engine=engine)
    assert result.value == pytest.approx(best, abs=1e-6)
    assert result.bound <= best + 1e-6
    assert result.path is None or program.broken(result.path) is None


def test_no_carrier_only_passes_on():
    """Where two carriers have no way to each other, a third that does no step does not make one."""
    program = random_path(3869, order="free")
    assert solve_path(program, engine="highs").value == enumerate_path(program) == 12.0
