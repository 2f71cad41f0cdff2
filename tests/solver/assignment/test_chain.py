"""The exact chain: against enumeration, under every option, and laws that any exact method keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.solver.assignment import chain_groups
from coinfer.solver.assignment.chain import chain_class, solve_chain
from coinfer.solver.assignment.chain_caps import repaired
from coinfer.solver.assignment.chain_groups import Grouped, advance_groups
from coinfer.solver.assignment.chain_paths import chain_of
from coinfer.solver.assignment.chain_steps import Bilinear
from coinfer.solver.assignment.partitions import states
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.solver.assignment.result import AssignmentResult
from coinfer.solver.certificate.chain import check_chain
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Stop
from coinfer.solver.result import Status
from coinfer.testing.assignment import enumerate_assignments, layered_assignments


def solved(program: LayeredAssignment, **limits: Any) -> AssignmentResult:
    """Solve without any other limit."""
    return solve_chain(program, limits=Limits(**limits), stop=Stop())


def drawn(
    seed: int, items: int, parts: int, layers: int, *, whole: bool = True, scale: float = 30.0
) -> LayeredAssignment:
    """Make a program of equal full parts."""
    weights = np.random.default_rng(seed).gamma(0.5, size=(layers - 1, items, items)) * scale
    return LayeredAssignment(
        weights=np.floor(weights) if whole else weights,
        distance=1.0 - np.eye(parts),
        capacity=np.full(parts, items // parts),
    )


@settings(max_examples=300)
@given(layered_assignments(mean_capped=False))
def test_equals_enumeration(program: LayeredAssignment):
    """Value, bound and proof are the optimum to the last bit for whole numbers, or the program is infeasible."""
    best, result = enumerate_assignments(program), solved(program)
    assert result.value == best.value
    if best.part is None:
        assert result.status is Status.INFEASIBLE
        return
    assert result.status is Status.OPTIMAL
    assert result.part is not None
    found = evaluate(program, result.part)
    assert found.value == result.value
    assert found.violations == ()
    assert result.proof is not None
    assert result.bound == check_chain(program, result.proof) == best.value


@settings(max_examples=200)
@given(layered_assignments(mean_capped=True))
def test_a_cap_on_the_mean_is_kept_and_bounded(program: LayeredAssignment):
    """Under a cap on the mean, value and bound enclose the optimum; where the status says so, they meet."""
    best, result = enumerate_assignments(program), solved(program)
    assert (result.status is Status.INFEASIBLE) == (best.part is None)
    if best.part is None:
        return
    assert result.part is not None
    assert evaluate(program, result.part).violations == ()
    assert result.proof is not None
    assert result.bound <= check_chain(program, result.proof) <= best.value
    assert best.value <= result.value + 1e-9
    if result.status is Status.OPTIMAL:
        assert result.value == pytest.approx(best.value, rel=1e-9)
    else:
        assert (result.status, result.limit) == (Status.FEASIBLE, "other")


@settings(max_examples=200)
@given(layered_assignments(mean_capped=True, capped=False), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.8]))
def test_repair_goes_into_the_room_and_then_only_down(program: LayeredAssignment, seed: int, share: float):
    """Moves bring any path into any room that is large enough for one, and a path in it to no higher cost."""
    chain = chain_of(program)
    if not chain.feasible:
        return
    rng = np.random.default_rng(seed)
    path = np.array([rng.integers(len(own)) for own in chain.kept])
    least = chain.unevenness(np.array([own.argmin() for own in chain.uneven]))
    room = least + share * (chain.unevenness(path) - least)
    found = repaired(chain, path, room * (1.0 + 1e-9))
    assert chain.unevenness(found) <= room * (1.0 + 1e-9)
    again = repaired(chain, found, room * (1.0 + 1e-9))
    assert chain.unevenness(again) <= room * (1.0 + 1e-9)
    assert chain.cost(again) <= chain.cost(found) + 1e-9


@given(layered_assignments(), st.integers(0, 2**32 - 1))
def test_names_and_direction_do_not_matter(program: LayeredAssignment, seed: int):
    """Permuted items, permuted parts and reversed layers leave the optimum; counts times three give it times three."""
    rng = np.random.default_rng(seed)
    result = solved(program)
    items, parts = rng.permutation(program.items), rng.permutation(program.parts)

    def picked(array: Any, *order: Any) -> Any:
        return None if array is None else array[np.ix_(range(program.layers), *order)]

    renamed = replace(
        program,
        weights=program.weights[:, items][:, :, items],
        distance=program.distance[np.ix_(parts, parts)],
        capacity=program.capacity[parts],
        cost=picked(program.cost, items, parts),
        allowed=picked(program.allowed, items, parts),
        loads=picked(program.loads, items),
    )
    backward = {name: getattr(program, name) for name in ("cost", "allowed", "loads", "load_caps")}
    turned = replace(
        program,
        weights=program.weights[::-1].transpose(0, 2, 1).copy(),
        **{name: None if array is None else array[::-1].copy() for name, array in backward.items()},
    )
    scaled = replace(program, weights=3.0 * program.weights, cost=None if program.cost is None else 3.0 * program.cost)
    for other, factor in ((renamed, 1.0), (turned, 1.0), (scaled, 3.0)):
        found = solved(other)
        if Status.FEASIBLE in (found.status, result.status):  # a gap is left: values are any between the bounds
            assert found.bound <= factor * result.value + 1e-6
            assert factor * result.bound <= found.value + 1e-6
            continue
        assert found.status is result.status
        assert found.value == pytest.approx(factor * result.value, rel=1e-9)
        assert found.bound == pytest.approx(factor * result.bound, rel=1e-9)


@pytest.mark.parametrize(("items", "parts"), [(8, 2), (8, 4), (9, 3), (8, 1), (10, 5)])
@pytest.mark.parametrize("whole", [True, False])
def test_a_step_looks_at_no_arc_too_few(items: int, parts: int, whole: bool):
    """The pruned step equals the maximum over all arcs, and both directions of a single arc agree."""
    program = drawn(items, items, parts, 2, whole=whole)
    rows = states(program)
    steps = Grouped(program, rows) if parts > 2 else Bilinear(program, rows)
    every = np.arange(len(rows))
    reached = -np.floor(np.random.default_rng(1).random(len(rows)) * 50.0)
    some = every[:: max(1, len(rows) // 40)]
    best = steps.advance(0, reached, every, some)
    slow = np.array([(reached + steps.into(0, every, t)).max() for t in some])
    np.testing.assert_allclose(best, slow, rtol=0.0 if whole else 1e-12)
    for t in some[:5]:
        arcs = np.array([steps.out_of(0, int(s), some[some == t])[0] for s in some])
        np.testing.assert_allclose(arcs, steps.into(0, some, int(t)), rtol=1e-12)


@pytest.mark.parametrize("whole", [True, False])
def test_compiled_steps_give_the_same(whole: bool, monkeypatch: pytest.MonkeyPatch):
    """The compiled step reaches every state at the same cost as that of numpy, and so does the whole solve."""
    pytest.importorskip("numba")
    from coinfer.solver.assignment import chain_compiled

    program = drawn(7, 9, 3, 3, whole=whole)
    rows = states(program)
    steps = Grouped(program, rows)
    reached = -np.floor(np.random.default_rng(1).random(len(rows)) * 50.0)
    slow = advance_groups(steps.between(0), steps.groups, steps.groups, reached)
    fast = chain_compiled.advance(steps.between(0), steps.groups, steps.groups, reached)
    np.testing.assert_allclose(fast, slow, rtol=1e-13)
    without = solved(program)
    monkeypatch.setattr(chain_groups, "COMPILED_FROM", 0)
    assert solved(program).value == pytest.approx(without.value, rel=1e-12)


@pytest.mark.parametrize(("items", "parts", "layers"), [(8, 2, 12), (8, 4, 12), (10, 5, 4), (16, 2, 3)])
def test_the_classes_are_proven_at_fractions(items: int, parts: int, layers: int):
    """Fractional weights are solved to a proven gap of less than 1e-9, with and without caps on the loads."""
    free = drawn(items, items, parts, layers, whole=False)
    loads = np.random.default_rng(4).uniform(1.0, 2.0, (layers, items))
    capped = replace(free, loads=loads, load_caps=1.2 * loads.sum(axis=1) / parts)
    least = 0.0
    for program in (free, capped):
        assert chain_class(program)
        result = solved(program)
        assert result.status is Status.OPTIMAL
        assert result.proof is not None
        assert result.bound <= check_chain(program, result.proof) <= result.value
        assert result.gap < 1e-9
        assert result.value >= least
        least = result.value


def test_the_class_ends_somewhere():
    """64 items in 8 parts are no chain, whatever else holds."""
    assert not chain_class(drawn(0, 64, 8, 2))
    assert not chain_class(replace(drawn(0, 64, 8, 2), cost=np.ones((2, 64, 8))))


@given(layered_assignments())
def test_a_limit_keeps_incumbent_and_bound(program: LayeredAssignment):
    """Without time, or when stopped, what comes back is feasible and its bound is true."""
    best = enumerate_assignments(program)
    stopped = Stop()
    stopped.set()
    for limits, stop in ((Limits(time_s=0.0), Stop()), (Limits(), stopped)):
        result = solve_chain(program, limits=limits, stop=stop)
        assert (result.status is Status.INFEASIBLE) == (best.part is None)
        if best.part is None:
            continue
        assert result.part is not None
        assert evaluate(program, result.part).violations == ()
        assert result.bound <= best.value <= result.value + 1e-9
        assert result.proof is not None
        assert result.bound - 1e-9 <= check_chain(program, result.proof) <= best.value + 1e-9
        assert [moment.value for moment in result.trajectory] == sorted(
            (moment.value for moment in result.trajectory), reverse=True
        )


def mixtral(shared_data: Path, *, pairs: bool) -> Any:
    """Return the transition counts of Mixtral's routing trace, (31, 8, 8): of first choices, or of all pairs."""
    path = shared_data / "routing_traces" / "mixtral_8x7b_gsm8k.npz"
    if not path.is_file():
        pytest.skip("the routing trace is absent")
    with np.load(path) as arrays:
        chosen = arrays["experts"].astype(np.int64)
    weights = np.zeros((31, 8, 8))
    ranks = [(0, 0), (0, 1), (1, 0), (1, 1)] if pairs else [(0, 0)]
    for layer in range(31):
        for first, second in ranks:
            np.add.at(weights[layer], (chosen[:, layer, first], chosen[:, layer + 1, second]), 1.0)
    return weights


@pytest.mark.parametrize(
    ("pairs", "parts", "optimum"), [(False, 4, 3962.0), (True, 4, 19103.0), (False, 2, 2411.0), (True, 2, 11832.0)]
)
def test_a_real_trace_is_proven(shared_data: Path, pairs: bool, parts: int, optimum: float):
    """Mixtral's real routing, 32 layers, is solved to proven optimality, far below the contiguous placement."""
    weights = mixtral(shared_data, pairs=pairs)
    program = LayeredAssignment(weights=weights, distance=1.0 - np.eye(parts), capacity=np.full(parts, 8 // parts))
    result = solved(program)
    assert result.status is Status.OPTIMAL
    assert result.value == result.bound == optimum
    contiguous = np.tile(np.arange(8) // (8 // parts), (32, 1))
    assert result.value < 0.9 * evaluate(program, contiguous).value
