"""Allocation by sum and maximum, against enumeration."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver.allocation import allocate


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 7), st.sampled_from([0.0, 0.5, 3.0, 40.0]))
def test_it_is_the_best_of_all_allocations(seed: int, parts: int, units: int, factor: float) -> None:
    """No allocation of any table, gaps and negative costs included, costs less than the one returned."""
    rng = np.random.default_rng(seed)
    sums, peaks = rng.normal(size=(parts, units + 1)), rng.normal(size=(parts, units + 1)).round(1)
    sums[rng.random(sums.shape) < 0.2] = np.inf
    values = [
        sum(sums[i, w] for i, w in enumerate(amounts)) + factor * max(peaks[i, w] for i, w in enumerate(amounts))
        for amounts in product(range(units + 1), repeat=parts)
        if sum(amounts) == units
    ]
    least = min(values, default=math.inf)
    found = allocate(sums, peaks, units, factor=factor)
    if math.isinf(least):
        assert found is None
        return
    assert found is not None
    assert sum(found.amounts) == units
    assert math.isclose(found.value, least, rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(found.value, found.total + factor * found.peak, rel_tol=1e-12, abs_tol=1e-12)


def test_tables_that_do_not_fit_are_refused() -> None:
    """Tables of two sizes, or with NaN, are named."""
    with pytest.raises(InputError, match="tables of at least 4 amounts"):
        allocate(np.zeros((2, 3)), np.zeros((2, 3)), 3, factor=1.0)
    with pytest.raises(InputError, match="without NaN"):
        allocate(np.full((2, 4), np.nan), np.zeros((2, 4)), 3, factor=1.0)
