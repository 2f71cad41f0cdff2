"""Little fan-out, and what bounds it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError, InputError
from coinfer.records import Matrix
from coinfer.solver.assignment.fan_out.bound import bound_fan_out
from coinfer.solver.assignment.fan_out.program import FanOutProgram, distinct_parts, fan_out_of, fan_out_violations
from coinfer.solver.assignment.fan_out.solve import _Layer, _steps, solve_fan_out
from coinfer.solver.certificate.fan_out import (
    FanOutProof,
    assignments,
    best_of_all,
    check_fan_out,
    co_used,
    envelope,
    every_assignment,
    spectral_most,
)
from coinfer.solver.limits import Limits
from coinfer.solver.program import IntArray
from coinfer.solver.progress import Stop


def program_of(items: int, parts: int, size: int, seed: int, *, sets: int = 25, spare: int = 0) -> FanOutProgram:
    """Return two layers of random sets."""
    rng = np.random.default_rng(seed)
    chosen = np.argsort(rng.random((sets, items)) * rng.random(items), axis=1)[:, :size]
    return FanOutProgram(
        layers=2,
        items=items,
        layer=rng.integers(0, 2, sets),
        count=rng.integers(1, 9, sets).astype(float),
        sets=chosen,
        slots=np.full(parts, -(-items // parts) + spare),
    )


def brute(program: FanOutProgram, layer: int) -> float:
    """Return the least fan-out of a layer over all ways to place its items, by plain counting."""
    best = np.inf
    for part in itertools.product(range(program.parts), repeat=program.items):
        if any(part.count(g) > program.slots[g] for g in range(program.parts)):
            continue
        value = 0.0
        for row in np.flatnonzero(program.layer == layer):
            value += program.count[row] * len({part[e] for e in program.sets[row]})
        best = min(best, value)
    return best


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 999), size=st.integers(1, 4), spare=st.integers(0, 1))
def test_tiny_layers_are_solved_to_the_optimum(seed: int, size: int, spare: int) -> None:
    """Enumeration finds what plain counting over all placements finds, and proves it."""
    program = program_of(5, 3, size, seed, spare=spare)
    found = solve_fan_out(program)
    least = sum(brute(program, layer) for layer in range(2))
    assert found.value == pytest.approx(least)
    assert found.bound == pytest.approx(least)
    assert found.part is not None
    assert found.proof is not None
    assert check_fan_out(program, found.proof).sum() == pytest.approx(least)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    size=st.integers(1, 5),
    parts=st.sampled_from([2, 3]),
    spare=st.integers(0, 1),
    wild=st.floats(0.0, 30.0),
)
def test_any_multipliers_show_a_true_bound(seed: int, size: int, parts: int, spare: int, wild: float) -> None:
    """Whatever the proof's numbers are, its bound is at most the optimum."""
    program = program_of(6, parts, size, seed, spare=spare)
    rng = np.random.default_rng(seed)
    proof = FanOutProof(
        diagonal=Matrix(wild * rng.normal(size=(2, 6))), entries=Matrix(wild * rng.normal(size=(12, 6)))
    )
    bound = check_fan_out(program, proof)
    for layer in range(2):
        assert bound[layer] <= best_of_all(program, layer)[0] + 1e-7


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), spare=st.integers(0, 1), level=st.floats(-50.0, 50.0), wild=st.floats(0.0, 3.0))
def test_no_assignment_has_more_pairs_than_the_spectrum_allows(
    seed: int, spare: int, level: float, wild: float
) -> None:
    """The spectral bound holds for every assignment, also at multipliers far from 0."""
    rng = np.random.default_rng(seed)
    program = program_of(6, 3, 3, seed, spare=spare)
    used = co_used(*program.rows(0), 6)
    diagonal = level * used.max() + wild * rng.normal(size=6)
    most, _ = spectral_most(used, program.slots, diagonal, wild * rng.normal(size=(6, 6)))
    for part in every_assignment(program.slots, 6):
        assert used[part[:, None] == part[None, :]].sum() <= most + 1e-9


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), size=st.integers(2, 4))
def test_sought_multipliers_are_true_and_no_worse_than_none(seed: int, size: int) -> None:
    """The subgradient steps raise the bound, never above the optimum."""
    program = program_of(12, 4, size, seed, sets=80)
    assert assignments(program.slots, 12) > 20_000
    found = solve_fan_out(program, limits=Limits(nodes=20), with_proof=False, kernel="numpy")
    bound, proof = bound_fan_out(program, found.part, end_s=np.inf, stop=Stop())
    assert (bound >= check_fan_out(program, FanOutProof()) - 1e-9).all()
    assert bound.sum() <= found.value + 1e-7
    np.testing.assert_allclose(check_fan_out(program, proof), bound)


def test_planted_groups_are_recovered_and_proven() -> None:
    """Sets that lie inside planted groups are put into one part each, and the bound says that this is best."""
    rng = np.random.default_rng(3)
    group = rng.permutation(np.repeat(np.arange(4), 4))
    sets = np.array([rng.choice(np.flatnonzero(group == rng.integers(4)), 3, replace=False) for _ in range(200)])
    program = FanOutProgram(
        layers=1, items=16, layer=np.zeros(200, dtype=np.int64), count=np.ones(200), sets=sets, slots=np.full(4, 4)
    )
    found = solve_fan_out(program, limits=Limits(nodes=40), kernel="numpy")
    assert found.value == 200.0
    assert found.bound == pytest.approx(200.0, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 7), widest=st.integers(1, 5), seed=st.integers(0, 999))
def test_the_envelope_lies_below_every_mixture(size: int, widest: int, seed: int) -> None:
    """Whatever way sets are spread, their mean number of parts is at least the envelope at their mean of pairs."""
    rng = np.random.default_rng(seed)
    parts = -(-size // widest) + 2
    pairs, touched = [], []
    for _ in range(5):
        slots = np.repeat(np.arange(parts), widest)
        inside = np.bincount(rng.choice(slots, size, replace=False), minlength=parts)
        pairs.append(float((inside * (inside - 1) // 2).sum()))
        touched.append(float((inside > 0).sum()))
    share = rng.dirichlet(np.ones(5))
    assert envelope(size, widest, parts, float(share @ pairs)) <= share @ touched + 1e-9
    assert envelope(size, widest, parts, float(share @ pairs) + 1.0) <= share @ touched + 1e-9


def test_enumeration_lists_every_assignment_once() -> None:
    """The list has as many assignments as are counted, all different, all within the slots."""
    slots = np.array([3, 2, 1])
    every = every_assignment(slots, 5)
    assert len(every) == assignments(slots, 5) == len({tuple(row) for row in every.tolist()})
    for g, room in enumerate(slots):
        assert ((every == g).sum(axis=1) <= room).all()


def test_load_cap_permissions_and_costs_are_kept() -> None:
    """Small and larger layers respect a load cap and permissions, and the value holds the costs of places."""
    for items, parts in ((6, 3), (12, 4)):
        plain = program_of(items, parts, 3, 1, spare=1)
        rng = np.random.default_rng(0)
        loads = rng.integers(1, 9, (2, items)).astype(float)
        allowed = np.ones((2, items, parts), dtype=bool)
        allowed[:, 0, 0] = False
        cost = rng.random((2, items, parts))
        program = FanOutProgram(
            layers=2,
            items=items,
            layer=plain.layer,
            count=plain.count,
            sets=plain.sets,
            slots=plain.slots,
            loads=loads,
            load_caps=1.25 * loads.sum(axis=1) / parts,
            allowed=allowed,
            cost=cost,
        )
        found = solve_fan_out(program, limits=Limits(nodes=20), kernel="numpy")
        assert found.part is not None
        assert fan_out_violations(program, found.part) == ()
        layer, item = np.indices(found.part.shape)
        placing = float(cost[layer, item, found.part].sum())
        assert found.value == pytest.approx(float(fan_out_of(program, found.part).sum()) + placing)
        assert found.bound <= found.value


def test_a_cap_that_nothing_keeps_leaves_no_assignment() -> None:
    """An impossible cap is reported by no assignment, not by a broken one."""
    plain = program_of(5, 3, 2, 1)
    program = FanOutProgram(
        layers=2,
        items=5,
        layer=plain.layer,
        count=plain.count,
        sets=plain.sets,
        slots=plain.slots,
        loads=np.ones((2, 5)),
        load_caps=np.full(2, 0.5),
    )
    found = solve_fan_out(program)
    assert found.part is None
    assert np.isinf(found.value)


def test_malformed_programs_and_proofs_have_one_sentence() -> None:
    """Repeated items, unknown layers, wrong shapes and too large enumerations are refused."""
    with pytest.raises(InputError, match="distinct items"):
        FanOutProgram(
            layers=1,
            items=3,
            layer=np.zeros(1, dtype=np.int64),
            count=np.ones(1),
            sets=np.array([[1, 1]]),
            slots=np.array([3]),
        )
    program = program_of(12, 4, 3, 0)
    with pytest.raises(CertificateError, match="too many"):
        check_fan_out(program, FanOutProof(enumerated=(0,)))
    with pytest.raises(CertificateError, match="diagonal"):
        check_fan_out(program, FanOutProof(diagonal=Matrix(np.zeros((1, 12)))))
    with pytest.raises(CertificateError, match="entries"):
        check_fan_out(program, FanOutProof(entries=Matrix(np.zeros((1, 12)))))
    with pytest.raises(CertificateError, match="enumerated"):
        check_fan_out(program, FanOutProof(enumerated=(5,)))


@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
def test_set_steps_leave_the_tables_true(kernel: str) -> None:
    """After steps the incremental counts equal those computed anew, and the change of value was what they said."""
    if kernel == "compiled":
        pytest.importorskip("numba")
    program = program_of(9, 3, 5, 2, sets=40, spare=1)
    part: IntArray = np.arange(9) % 3
    search = _Layer(program, 0, part, _steps(kernel))  # type: ignore[arg-type]
    item, part = search._slots(part), part.copy()
    load = np.zeros(3)
    inside = np.stack([(part[search.sets] == g).sum(axis=1) for g in range(3)], axis=1)
    before = float(search.count @ distinct_parts(search.sets, part))
    for turn in range(200):
        search.module.set_steps(
            search.sets, search.count, search.first, search.member, search.barred, search.cost, search.loads, 1.0, 0.0,
            search.part_of, item, part, load, inside, 0.0, 3, 1000 + 77_777 * turn,
        )  # fmt: skip
        after = float(search.count @ distinct_parts(search.sets, part))
        assert after <= before
        before = after
    np.testing.assert_array_equal(inside, np.stack([(part[search.sets] == g).sum(axis=1) for g in range(3)], axis=1))
    np.testing.assert_array_equal(np.sort(item[item >= 0]), np.arange(9))
    np.testing.assert_array_equal(search.part_of[[int(np.flatnonzero(item == e)[0]) for e in range(9)]], part)


def test_compiled_and_plain_search_agree() -> None:
    """The compiled steps take the same exchanges as the plain ones."""
    pytest.importorskip("numba")
    program = program_of(12, 4, 3, 5, sets=60)
    one, two = (
        solve_fan_out(program, limits=Limits(nodes=20), with_proof=False, kernel=kernel)
        for kernel in ("numpy", "compiled")
    )
    assert one.value <= solve_fan_out(program, limits=Limits(time_s=0.0), with_proof=False, kernel="numpy").value
    assert one.value == pytest.approx(two.value, rel=0.02)


def test_uses_are_counted_by_ordered_pair() -> None:
    """Each set adds its count to both orders of every pair of its items."""
    used = co_used(np.array([[0, 2], [0, 2]]), np.array([3.0, 4.0]), 3)
    assert used[0, 2] == used[2, 0] == 7.0
    assert used.sum() == 14.0
