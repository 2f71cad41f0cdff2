"""Copies where they pay, and what bounds them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinfer.errors import InputError
from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.assignment.replicas.anneal import Copies, anneal, pulls
from coinfer.solver.assignment.replicas.improve import place_replicas
from coinfer.solver.assignment.replicas.pack import balanced_copies
from coinfer.solver.assignment.replicas.program import Dispatch, SlotProgram, dispatched, value_of, violations
from coinfer.solver.assignment.replicas.relabel import relabel
from coinfer.solver.assignment.replicas.split import equal_shares
from coinfer.solver.certificate.replicas import extra_kept
from coinfer.solver.limits import Limits

Float = NDArray[np.float64]


def program_of(layers: int, items: int, parts: int, replicas: int, seed: int) -> SlotProgram:
    """Return a random program with clusters of items that follow each other."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 6, (layers - 1, items, items)).astype(float)
    weights += 30.0 * (rng.integers(0, parts, (1, items, 1)) == rng.integers(0, parts, (1, 1, items)))
    loads = np.concatenate([weights.sum(axis=2), weights[-1:].sum(axis=1)])
    return SlotProgram(
        weights=weights,
        loads=loads,
        distance=1.0 - np.eye(parts),
        slots=np.full(parts, -(-(items + replicas) // parts)),
        replicas=replicas,
    )


def every_layer(program: SlotProgram) -> Iterator[BoolArray]:
    """Yield all ways to hold one layer."""
    one = [np.array(row, dtype=bool) for row in itertools.product((0, 1), repeat=program.parts) if any(row)]
    for rows in itertools.product(one, repeat=program.items):
        held = np.array(rows)
        if (held.sum(axis=0) <= program.slots).all() and held.sum() <= program.items + program.replicas:
            yield held


@pytest.mark.parametrize("seed", range(6))
def test_the_local_bound_holds_for_every_placement(seed: int) -> None:
    """No placement keeps more than the best single rows keep plus the proven extra."""
    rng = np.random.default_rng(seed)
    items, parts, replicas = ((3, 2, 1), (3, 3, 2), (2, 3, 3))[seed % 3]
    program = SlotProgram(
        weights=rng.integers(0, 9, (1, items, items)).astype(float),
        loads=np.ones((2, items)),
        distance=1.0 - np.eye(parts),
        slots=np.full(parts, -(-(items + replicas) // parts)),
        replicas=replicas,
    )
    total = float(program.weights.sum())
    extra = extra_kept(program.weights, program.slots, replicas)
    ways = list(every_layer(program))
    points = [rows for held in ways for rows in corners(held)]
    single = max(float(np.sum(program.weights[0] * (y @ z.T))) for y in points for z in points)
    local = max(
        total - float(dispatched(program, np.array([h, k]), np.array([y, equal_shares(k)]), "local").separated.sum())
        for h in ways
        for y in corners(h)
        for k in ways
    )
    assert local <= single + extra + 1e-9


def corners(held: BoolArray) -> list[Float]:
    """Return all ways to serve each item by one of its copies."""
    choices = [np.flatnonzero(row) for row in held]
    return [np.eye(held.shape[1])[list(way)] for way in itertools.product(*choices)]


def test_the_extra_is_attained_and_no_looser() -> None:
    """Two items in two parts with a copy of one hot next item: the extra is exactly what the copy keeps."""
    weights = np.array([[[5.0, 0.0], [3.0, 0.0]]])
    assert extra_kept(weights, np.array([2, 2]), 1) == pytest.approx(8.0)
    assert extra_kept(weights, np.array([2, 1]), 0) == 0.0
    tight = np.array([[[5.0, 0.0, 0.0], [3.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    assert extra_kept(tight, np.array([1, 1, 2]), 1) == pytest.approx(8.0)
    assert extra_kept(tight, np.array([2, 2, 2]), 2) == pytest.approx(9.0)


def test_the_extra_refuses_what_is_no_weight() -> None:
    """Negative weights are bad input: the proof needs them at least 0."""
    with pytest.raises(InputError, match="weights"):
        extra_kept(np.full((1, 2, 2), -1.0), np.array([2, 2]), 1)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), dispatch=st.sampled_from(["split", "local"]), capped=st.booleans())
def test_what_is_found_is_what_is_claimed(seed: int, dispatch: Dispatch, capped: bool) -> None:
    """The copies keep every limit, and value, imbalance and the word on the cap are those of the evaluation."""
    program = program_of(3, 6, 3, 3, seed)
    cap = 1.3 if capped else None
    found = place_replicas(program, load_cap=cap, dispatch=dispatch, limits=Limits(nodes=1), kernel="numpy")
    assert violations(program, found.held, found.shares) == ()
    assert found.value == pytest.approx(value_of(program, found.held, found.shares, dispatch))
    uneven = dispatched(program, found.held, found.shares, dispatch).imbalance
    np.testing.assert_allclose(found.imbalance, uneven)
    if cap is not None:
        assert found.within_cap == bool(uneven.max() <= cap * (1.0 + 2e-9))


@pytest.mark.parametrize("dispatch", ["split", "local"])
def test_search_is_no_worse_than_even_copies_and_repeats(dispatch: Dispatch) -> None:
    """Uncapped, the search finds no more than even copies cost, and the same again when work limits it."""
    program = program_of(4, 8, 4, 4, 5)
    even = value_of(program, *balanced_copies(program), dispatch)
    first, again = (place_replicas(program, dispatch=dispatch, limits=Limits(nodes=1), kernel="numpy") for _ in "ab")
    assert first.value < even
    assert first.value == again.value
    assert (first.held == again.held).all()


@pytest.mark.parametrize("seed", range(6))
def test_local_search_comes_near_the_optimum_of_tiny_programs(seed: int) -> None:
    """Uncapped ``local`` dispatch in two layers of three items: within 6 % of the best of all placements."""
    program = program_of(2, 3, 2, 1, seed)
    ways = list(every_layer(program))
    best = min(
        value_of(program, np.array([h, k]), np.array([y, z]), "local")
        for h in ways
        for y in corners(h)
        for k in ways
        for z in corners(k)
    )
    found = min(
        place_replicas(program, dispatch="local", limits=Limits(nodes=1, seed=seed), kernel="numpy").value
        for seed in range(3)
    )
    assert best - 1e-9 <= found <= best * 1.06 + 1e-9


def test_a_start_is_where_the_search_begins() -> None:
    """With no time at all the given assignment comes back with copies in the slots that are left."""
    program = program_of(2, 4, 2, 2, 1)
    part = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
    found = place_replicas(program, start=part, limits=Limits(time_s=0.0))
    assert violations(program, found.held, found.shares) == ()
    with pytest.raises(InputError, match="fits into the slots"):
        place_replicas(program, start=np.zeros((2, 4), dtype=np.int64))
    with pytest.raises(InputError, match="start"):
        place_replicas(program, start=np.full((2, 4), 7))


def test_a_mean_cap_is_kept_where_one_layer_cannot() -> None:
    """A layer with one hot item may exceed a cap on the mean as long as the others make up for it."""
    program = program_of(3, 6, 3, 0, 3)
    loads = program.loads.copy()
    loads[1] = [60.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    hot = SlotProgram(weights=program.weights, loads=loads, distance=program.distance, slots=program.slots, replicas=0)
    found = place_replicas(hot, load_cap=1.8, over="mean", limits=Limits(nodes=1), kernel="numpy")
    assert found.within_cap
    assert found.imbalance.max() > 2.5
    worst = place_replicas(hot, load_cap=1.8, limits=Limits(nodes=1), kernel="numpy")
    assert not worst.within_cap


def test_relabelling_undoes_exchanged_parts() -> None:
    """Layers whose parts were exchanged at random are brought back to no separation at all, loads unchanged."""
    rng = np.random.default_rng(0)
    part = np.repeat(np.arange(4), 2)
    same = (part[:, None] == part).astype(float)
    program = SlotProgram(
        weights=np.stack([same] * 5),
        loads=rng.random((6, 8)),
        distance=1.0 - np.eye(4),
        slots=np.full(4, 2),
        replicas=0,
    )
    held = np.stack([np.eye(4, dtype=bool)[rng.permutation(4)[part]] for _ in range(6)])
    moved, shares = relabel(program, held, held.astype(float))
    assert value_of(program, moved, shares, "split") == 0.0
    before, after = (np.einsum("le,leg->lg", program.loads, table) for table in (held, moved))
    np.testing.assert_allclose(np.sort(before, axis=1), np.sort(after, axis=1))


@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
def test_steps_leave_the_tables_true(kernel: str) -> None:
    """After annealing the incremental tables equal those computed anew, also for general distances."""
    if kernel == "compiled":
        pytest.importorskip("numba")
    program = program_of(3, 6, 3, 2, 4)
    distance = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 2.0, 0.0]])
    program = SlotProgram(
        weights=program.weights, loads=program.loads, distance=distance, slots=program.slots, replicas=2
    )
    copies = Copies.of(program, *balanced_copies(program))
    caps = 1.4 * program.loads.sum(axis=1) / 3
    anneal(copies, caps, end_s=np.inf, steps=4000, kernel=kernel)  # type: ignore[arg-type]
    shares = copies.shares()
    assert violations(program, copies.held, shares) == ()
    np.testing.assert_allclose(copies.pull.transpose(0, 2, 1), pulls(program, shares), atol=1e-7)
    np.testing.assert_allclose(copies.part_load, np.einsum("le,leg->lg", program.loads, shares), atol=1e-7)


def test_compiled_steps_give_the_same_answer() -> None:
    """The compiled steps take the same exchanges as the plain ones."""
    pytest.importorskip("numba")
    program = program_of(3, 6, 3, 2, 4)
    made = []
    for kernel in ("numpy", "compiled"):
        copies = Copies.of(program, *balanced_copies(program))
        anneal(copies, program.loads.sum(axis=1), end_s=np.inf, steps=2000, hot=0.0, kernel=kernel)
        made.append(copies.item)
    np.testing.assert_array_equal(made[0], made[1])
