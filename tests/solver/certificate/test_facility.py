"""Leaves of a facility location: what a hostile proof says is refused in a sentence, or true all the same."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest

from coinfer.errors import CertificateError
from coinfer.solver.certificate.boxes import BoxLeaf, BoxProof
from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.certificate.facility import coverage
from coinfer.solver.certificate.tree import Branch
from coinfer.solver.monotonic.facility import search_facility
from coinfer.solver.monotonic.program import FacilityLocation, LinearRows, MonotonicProgram

NUMBERS = (-1.0, 0.0, 0.5, 1e300, math.nan, math.inf)
CHANGES = {
    "method": ("constraint", "unserved", "vertex", "gains", "prices", "mixed", "shares"),
    "bound": (None, -1e308, 0.0, 1e308, math.nan, math.inf),
    "constraint": (None, -1, 0, 1, 5, 10**9),
    "table": (None, -1, 0, 1, 10**9),
    "rows": ((), (0,), (0, 0), (-1,), (99,)),
    "row_prices": ((), (1.0,), (-1.0,), (math.nan,), (1e308,), (math.inf,)),
}


def instance(seed: int) -> MonotonicProgram:
    """Return a small program with two rows and some holes."""
    rng = np.random.default_rng(seed)
    values = rng.choice([0.0, 0.25, 0.5, 1.0], (8, 6))
    values[rng.random((8, 6)) < 0.1] = -math.inf
    cost = rng.uniform(0.5, 2.0, (2, 6))
    return MonotonicProgram(
        lower=np.zeros(6, dtype=np.int64),
        upper=np.ones(6, dtype=np.int64),
        objective=FacilityLocation(values=values, weights=rng.uniform(0.5, 1.5, 8)),
        constraints=(LinearRows(coefficients=cost, limits=0.5 * cost.sum(axis=1), names=("energy", "memory")),),
    )


def mutated(proof: BoxProof, rng: random.Random) -> BoxProof:
    """Return the proof with something in it changed."""
    nodes, prices = list(proof.nodes), [list(row) for row in proof.prices]
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(nodes))
        node = nodes[i]
        if isinstance(node, Branch):
            field = rng.choice(["variable", "value", "below", "above"])
            number = rng.choice([-1, 0, 1, 2, 5, len(nodes), 10**18, node.below, node.above])
            nodes[i] = msgspec.structs.replace(node, **{field: number})
        else:
            field = rng.choice(sorted(CHANGES))
            nodes[i] = msgspec.structs.replace(node, **{field: rng.choice(CHANGES[field])})
    if prices and rng.random() < 0.4:
        row = rng.choice(prices)
        row[rng.randrange(len(row))] = rng.choice(NUMBERS)
    if len(nodes) > 1 and rng.random() < 0.1:
        nodes.pop(rng.randrange(len(nodes)))
    return BoxProof(nodes=tuple(nodes), prices=tuple(map(tuple, prices)))


def test_a_mutated_proof_is_refused_or_still_true() -> None:
    """Whatever is changed, the checker says so in a sentence, or returns a bound that is at least the optimum."""
    rng, refused, held = random.Random(0), 0, 0
    for seed in range(40):
        program = instance(seed)
        found = search_facility(program)
        assert found.proof is not None
        for _ in range(40):
            try:
                shown = check_boxes(program, mutated(found.proof, rng)).bound
            except CertificateError as error:
                refused += 1
                assert str(error)
            else:
                held += 1
                assert shown >= found.value - 1e-9, seed
    assert refused > 400
    assert held > 100


def leaf_of(proof: BoxProof, method: str) -> int:
    """Return the number of a leaf with a method."""
    return next(i for i, node in enumerate(proof.nodes) if isinstance(node, BoxLeaf) and node.method == method)


@pytest.mark.parametrize("change", ["lowered bound", "changed price", "flipped value", "dropped leaf"])
def test_what_a_leaf_no_longer_shows_names_the_leaf(change: str) -> None:
    """A bound below what its prices show, other prices, another value and a lost leaf are refused by its number."""
    program = next(p for p in map(instance, range(50)) if _priced(p))
    found = search_facility(program)
    assert found.proof is not None
    nodes, prices, at = (
        list(found.proof.nodes),
        [list(row) for row in found.proof.prices],
        leaf_of(found.proof, "prices"),
    )
    leaf = nodes[at]
    assert isinstance(leaf, BoxLeaf)
    assert leaf.bound is not None
    assert leaf.table is not None
    if change == "lowered bound":
        nodes[at] = msgspec.structs.replace(leaf, bound=leaf.bound - 1e-3)
    elif change == "changed price":
        prices[leaf.table][0] += 5.0
    elif change == "dropped leaf":
        nodes[at] = nodes[0]
    else:
        values = program.objective.values.copy()
        values[:, :] = np.where(np.isfinite(values), 3.0, values)
        objective = FacilityLocation(values=values, weights=program.objective.weights)
        program = _with(program, objective)
    words = rf"(branch|leaf|node) {at}\b" if change == "dropped leaf" else r"leaf \d+ "
    with pytest.raises(CertificateError, match=words):
        check_boxes(program, BoxProof(nodes=tuple(nodes), prices=tuple(map(tuple, prices))))


def _priced(program: MonotonicProgram) -> bool:
    proof = search_facility(program).proof
    return proof is not None and any(isinstance(n, BoxLeaf) and n.method == "prices" for n in proof.nodes)


def _with(program: MonotonicProgram, objective: FacilityLocation) -> MonotonicProgram:
    return MonotonicProgram(
        lower=program.lower, upper=program.upper, objective=objective, constraints=program.constraints
    )


def test_coverage_says_each_pattern_once_and_nothing_that_follows() -> None:
    """Rows that anyone may serve give one row; a smaller pattern makes a larger one superfluous."""
    everyone = FacilityLocation(values=np.zeros((5, 3)), weights=np.ones(5))
    assert coverage(everyone).coefficients.tolist() == [[-1.0, -1.0, -1.0]]
    holes = np.zeros((3, 3))
    holes[1, 0] = holes[2, 1] = holes[2, 2] = -math.inf
    rows = coverage(FacilityLocation(values=holes, weights=np.ones(3))).coefficients
    assert sorted(rows.tolist()) == [[-1.0, 0.0, 0.0], [0.0, -1.0, -1.0]]
