"""Where tokens go, against an enumeration of all their paths."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinfer.solver.assignment.program import BoolArray, LayeredAssignment, evaluate
from coinfer.solver.assignment.replicas.layer import costs_onward, view_of
from coinfer.solver.assignment.replicas.program import Dispatch, SlotProgram, dispatched, value_of, violations

Float = NDArray[np.float64]


def random_copies(seed: int, *, general: bool = False) -> tuple[SlotProgram, BoolArray, Float]:
    """Return three layers of three items in three parts with random copies and shares."""
    rng = np.random.default_rng(seed)
    distance = rng.random((3, 3)) if general else np.ones((3, 3))
    distance = (distance + distance.T) * (1.0 - np.eye(3))
    program = SlotProgram(
        weights=rng.integers(0, 5, (2, 3, 3)).astype(float),
        loads=rng.random((3, 3)),
        distance=distance,
        slots=np.full(3, 3),
        replicas=6,
    )
    held = rng.random((3, 3, 3)) < 0.5
    held[np.arange(3)[:, None], np.arange(3), rng.integers(0, 3, (3, 3))] = True
    shares = np.where(held, rng.random(held.shape) + 0.01, 0.0)
    return program, held, shares / shares.sum(axis=2, keepdims=True)


def by_paths(program: SlotProgram, held: BoolArray, shares: Float, dispatch: Dispatch) -> Float:
    """Return the expected separation of each layer pair from every path of a Markov chain of tokens."""
    cost = np.zeros(2)
    into = program.weights[0].sum(axis=0)
    for e in range(3):
        for f in range(3):
            for g in range(3):
                for h in range(3):
                    chance = hop(held[1, f], shares[1, f], g, dispatch)[h] * shares[0, e, g]
                    cost[0] += program.weights[0, e, f] * chance * program.distance[g, h]
                    if into[f] == 0.0:
                        continue
                    here = program.weights[0, e, f] / into[f] * chance
                    for d in range(3):
                        onward = hop(held[2, d], shares[2, d], h, dispatch)
                        cost[1] += program.weights[1, f, d] * here * float(onward @ program.distance[h])
    for f in np.flatnonzero(into == 0.0).tolist():
        for d in range(3):
            for h in range(3):
                onward = hop(held[2, d], shares[2, d], h, dispatch)
                cost[1] += program.weights[1, f, d] * shares[1, f, h] * float(onward @ program.distance[h])
    return cost


def hop(held: BoolArray, shares: Float, here: int, dispatch: Literal["split", "local"]) -> Float:
    """Return the chances of the next part."""
    if dispatch == "local" and held[here]:
        there: Float = np.eye(3)[here]
        return there
    return shares


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), general=st.booleans())
def test_local_dispatch_is_the_sum_over_all_paths(seed: int, general: bool) -> None:
    """Under ``local`` the propagated expectation equals that over explicit paths."""
    program, held, shares = random_copies(seed, general=general)
    found = dispatched(program, held, shares, "local")
    np.testing.assert_allclose(found.separated, by_paths(program, held, shares, "local"), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.served.sum(axis=2), 1.0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), general=st.booleans())
def test_split_dispatch_forgets_where_tokens_are(seed: int, general: bool) -> None:
    """Under ``split`` both ends of a pair are drawn by their shares alone."""
    program, held, shares = random_copies(seed, general=general)
    found = dispatched(program, held, shares, "split")
    for layer, flow in enumerate(program.weights):
        apart = shares[layer] @ program.distance @ shares[layer + 1].T
        assert found.separated[layer] == pytest.approx(float(np.sum(flow * apart)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), dispatch=st.sampled_from(["split", "local"]))
def test_single_copies_cost_what_the_assignment_costs(seed: int, dispatch: Dispatch) -> None:
    """Without replicas both rules equal the layered assignment's evaluation, exactly for whole counts."""
    program, _, _ = random_copies(seed)
    part = np.random.default_rng(seed).integers(0, 3, (3, 3))
    held = np.eye(3, dtype=bool)[part]
    single = LayeredAssignment(weights=program.weights, distance=1.0 - np.eye(3), capacity=np.full(3, 3))
    uniform = SlotProgram(
        weights=program.weights, loads=program.loads, distance=1.0 - np.eye(3), slots=np.full(3, 3), replicas=6
    )
    assert value_of(uniform, held, held.astype(float), dispatch) == evaluate(single, part).value


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), dispatch=st.sampled_from(["split", "local"]), layer=st.integers(0, 2))
def test_a_layer_seen_alone_costs_what_the_whole_does(seed: int, dispatch: Dispatch, layer: int) -> None:
    """A layer's view changes by as much as the objective when its copies and shares are replaced."""
    program, held, shares = random_copies(seed, general=True)
    _, other, spread = random_copies(seed + 1)
    changed, split = held.copy(), shares.copy()
    changed[layer], split[layer] = other[layer], spread[layer]
    later = costs_onward(program, held, shares, dispatch)
    served = dispatched(program, held, shares, dispatch).served
    before = None if layer == 0 else served[layer - 1]
    view = view_of(program, layer, before, later[layer] if layer < 2 else None, dispatch)

    def seen(held: BoolArray, shares: Float) -> float:
        _, costs = view.leaving(held)
        return float(np.sum(costs * shares) + np.sum(np.where(held, view.arriving * view.onward, 0.0)))

    truly = value_of(program, changed, split, dispatch) - value_of(program, held, shares, dispatch)
    assert seen(changed[layer], split[layer]) - seen(held[layer], shares[layer]) == pytest.approx(truly, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), dispatch=st.sampled_from(["split", "local"]))
def test_gains_are_what_a_change_saves(seed: int, dispatch: Dispatch) -> None:
    """Without prices the gain of a copy is the difference of the layer's cheapest costs with and without it."""
    program, held, shares = random_copies(seed, general=True)
    later = costs_onward(program, held, shares, dispatch)
    served = dispatched(program, held, shares, dispatch).served
    view = view_of(program, 1, served[0], later[1], dispatch)
    add, drop = view.gains(held[1], np.zeros(3))
    _, now = view.split(held[1], 1e9)
    for e in range(3):
        for g in range(3):
            if held[1, e].sum() == 1 and held[1, e, g]:
                continue
            changed = held[1].copy()
            changed[e, g] = not changed[e, g]
            _, cost = view.split(changed, 1e9)
            found = -add[e, g] if changed[e, g] else drop[e, g]
            assert found == pytest.approx(cost - now, abs=1e-7)


def test_every_kind_of_broken_limit_is_named() -> None:
    """A missing copy, a crowded part, too many replicas and wrong shares each have their sentence."""
    program = SlotProgram(
        weights=np.zeros((0, 3, 3)), loads=np.ones((1, 3)), distance=1.0 - np.eye(2), slots=np.array([2, 2]), replicas=1
    )
    held = np.array([[[True, True], [True, True], [False, False]]])
    told = " ".join(violations(program, held, held * 0.4))
    assert "item 2 has no copy" in told
    assert "do not add up to 1" in told
    crowded = np.array([[[True, False], [True, True], [True, True]]])
    told = " ".join(violations(program, crowded, crowded / crowded.sum(axis=2, keepdims=True)))
    assert "part 0 has 3 copies, room for 2" in told
    assert "2 replicas, at most 1" in told
