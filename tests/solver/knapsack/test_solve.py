"""One entry for any number of budgets: budgets that cannot bind are left out, one left is solved by its slopes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.solver.certificate.knapsack import price_bound, shows_infeasible
from coinfer.solver.knapsack.binding import binding
from coinfer.solver.knapsack.program import MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.single import solve_single
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.limits import Limits
from coinfer.solver.result import Status
from coinfer.testing.several_budgets import check_choice, optimum, small_program


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_any_number_of_budgets_is_solved_as_enumeration_solves_it(seed: int, resources: int) -> None:
    """The optimum where there is a choice; proofs have a price for every budget."""
    program = small_program(seed, resources=resources)
    most = optimum(program)
    result = solve(program)
    assert (result.status is Status.OPTIMAL) == (most is not None)
    if most is None:
        assert result.taken is None
        return
    assert float(most - check_choice(program, result)) <= 1e-9
    assert result.bound >= most
    assert result.proof is None or price_bound(program, result.proof.prices)[0] >= most


def program_of(budget: list[float]) -> MultipleChoiceKnapsack:
    """Return 50 rows of 6 options with whole costs of 1 to 9."""
    generator = np.random.default_rng(3)
    cost = generator.integers(1, 10, (len(budget), 50, 6)).astype(np.float64)
    menus = StoredMenus(value=generator.integers(1, 100, (50, 6)).astype(np.float64), cost=cost)
    return MultipleChoiceKnapsack(menus=menus, budget=np.array(budget))


def test_one_budget_is_solved_as_single_solves_it() -> None:
    """The same value, bound and prices."""
    program = program_of([140.0])
    one, same = solve(program), solve_single(program)
    assert (one.value, one.bound, one.proof) == (same.value, same.bound, same.proof)


@pytest.mark.parametrize("loose", [np.inf, 450.0, 1e9])
def test_budgets_that_cannot_bind_are_left_out_and_have_no_price(loose: float) -> None:
    """The value is that of the other budget alone; the cost of the one left out is told all the same."""
    program = program_of([loose, 140.0])
    cost = program.menus.block(0, 50).cost
    alone = MultipleChoiceKnapsack(
        menus=StoredMenus(value=program.menus.block(0, 50).value, cost=cost[1:]), budget=program.budget[1:]
    )
    result = solve(program)
    assert result.status is Status.OPTIMAL
    assert result.value == solve_single(alone).value
    assert result.proof is not None
    assert result.proof.prices[0] == 0.0
    check_choice(program, result)


def test_a_budget_that_binds_by_one_unit_is_kept() -> None:
    """The dearest choice exceeds the budget by 1: it is not left out."""
    program = program_of([1.0, 140.0])
    dearest = program.menus.block(0, 50).cost[0].max(axis=1).sum()
    for budget, kept in ((dearest, [1]), (dearest - 1.0, [0, 1])):
        own = MultipleChoiceKnapsack(menus=program.menus, budget=np.array([budget, 140.0]))
        assert binding(own).tolist() == kept


def test_without_any_limit_every_row_takes_its_best() -> None:
    """The best options, no price, nothing left to gain."""
    program = program_of([np.inf, 1e9])
    result = solve(program)
    assert result.value == program.menus.block(0, 50).value.max(axis=1).sum()
    assert result.gap == 0.0
    assert result.proof is None or result.proof.prices == (0.0, 0.0)
    check_choice(program, result)


def test_no_choice_is_proven_with_a_price_for_every_budget() -> None:
    """The proof fits the whole program, budgets left out included."""
    program = program_of([np.inf, 40.0, 1e9])
    result = solve(program)
    assert result.status is Status.INFEASIBLE
    assert result.proof is not None
    assert len(result.proof.prices) == 3
    assert shows_infeasible(program, result.proof.prices)


def test_the_cap_on_states_reaches_the_exact_search() -> None:
    """Without states, one budget ends with a sound bound and a choice."""
    program = program_of([140.0])
    capped, full = solve(program, most_states=0), solve(program)
    assert capped.value <= full.value <= capped.bound


def test_limits_reach_the_solve() -> None:
    """No time is a status."""
    assert solve(program_of([120.0, 140.0]), limits=Limits(time_s=0.0)).limit == "time"
