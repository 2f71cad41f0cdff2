"""Prices never show less than is possible, and a core that was gone through shows the optimum."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError, InputError
from coinfer.solver.certificate.knapsack import KnapsackProof, price_bound, short_prices, shown_by, shows_infeasible
from coinfer.solver.certificate.knapsack_exact import decimal, whole_block, worths
from coinfer.solver.knapsack.program import Block, FormulaMenus, MultipleChoiceKnapsack, StoredMenus
from coinfer.testing.knapsack_proofs import PRICES, exact, optimum, programs, tenths


@given(program=programs(), prices=PRICES, short=st.booleans())
@settings(max_examples=200)
def test_any_prices_show_a_bound(program: MultipleChoiceKnapsack, prices: list[float], short: bool) -> None:
    """Whatever the prices, no choice within the budgets gains more than the bound that they show."""
    given_prices = tuple(prices[: program.menus.resources])
    if short:
        given_prices = short_prices(given_prices)
    best = optimum(program)
    bound, is_exact = price_bound(program, given_prices)
    shown = shown_by(program, KnapsackProof(prices=given_prices))
    assert shown.bound is not None
    assert shown.exact == is_exact
    assert decimal(shown.bound) <= bound if is_exact else Fraction(shown.bound) >= bound
    if best is not None:
        assert bound >= best
        assert (decimal(shown.bound) if is_exact else Fraction(shown.bound)) >= best
        assert not shows_infeasible(program, given_prices)


@given(program=programs(), prices=PRICES)
@settings(max_examples=100)
def test_sums_of_decimals_are_exact(program: MultipleChoiceKnapsack, prices: list[float]) -> None:
    """Where the menus are decimals the bound is the formula in rational arithmetic, digit for digit."""
    given_prices = short_prices(tuple(prices[: program.menus.resources]), 4)
    bound, is_exact = price_bound(program, given_prices)
    block = program.menus.block(0, program.menus.rows)
    total = sum((decimal(p) * decimal(b) for p, b in zip(given_prices, program.budget, strict=True)), Fraction(0))
    for row, copies in enumerate(block.copies.tolist()):
        worth = [
            exact(program, block.value[row, j])
            - sum(
                (decimal(p) * exact(program, s[row, j]) for p, s in zip(given_prices, block.cost, strict=True)),
                Fraction(0),
            )
            for j in range(program.menus.options)
            if block.value[row, j] > -np.inf
        ]
        total += copies * max(worth)
    assert bound == total if is_exact else bound >= total


@given(program=programs(), prices=PRICES)
@settings(max_examples=150)
def test_infeasibility_is_shown_only_where_it_is_true(program: MultipleChoiceKnapsack, prices: list[float]) -> None:
    """No prices show that a program with a feasible choice has none; with one budget the price 1 shows it if so."""
    best = optimum(program)
    given_prices = tuple(prices[: program.menus.resources])
    if best is not None:
        assert not shown_by(program, KnapsackProof(prices=given_prices, shows="infeasible")).infeasible
    elif program.menus.resources == 1:
        assert shown_by(program, KnapsackProof(prices=(1.0,), shows="infeasible")).infeasible


def test_a_tenth_is_a_tenth() -> None:
    """Three tenths at the price 1 are worth nothing and the limit of 0.3 is worth 0.3, exactly."""
    assert price_bound(tenths(0.3), (1.0,)) == (Fraction(3, 10), True)
    assert price_bound(tenths(0.35), (1.0,)) == (Fraction(35, 100), True)
    assert shown_by(tenths(0.35), KnapsackProof(prices=(1.0,))).bound == 0.3  # sums of tenths are tenths
    assert shown_by(tenths(0.3), KnapsackProof(prices=(1.0,))).bound == 0.3
    cheap = MultipleChoiceKnapsack(
        menus=StoredMenus(value=np.array([[0.3]]), cost=np.array([[[0.1]]]), copies=np.array([3])),
        budget=np.array([0.3]),
    )
    assert not shows_infeasible(cheap, (7.0,))


def test_numbers_beyond_64_bits_are_still_exact() -> None:
    """Large values, long prices and many copies are summed in Python's integers."""
    menus = StoredMenus(
        value=np.array([[12345678901234.0, 1.5]]), cost=np.array([[[987654321.125, 0.0]]]), copies=np.array([10**12])
    )
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([0.25]))
    price = 0.1234567890123
    wanted = 10**12 * (Fraction(12345678901234) - decimal(price) * Fraction(987654321125, 1000))
    assert price_bound(program, (price,)) == (wanted + decimal(price) / 4, True)


def test_rows_are_asked_for_in_blocks() -> None:
    """Menus that are formulas are never asked for whole."""
    asked: list[int] = []

    def formula(start: int, stop: int) -> Block:
        asked.append(stop - start)
        ramp = np.arange(start, stop, dtype=np.float64)[:, None] % 7
        value = np.hstack([np.zeros_like(ramp), ramp])
        return Block(value=value, cost=value[None] + 1.0, copies=np.ones(len(ramp), dtype=np.int64))

    menus = FormulaMenus(rows=100_000, options=2, resources=1, formula=formula)
    stored = formula(0, 100_000)
    same = StoredMenus(value=stored.value, cost=stored.cost)
    asked.clear()
    budget = np.array([150_000.0])
    found = price_bound(MultipleChoiceKnapsack(menus=menus, budget=budget), (0.5,))
    assert found == price_bound(MultipleChoiceKnapsack(menus=same, budget=budget), (0.5,))
    assert max(asked) <= 2**16
    assert sum(asked) == 100_000


@pytest.mark.parametrize(
    ("prices", "limit"),
    [((), 1.0), ((1.0, 1.0), 1.0), ((-1e-9,), 1.0), ((np.nan,), 1.0), ((np.inf,), 1.0), ((1.0,), np.inf)],
)
def test_prices_that_show_nothing_are_refused(prices: tuple[float, ...], limit: float) -> None:
    """One number for each limit, at least 0 and finite, and 0 where nothing is limited."""
    with pytest.raises(CertificateError, match=r"proof\.prices"):
        shown_by(tenths(limit), KnapsackProof(prices=prices))


def test_a_menu_that_is_none_is_refused() -> None:
    """NaN among the values is named with its row."""
    menus = StoredMenus(value=np.array([[0.0], [np.nan]]), cost=np.zeros((1, 2, 1)))
    with pytest.raises(InputError, match=r"menus\.value\[1\]\[0\]"):
        price_bound(MultipleChoiceKnapsack(menus=menus, budget=np.array([1.0])), (1.0,))


def test_worths_do_not_overflow_where_an_option_is_absent() -> None:
    """An option that is not there stands for nothing, however large the others are."""
    value = np.array([[-np.inf, -(10.0**15)], [3.0, -np.inf]])
    block = Block(value=value, cost=np.full((1, 2, 2), 10.0**15), copies=np.ones(2, dtype=np.int64))
    whole = whole_block(block)
    assert whole is not None
    assert worths(whole, (Fraction(1000),)).worth[1, 0] == 3 - 10**18
    program = MultipleChoiceKnapsack(menus=StoredMenus(value=value, cost=block.cost), budget=np.array([2.0 * 10.0**15]))
    assert price_bound(program, (0.0,)) == (Fraction(3 - 10**15), True)


def test_copies_beyond_64_bits_are_summed() -> None:
    """Two rows of so many copies that their number overflows are still added up."""
    menus = StoredMenus(value=np.ones((2, 1)), cost=np.zeros((1, 2, 1)), copies=np.array([2**62, 2**62]))
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([1.0]))
    assert price_bound(program, (0.0,)) == (Fraction(2**63), True)


def test_sums_beyond_the_range_of_floats_are_refused() -> None:
    """No bound can be written there."""
    menus = StoredMenus(value=np.array([[np.pi]]), cost=np.array([[[1e300]]]))
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([1e300]))
    with pytest.raises(CertificateError, match="range"):
        shown_by(program, KnapsackProof(prices=(1e20,)))
