"""Knapsacks with several budgets: the optimum, sound bounds at every stop, proofs that there is no choice."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver import mip
from coinfer.solver.certificate.knapsack import price_bound, shows_infeasible
from coinfer.solver.knapsack.multiple import solve_multiple
from coinfer.solver.knapsack.program import Block, FormulaMenus, MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray, IntArray, MixedIntegerProgram
from coinfer.solver.progress import Progress, Stop
from coinfer.solver.result import Status
from coinfer.testing.several_budgets import check_choice, optimum, small_program


def stored(
    value: FloatArray, cost: FloatArray, budget: FloatArray, copies: IntArray | None = None
) -> MultipleChoiceKnapsack:
    """Return the program of arrays."""
    return MultipleChoiceKnapsack(menus=StoredMenus(value=value, cost=cost, copies=copies), budget=budget)


def best_of_n(rows: int, seed: int = 0) -> MultipleChoiceKnapsack:
    """Return prompts with up to 7 samples of two models; tokens, money and seconds are limited."""
    generator = np.random.default_rng(seed)
    chance = generator.beta(0.6, 1.4, (rows, 1))
    strong = 1.0 - (1.0 - chance) ** generator.uniform(1.2, 3.0, (rows, 1))
    tokens = generator.lognormal(5.5, 0.7, (rows, 1))
    few, many = np.arange(8.0), np.arange(1.0, 8.0)
    value = np.concatenate([1.0 - (1.0 - chance) ** few, 1.0 - (1.0 - strong) ** many], axis=1)
    money = np.concatenate([few * tokens, 10.0 * many * tokens], axis=1)
    taken = np.concatenate([few * tokens, many * tokens * generator.uniform(0.7, 1.6, (rows, 1))], axis=1)
    seconds = np.concatenate([few * tokens, many * tokens * generator.lognormal(1.5, 0.5, (rows, 1))], axis=1)
    cost = np.stack([taken, money, seconds])
    return stored(value, cost, cost.max(axis=2).sum(axis=1) * np.array([0.3, 0.15, 0.3]))


def sound(program: MultipleChoiceKnapsack, result: KnapsackResult, most: Fraction | None) -> None:
    """Assert that nothing is said that is not true."""
    if most is None:
        assert result.taken is None
        assert result.status in {Status.INFEASIBLE, Status.UNSOLVED}
        if result.status is Status.INFEASIBLE and result.proof is not None:
            assert shows_infeasible(program, result.proof.prices)
        return
    assert result.status is not Status.INFEASIBLE
    assert result.bound >= most
    if result.taken is not None:
        value = check_choice(program, result)
        assert value <= most
        if result.status is Status.OPTIMAL and result.proof is not None:
            assert float(most - value) <= 1e-12
    if result.proof is not None:
        shown, _ = price_bound(program, result.proof.prices)
        assert shown >= most
        if result.proof.core_bound is None:
            assert float(shown) <= result.bound * (1.0 + 1e-9) + 1e-9 if result.bound > 0 else True


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_small_programs_are_solved_as_enumeration_solves_them(seed: int) -> None:
    """Whatever the signs, copies and absent options: the optimum where there is a choice, and that there is none."""
    program = small_program(seed)
    most = optimum(program)
    result = solve_multiple(program)
    sound(program, result, most)
    assert result.status is (Status.INFEASIBLE if most is None else Status.OPTIMAL)
    assert result.gap <= 1e-12 or most is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3))
def test_bounds_hold_however_early_the_solve_ends(seed: int, passes: int) -> None:
    """After 0, 1, 2, 3 passes the bound is not below the optimum, and a choice is one."""
    program = small_program(seed)
    sound(program, solve_multiple(program, limits=Limits(nodes=passes)), optimum(program))


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_each_pass_over_many_rows_leaves_a_sound_bound(passes: int) -> None:
    """Where prices start from a sample, bounds after few passes are not below what a long solve reaches."""
    program = best_of_n(30_000)
    full = solve_multiple(program, limits=Limits(relative_gap=1e-6))
    assert full.status is Status.OPTIMAL
    early = solve_multiple(program, limits=Limits(nodes=passes, relative_gap=1e-6))
    assert early.bound >= full.value
    assert check_choice(program, early) <= Fraction(full.bound)
    assert early.proof is not None
    assert float(price_bound(program, early.proof.prices)[0]) <= early.bound * (1.0 + 1e-12)
    assert early.relative_gap <= 1e-3


def test_no_pass_leaves_nothing_but_a_status() -> None:
    """Without a pass there is no bound and no choice, and that is what the result says."""
    result = solve_multiple(best_of_n(50), limits=Limits(nodes=0))
    assert (result.status, result.limit, result.bound) == (Status.UNSOLVED, "nodes", np.inf)


def test_a_set_flag_and_no_time_end_the_solve() -> None:
    """Both are statuses."""
    stop = Stop()
    stop.set()
    assert solve_multiple(best_of_n(50), stop=stop).limit == "interrupt"
    assert solve_multiple(best_of_n(50), limits=Limits(time_s=0.0)).limit == "time"


def reference(program: MultipleChoiceKnapsack) -> float:
    """Return the value that HiGHS finds, to its tolerance."""
    menus = program.menus
    block = menus.block(0, menus.rows)
    count = block.value.size
    parts = [sheet.ravel() for sheet in block.cost]
    whole = MixedIntegerProgram(
        cost=-block.value.ravel(),
        offset=0.0,
        lower=np.zeros(count),
        upper=np.repeat(block.copies.astype(np.float64), menus.options),
        integer=np.ones(count, dtype=np.bool_),
        row_start=np.concatenate(
            [np.arange(0, count, menus.options), count + np.cumsum([0, *(np.count_nonzero(part) for part in parts)])]
        ).astype(np.int64),
        column=np.concatenate([np.arange(count), *(np.flatnonzero(part) for part in parts)]),
        coefficient=np.concatenate([np.ones(count), *(part[part != 0.0] for part in parts)]),
        row_lower=np.concatenate([block.copies, np.full(menus.resources, -np.inf)]),
        row_upper=np.concatenate([block.copies, program.budget]),
        variable_blocks=MappingProxyType({"takes": slice(0, count)}),
        row_blocks=MappingProxyType({"all": slice(0, menus.rows + menus.resources)}),
    )
    result = mip.solve(whole, limits=Limits(time_s=30.0))
    assert result.status is Status.OPTIMAL
    return -result.value


@pytest.mark.parametrize("seed", range(3))
def test_mid_size_values_agree_with_branch_and_cut(seed: int) -> None:
    """On 60 rows and two budgets of whole numbers both are proven, and equal; a floor is a budget with other signs."""
    generator = np.random.default_rng(seed)
    value = generator.integers(1, 101, (60, 6)).astype(np.float64)
    cost = generator.integers(1, 101, (2, 60, 6)).astype(np.float64)
    if seed == 2:
        cost[1] = -cost[1]
    ends = cost.min(axis=2).sum(axis=1), cost.max(axis=2).sum(axis=1)
    program = stored(value, cost, np.floor(ends[0] + 0.35 * (ends[1] - ends[0])))
    result = solve_multiple(program)
    assert result.status is Status.OPTIMAL
    check_choice(program, result)
    assert result.value == reference(program)


def test_many_rows_are_solved_to_a_tiny_gap() -> None:
    """30,000 rows and three budgets: within 1e-8 of the bound, and the bound is what the prices show."""
    program = best_of_n(30_000, seed=1)
    result = solve_multiple(program, limits=Limits(relative_gap=1e-8))
    assert result.status is Status.OPTIMAL
    assert result.relative_gap <= 1e-8
    check_choice(program, result)


def test_formulas_give_what_stored_menus_give_and_are_asked_for_blocks() -> None:
    """Menus by formula are solved alike, and never asked for as a whole."""
    program = best_of_n(40_000)
    asked: list[int] = []

    def formula(start: int, stop: int) -> Block:
        asked.append(stop - start)
        return program.menus.block(start, stop)

    menus = FormulaMenus(rows=40_000, options=program.menus.options, resources=3, formula=formula)
    limits = Limits(relative_gap=1e-6)
    again = solve_multiple(MultipleChoiceKnapsack(menus=menus, budget=program.budget), limits=limits)
    assert again.value == solve_multiple(program, limits=limits).value
    assert max(asked) < 40_000


def test_more_of_a_budget_never_hurts() -> None:
    """Proven optima rise with each budget."""
    program = best_of_n(40)
    last = -np.inf
    for factor in (0.6, 0.9, 1.0, 1.3, 2.0):
        budget = program.budget * np.array([1.0, factor, 1.0])
        result = solve_multiple(MultipleChoiceKnapsack(menus=program.menus, budget=budget))
        assert result.value >= last
        last = result.bound if result.status is not Status.OPTIMAL else result.value


def test_copies_are_rows() -> None:
    """A row with copies is worth as much as that many rows."""
    generator = np.random.default_rng(5)
    value, cost = generator.random((4, 3)), generator.random((2, 4, 3))
    copies = np.array([1, 5, 2, 3])
    budget = 0.4 * cost.max(axis=2) @ copies
    short = solve_multiple(stored(value, cost, budget, copies))
    spread = stored(np.repeat(value, copies, axis=0), np.repeat(cost, copies, axis=1), budget)
    assert short.status is Status.OPTIMAL
    assert short.value == pytest.approx(solve_multiple(spread).value, rel=1e-12)


def test_many_copies_are_moved_at_once() -> None:
    """Rows of tens of thousands of copies are planned to a tiny gap."""
    generator = np.random.default_rng(6)
    value = generator.integers(1, 1001, (8, 10)).astype(np.float64)
    cost = generator.integers(1, 1001, (2, 8, 10)).astype(np.float64)
    copies = generator.integers(10_000, 99_999, 8)
    program = stored(value, cost, np.floor(0.3 * cost.max(axis=2) @ copies), copies)
    result = solve_multiple(program)
    check_choice(program, result)
    assert result.relative_gap <= 1e-7


def test_budgets_that_together_cannot_be_kept_are_proven_so() -> None:
    """Each budget alone can be kept; prices show that both cannot."""
    generator = np.random.default_rng(7)
    first = generator.integers(0, 1001, (9000, 5)).astype(np.float64)
    cost = np.stack([first, 1000.0 - first])
    program = stored(generator.random((9000, 5)), cost, np.array([400.0 * 9000, 595.0 * 9000]))
    result = solve_multiple(program)
    assert result.status is Status.INFEASIBLE
    assert result.proof is not None
    assert shows_infeasible(program, result.proof.prices)


def test_what_only_whole_choices_rule_out_is_settled_by_going_through_them() -> None:
    """The linear relaxation keeps these budgets, no choice does: that is said, and no proof by prices is claimed."""
    program = stored(np.zeros((1, 2)), np.array([[[0.0, 2.0]], [[2.0, 0.0]]]), np.array([1.0, 1.0]))
    result = solve_multiple(program)
    assert (result.status, result.limit, result.proof, result.bound) == (Status.INFEASIBLE, None, None, -np.inf)
    wider = solve_multiple(stored(np.zeros((1, 2)), program.menus.block(0, 1).cost, np.array([2.0, 1.0])))
    assert (wider.status, wider.value) == (Status.OPTIMAL, 0.0)


def test_tight_budgets_are_kept() -> None:
    """A choice that leaves a hair is found where each row's cheapest options cost almost all."""
    program = best_of_n(300)
    generator = np.random.default_rng(8)
    cost = generator.integers(1, 1001, (2, 300, 15)).astype(np.float64)
    cost[1] = 1001.0 - cost[0]
    budget = np.array([500.0 * 300, 501.0 * 300 + 30.0])
    result = solve_multiple(
        MultipleChoiceKnapsack(menus=StoredMenus(value=program.menus.block(0, 300).value, cost=cost), budget=budget)
    )
    assert result.taken is not None
    assert (result.cost <= budget).all()


def test_progress_tells_values_below_bounds() -> None:
    """Every report has a value that is at most the bound, and both only get better."""
    seen: list[Progress] = []
    solve_multiple(best_of_n(200), on_progress=seen.append)
    assert seen
    assert all(report.value <= report.bound for report in seen)
    assert all(old.bound >= new.bound and old.value <= new.value for old, new in pairwise(seen))


def test_bad_menus_are_refused_with_their_place() -> None:
    """A cost that is no number is named."""
    program = best_of_n(50)
    block = program.menus.block(0, 50)
    cost = block.cost.copy()
    cost[1, 30, 2] = np.nan
    with pytest.raises(InputError, match=r"menus\.cost\[1\]\[30\]\[2\]"):
        solve_multiple(stored(block.value, cost, program.budget))
