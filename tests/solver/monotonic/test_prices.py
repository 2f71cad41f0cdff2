"""Prices of a box: sound at every step, the same from every kernel, and exact where the linear program is solved."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from coinfer.errors import BackendMissing
from coinfer.solver.monotonic import kernels
from coinfer.solver.monotonic.exact_prices import ExactPrices
from coinfer.solver.monotonic.facility import search_facility
from coinfer.solver.monotonic.kernels import COMPILED_AFTER, kernel_for
from coinfer.solver.monotonic.prices import Kernel, Priced, price_box, price_rows
from coinfer.solver.monotonic.program import FacilityLocation, LinearRows, MonotonicProgram
from coinfer.solver.monotonic.result import SearchStatus


def drawn(seed: int, *, columns: int = 8, rows: int = 15, limits: int = 2):
    """Return values, coefficients and capacities of a random box; coefficients may be negative."""
    rng = np.random.default_rng(seed)
    values = rng.random((columns, rows)) * (rng.random((columns, rows)) < 0.7)
    coefficients = rng.choice([-1.0, 0.0, 0.5, 1.0, 2.0], (limits, columns), p=[0.1, 0.2, 0.2, 0.3, 0.2])
    capacities = rng.uniform(0.0, 0.6, limits) * np.maximum(coefficients, 0.0).sum(axis=1)
    return values, coefficients, capacities, rng


def best_of(values, coefficients, capacities, base):
    """Return the best value of any choice of columns that keeps the rows, by enumeration."""
    best = -np.inf
    for choice in itertools.product([False, True], repeat=len(values)):
        chosen = np.array(choice)
        if (coefficients @ chosen <= capacities + 1e-12).all():
            best = max(best, float(np.maximum(values[chosen].max(axis=0, initial=0.0), base).sum()))
    return best


def price(kernel: Kernel, seed: int, steps: int) -> tuple[Priced, float]:
    """Return what a kernel finds for a random box, and the true optimum of it."""
    values, coefficients, capacities, rng = drawn(seed)
    base = rng.random(15) * 0.4
    truth = best_of(values, coefficients, capacities, base)
    found = kernel(
        values, np.arange(8), base, coefficients, capacities, rng.random(15), rng.random(2), truth - 0.01, steps, 4
    )
    return found, truth


@pytest.mark.parametrize("choice", ["numpy", "compiled"])
def test_no_step_goes_below_the_optimum(choice: kernels.Choice) -> None:
    """After any number of steps, from any prices, the bound is at least the best value of the box."""
    if choice == "compiled":
        pytest.importorskip("numba", reason="numba is not installed")
    for seed, steps in itertools.product(range(40), (1, 3, 30)):
        found, truth = price(kernel_for(choice, 0), seed, steps)
        assert found.bound >= truth - 1e-9, (seed, steps)
        assert (found.prices >= 0.0).all()
        assert (found.row_prices >= 0.0).all()


def test_the_compiled_steps_are_the_same_steps() -> None:
    """Compiled and plain kernels return the same bound, prices and gains up to the order of additions."""
    pytest.importorskip("numba", reason="numba is not installed")
    compiled = kernel_for("compiled", 0)
    for seed, steps in itertools.product(range(30), (1, 5, 20)):
        plain, fast = price(price_box, seed, steps)[0], price(compiled, seed, steps)[0]
        assert fast.bound == pytest.approx(plain.bound, abs=1e-9), (seed, steps)
        assert fast.gains == pytest.approx(plain.gains)
        assert fast.prices == pytest.approx(plain.prices, abs=1e-6)


def test_one_row_is_priced_like_the_fractional_knapsack() -> None:
    """With one row of positive coefficients, the price closes the gap between the bound and the relaxed choice."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        profits, cost = rng.random(9), rng.uniform(0.1, 1.0, 9)
        capacity = np.array([rng.uniform(0.0, 1.2) * cost.sum()])
        row_prices = np.array([rng.random()])
        reduced, share = price_rows(profits, cost[None], capacity, row_prices)
        bound = float(row_prices @ capacity) + float(np.maximum(reduced, 0.0).sum())
        assert bound == pytest.approx(float(profits @ share)), seed
        assert cost @ share <= capacity[0] + 1e-9
        assert np.count_nonzero((share > 0.0) & (share < 1.0)) <= 1


def test_exact_prices_are_no_worse_than_any_steps() -> None:
    """The linear program's prices bound the box at least as well as 300 steps do, and never below the optimum."""
    for seed in range(30):
        values, coefficients, capacities, _ = drawn(seed, limits=3)
        nothing = np.zeros(8, dtype=bool)
        exact = ExactPrices(values, coefficients, capacities).price(nothing, nothing, np.arange(8), np.zeros(15))
        assert isinstance(exact, Priced)
        truth = best_of(values, coefficients, capacities, np.zeros(15))
        steps = price_box(
            values, np.arange(8), np.zeros(15), coefficients, capacities, np.zeros(15), np.zeros(3), truth, 300, 10
        )
        assert truth - 1e-9 <= exact.bound <= steps.bound + 1e-9, seed


def test_an_empty_box_is_shown_by_a_sum_of_rows() -> None:
    """Rows that no point of the box keeps together, though each alone is kept, are combined into one that is not."""
    coefficients = np.array([[-1.0, -1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    limits = np.array([-1.5, 0.7, 0.7])
    prices = ExactPrices(np.eye(3), coefficients, limits).price(
        np.zeros(3, dtype=bool), np.zeros(3, dtype=bool), np.arange(3), np.zeros(3)
    )
    assert isinstance(prices, np.ndarray)
    kept = np.maximum(prices, 0.0)
    assert np.minimum(kept @ coefficients, 0.0).sum() > kept @ limits


def test_kernels_change_over_by_count_and_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auto starts plain; without numba it stays plain, and asking for the compiled steps is refused in a sentence."""
    assert kernel_for("auto", COMPILED_AFTER - 1) is price_box
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    assert kernel_for("auto", COMPILED_AFTER) is price_box

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(kernels.importlib, "import_module", absent)
    with pytest.raises(BackendMissing, match="coinfer\\[fast\\]"):
        kernel_for("compiled", 0)


def test_every_kernel_proves_the_same_optimum() -> None:
    """Plain, compiled and automatic searches of one instance end with the same value."""
    rng = np.random.default_rng(3)
    logit = 0.3 * rng.normal(size=(16, 1)) + 1.2 * rng.normal(size=(16, 200))
    cost = rng.uniform(0.5, 1.5, 16)
    program = MonotonicProgram(
        lower=np.zeros(16, dtype=np.int64),
        upper=np.ones(16, dtype=np.int64),
        objective=FacilityLocation(values=-np.log1p(np.exp(-logit.T)), weights=np.full(200, 1 / 200)),
        constraints=(LinearRows(coefficients=cost[None] / cost.sum(), limits=np.array([0.3]), names=("energy",)),),
    )
    choices: list[kernels.Choice] = ["numpy", "auto"]
    if kernels.find_spec("numba") is not None:
        choices.append("compiled")
    results = [search_facility(program, kernel=choice) for choice in choices]
    assert {result.status for result in results} == {SearchStatus.OPTIMAL}
    assert max(result.value for result in results) == pytest.approx(min(result.value for result in results))
