"""Lower bounds of layered assignments: sound for any multipliers, and tight where they should be."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinfer.errors import CertificateError
from coinfer.records import Matrix
from coinfer.solver.assignment.bounds.levels import bound_levels, nested
from coinfer.solver.assignment.bounds.simple import bound_spectral, bound_transport
from coinfer.solver.assignment.program import LayeredAssignment, evaluate
from coinfer.solver.assignment.search.portfolio import search_assignment
from coinfer.solver.certificate.levels import Level, LevelProof, check_levels
from coinfer.solver.certificate.semidefinite import Parts, SemidefiniteProof, kept_at_most
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Stop
from coinfer.testing.assignment import enumerate_assignments, layered_assignments

Floats = NDArray[np.float64]


def bounded(program: LayeredAssignment, sweeps: int = 150) -> float:
    """Return the bound after a number of sweeps."""
    return bound_levels(program, limits=Limits(nodes=sweeps), stop=Stop()).value


def any_multipliers(
    random: np.random.Generator, program: LayeredAssignment, size: float, *, capped: bool
) -> SemidefiniteProof:
    """Return multipliers that nobody optimised, with random inequalities and rows."""
    pairs, items = program.layers - 1, program.items
    symmetric = random.normal(scale=size, size=(2, pairs, items, items))
    symmetric = np.tril(symmetric) + np.tril(symmetric, -1).transpose(0, 1, 3, 2)
    rows = []
    for _ in range(random.integers(0, 6)):
        members = random.permutation(2 * items)[: random.integers(3, max(4, 2 * items + 1))].tolist()
        if len(members) >= 3:
            side = random.integers(1, len(members))
            row = [random.integers(pairs), abs(random.normal(scale=size)), side, *members]
            rows.append(row + [-1] * (2 * items + 3 - len(row)))
    shape = (3 * program.layers, items)
    return SemidefiniteProof(
        cross=Matrix(random.normal(scale=size, size=(pairs * items, items)) - program.weights.reshape(-1, items) / 2),
        first=Matrix(symmetric[0].reshape(-1, items)),
        second=Matrix(symmetric[1].reshape(-1, items)),
        cuts=Matrix(np.array(rows)) if rows else None,
        count_rows=Matrix(np.abs(random.normal(scale=size, size=shape))) if random.random() < 0.5 else None,
        load_rows=Matrix(np.abs(random.normal(scale=size, size=shape))) if capped else None,
    )


@settings(max_examples=150)
@given(program=layered_assignments(), seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.0, 0.1, 1.0, 10.0]))
def test_any_multipliers_show_a_bound_that_no_assignment_beats(
    program: LayeredAssignment, seed: int, size: float
) -> None:
    """Whatever numbers a proof holds, it never shows more than the optimum."""
    random = np.random.default_rng(seed)
    capped = program.load_caps is not None
    levels = tuple(
        Level(
            groups=tuple(groups.tolist()),
            weight=weight,
            multipliers=any_multipliers(random, program, size, capped=capped),
        )
        for groups, weight in nested(program.distance)
    )
    optimum = enumerate_assignments(program)
    assert check_levels(program, LevelProof(levels=levels)) <= optimum.value


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.0, 0.3, 3.0]), capped=st.booleans())
def test_bounds_hold_for_items_split_over_several_parts(seed: int, size: float, capped: bool) -> None:
    """With room for copies, no split of the items over the parts keeps more together than the multipliers show."""
    random = np.random.default_rng(seed)
    layers, items, parts = 3, int(random.integers(2, 6)), int(random.integers(2, 4))
    room = int(random.integers(-(-items // parts), items + 1)) + 1
    weights = random.integers(0, 9, size=(layers - 1, items, items)).astype(np.float64)
    loads = random.integers(1, 9, size=(layers, items)).astype(np.float64)
    shares = np.zeros((layers, items, parts))
    for layer in range(layers):
        free = np.full(parts, room)
        for item in random.permutation(items):
            held = np.flatnonzero(free)[: random.integers(1, parts + 1)] if free.any() else np.array([], dtype=int)
            held = held if len(held) else np.array([int(free.argmax())])
            free[held] -= 1
            shares[layer, item, held] = random.dirichlet(np.full(len(held), 0.5))
    used = int((shares > 0.0).sum(axis=1).max())
    caps = np.einsum("le,leg->lg", loads, shares).max(axis=1)
    program = LayeredAssignment(
        weights=weights,
        distance=1.0 - np.eye(parts),
        capacity=np.full(parts, max(used, items // parts + 1)),
        loads=loads if capped else None,
        load_caps=caps if capped else None,
    )
    known = Parts(
        capacity=program.capacity,
        single=False,
        loads=loads if capped else None,
        load_caps=caps * (1 + 1e-9) if capped else None,
    )
    proof = any_multipliers(random, program, size, capped=capped)
    kept = np.einsum("lef,leg,lfg->", weights, shares[:-1], shares[1:])
    assert kept <= kept_at_most(weights, known, proof)
    found = bound_levels(program, limits=Limits(nodes=60), stop=Stop())
    assert found.value <= weights.sum() - kept + 1e-9 * weights.sum()


@settings(max_examples=60)
@given(program=layered_assignments())
def test_the_bound_is_at_most_the_optimum_at_every_early_stop(program: LayeredAssignment) -> None:
    """Stopped after any number of sweeps the bound holds, and the checker derives the same number again."""
    optimum = enumerate_assignments(program).value
    for sweeps in (0, 1, 30, 120):
        found = bound_levels(program, limits=Limits(nodes=sweeps), stop=Stop())
        assert found.value <= optimum
        assert check_levels(program, found.proof) == found.value


def random_program(seed: int, layers: int = 4, items: int = 8, parts: int = 4) -> LayeredAssignment:
    """Return a program with whole weights and equal full parts."""
    random = np.random.default_rng(seed)
    return LayeredAssignment(
        weights=random.integers(0, 50, size=(layers - 1, items, items)).astype(np.float64),
        distance=1.0 - np.eye(parts),
        capacity=np.full(parts, items // parts),
    )


def test_a_planted_partition_is_bounded_exactly() -> None:
    """Weight that runs inside the parts of a hidden partition, with a little noise, is bounded nearly exactly."""
    random = np.random.default_rng(0)
    part = np.stack([random.permutation(np.repeat(np.arange(4), 3)) for _ in range(6)])
    same = (part[:-1, :, None] == part[1:, None, :]).astype(np.float64)
    noisy = 20.0 * same + random.random(same.shape)
    program = LayeredAssignment(weights=noisy, distance=1.0 - np.eye(4), capacity=np.full(4, 3))
    planted = evaluate(program, part).value
    assert bounded(program, 400) == pytest.approx(planted, rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_inequalities_raise_the_bound_above_the_plain_relaxation(seed: int) -> None:
    """2-partition inequalities tighten the bound, most where parts are small."""
    program = random_program(seed)
    plain = bound_levels(program, limits=Limits(nodes=400), stop=Stop(), cuts=False).value
    assert bounded(program, 400) > plain


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_does_not_depend_on_names_direction_or_scale(seed: int) -> None:
    """Permuting items, reversing layers and scaling weights change the bound no more than an early stop does."""
    program = random_program(seed)
    random = np.random.default_rng(seed)
    order = np.stack([random.permutation(program.items) for _ in range(program.layers)])
    permuted = np.stack([w[order[i]][:, order[i + 1]] for i, w in enumerate(program.weights)])
    base = bounded(program, 300)
    for weights, factor in (
        (permuted, 1.0),
        (program.weights[::-1].transpose(0, 2, 1).copy(), 1.0),
        (program.weights * 1024.0, 1024.0),
    ):
        other = LayeredAssignment(weights=weights, distance=program.distance, capacity=program.capacity)
        assert bounded(other, 300) / factor == pytest.approx(base, rel=2e-3)


def test_a_load_cap_raises_the_bound() -> None:
    """Rows of loads forbid what the capacity alone would allow."""
    random = np.random.default_rng(1)
    part = np.tile(np.repeat(np.arange(2), 3), (4, 1))
    weights = 30.0 * (part[:-1, :, None] == part[1:, None, :]) + random.random((3, 6, 6))
    loads = np.tile([9.0, 9.0, 9.0, 1.0, 1.0, 1.0], (4, 1))
    capacity, distance = np.array([3, 3]), 1.0 - np.eye(2)
    free = LayeredAssignment(weights=weights, distance=distance, capacity=capacity)
    capped = LayeredAssignment(
        weights=weights, distance=distance, capacity=capacity, loads=loads, load_caps=np.full(4, 20.0)
    )
    assert bounded(capped, 600) > bounded(free, 600) + 1.0
    assert bounded(capped, 600) <= enumerate_assignments(capped).value


def test_two_levels_bound_devices_and_nodes_together() -> None:
    """An ultrametric is split without loss: a planted two-level partition is bounded closely."""
    part = np.tile(np.repeat(np.arange(4), 2), (4, 1))
    same = (part[:-1, :, None] == part[1:, None, :]).astype(np.float64)
    random = np.random.default_rng(0)
    node = np.array([0, 0, 1, 1])
    distance = np.where(node[:, None] == node[None, :], 1.0, 3.0) * (1.0 - np.eye(4))
    program = LayeredAssignment(
        weights=50.0 * same + random.random(same.shape), distance=distance, capacity=np.full(4, 2)
    )
    assert [weight for _, weight in nested(distance)] == [2.0, 1.0]
    value = evaluate(program, part).value
    assert value * 0.96 <= bounded(program, 400) <= value


def proof_of(program: LayeredAssignment) -> LevelProof:
    return bound_levels(program, limits=Limits(nodes=250), stop=Stop()).proof


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda level: {"weight": 2.0 * level.weight}, "cost more than the distances"),
        (lambda level: {"weight": -1.0}, "at least 0"),
        (lambda level: {"groups": level.groups[:-1]}, "groups"),
        (lambda level: {"groups": (9,) * len(level.groups)}, "groups"),
    ],
)
def test_levels_that_claim_too_much_are_refused(change: object, words: str) -> None:
    """A level that weighs more than the distances, or names no partition, is refused by a sentence."""
    program = random_program(0)
    level = proof_of(program).levels[0]
    broken = LevelProof(levels=(msgspec.structs.replace(level, **change(level)),))  # type: ignore[operator]
    with pytest.raises(CertificateError, match=words):
        check_levels(program, broken)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("cross", Matrix(np.zeros((2, 8))), "cross"),
        ("first", Matrix(np.arange(192.0).reshape(24, 8)), "symmetric"),
        ("cuts", Matrix([[0.0, -1.0, 1.0, 0.0, 1.0, 2.0]]), "multipliers"),
        ("cuts", Matrix([[0.0, 1.0, 1.0, 0.0, 1.0, 16.0]]), "items that are there"),
        ("cuts", Matrix([[0.0, 1.0, 1.0, 0.0, -1.0, 2.0]]), "items that are there"),
        ("cuts", Matrix([[0.0, 1.0, 0.0, 0.0, 1.0, 2.0]]), "two sets"),
        ("cuts", Matrix([[0.0, 1.0, 3.0, 0.0, 1.0, 2.0]]), "two sets"),
        ("cuts", Matrix([[0.0, 1.0, 1.0, 0.0, 1.0, 1.0]]), "differ"),
        ("cuts", Matrix([[3.0, 1.0, 1.0, 0.0, 1.0, 2.0]]), "pairs"),
        ("cuts", Matrix([[0.0, 1.0, 1.0, 0.5, 1.0, 2.0]]), "whole"),
        ("cross", Matrix(np.full((24, 8), 1e200)), "at most"),
        ("count_rows", Matrix(-np.ones((12, 8))), "at least 0"),
        ("load_rows", Matrix(np.ones((12, 8))), "cap on loads"),
    ],
)
def test_malformed_multipliers_are_refused(field: str, value: Matrix, words: str) -> None:
    """Wrong shapes, negative prices and inequalities that are none are refused by a sentence."""
    program = random_program(0)
    level = proof_of(program).levels[0]
    wrong = msgspec.structs.replace(level.multipliers, **{field: value})
    with pytest.raises(CertificateError, match=words):
        check_levels(program, LevelProof(levels=(msgspec.structs.replace(level, multipliers=wrong),)))


@settings(max_examples=60)
@given(program=layered_assignments())
def test_quick_bounds_hold(program: LayeredAssignment) -> None:
    """Singular values and transportation problems bound every assignment too."""
    optimum = enumerate_assignments(program).value
    assert bound_spectral(program).value <= optimum
    assert bound_transport(program).value <= optimum


@pytest.mark.parametrize("seed", range(3))
def test_the_semidefinite_bound_is_the_strongest(seed: int) -> None:
    """On random programs it beats singular values and transportation problems."""
    program = random_program(seed)
    assert bounded(program, 300) >= max(bound_spectral(program).value, bound_transport(program).value) - 1e-6


@pytest.mark.slow
@settings(max_examples=1000)
@given(program=layered_assignments())
def test_bound_optimum_and_search_are_in_order(program: LayeredAssignment) -> None:
    """On a thousand tiny programs the bound is at most the optimum, and the search not below it."""
    optimum = enumerate_assignments(program).value
    assert bounded(program, 60) <= optimum
    found = search_assignment(program, limits=Limits(nodes=2000), stop=Stop(), kernel="numpy")
    assert found.value >= optimum
