"""Potentials of chains: what they show is true, whatever they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError
from coinfer.records import Matrix
from coinfer.solver.assignment.chain import solve_chain
from coinfer.solver.assignment.partitions import count_states
from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.certificate.chain import ChainProof, check_chain
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Stop
from coinfer.testing.assignment import enumerate_assignments, layered_assignments


def proven(program: LayeredAssignment) -> ChainProof | None:
    """Return the proof of the exact solve; ``None`` for an infeasible program."""
    return solve_chain(program, limits=Limits(), stop=Stop()).proof


@settings(max_examples=200)
@given(layered_assignments(), st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.31, 1e6]))
def test_no_potentials_show_more_than_the_optimum(program: LayeredAssignment, seed: int, size: float):
    """Potentials of any sign and size, with any multiplier of a cap, never show more than the least cost of all."""
    rng = np.random.default_rng(seed)
    numbers = np.floor(size * rng.normal(size=(program.layers, count_states(program))))
    price = None if program.mean_imbalance_cap is None else float(rng.exponential() * 20.0)
    best = enumerate_assignments(program).value
    assert check_chain(program, ChainProof(potentials=Matrix(numbers / 7.0), multiplier=price)) <= best
    assert check_chain(program, ChainProof(potentials=Matrix(numbers))) <= best


@given(layered_assignments(mean_capped=False), st.integers(0, 2**32 - 1))
def test_a_tampered_potential_never_helps(program: LayeredAssignment, seed: int):
    """Changing one potential of a true proof never shows more than the optimum that it showed."""
    proof = proven(program)
    if proof is None:
        return
    best = enumerate_assignments(program).value
    assert check_chain(program, proof) == best
    rng = np.random.default_rng(seed)
    numbers = proof.potentials.array.copy()
    numbers[tuple(rng.integers(0, numbers.shape))] += rng.integers(-9, 10)
    assert check_chain(program, ChainProof(potentials=Matrix(numbers))) <= best


@pytest.mark.parametrize(("items", "parts"), [(8, 2), (8, 4), (9, 3), (10, 5), (12, 2)])
@pytest.mark.parametrize("told", [False, True])
def test_every_arc_counts(items: int, parts: int, told: bool):
    """Potentials raised by a little from some layer on show no more: some arc into that layer loses what they gain."""
    if told and items > 8:
        pytest.skip("too many labelled states for a quick test")
    program = LayeredAssignment(
        weights=np.random.default_rng(items).integers(0, 99, (2, items, items)).astype(float),
        distance=1.0 - np.eye(parts),
        capacity=np.full(parts, items // parts),
        cost=np.zeros((3, items, parts)) if told else None,
    )
    proof = proven(program)
    assert proof is not None
    best = check_chain(program, proof)
    for layer in (1, 2):
        numbers = proof.potentials.array.copy()
        numbers[layer:] += 1.0
        assert check_chain(program, ChainProof(potentials=Matrix(numbers))) == best
    for state in range(0, numbers.shape[1], max(1, numbers.shape[1] // 60)):
        numbers = proof.potentials.array.copy()
        numbers[2, state] += 1.0
        assert check_chain(program, ChainProof(potentials=Matrix(numbers))) == numbers[2].min() - 1.0


@given(layered_assignments(uniform=True, full=True, priced=False, capped=False, mean_capped=False))
def test_labelled_and_grouped_states_show_the_same(program: LayeredAssignment):
    """A program whose parts are told apart by costs of 0 has other states, and the same optimum and bound."""
    told = replace(program, cost=np.zeros((program.layers, program.items, program.parts)))
    shown = []
    for variant in (program, told):
        proof = proven(variant)
        assert proof is not None
        shown.append(check_chain(variant, proof))
    assert shown[0] == shown[1]


@given(layered_assignments(mean_capped=False), st.floats(1e-6, 1e6))
def test_fractions_lose_only_the_margin(program: LayeredAssignment, scale: float):
    """With weights that are no whole numbers the bound is below the optimum, by less than 1e-9 of what there is."""
    scaled = replace(program, weights=program.weights * scale)
    proof = proven(scaled)
    if proof is None:
        return
    best = enumerate_assignments(scaled).value
    shown = check_chain(scaled, proof)
    assert shown <= best
    assert shown >= best - 1e-9 * (1.0 + best + float(scaled.weights.sum()) * float(program.distance.max()))


@given(layered_assignments(max_items=4))
def test_an_infeasible_program_has_no_least_cost(program: LayeredAssignment):
    """Where some layer has no state, any proof shows an infinite bound."""
    if program.loads is None:
        return
    barred = replace(program, allowed=np.zeros((program.layers, program.items, program.parts), dtype=bool))
    states = count_states(barred)
    assert check_chain(barred, ChainProof(potentials=Matrix(np.zeros((program.layers, states))))) == np.inf


@pytest.mark.parametrize(
    ("shape", "multiplier", "words"),
    [
        ((3, 2), None, "expected more states"),
        ((3, 4), None, "expected 3 layers"),
        ((2, 3), None, "expected 3 layers"),
        ((3, 3), 1.0, "proof.multiplier"),
        ((3, 3), -1.0, "proof.multiplier"),
        ((3, 3), float("nan"), "proof.multiplier"),
    ],
)
def test_malformed_proofs_are_refused(shape: tuple[int, int], multiplier: float | None, words: str):
    """Too few or too many states or layers, and a price of no cap, are refused in one sentence."""
    program = LayeredAssignment(weights=np.ones((2, 4, 4)), distance=1.0 - np.eye(2), capacity=np.array([2, 2]))
    proof = ChainProof(potentials=Matrix(np.zeros(shape)), multiplier=multiplier)
    with pytest.raises(CertificateError, match=words):
        check_chain(program, proof)
