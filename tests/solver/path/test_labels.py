"""Budgets, free order and mixed modes by labels: against enumeration and integer programs, and at every early stop."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver.certificate.path import check_path
from coinfer.solver.limits import Limits
from coinfer.solver.path import search
from coinfer.solver.path.solve import solve_path
from coinfer.solver.progress import Progress, Stop
from coinfer.solver.result import Status
from coinfer.testing.path import enumerate_path, random_path, split_like, tight_path

CLASSES = st.sampled_from((("sum", False), ("sum", True), ("bottleneck", False)))
ORDERS = st.sampled_from(("fixed", "free"))


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), kind=CLASSES, order=ORDERS)
def test_equals_enumeration(seed, kind, order):
    """Value and bound are the least of all paths, the path is feasible, and the checker agrees."""
    program = random_path(seed, objective=kind[0], mixed_modes=kind[1], order=order)
    best, result = enumerate_path(program), solve_path(program, engine="labels", kernels="plain")
    assert result.value == result.bound == best
    assert result.status is (Status.OPTIMAL if math.isfinite(best) else Status.INFEASIBLE)
    assert result.limit is None
    assert result.certified
    assert check_path(program, result.proof) == pytest.approx(best, rel=1e-9)
    assert result.path is None or program.broken(result.path) is None


@pytest.mark.parametrize("order", ["fixed", "free"])
@pytest.mark.parametrize("mixed_modes", [False, True])
@pytest.mark.parametrize("widths", [(100_000,), (3,), (1,)])
def test_labels_alone_are_exact(monkeypatch, order, mixed_modes, widths):
    """Without good prices, labels find the optimum of tight programs; where some are dropped, the bound is true."""
    monkeypatch.setattr(search, "ASCENT", 0)
    monkeypatch.setattr(search, "FIRST_TRIAL", 9.0)
    monkeypatch.setattr(search, "WIDTHS", widths)
    for seed in (0, 1, 2, 3, 4, 32, 54, 79, 202):  # the last ones have many ends that dominate one another
        program = tight_path(seed, order=order, mixed_modes=mixed_modes)
        best, result = enumerate_path(program), solve_path(program, engine="labels", kernels="plain")
        assert result.bound <= best <= result.value
        if widths[0] > 1000:
            assert result.value == result.bound == best
            assert result.certified
        assert result.path is None or program.broken(result.path) is None


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), kind=CLASSES, order=ORDERS, nodes=st.integers(0, 12))
def test_a_limit_keeps_a_true_bound(seed, kind, order, nodes):
    """However few labels are allowed, the bound is below the optimum, and the value above it."""
    program = random_path(seed, objective=kind[0], mixed_modes=kind[1], order=order, most_carriers=4)
    best = enumerate_path(program)
    result = solve_path(program, engine="labels", kernels="plain", limits=Limits(nodes=nodes))
    assert result.bound <= best <= result.value
    assert (result.limit is None) == (result.status in {Status.OPTIMAL, Status.INFEASIBLE})


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), order=ORDERS, gap=st.sampled_from((0.05, 0.3, 2.0)))
def test_a_gap_is_kept(seed, order, gap):
    """With a gap allowed, the value is within it of the bound, and the bound is true."""
    program = random_path(seed, order=order)
    best = enumerate_path(program)
    result = solve_path(program, engine="labels", kernels="plain", limits=Limits(relative_gap=gap))
    assert result.bound <= best <= result.value
    if result.path is not None:
        assert result.value - result.bound <= gap * result.value + 1e-9


@pytest.mark.parametrize("carriers", [3, 4])
@pytest.mark.parametrize("order", ["fixed", "free"])
def test_equals_highs(carriers, order):
    """On splits of twelve layers, value and bound are those of the integer program."""
    program = split_like(7, steps=12, carriers=carriers, order=order)
    result, other = solve_path(program, engine="labels"), solve_path(program, engine="highs")
    assert result.status is Status.OPTIMAL
    assert result.certified
    assert result.value == pytest.approx(other.value, rel=1e-6)


def test_plain_and_compiled_steps_agree():
    """The compiled steps find the same path after the same labels."""
    pytest.importorskip("numba")
    for order in ("fixed", "free"):
        program = split_like(2, steps=10, carriers=4, order=order)
        plain, compiled = (solve_path(program, engine="labels", kernels=choice) for choice in ("plain", "compiled"))
        assert (plain.path, plain.value, plain.labels) == (compiled.path, compiled.value, compiled.labels)


def test_like_carriers_are_not_told_apart():
    """Twelve carriers of two kinds are solved in free order, with few labels and a certificate."""
    program = split_like(5, steps=16, carriers=12, tightness=None, order="free")
    kind = np.arange(12) % 2
    rows = {name: getattr(program, name)[kind] for name in ("size", "busy")}
    both = np.append(kind, 12)
    ways = {name: getattr(program, name)[:, both][:, :, both] for name in ("fixed", "rate")}
    alike = replace(program, step=program.step[:, kind], capacity=program.capacity[kind] * 6.0, **rows, **ways)
    result = solve_path(alike)
    assert result.status is Status.OPTIMAL
    assert result.certified


def test_stops_when_told():
    """A set flag ends the search with the bound it has; a time limit of zero too."""
    program = split_like(3, steps=20, carriers=5, order="free")
    stop = Stop()
    stop.set()
    assert solve_path(program, engine="labels", stop=stop).limit in {"interrupt", None}
    result = solve_path(program, engine="labels", limits=Limits(time_s=0.0))
    assert result.status in {Status.FEASIBLE, Status.UNSOLVED, Status.OPTIMAL}
    assert result.bound <= result.value


def test_tells_its_progress():
    """Bounds only rise, values only fall."""
    told: list[Progress] = []
    solve_path(split_like(4, steps=20, carriers=4), on_progress=told.append)
    assert told
    assert all(a.bound <= b.bound and a.value >= b.value for a, b in itertools.pairwise(told))


def test_mixed_bottlenecks_go_to_an_integer_program():
    """What labels cannot do is refused by name, and solved by ``auto`` all the same."""
    program = random_path(3, objective="bottleneck", mixed_modes=True)
    with pytest.raises(InputError, match="other engines"):
        solve_path(program, engine="labels")
    assert solve_path(program).value == pytest.approx(enumerate_path(program), abs=1e-6)
