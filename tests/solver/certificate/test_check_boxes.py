"""The checker of monotonic certificates: accepts what is true, names the leaf of what is not."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError
from coinfer.solver.certificate.boxes import BoxLeaf, BoxProof, Cut
from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.certificate.tree import Branch
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.maximise import maximise_general
from coinfer.solver.monotonic.program import LinearRows, Monotone, MonotonicProgram
from coinfer.testing.monotonic import KINDS, Kind, enumerated, monotonic_programs, program_from_seed
from coinfer.testing.monotonic_oracles import Quadratic

Nodes = list[Branch | BoxLeaf]


def proven(
    kind: Kind, seed: int = 0, *, least: int = 3, linear_only: bool = False
) -> tuple[MonotonicProgram, BoxProof]:
    """Return a program of a class whose proof has at least ``least`` branches, and the proof."""
    for number in range(seed, seed + 2000):
        program = program_from_seed(number, kind, max_variables=6, linear_only=linear_only)
        result = maximise_general(program)
        if result.incumbent is not None and result.proof is not None and len(result.proof.nodes) > 2 * least:
            return program, result.proof
    raise AssertionError("no such program")


def changed(proof: BoxProof, index: int, node: Branch | BoxLeaf) -> BoxProof:
    """Return the proof with another node."""
    nodes: Nodes = list(proof.nodes)
    nodes[index] = node
    return msgspec.structs.replace(proof, nodes=tuple(nodes))


def leaves_of(proof: BoxProof, method: str) -> list[int]:
    """Numbers of the leaves of one method."""
    return [i for i, node in enumerate(proof.nodes) if isinstance(node, BoxLeaf) and node.method == method]


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_survives_a_file(kind: Kind) -> None:
    """Written and read again, a proof is the same and shows the same."""
    program, proof = proven(kind)
    again = msgspec.json.decode(msgspec.json.encode(proof), type=BoxProof)
    assert again == proof
    assert check_boxes(program, again) == check_boxes(program, proof)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25)
def test_no_tampered_proof_shows_less_than_the_optimum(kind: Kind, data: st.DataObject) -> None:
    """Whatever single change is made to a proof, it is refused or still shows a true bound."""
    program = data.draw(monotonic_programs(kind, max_variables=5))
    truth = enumerated(program)
    limits = Limits(nodes=data.draw(st.integers(1, 30)))
    proof = maximise_general(program, limits=limits, audit_samples=0).proof
    assert proof is not None
    index = data.draw(st.integers(0, len(proof.nodes) - 1))
    node = proof.nodes[index]
    field = data.draw(st.sampled_from(node.__struct_fields__))
    value = data.draw(
        st.one_of(
            st.integers(-2, 9), st.floats(-9.0, 9.0), st.none(), st.sampled_from(["constraint", "gains", "mixed"])
        )
        if field not in {"rows", "row_prices"}
        else st.sampled_from([(), (0,), (0, 1), (7.5,), (-1.0,)])
    )
    try:
        other = msgspec.convert({**msgspec.to_builtins(node), field: value}, type=type(node))
        shown = check_boxes(program, changed(proof, index, other)).bound
    except (msgspec.ValidationError, CertificateError):
        return
    assert shown >= truth.optimum - 1e-9 * np.abs(truth.values).max(initial=1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lowered_bound_is_refused_and_its_leaf_named(kind: Kind) -> None:
    """A leaf that states less than its corners show is a false claim; the sentence says which leaf and which box."""
    program, proof = proven(kind)
    worst = check_boxes(program, proof).leaf
    assert worst is not None
    leaf = proof.nodes[worst]
    assert isinstance(leaf, BoxLeaf)
    assert leaf.bound is not None
    lowered = msgspec.structs.replace(leaf, bound=leaf.bound - 0.01)
    with pytest.raises(CertificateError, match=rf"leaf {worst} \(.*variable .*\): states a bound of .*re-evaluated"):
        check_boxes(program, changed(proof, worst, lowered))


@pytest.mark.parametrize("bound", [math.inf, math.nan, -math.inf, None])
def test_a_bound_that_is_no_number_is_refused(bound: float | None) -> None:
    """A leaf with a bound states a finite one; without one it must show its box to be empty."""
    program, proof = proven("monotone")
    index = leaves_of(proof, "vertex")[0]
    leaf = msgspec.structs.replace(proof.nodes[index], bound=bound)
    with pytest.raises(CertificateError, match=rf"leaf {index} \("):
        check_boxes(program, changed(proof, index, leaf))


def test_a_dropped_leaf_is_refused() -> None:
    """Without one of its leaves the tree is no tree."""
    program, proof = proven("monotone")
    with pytest.raises(CertificateError, match="expected two children behind it"):
        check_boxes(program, msgspec.structs.replace(proof, nodes=proof.nodes[:-1]))
    with pytest.raises(CertificateError, match="proof: expected between 1 and"):
        check_boxes(program, BoxProof(nodes=()))


def test_a_node_that_hangs_on_no_branch_is_refused() -> None:
    """Every node is part of the tree."""
    program, proof = proven("mixed")
    extra = msgspec.structs.replace(proof, nodes=(*proof.nodes, proof.nodes[-1]))
    with pytest.raises(CertificateError, match=r"1 of .* nodes hang on no branch"):
        check_boxes(program, extra)


def test_a_shared_child_is_refused() -> None:
    """Two branches must not lead to one node, which would make the walk long and the boxes wrong."""
    program, proof = proven("monotone")
    inner = [i for i, node in enumerate(proof.nodes) if isinstance(node, Branch)]
    first, last = proof.nodes[inner[0]], proof.nodes[inner[-1]]
    assert isinstance(first, Branch)
    assert isinstance(last, Branch)
    target = last.above if last.above not in (first.below, first.above) else last.below
    other = [side for side in ("below", "above") if getattr(first, side) not in inner][:1] or ["below"]
    with pytest.raises(CertificateError, match=r"found two|hang on no branch"):
        check_boxes(program, changed(proof, inner[0], msgspec.structs.replace(first, **{other[0]: target})))


@pytest.mark.parametrize("change", [{"variable": -1}, {"variable": 99}, {"value": 99}, {"value": -99}, {"below": 0}])
def test_a_branch_that_does_not_split_is_refused(change: dict[str, int]) -> None:
    """A branch names a variable of the program, splits its levels, and has its children behind it."""
    program, proof = proven("monotone")
    root = proof.nodes[0]
    assert isinstance(root, Branch)
    with pytest.raises(CertificateError, match="branch 0: expected"):
        check_boxes(program, changed(proof, 0, msgspec.structs.replace(root, **change)))
    for value in (int(program.upper[root.variable]), int(program.lower[root.variable]) - 1):
        with pytest.raises(CertificateError, match="branch 0: expected a value that splits"):
            check_boxes(program, changed(proof, 0, msgspec.structs.replace(root, value=value)))


def test_a_changed_branch_is_refused_at_a_leaf_below_it() -> None:
    """With another variable at the root, some leaf no longer shows what it states."""
    refused = 0
    for seed in range(0, 400, 40):
        program, proof = proven("monotone", seed, linear_only=True)
        root = proof.nodes[0]
        assert isinstance(root, Branch)
        for variable in range(program.variables):
            low, high = int(program.lower[variable]), int(program.upper[variable])
            if variable == root.variable or low == high:
                continue
            other = msgspec.structs.replace(root, variable=variable, value=low)
            try:
                shown = check_boxes(program, changed(proof, 0, other)).bound
            except CertificateError as error:
                assert str(error).startswith(("leaf", "branch"))
                refused += 1
            else:
                assert shown >= enumerated(program).optimum - 1e-9
    assert refused > 10


def priced() -> tuple[MonotonicProgram, BoxProof, int]:
    """Return a program, a proof, and a leaf of it with a price that matters."""
    for seed in range(2000):
        program, proof = proven("submodular", seed, linear_only=True)
        for index in leaves_of(proof, "gains"):
            leaf = proof.nodes[index]
            assert isinstance(leaf, BoxLeaf)
            free = msgspec.structs.replace(leaf, rows=(), row_prices=())
            try:
                check_boxes(program, changed(proof, index, free))
            except CertificateError:
                return program, proof, index
    raise AssertionError("no such leaf")


def test_a_changed_price_is_refused() -> None:
    """The bound of a leaf follows from its prices: others do not show it."""
    program, proof, index = priced()
    leaf = proof.nodes[index]
    assert isinstance(leaf, BoxLeaf)
    for prices in ([2.0 * price for price in leaf.row_prices], [0.0 for _ in leaf.row_prices]):
        other = msgspec.structs.replace(leaf, row_prices=tuple(prices))
        with pytest.raises(CertificateError, match=rf"leaf {index} \(.*states a bound"):
            check_boxes(program, changed(proof, index, other))


@pytest.mark.parametrize(
    ("rows", "prices", "sentence"),
    [
        ((0,), (-1.0,), "finite prices of at least 0"),
        ((0,), (math.nan,), "finite prices of at least 0"),
        ((0,), (), "one price for each"),
        ((0, 0), (1.0, 1.0), "each row once"),
        ((99,), (1.0,), "expected rows from 0"),
        ((-1,), (1.0,), "expected rows from 0"),
    ],
)
def test_prices_that_are_none_are_refused(rows: tuple[int, ...], prices: tuple[float, ...], sentence: str) -> None:
    """A negative price, or one of a row that is not there, shows nothing."""
    program, proof, index = priced()
    other = msgspec.structs.replace(proof.nodes[index], rows=rows, row_prices=prices)
    with pytest.raises(CertificateError, match=sentence):
        check_boxes(program, changed(proof, index, other))


@pytest.mark.parametrize("kind", KINDS)
def test_a_box_that_is_not_empty_is_not_called_empty(kind: Kind) -> None:
    """No constraint rules out the box of a leaf that holds the optimum."""
    program, proof = proven(kind)
    worst = check_boxes(program, proof).leaf
    assert worst is not None
    count = len(program.rows.limits) + sum(not isinstance(part, LinearRows) for part in program.constraints)
    for constraint in (*range(count), None, -1, 999):
        false = BoxLeaf(method="constraint", constraint=constraint)
        with pytest.raises(CertificateError, match=rf"leaf {worst} \("):
            check_boxes(program, changed(proof, worst, false))
    for row in (0, -1, None, 999):
        with pytest.raises(CertificateError, match=rf"leaf {worst} \("):
            check_boxes(program, changed(proof, worst, BoxLeaf(method="unserved", constraint=row)))


def test_a_method_of_another_class_is_refused() -> None:
    """Gains do not bound a function that is only monotone; a corner does not bound one that is not."""
    for kind, method in (("monotone", "gains"), ("mixed", "vertex"), ("difference", "vertex"), ("mixed", "gains")):
        program, proof = proven(kind)
        index = next(i for i, node in enumerate(proof.nodes) if isinstance(node, BoxLeaf) and node.bound is not None)
        false = msgspec.structs.replace(proof.nodes[index], method=method)
        with pytest.raises(CertificateError, match=f"{method} is no method for"):
            check_boxes(program, changed(proof, index, false))


@pytest.mark.parametrize(
    "cut",
    [
        Cut(columns=(0, 1), limit=1, row=0),
        Cut(columns=(0, 1, 2), limit=1),
        Cut(columns=(0, 1, 2), limit=1, row=0),
        Cut(columns=(0, 2), limit=1, row=5),
        Cut(columns=(0, 0), limit=1, row=0),
        Cut(columns=(0, 9), limit=1, row=0),
        Cut(columns=(1, 3), limit=1, row=0),
        Cut(columns=(1, 2), limit=0, row=0),
        Cut(columns=(1,), limit=1, row=0),
    ],
)
def test_a_cut_that_the_rows_do_not_imply_is_refused(cut: Cut) -> None:
    """Of 4, 6 and 7 in a row of 10 only the last two exclude each other; the fourth variable has three levels."""
    program = MonotonicProgram(
        lower=np.zeros(4, np.int64),
        upper=np.array([1, 1, 1, 2]),
        objective=Monotone(oracle=Quadratic(np.zeros((4, 4)), np.ones(4))),
        constraints=(
            LinearRows(coefficients=np.array([[4.0, 6.0, 7.0, 7.0]]), limits=np.array([10.0]), names=("row",)),
        ),
    )
    leaf = BoxLeaf(method="constraint", constraint=0)
    with pytest.raises(CertificateError, match="cut 0: "):
        check_boxes(program, BoxProof(nodes=(leaf,), cuts=(cut,)))
    good = Cut(columns=(1, 2), limit=1, row=0)
    with pytest.raises(CertificateError, match="leaf 0"):
        check_boxes(program, BoxProof(nodes=(leaf,), cuts=(good, msgspec.structs.replace(good, row=None))))


def test_a_deep_tree_is_walked() -> None:
    """A proof as deep as it has nodes is checked without recursion."""
    oracle = Quadratic(np.ones((1, 1)), np.ones(1))
    deep = MonotonicProgram(lower=np.array([0]), upper=np.array([3000]), objective=Monotone(oracle=oracle))
    best = float(oracle.values(deep.upper[None, :])[0])
    nodes: Nodes = []
    for level in range(3000):
        at = 2 * level
        nodes += [Branch(variable=0, value=level, below=at + 1, above=at + 2), BoxLeaf(method="vertex", bound=best)]
    nodes.append(BoxLeaf(method="vertex", bound=best))
    assert check_boxes(deep, BoxProof(nodes=tuple(nodes))).bound == best
