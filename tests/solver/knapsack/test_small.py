"""The search in whole numbers: against enumeration, its limit, and what it makes of a known choice."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.scan import Stopped, Watch
from coinfer.solver.knapsack.small import TooMany, best_of_few
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Stop
from coinfer.testing.knapsack import enumerate_knapsack, exact_totals, random_knapsack

KINDS = [kind + more for kind in ("whole", "decimal", "equal") for more in ("", "-copies", "-absent")]


def watch(time_s: float | None = None) -> Watch:
    return Watch(began=time.perf_counter(), limits=Limits(time_s=time_s), stop=Stop())


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    price=st.floats(0.0, 1e6),
)
def test_agrees_with_enumeration_at_any_price(seed: int, kind: str, price: float) -> None:
    """The best choice is found whatever the price, and with it known there is none better."""
    program = random_knapsack(seed, kind)
    value, choice = enumerate_knapsack(program)
    found = best_of_few(program, price=price, known=None, watch=watch(), most=10**6)
    assert (found is None) == (choice is None)
    if found is None or choice is None:
        return
    assert float(found.value) == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert (found.value, [found.cost]) == exact_totals(program, found.taken)
    assert found.cost <= Fraction(float(program.budget[0]))
    assert best_of_few(program, price=price, known=found.value, watch=watch(), most=10**6) is None
    less = found.value - Fraction(1, 10**6)
    again = best_of_few(program, price=price, known=less, watch=watch(), most=10**6)
    assert again is not None
    assert again.value == found.value


def test_says_when_there_are_too_many_sums() -> None:
    """A few sums are not enough for many rows: that is said, and nothing is returned."""
    generator = np.random.default_rng(0)
    menus = StoredMenus(value=generator.random((30, 4)), cost=generator.random((1, 30, 4)))
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([15.0]))
    with pytest.raises(TooMany):
        best_of_few(program, price=0.0, known=None, watch=watch(), most=1000)
    with pytest.raises(Stopped):
        best_of_few(program, price=0.0, known=None, watch=watch(0.0), most=1000)
