"""The checker believes nothing: whatever a proof says, what it returns never exceeds the optimum."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import CertificateError, InputError
from coinfer.solver import exhaustive
from coinfer.solver.certificate.exact import Scaled
from coinfer.solver.certificate.tree import BoundProof, Branch, Leaf, check_bound
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder
from coinfer.solver.prove import prove
from coinfer.testing.programs import mixed_integer_programs

PROGRAMS = mixed_integer_programs(max_variables=4)


def loosened(program: MixedIntegerProgram) -> MixedIntegerProgram:
    """Rows moved outwards by more than the tolerance with which enumeration accepts a point."""
    return dataclasses.replace(program, row_lower=program.row_lower - 1e-5, row_upper=program.row_upper + 1e-5)


def knapsack() -> MixedIntegerProgram:
    """Three items, room for two: the relaxation is 4.5, the optimum 4."""
    builder = ProgramBuilder()
    take = builder.variables("take", 3, cost=[-3.0, -2.0, -2.0], upper=1.0, integer=True)
    builder.rows("room", row=[0, 0, 0], column=take, coefficient=[3.0, 2.0, 2.0], upper=4.5)
    return builder.build()


@given(program=PROGRAMS, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_any_multipliers_show_a_true_bound(program: MixedIntegerProgram, seed: int) -> None:
    """Weak duality: one leaf with random multipliers never claims more than the optimum."""
    rng = np.random.default_rng(seed)
    multipliers = rng.normal(size=program.rows) * rng.integers(0, 2, program.rows)
    multipliers[(multipliers > 0) & ~np.isfinite(program.row_lower)] = 0.0
    multipliers[(multipliers < 0) & ~np.isfinite(program.row_upper)] = 0.0
    rows = np.flatnonzero(multipliers)
    leaf = Leaf(reason="bound", rows=tuple(rows.tolist()), multipliers=tuple(multipliers[rows].tolist()))
    truth = exhaustive.solve(program).value
    assert float(check_bound(loosened(program), BoundProof(nodes=(leaf,)))) <= truth + 1e-9


@given(program=PROGRAMS, data=st.data())
@settings(max_examples=200)
def test_a_mutated_proof_is_refused_or_still_true(program: MixedIntegerProgram, data: st.DataObject) -> None:
    """Change any number of a proof: the checker raises its own error or returns a bound that holds."""
    truth = exhaustive.solve(program).value
    program = loosened(program)
    tree = jsonfile.to_builtins(prove(program).proof)
    node = data.draw(st.sampled_from(tree["nodes"]))
    key = data.draw(st.sampled_from([name for name in node if name not in ("node",)]))
    old = node[key]
    if isinstance(old, list):
        change = st.lists(st.integers(-3, 9) | st.floats(-50, 50), max_size=4)
        node[key] = data.draw(change) if data.draw(st.booleans()) else old[:-1]
    elif key == "reason":
        node[key] = "infeasible" if old == "bound" else "bound"
    else:
        node[key] = data.draw(st.integers(-3, 12))
    try:
        shown = check_bound(program, jsonfile.convert(tree, BoundProof, where="proof"))
    except (CertificateError, InputError) as error:
        assert str(error)
        return
    assert float(shown) <= truth + 1e-9


@given(program=PROGRAMS)
@settings(max_examples=60)
def test_a_proof_survives_its_file(program: MixedIntegerProgram) -> None:
    """Written as JSON and read again, a proof is the same and shows the same."""
    proof = prove(program).proof
    again = jsonfile.convert(jsonfile.parse(jsonfile.to_text(proof), where="proof"), BoundProof, where="proof")
    assert again == proof
    assert check_bound(program, again) == check_bound(program, proof)


@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8))
def test_scaled_integers_are_exact(numbers: list[float]) -> None:
    """Scaling to integers loses nothing, denormal and huge numbers included."""
    scaled = Scaled(np.array(numbers, dtype=np.float64))
    assert [Fraction(n, 2**scaled.shift) for n in scaled.integers] == [Fraction(x) for x in numbers]


def test_the_knapsack_is_proven_to_the_digit() -> None:
    """On a program of small integers the proof shows the optimum exactly."""
    assert check_bound(knapsack(), prove(knapsack()).proof) == -4


def leaves_of(proof: BoundProof) -> list[int]:
    return [i for i, node in enumerate(proof.nodes) if isinstance(node, Leaf)]


def with_node(proof: BoundProof, index: int, node: Branch | Leaf) -> BoundProof:
    return BoundProof(nodes=(*proof.nodes[:index], node, *proof.nodes[index + 1 :]))


def test_a_dropped_leaf_is_refused() -> None:
    """A tree that lost a leaf covers too little, and the checker says so."""
    proof = prove(knapsack()).proof
    with pytest.raises(CertificateError, match="children|hang"):
        check_bound(knapsack(), BoundProof(nodes=proof.nodes[:-1]))


def test_a_leaf_without_its_row_is_named() -> None:
    """The sentence names the leaf by its number and its box."""
    proof = prove(knapsack()).proof
    index = leaves_of(proof)[0]
    bad = Leaf(reason="bound", rows=(7,), multipliers=(1.0,))
    with pytest.raises(CertificateError, match=rf"leaf {index} \(take\["):
        check_bound(knapsack(), with_node(proof, index, bad))


def test_an_infeasible_leaf_needs_its_farkas_multipliers() -> None:
    """Calling a box empty shows nothing without multipliers that make it so."""
    proof = prove(knapsack()).proof
    index = leaves_of(proof)[0]
    with pytest.raises(CertificateError, match="do not show that the box is empty"):
        check_bound(knapsack(), with_node(proof, index, Leaf(reason="infeasible", rows=(), multipliers=())))


def test_a_multiplier_that_is_no_number_is_refused() -> None:
    """Infinite multipliers would multiply nothing into anything."""
    leaf = Leaf(reason="bound", rows=(0,), multipliers=(-math.inf,))
    with pytest.raises(CertificateError, match="finite multipliers"):
        check_bound(knapsack(), BoundProof(nodes=(leaf,)))


def test_a_cycle_is_refused() -> None:
    """A branch that leads back to itself is no tree."""
    branch = Branch(variable=0, value=0, below=0, above=1)
    leaf = Leaf(reason="bound", rows=(), multipliers=())
    with pytest.raises(CertificateError, match="two children behind it"):
        check_bound(knapsack(), BoundProof(nodes=(branch, leaf)))


def test_a_branch_on_a_continuous_variable_is_refused() -> None:
    """Between 0 and 1 a continuous variable has values that no child would cover."""
    builder = ProgramBuilder()
    share = builder.variables("share", 1, cost=1.0, upper=1.0)
    builder.rows("least", row=[0], column=share, coefficient=1.0, lower=0.5)
    leaf = Leaf(reason="bound", rows=(), multipliers=())
    proof = BoundProof(nodes=(Branch(variable=0, value=0, below=1, above=2), leaf, leaf))
    with pytest.raises(CertificateError, match="integer variable"):
        check_bound(builder.build(), proof)


def test_a_shared_leaf_is_refused() -> None:
    """Both children cannot be the same node: the other half would be uncovered."""
    proof = prove(knapsack()).proof
    root = proof.nodes[0]
    assert isinstance(root, Branch)
    with pytest.raises(CertificateError, match="two children behind it"):
        check_bound(knapsack(), with_node(proof, 0, msgspec.structs.replace(root, above=root.below)))


def test_a_proof_for_a_cheaper_program_does_not_hold() -> None:
    """Lower a cost in the program and the old proof shows less, never the old bound."""
    proof = prove(knapsack()).proof
    builder = ProgramBuilder()
    take = builder.variables("take", 3, cost=[-3.0, -2.0, -3.0], upper=1.0, integer=True)
    builder.rows("room", row=[0, 0, 0], column=take, coefficient=[3.0, 2.0, 2.0], upper=4.5)
    assert check_bound(builder.build(), proof) <= -5
