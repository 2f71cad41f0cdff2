"""Few rows of many copies: every choice that prices leave open is gone through, at any scale, and false claims fall."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError
from coinfer.solver.certificate.knapsack import KnapsackProof, shown_by, shows_infeasible
from coinfer.solver.certificate.knapsack_exact import float_sum
from coinfer.solver.certificate.knapsack_lattice import best_left
from coinfer.solver.certificate.knapsack_open import OpenRow
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.result import Status


def strata(seed: int, *, resources: int = 2, copies: int = 400, value: float = 1.0) -> MultipleChoiceKnapsack:
    """Return three rows of many copies with samples of two models; ``value`` is the unit of what they gain."""
    random = np.random.default_rng(seed)
    chance = random.beta(0.8, 1.2, (3, 1))
    small, large = np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.0, 2.0, 4.0])
    gains = np.concatenate([1.0 - (1.0 - chance) ** small, 1.0 - (1.0 - chance) ** (2.3 * large)], axis=1)
    cost = np.concatenate([small, 4.0 * large]) * random.uniform(0.5, 1.5, (resources, 3, 7))
    number = random.integers(copies // 2, copies, 3)
    least, most = cost.min(axis=2) @ number, cost.max(axis=2) @ number
    budget = least + (most - least) * random.uniform(0.1, 0.4, resources)
    return MultipleChoiceKnapsack(menus=StoredMenus(value=gains * value, cost=cost, copies=number), budget=budget)


@pytest.mark.parametrize("resources", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_few_rows_of_many_copies_are_proven(seed: int, resources: int) -> None:
    """The solve ends at the optimum, the checker shows it, and a claim a millionth lower is refused."""
    program = strata(seed, resources=resources)
    result = solve(program)
    assert result.status is Status.OPTIMAL
    assert result.gap <= 1e-9 * result.value
    assert result.proof is not None
    shown = shown_by(program, result.proof)
    assert shown.bound is not None
    assert abs(shown.bound - result.value) <= 1e-12 * result.value
    lower = KnapsackProof(prices=result.proof.prices, core_bound=result.value * (1.0 - 1e-6))
    with pytest.raises(CertificateError, match="core_bound"):
        shown_by(program, lower)


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1.0, 1e6])
def test_what_is_shown_does_not_depend_on_the_unit_of_the_values(unit: float) -> None:
    """The optimum is shown, and a claim a billionth lower refused, whatever the values are counted in."""
    program = strata(1, value=unit)
    result = solve(program)
    assert result.proof is not None
    shown = shown_by(program, result.proof)
    assert shown.bound is not None
    assert abs(shown.bound / result.value - 1.0) <= 1e-12
    with pytest.raises(CertificateError, match="core_bound"):
        shown_by(program, KnapsackProof(prices=result.proof.prices, core_bound=result.value * (1.0 - 1e-9)))


def test_a_total_of_zero_is_shown_as_zero() -> None:
    """No slack in units of one is added: where the best is 0, the bound shown is 0."""
    value = np.array([[0.0, 1e-7, 3e-7]])
    cost = np.array([[[0.0, 2.0, 3.0]], [[0.0, 3.0, 2.0]]])
    menus = StoredMenus(value=value, cost=cost, copies=np.array([5]))
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([1.9, 1.9]))
    result = solve(program)
    assert (result.status, result.value, result.bound) == (Status.OPTIMAL, 0.0, 0.0)
    assert result.proof is not None
    assert shown_by(program, result.proof).bound == 0.0


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_best_left_is_that_of_all_counts(data: st.DataObject) -> None:
    """With any losses, gains, prices and budgets, what is found is what going through all counts finds."""
    whole = st.integers(-6, 6)
    resources = data.draw(st.integers(1, 3))
    prices = tuple(Fraction(data.draw(st.integers(0, 4)), 3) for _ in range(resources))
    left = [Fraction(data.draw(st.integers(-4, 12))) for _ in range(resources)]
    rows, menus = [], []
    for _ in range(data.draw(st.integers(1, 2))):
        copies, options = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 2))
        cost = [[Fraction(0)] * resources]
        cost += [[Fraction(data.draw(whole)) for _ in range(resources)] for _ in range(options)]
        loss = [Fraction(0), *(Fraction(data.draw(st.integers(0, 6)), 2) for _ in range(options))]
        gain = [
            sum((p * c for p, c in zip(prices, own, strict=True)), -lost) for own, lost in zip(cost, loss, strict=True)
        ]
        rows.append(OpenRow(copies=copies, loss=loss, gain=gain, cost=cost))
        counts = itertools.product(range(copies + 1), repeat=options)
        menus.append([(gain[1:], cost[1:], own) for own in counts if sum(own) <= copies])
    above = Fraction(data.draw(st.integers(-8, 8)))
    allowed = sum((p * room for p, room in zip(prices, left, strict=True)), Fraction(0)) - above
    best: Fraction | None = None
    for picks in itertools.product(*menus):
        total = sum((n * g for gains, _, own in picks for n, g in zip(own, gains, strict=True)), Fraction(0))
        spent = [
            sum((n * c[r] for _, costs, own in picks for n, c in zip(own, costs, strict=True)), Fraction(0))
            for r in range(resources)
        ]
        if total > above and all(taken <= room for taken, room in zip(spent, left, strict=True)):
            best = total if best is None else max(best, total)
    if allowed <= 0:
        assert best is None
        return
    done, found = best_left(rows, list(left), prices, allowed, above)
    assert done
    assert (None if found is None else found.gain) == best


def test_a_limit_of_minus_infinity_rules_every_choice_out() -> None:
    """That is a status, and the checker sees it by a price of that limit; a price of one without any is refused."""
    menus = StoredMenus(value=np.ones((1, 2)), cost=np.ones((2, 1, 2)))
    program = MultipleChoiceKnapsack(menus=menus, budget=np.array([-np.inf, 1.0]))
    result = solve(program)
    assert result.status is Status.INFEASIBLE
    assert result.proof is not None
    assert shows_infeasible(program, result.proof.prices)
    assert not shows_infeasible(program, (0.0, 1.0))
    free = MultipleChoiceKnapsack(menus=menus, budget=np.array([-np.inf, np.inf]))
    with pytest.raises(CertificateError, match="prices"):
        shows_infeasible(free, (1.0, 1.0))


@given(st.lists(st.tuples(st.floats(-1e30, 1e30), st.integers(1, 10**9)), max_size=20))
def test_sums_of_floats_are_exact(terms: list[tuple[float, int]]) -> None:
    """The sum of floats times copies is the one of rational numbers."""
    numbers, copies = np.array([own for own, _ in terms]), np.array([count for _, count in terms], dtype=np.int64)
    assert float_sum(numbers, copies) == sum((Fraction(own) * count for own, count in terms), Fraction(0))
