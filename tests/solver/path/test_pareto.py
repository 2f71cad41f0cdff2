"""The front of sum and bottleneck: against enumeration, and cut short by a limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver.limits import Limits
from coinfer.solver.path.pareto import pareto_path
from coinfer.solver.path.solve import solve_path
from coinfer.testing.path import all_paths, random_path, split_like


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.sampled_from(("fixed", "free")), budgets=st.booleans())
def test_equals_enumeration(seed, order, budgets):
    """The points are those that no feasible path beats in both numbers, each once."""
    program = random_path(seed, order=order, budgets=budgets)
    pairs = {
        (float(program.used(path)[0]), program.bottleneck(path))
        for path in all_paths(program)
        if program.broken(path) is None
    }
    best = sorted(pair for pair in pairs if not any(o != pair and o[0] <= pair[0] and o[1] <= pair[1] for o in pairs))
    front = pareto_path(program, kernels="plain")
    assert front.complete
    assert [(point.value, point.bottleneck) for point in front.points] == best


@pytest.mark.parametrize("tightness", [None, 0.5])
def test_its_ends_are_the_two_optima(tightness):
    """The first point has the least sum, the last one the least bottleneck."""
    program = split_like(1, steps=20, carriers=4, tightness=tightness)
    front = pareto_path(program)
    assert front.points[0].value == pytest.approx(solve_path(program).value)
    last = solve_path(replace(program, objective="bottleneck"))
    assert front.points[-1].bottleneck == pytest.approx(last.value)


def test_a_limit_leaves_it_incomplete():
    """Without time there is no point, and the front says that it is not complete."""
    front = pareto_path(split_like(1, steps=10, carriers=3), limits=Limits(time_s=0.0))
    assert not front.complete
    assert front.limit == "time"
    assert front.points == ()


def test_what_it_cannot_do_is_refused():
    """Mixed modes, and gaps, are refused."""
    with pytest.raises(InputError, match="unmixed"):
        pareto_path(random_path(1, mixed_modes=True))
    with pytest.raises(InputError, match="gap"):
        pareto_path(random_path(1), limits=Limits(relative_gap=0.1))
