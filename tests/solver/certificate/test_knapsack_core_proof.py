"""A core that was gone through shows the optimum, and nothing less."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError
from coinfer.solver.certificate.knapsack import KnapsackProof, price_bound, short_prices, shown_by
from coinfer.solver.certificate.knapsack_exact import decimal
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.testing.knapsack_proofs import PRICES, optimum, programs, tenths


@given(program=programs(), prices=PRICES, more=st.integers(0, 3))
@settings(max_examples=300)
def test_a_core_shows_the_optimum_and_nothing_less(
    program: MultipleChoiceKnapsack, prices: list[float], more: int
) -> None:
    """A claim at or above the optimum is shown by any prices; one below it is refused."""
    given_prices = short_prices(tuple(price / 100.0 for price in prices[: program.menus.resources]))
    best = optimum(program)
    bound, is_exact = price_bound(program, given_prices)
    if best is None or not is_exact:
        return
    claim = float(best) + more * 0.5
    if decimal(claim) >= bound:
        return
    shown = shown_by(program, KnapsackProof(prices=given_prices, core_bound=claim))
    assert shown.bound is not None
    assert best <= decimal(shown.bound) <= decimal(claim)
    with pytest.raises(CertificateError, match="core_bound"):
        shown_by(program, KnapsackProof(prices=given_prices, core_bound=float(best) - 0.005))


@given(program=programs(), prices=PRICES)
@settings(max_examples=150)
def test_a_core_of_floats_is_shown_within_its_tolerance(program: MultipleChoiceKnapsack, prices: list[float]) -> None:
    """With numbers that are no decimals the bound shown is never below the optimum, and hardly above the claim."""
    given_prices = short_prices(tuple(price / 100.0 for price in prices[: program.menus.resources]))
    best = optimum(program)
    bound, is_exact = price_bound(program, given_prices)
    if best is None or is_exact or Fraction(float(best)) >= bound:
        return
    shown = shown_by(program, KnapsackProof(prices=given_prices, core_bound=float(best)))
    assert shown.bound is not None
    assert Fraction(shown.bound) >= best
    if shown.core:  # else a choice is so near to a limit that floats cannot tell
        assert shown.bound <= float(best) + 1e-9 * max(1.0, abs(float(bound)))


@pytest.mark.parametrize("seed", range(30))
def test_large_sums_on_a_tight_budget_are_not_trusted_too_far(seed: int) -> None:
    """Where costs are a billion times what is left of the budget, a core in floats shows no less than is possible."""
    random = np.random.default_rng(seed)
    rows, options = 4, 3
    cost = random.random((1, rows, options)) * 10.0 ** random.integers(6, 10)
    value = random.random((rows, options))
    picks = random.integers(0, options, size=rows)
    limit = math.fsum(cost[0, np.arange(rows), picks].tolist())
    menus = StoredMenus(value=value, cost=cost)
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([limit * (1.0 + 1e-15)]))
    best = optimum(program)
    assert best is not None
    for price in (0.0, 1e-9, 1e-7):
        for claim in (float(best), float(best) - 0.01, float(best) - 0.1):
            try:
                shown = shown_by(program, KnapsackProof(prices=(price,), core_bound=claim))
            except CertificateError:
                assert Fraction(claim) < best
                continue
            assert shown.bound is not None
            assert Fraction(shown.bound) >= best


def test_a_core_that_is_too_large_shows_only_the_prices() -> None:
    """Beyond the cap on sums the claim is not shown, and the bound is that of the prices."""
    random = np.random.default_rng(0)
    cost = random.integers(1, 10**6, size=(1, 60, 4)).astype(np.float64)
    menus = StoredMenus(value=cost[0] + 10.0, cost=cost)
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([float(cost[0].mean() * 60)]))
    bound, _ = price_bound(program, (1.0,))
    shown = shown_by(program, KnapsackProof(prices=(1.0,), core_bound=float(bound) - 1.0), most_states=1000)
    assert not shown.core
    assert shown.bound == np.floor(float(bound))


@pytest.mark.parametrize("claim", [np.nan, np.inf, -np.inf])
def test_a_core_bound_must_be_a_number(claim: float) -> None:
    """NaN and infinities are refused with a sentence."""
    with pytest.raises(CertificateError, match="core_bound"):
        shown_by(tenths(0.3), KnapsackProof(prices=(1.0,), core_bound=claim))


def test_a_core_without_any_limit() -> None:
    """Where nothing is limited the best options are the optimum, and a claim below it is refused."""
    menus = StoredMenus(value=np.array([[0.5, 0.25], [1.0, 0.9]]), cost=np.zeros((1, 2, 2)))
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([np.inf]))
    assert shown_by(program, KnapsackProof(prices=(0.0,), core_bound=1.5)).bound == 1.5
    with pytest.raises(CertificateError, match="core_bound"):
        shown_by(program, KnapsackProof(prices=(0.0,), core_bound=1.25))


@pytest.mark.parametrize("seed", range(20))
def test_a_limit_met_exactly_is_told_apart_where_costs_are_decimals(seed: int) -> None:
    """Values that are no decimals do not blur the limits: choices a thousandth above are out, those on it are in."""
    random = np.random.default_rng(seed)
    rows, options = 5, 3
    cost = np.round(random.integers(0, 12, size=(1, rows, options)) / 1000.0, 3)
    value = cost[0] * np.pi + random.random((rows, options)) * 1e-3
    menus = StoredMenus(value=value, cost=cost, copies=random.integers(1, 3, size=rows))
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([0.03]))
    best = optimum_of(program)
    if best is None:
        return
    bound, is_exact = price_bound(program, (3.1,))
    assert not is_exact
    if Fraction(best) >= bound:
        return
    shown = shown_by(program, KnapsackProof(prices=(3.1,), core_bound=best))
    assert shown.core
    assert shown.bound == pytest.approx(best, abs=1e-9)
    with pytest.raises(CertificateError, match="core_bound"):
        shown_by(program, KnapsackProof(prices=(3.1,), core_bound=best - 1e-4))


def optimum_of(program: MultipleChoiceKnapsack) -> float | None:
    """Return the best value with costs as decimals and values as floats, by going through all."""
    block = program.menus.block(0, program.menus.rows)
    sums: dict[int, float] = {0: 0.0}
    for i, copies in enumerate(block.copies.tolist()):
        for _ in range(copies):
            fresh: dict[int, float] = {}
            for cost, value in sums.items():
                for j in range(program.menus.options):
                    key = cost + round(float(block.cost[0, i, j]) * 1000)
                    fresh[key] = max(fresh.get(key, -np.inf), value + float(block.value[i, j]))
            sums = fresh
    kept = [value for cost, value in sums.items() if cost <= round(float(program.budget[0]) * 1000)]
    return max(kept) if kept else None
