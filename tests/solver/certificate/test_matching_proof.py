"""Prices of matchings: what they show is true, whatever they are."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import CertificateError
from coinfer.records import Matrix
from coinfer.solver.assignment.matching import solve_matching
from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.certificate.matching import MatchingProof, check_matching
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Stop
from coinfer.testing.assignment import enumerate_assignments


def alone(seed: int, items: int, layers: int, **fields: np.ndarray) -> LayeredAssignment:
    """Make a program of whole numbers with a part for each item."""
    weights = np.random.default_rng(seed).integers(0, 9, (layers - 1, items, items)).astype(float)
    made = {"distance": 1.0 - np.eye(items), "capacity": np.ones(items, dtype=np.int64)} | fields
    return LayeredAssignment(weights=weights, **made)


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.sampled_from([0.0, 1.0, 0.37, 1e3]))
def test_no_prices_show_more_than_the_optimum(seed: int, items: int, size: float):
    """Tampered prices, of any sign and size, never show more than the least cost of all assignments."""
    rng = np.random.default_rng(seed)
    program = alone(seed, items, 3)
    proof = solve_matching(program, limits=Limits(), stop=Stop()).proof
    assert proof is not None
    noise = size * rng.normal(size=(2, 2, items))
    tampered = MatchingProof(first=Matrix(proof.first.array + noise[0]), second=Matrix(proof.second.array + noise[1]))
    best = enumerate_assignments(program).value
    assert check_matching(program, tampered) <= best
    assert check_matching(program, proof) == best


@given(st.integers(0, 2**32 - 1))
def test_costs_and_distances_are_bounded_too(seed: int):
    """Under any distances, placement costs and forbidden places the prices still show something true."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.integers(1, 5, (3, 3)), 1).astype(float)
    program = alone(
        seed,
        3,
        3,
        distance=upper + upper.T,
        cost=rng.integers(0, 9, (3, 3, 3)).astype(float),
        allowed=rng.random((3, 3, 3)) < 0.9,
    )
    prices = rng.integers(0, 5, (2, 2, 3)).astype(float)
    proof = MatchingProof(first=Matrix(prices[0]), second=Matrix(prices[1]))
    assert check_matching(program, proof) <= enumerate_assignments(program).value


@pytest.mark.parametrize(
    ("capacity", "shape", "words"), [(2, (2, 3), "room for one item"), (1, (2, 4), "proof.first"), (1, (1, 3), "shape")]
)
def test_malformed_proofs_are_refused(capacity: int, shape: tuple[int, int], words: str):
    """Parts with room for more, or prices of other items, are refused in one sentence."""
    program = alone(0, 3, 3, capacity=np.full(3, capacity))
    proof = MatchingProof(first=Matrix(np.zeros(shape)), second=Matrix(np.zeros(shape)))
    with pytest.raises(CertificateError, match=words):
        check_matching(program, proof)


def test_checkers_load_no_solver():
    """Importing both checkers loads neither scipy nor the solvers whose proofs they check."""
    code = (
        "import sys; from coinfer.solver.certificate.chain import check_chain;"
        "from coinfer.solver.certificate.matching import check_matching;"
        "assert not {'scipy', 'numba', 'coinfer.solver.assignment.chain', 'coinfer.solver.assignment.matching',"
        "'coinfer.solver.assignment.partitions'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
