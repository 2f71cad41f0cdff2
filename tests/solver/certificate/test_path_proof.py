"""The checker of paths: what is too high is refused whatever the prices, and so is what does not fit the program."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError
from coinfer.solver.certificate.path import PathProof, check_path
from coinfer.solver.path.solve import solve_path
from coinfer.testing.path import enumerate_path, random_path, split_like, tight_path

CLASSES = st.sampled_from((("sum", False), ("sum", True), ("bottleneck", False)))
ORDERS = st.sampled_from(("fixed", "free"))


def priced(seed: int, program, bound: float, count: int) -> PathProof:
    """Make a proof with random prices."""
    generator = np.random.default_rng(seed)
    prices = generator.integers(0, 3, (count, program.resources)).astype(float)
    carrier_prices = generator.integers(0, 3, (count, program.carriers)).astype(float)
    return PathProof(
        bound=None if bound == math.inf else bound,
        prices=tuple(map(tuple, prices.tolist())),
        carrier_prices=tuple(map(tuple, carrier_prices.tolist())),
    )


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), kind=CLASSES, order=ORDERS, count=st.integers(0, 2), raised=st.floats(1e-6, 2.0))
def test_only_what_is_true_is_shown(seed, kind, order, count, raised):
    """The optimum is shown with any prices, and anything above it with none."""
    program = random_path(seed, objective=kind[0], mixed_modes=kind[1], order=order)
    best = enumerate_path(program)
    proof = priced(seed, program, best, count)
    assert check_path(program, proof) <= best
    if best < math.inf:
        for bound in (best * (1.0 + raised) + 1e-6, None):
            with pytest.raises(CertificateError, match="not shown"):
                check_path(program, msgspec.structs.replace(proof, bound=bound))


@pytest.mark.parametrize("order", ["fixed", "free"])
@pytest.mark.parametrize("mixed_modes", [False, True])
@pytest.mark.parametrize("count", [0, 2])
def test_long_lists_are_sound(order, mixed_modes, count):
    """On tight programs, where most is left to the list, the optimum is shown and nothing above it."""
    for seed in range(10):
        program = tight_path(seed, order=order, mixed_modes=mixed_modes)
        best = enumerate_path(program)
        proof = priced(seed, program, best, count)
        assert check_path(program, proof) == pytest.approx(best, rel=1e-9)
        for bound in (best * (1.0 + 1e-6), None) if best < math.inf else ():
            with pytest.raises(CertificateError, match="not shown"):
                check_path(program, msgspec.structs.replace(proof, bound=bound))


def test_the_found_prices_show_it_with_few_beginnings():
    """With the prices of the search the checker lists far fewer beginnings than with those of single resources."""
    program = split_like(3, steps=40, carriers=8)
    proof = solve_path(program).proof
    assert shown(program, proof, 300)
    assert not shown(program, msgspec.structs.replace(proof, prices=()), 300)


def shown(program, proof: PathProof, most: int) -> bool:
    """Return whether the checker is satisfied with so many beginnings."""
    try:
        check_path(program, proof, most_labels=most)
    except CertificateError:
        return False
    return True


@pytest.mark.parametrize(
    "changes",
    [
        {"bound": -1.0},
        {"bound": math.nan},
        {"prices": ((1.0,),)},
        {"prices": ((1.0, -1.0, 0.0, 0.0, 0.0),)},
        {"prices": ((1.0, math.inf, 0.0, 0.0, 0.0),)},
        {"prices": ((1.0, math.nan, 0.0, 0.0, 0.0),)},
        {"carrier_prices": ((0.0,),)},
    ],
)
def test_what_is_no_proof_is_refused(changes):
    """Wrong shapes, negative prices and numbers that are none are refused in a sentence."""
    program = split_like(3, steps=6, carriers=3)
    proof = PathProof(bound=1.0, prices=((1.0, 0.0, 0.0, 0.0, 0.0),))
    with pytest.raises(CertificateError, match="expected"):
        check_path(program, msgspec.structs.replace(proof, **changes))
