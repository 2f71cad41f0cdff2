"""Prices never show less than is possible, and a core that was gone through shows the optimum."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError, InputError
from coinfer.solver.certificate.knapsack import KnapsackProof, price_bound, short_prices, shown_by, shows_infeasible
from coinfer.solver.certificate.knapsack_exact import decimal, whole_block, worths
from coinfer.solver.knapsack.program import Block, FormulaMenus, MultipleChoiceKnapsack, StoredMenus


@st.composite
def programs(draw: st.DrawFn, *, most_resources: int = 2) -> MultipleChoiceKnapsack:
    """Draw a small program: decimals or floats, copies, options that are not there, costs of any sign."""
    rows, options = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    resources = draw(st.integers(1, most_resources))
    digits = draw(st.sampled_from([0, 1, 2, None]))
    factor = np.pi if digits is None else 10.0**-digits

    def numbers(low: int, high: int, *shape: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        drawn = draw(st.lists(st.integers(low, high), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        scaled = np.array(drawn, dtype=np.float64) * factor
        return (scaled if digits is None else np.round(scaled, digits)).reshape(shape)

    value = numbers(-9, 30, rows, options)
    for row in range(rows):
        for option in range(1, options):
            if draw(st.integers(0, 4)) == 0:
                value[row, option] = -np.inf
    copies = np.array(draw(st.lists(st.integers(1, 2), min_size=rows, max_size=rows)))
    menus = StoredMenus(value=value, cost=numbers(-3, 20, resources, rows, options), copies=copies)
    return MultipleChoiceKnapsack(menus=menus, budget=numbers(-5, 60, resources))


def exact(program: MultipleChoiceKnapsack, number: float) -> Fraction:
    """Return what a float of the program stands for: its decimal, or itself where it is none of few places."""
    block = program.menus.block(0, program.menus.rows)
    return decimal(number) if whole_block(block) is not None else Fraction(float(number))


def optimum(program: MultipleChoiceKnapsack) -> Fraction | None:
    """Return the best value by going through every choice of every copy."""
    block = program.menus.block(0, program.menus.rows)
    best: Fraction | None = None
    menus = []
    for row, copies in enumerate(block.copies.tolist()):
        there = [j for j in range(program.menus.options) if block.value[row, j] > -np.inf]
        menus.append(list(combinations_with_replacement(there, copies)))
    for choice in product(*menus):
        picked = [(i, j) for i, options in enumerate(choice) for j in options]
        cost = [sum((exact(program, sheet[i, j]) for i, j in picked), Fraction(0)) for sheet in block.cost]
        if any(used > exact(program, limit) for used, limit in zip(cost, program.budget, strict=True)):
            continue
        value = sum((exact(program, block.value[i, j]) for i, j in picked), Fraction(0))
        best = value if best is None else max(best, value)
    return best


PRICES = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e3)), min_size=2, max_size=2)


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


def tenths(limit: float) -> MultipleChoiceKnapsack:
    menus = StoredMenus(value=np.array([[0.0, 0.1]] * 3), cost=np.array([[[0.0, 0.1]] * 3]))
    return MultipleChoiceKnapsack(menus=menus, budget=np.array([limit]))


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


def test_worths_do_not_overflow_where_an_option_is_absent() -> None:
    """An option that is not there stands for nothing, however large the others are."""
    value = np.array([[-np.inf, -(10.0**15)], [3.0, -np.inf]])
    block = Block(value=value, cost=np.full((1, 2, 2), 10.0**15), copies=np.ones(2, dtype=np.int64))
    whole = whole_block(block)
    assert whole is not None
    assert worths(whole, (Fraction(1000),)).worth[1, 0] == 3 - 10**18
    program = MultipleChoiceKnapsack(menus=StoredMenus(value=value, cost=block.cost), budget=np.array([2.0 * 10.0**15]))
    assert price_bound(program, (0.0,)) == (Fraction(3 - 10**15), True)


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


def test_copies_beyond_64_bits_are_summed() -> None:
    """Two rows of so many copies that their number overflows are still added up."""
    menus = StoredMenus(value=np.ones((2, 1)), cost=np.zeros((1, 2, 1)), copies=np.array([2**62, 2**62]))
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([1.0]))
    assert price_bound(program, (0.0,)) == (Fraction(2**63), True)


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


def test_sums_beyond_the_range_of_floats_are_refused() -> None:
    """No bound can be written there."""
    menus = StoredMenus(value=np.array([[np.pi]]), cost=np.array([[[1e300]]]))
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([1e300]))
    with pytest.raises(CertificateError, match="range"):
        shown_by(program, KnapsackProof(prices=(1e20,)))
