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


def shown_or_refused(program: MixedIntegerProgram, proof: object) -> float | str:
    """What the checker derives from JSON-ready data or a proof, or the sentence with which it refuses it."""
    try:
        read = proof if isinstance(proof, BoundProof) else jsonfile.convert(proof, BoundProof, where="proof")
        return float(check_bound(program, read))
    except (CertificateError, InputError) as error:
        return str(error)


@st.composite
def trees(draw: st.DrawFn, program: MixedIntegerProgram) -> BoundProof:
    """Any well-formed tree over the integer variables, with any multipliers in its leaves."""
    whole = np.flatnonzero(program.integer).tolist()
    nodes: list[Branch | Leaf | None] = [None]
    for index in range(9):
        if index < len(nodes) and whole and draw(st.booleans()):
            below, above = len(nodes), len(nodes) + 1
            value = draw(st.integers(-4, 6))
            nodes[index] = Branch(variable=draw(st.sampled_from(whole)), value=value, below=below, above=above)
            nodes += [None, None]
    rows = st.lists(st.integers(0, program.rows - 1), unique=True) if program.rows else st.just([])
    leaves = [draw(rows) for _ in nodes]
    return BoundProof(
        nodes=tuple(
            node
            or Leaf(
                reason=draw(st.sampled_from(["bound", "infeasible"])),
                rows=tuple(chosen),
                multipliers=tuple(draw(st.floats(-9, 9)) for _ in chosen),
            )
            for node, chosen in zip(nodes, leaves, strict=True)
        )
    )


@given(program=PROGRAMS, data=st.data())
@settings(max_examples=150)
def test_any_tree_is_refused_or_shows_a_true_bound(program: MixedIntegerProgram, data: st.DataObject) -> None:
    """Trees made of chance, splits outside the bounds included: what is accepted never exceeds the optimum."""
    shown = shown_or_refused(loosened(program), data.draw(trees(program)))
    assert isinstance(shown, str) or shown <= exhaustive.solve(program).value + 1e-9


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
    shown = shown_or_refused(program, tree)
    assert isinstance(shown, str) or shown <= truth + 1e-9


@given(program=PROGRAMS, data=st.data())
@settings(max_examples=120)
def test_a_proof_of_another_program_shows_nothing_false(program: MixedIntegerProgram, data: st.DataObject) -> None:
    """Change costs, sides or bounds after the proof was made: it is refused or shows what is true of the new ones."""
    proof = prove(program).proof
    part = data.draw(st.sampled_from(["cost", "row_upper", "row_lower", "upper"]))
    numbers = np.array(getattr(program, part))
    if len(numbers) == 0:
        return
    place = data.draw(st.integers(0, len(numbers) - 1))
    numbers[place] += data.draw(st.sampled_from([-5.0, -1.0, 1.0, 3.0]))
    changed = dataclasses.replace(program, **{part: numbers})
    crossed = (changed.lower > changed.upper).any() or (changed.row_lower > changed.row_upper).any()
    truth = math.inf if crossed else exhaustive.solve(changed).value
    shown = shown_or_refused(loosened(changed), proof)
    assert shown.startswith(("leaf", "branch")) if isinstance(shown, str) else shown <= truth + 1e-9


@given(program=PROGRAMS, sign=st.sampled_from([-1.0, 2.0, 1e6]))
@settings(max_examples=80)
def test_multipliers_turned_or_stretched_show_nothing_false(program: MixedIntegerProgram, sign: float) -> None:
    """Flip or enlarge every multiplier of a proof: weak duality still holds, or the leaf is named."""
    program, truth = loosened(program), exhaustive.solve(program).value
    nodes = tuple(
        msgspec.structs.replace(node, multipliers=tuple(sign * y for y in node.multipliers))
        if isinstance(node, Leaf)
        else node
        for node in prove(program).proof.nodes
    )
    shown = shown_or_refused(program, BoundProof(nodes=nodes))
    assert shown.startswith("leaf") if isinstance(shown, str) else shown <= truth + 1e-9


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
    with pytest.raises(CertificateError, match="children behind it"):
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


def test_a_branch_moved_aside_no_longer_covers_its_leaf() -> None:
    """Move the split and the evidence holds less: a bound above the optimum cannot be had that way."""
    proof = prove(knapsack()).proof
    for index, node in enumerate(proof.nodes):
        if isinstance(node, Branch):
            for value in (-5, -1, 1, 5):
                moved = with_node(proof, index, msgspec.structs.replace(node, value=value))
                shown = shown_or_refused(knapsack(), moved)
                assert shown.startswith("leaf") if isinstance(shown, str) else shown <= -4


@pytest.mark.parametrize("value", [-7, 7])
def test_a_split_outside_the_bounds_gives_no_room(value: int) -> None:
    """One half of it is empty and the other is the box as it was, not a wider one."""
    leaf = Leaf(reason="bound", rows=(0,), multipliers=(-0.5,))
    branch = Branch(variable=0, value=value, below=1, above=2)
    whole = check_bound(knapsack(), BoundProof(nodes=(leaf,)))
    assert check_bound(knapsack(), BoundProof(nodes=(branch, leaf, leaf))) == whole


def test_a_row_below_zero_is_refused() -> None:
    """Rows are counted from 0; an index from the end is no row of the program."""
    leaf = Leaf(reason="bound", rows=(-1,), multipliers=(-1.0,))
    with pytest.raises(CertificateError, match=r"leaf 0 \(the whole box\): expected rows from 0 to 0; found -1"):
        check_bound(knapsack(), BoundProof(nodes=(leaf,)))


def test_a_sign_that_asks_for_an_infinite_side_is_refused() -> None:
    """A row that is limited only from above has nothing to give to a positive multiplier."""
    leaf = Leaf(reason="bound", rows=(0,), multipliers=(1.0,))
    with pytest.raises(CertificateError, match="sign of a row side that is infinite"):
        check_bound(knapsack(), BoundProof(nodes=(leaf,)))


@pytest.mark.parametrize("value", [2**53, -(2**53), 10**40])
def test_a_split_beyond_whole_floats_is_refused(value: int) -> None:
    """Where value + 1 is no float of its own, the halves might not cover what lies between."""
    leaf = Leaf(reason="bound", rows=(), multipliers=())
    branch = Branch(variable=0, value=value, below=1, above=2)
    with pytest.raises(CertificateError, match="below 2\\^53"):
        check_bound(knapsack(), BoundProof(nodes=(branch, leaf, leaf)))


def test_nodes_on_no_branch_are_refused() -> None:
    """What hangs on nothing is no part of a proof, and its author meant something else."""
    leaf = Leaf(reason="bound", rows=(), multipliers=())
    with pytest.raises(CertificateError, match="1 of 2 nodes hang on no branch"):
        check_bound(knapsack(), BoundProof(nodes=(leaf, leaf)))


def test_an_empty_proof_is_refused() -> None:
    """No node covers no point."""
    with pytest.raises(CertificateError, match="between 1 and"):
        check_bound(knapsack(), BoundProof(nodes=()))


@pytest.mark.timeout(20)
def test_shared_children_do_not_multiply_the_work() -> None:
    """Sixty branches that share their children make 10^12 ways to the leaves; the checker walks none twice."""
    leaf = Leaf(reason="bound", rows=(), multipliers=())
    ladder = [Branch(variable=0, value=0, below=i + 1, above=i + 2) for i in range(60)]
    with pytest.raises(CertificateError, match="expected one branch that leads to it; found two"):
        check_bound(knapsack(), BoundProof(nodes=(*ladder, leaf, leaf)))


@pytest.mark.timeout(60)
def test_a_deep_tree_needs_no_more_than_its_size() -> None:
    """A chain of 20 000 branches over as many variables is walked without recursion and without copies of the box."""
    depth = 20_000
    builder = ProgramBuilder()
    builder.variables("x", depth, upper=1.0, integer=True)
    leaf = Leaf(reason="bound", rows=(), multipliers=())
    nodes: list[Branch | Leaf] = []
    for i in range(depth):
        nodes += [Branch(variable=i, value=0, below=2 * i + 1, above=2 * i + 2), leaf]
    assert check_bound(builder.build(), BoundProof(nodes=(*nodes, leaf))) == 0


def test_crossed_bounds_need_no_multipliers() -> None:
    """A whole variable between 0.3 and 0.7 has no value: both halves are seen to be empty."""
    builder = ProgramBuilder()
    builder.variables("x", 1, cost=1.0, lower=0.3, upper=0.7, integer=True)
    leaf = Leaf(reason="infeasible", rows=(), multipliers=())
    branch = Branch(variable=0, value=0, below=1, above=2)
    assert check_bound(builder.build(), BoundProof(nodes=(branch, leaf, leaf))) == math.inf
    with pytest.raises(CertificateError, match="do not show that the box is empty"):
        check_bound(builder.build(), BoundProof(nodes=(leaf,)))


def test_a_variable_without_a_limit_gives_no_bound() -> None:
    """A cost on a variable without an upper bound pulls the bound down without end, by however little."""
    builder = ProgramBuilder()
    x = builder.variables("x", 1, cost=1.0)
    builder.rows("least", row=[0], column=x, coefficient=1.0, lower=2.0)
    exact, above = (Leaf(reason="bound", rows=(0,), multipliers=(y,)) for y in (1.0, math.nextafter(1.0, 2.0)))
    assert check_bound(builder.build(), BoundProof(nodes=(exact,))) == 2
    assert check_bound(builder.build(), BoundProof(nodes=(above,))) == -math.inf
