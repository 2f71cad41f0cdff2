"""Copies for balance: how many, where, and which share each serves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver.assignment.program import imbalance
from coinfer.solver.assignment.replicas.pack import balanced_copies, longest_first, pack
from coinfer.solver.assignment.replicas.program import SlotProgram, violations
from coinfer.solver.assignment.replicas.replicate import copy_counts
from coinfer.solver.assignment.replicas.split import cheapest_split, equal_shares, even_split

ROOM = {
    "layers": st.integers(1, 4),
    "items": st.integers(1, 9),
    "parts": st.integers(1, 4),
    "seed": st.integers(0, 999),
}


def slot_program(layers: int, items: int, parts: int, seed: int, replicas: int | None = None) -> SlotProgram:
    """Return a random program whose slots hold all items and replicas."""
    rng = np.random.default_rng(seed)
    replicas = int(rng.integers(0, items * (parts - 1) + 1)) if replicas is None else replicas
    slots = np.full(parts, -(-(items + replicas) // parts))
    return SlotProgram(
        weights=rng.integers(0, 20, (layers - 1, items, items)).astype(float),
        loads=rng.integers(0, 50, (layers, items)).astype(float),
        distance=1.0 - np.eye(parts),
        slots=slots,
        replicas=replicas,
    )


@settings(max_examples=150, deadline=None)
@given(**ROOM)
def test_balanced_copies_keep_every_limit(layers: int, items: int, parts: int, seed: int) -> None:
    """Every item has a copy, no part has two copies of one or more than its slots, and shares add up to 1."""
    program = slot_program(layers, items, parts, seed)
    held, shares = balanced_copies(program)
    assert violations(program, held, shares) == ()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999))
def test_permissions_and_duties_are_kept(seed: int) -> None:
    """No copy lies where it must not, and one lies wherever it must."""
    rng = np.random.default_rng(seed)
    plain = slot_program(2, 6, 3, seed, replicas=3)
    allowed = rng.random((2, 6, 3)) < 0.8
    allowed[:, np.arange(6), np.arange(6) % 3] = True
    required = np.zeros((2, 6, 3), dtype=bool)
    required[:, 0, 0] = True
    names = ("weights", "loads", "distance", "slots", "replicas")
    program = SlotProgram(**{name: getattr(plain, name) for name in names}, allowed=allowed, required=required)
    held, shares = balanced_copies(program)
    assert violations(program, held, shares) == ()


@settings(max_examples=100, deadline=None)
@given(**ROOM)
def test_packing_loses_no_copy(layers: int, items: int, parts: int, seed: int) -> None:
    """Every item ends with exactly the copies it was given, however often copies were exchanged."""
    program = slot_program(layers, items, parts, seed)
    counts = copy_counts(program.loads, program.extra, np.full(program.loads.shape, parts))
    np.testing.assert_array_equal(pack(program, counts).sum(axis=2), counts)


def test_more_copies_than_parts_can_hold_are_never_given() -> None:
    """With a slot for every item in every part, one item takes at most one slot of each part."""
    program = slot_program(1, 1, 4, 0, replicas=3)
    held, _ = balanced_copies(program)
    assert held.sum() == 4


def test_a_layer_without_room_is_refused() -> None:
    """An item that no part may hold is bad input, in one sentence."""
    allowed = np.ones((1, 3, 2), dtype=bool)
    allowed[0, 1] = False
    program = SlotProgram(
        weights=np.zeros((0, 3, 3)),
        loads=np.ones((1, 3)),
        distance=1.0 - np.eye(2),
        slots=np.array([2, 2]),
        replicas=1,
        allowed=allowed,
    )
    with pytest.raises(InputError, match="room for one copy"):
        balanced_copies(program)


@settings(max_examples=60, deadline=None)
@given(items=st.integers(1, 5), extra=st.integers(0, 4), seed=st.integers(0, 999))
def test_copy_counts_make_the_largest_share_least(items: int, extra: int, seed: int) -> None:
    """No other way to spread the further copies has a smaller largest load per copy."""
    loads = np.random.default_rng(seed).integers(0, 20, (1, items)).astype(float)
    counts = copy_counts(loads, extra, np.full((1, items), 3))
    assert counts.sum() <= items + extra
    assert counts.max() <= 3
    best = min(
        float((loads[0] / np.array(way)).max())
        for way in itertools.product((1, 2, 3), repeat=items)
        if sum(way) <= items + extra
    )
    assert (loads / counts).max() == pytest.approx(best)


@settings(max_examples=100, deadline=None)
@given(**ROOM)
def test_even_split_reaches_the_linear_program(layers: int, items: int, parts: int, seed: int) -> None:
    """With enough passes the heaviest part is as light as HiGHS can make it."""
    program = slot_program(layers, items, parts, seed)
    counts = copy_counts(program.loads, program.extra, np.full(program.loads.shape, parts))
    held = pack(program, counts)
    shares = even_split(program.loads, held, sweeps=3000)
    for layer in range(layers):
        exact = cheapest_split(np.zeros((items, parts)), program.loads[layer], held[layer], 0.0)
        assert (program.loads[layer] @ shares[layer]).max() == pytest.approx(exact.excess, rel=1e-4, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(**ROOM)
def test_cheapest_split_keeps_a_cap_that_can_be_kept(layers: int, items: int, parts: int, seed: int) -> None:
    """At the load of an even split the cap is kept, and no cost is above that of the even split."""
    program = slot_program(layers, items, parts, seed)
    held, shares = balanced_copies(program)
    costs = np.random.default_rng(seed).random((items, parts))
    cap = float((program.loads[0] @ shares[0]).max())
    found = cheapest_split(costs, program.loads[0], held[0], cap)
    assert found.excess <= 1e-7 * max(cap, 1.0)
    assert np.sum(costs * found.shares) <= np.sum(costs * shares[0]) + 1e-6
    np.testing.assert_allclose(found.shares.sum(axis=1), 1.0)


def test_prices_say_what_a_wider_cap_saves() -> None:
    """The sum of the prices is the saving per unit that every part may hold more."""
    held, loads = np.array([[True, True], [True, False]]), np.array([10.0, 4.0])
    costs = np.array([[0.0, 3.0], [0.0, 0.0]])
    tight, wide = (cheapest_split(costs, loads, held, cap) for cap in (8.0, 8.5))
    saved = float(np.sum(costs * tight.shares) - np.sum(costs * wide.shares))
    assert saved == pytest.approx(0.5 * tight.prices.sum())
    assert tight.prices[0] > 0.0


def test_exchanges_even_out_what_greedy_packing_leaves() -> None:
    """On three parts with two slots each the exchanges find the even packing that longest-first misses."""
    loads = np.array([[9.0, 8.0, 7.0, 6.0, 5.0, 5.0, 4.0, 4.0, 3.0]])
    program = SlotProgram(
        weights=np.zeros((0, 9, 9)), loads=loads, distance=1.0 - np.eye(3), slots=np.full(3, 3), replicas=0
    )
    greedy, _ = longest_first(loads, np.ones_like(loads, dtype=np.int64), program.slots)
    before = imbalance(np.einsum("le,leg->lg", loads, equal_shares(greedy)))
    held, shares = balanced_copies(program)
    assert held.sum() == 9
    after = imbalance(np.einsum("le,leg->lg", loads, shares))
    assert after[0] == pytest.approx(1.0)
    assert after[0] <= before[0]
