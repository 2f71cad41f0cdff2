"""One budget and numbers that floats are bad at: any finite doubles, budgets at a choice, early stops, bad menus."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coinfer.errors import InputError
from coinfer.solver.knapsack.exact import exact_product_sum
from coinfer.solver.knapsack.hull import walk
from coinfer.solver.knapsack.program import Block, FormulaMenus, MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.knapsack.single import solve_single
from coinfer.solver.knapsack.solve import solve
from coinfer.solver.limits import Limits
from coinfer.solver.result import Status
from coinfer.testing.knapsack import exact_totals, price_bound

Floats = NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)
CLOSED = Fraction(1, 10**9)
STEPS = 4 * Fraction(5e-324)  # subnormal numbers lie further apart than a part in 1e9


def program_of(value: object, cost: object, budget: float, copies: object = None) -> MultipleChoiceKnapsack:
    own = None if copies is None else np.array(copies)
    menus = StoredMenus(value=np.array(value, dtype=float), cost=np.array(cost, dtype=float)[None], copies=own)
    return MultipleChoiceKnapsack(menus=menus, budget=np.array([budget]))


def best_exactly(program: MultipleChoiceKnapsack) -> Fraction | None:
    """Return the best value by all sums of cost, in whole numbers; ``None`` where no choice keeps the budget."""
    block, budget = program.menus.block(0, program.menus.rows), float(program.budget[0])
    if budget == -math.inf:
        return None
    sums = {Fraction(0): Fraction(0)}
    for row, count in enumerate(block.copies.tolist()):
        there = np.flatnonzero(block.value[row] > -np.inf)
        options = [(Fraction(float(block.cost[0, row, j])), Fraction(float(block.value[row, j]))) for j in there]
        for _ in range(count):
            further: dict[Fraction, Fraction] = {}
            for cost, value in sums.items():
                for more, gain in options:
                    old = further.get(cost + more)
                    further[cost + more] = value + gain if old is None else max(old, value + gain)
            sums = further
    within = [value for cost, value in sums.items() if budget == math.inf or cost <= Fraction(budget)]
    return max(within, default=None)


def check(program: MultipleChoiceKnapsack, result: KnapsackResult, best: Fraction | None) -> None:
    """Whatever the result says holds in rational arithmetic, and an optimum is proven to one part in 1e9."""
    if result.taken is not None:
        value, (cost,) = exact_totals(program, result.taken)
        assert float(value) == result.value
        assert program.budget[0] == math.inf or cost <= Fraction(float(program.budget[0]))
        assert best is not None
        assert best >= value
        assert result.bound >= result.value
    if best is not None:
        assert result.status is not Status.INFEASIBLE
        assert result.bound == math.inf or Fraction(result.bound) >= best
    if result.status is Status.OPTIMAL:
        assert best is not None
        assert Fraction(result.bound) - Fraction(result.value) <= CLOSED * abs(Fraction(result.value)) + STEPS


def drawn(seed: int, kind: str) -> MultipleChoiceKnapsack:
    """A small program of one kind of numbers; its budget is at, next to, or away from what some choice takes."""
    generator = np.random.default_rng(seed)
    rows, options = int(generator.integers(1, 5)), int(generator.integers(1, 5))
    shape = (rows, options)
    value: Floats = generator.normal(size=shape)
    cost: Floats = generator.normal(size=shape)
    if kind == "apart":
        reach = int(generator.choice([20, 60, 150, 290]))
        value = value * 10.0 ** generator.integers(-reach, reach, shape)
        cost = cost * 10.0 ** generator.integers(-reach, reach, shape)
    elif kind == "tiny":
        value = generator.integers(-2, 9, shape) * 5e-324 * 10.0 ** generator.integers(0, 12, shape)
        cost = generator.integers(-2, 9, shape) * 5e-324 * 10.0 ** generator.integers(0, 12, shape)
    elif kind == "cancelling":
        value = generator.choice([1e15, -1e15, 1e-15, 1.0, -0.0], shape) * generator.integers(1, 4, shape)
        cost = generator.choice([1e15, -1e15, 1e-15, 1.0, -0.0], shape) * generator.integers(1, 4, shape)
    elif kind == "decimal":
        value, cost = np.abs(value).round(3), np.abs(cost).round(int(generator.integers(1, 17)))
    elif kind == "whole":
        value = generator.integers(0, 2 ** int(generator.integers(3, 50)), shape).astype(float)
        cost = generator.integers(0, 2 ** int(generator.integers(3, 50)), shape).astype(float)
    copies = generator.integers(1, 4, rows)
    picks = [cost.min(axis=1), cost[np.arange(rows), value.argmax(axis=1)], cost[:, generator.integers(options)]]
    pick = picks[int(generator.integers(3))]
    budget = float(sum(Fraction(float(own)) * int(count) for own, count in zip(pick, copies, strict=True)))
    move = int(generator.integers(4))
    budget = (budget, math.nextafter(budget, math.inf), math.nextafter(budget, -math.inf), budget * 1.1)[move]
    return program_of(value, cost, budget, copies)


@settings(max_examples=150)
@given(seed=SEEDS, kind=st.sampled_from(["apart", "tiny", "cancelling", "decimal", "whole"]))
def test_finds_and_proves_the_optimum_of_any_finite_numbers(seed: int, kind: str) -> None:
    """Numbers far apart, subnormal, cancelling, and budgets at a choice: optimal or infeasible, exactly so."""
    program = drawn(seed, kind)
    best = best_exactly(program)
    result = solve(program)
    assert result.status is (Status.INFEASIBLE if best is None else Status.OPTIMAL)
    check(program, result, best)
    assert result.proof is not None
    if kind == "whole" and best is not None:
        assert result.value == result.bound
        assert Fraction(result.value) == best


@settings(max_examples=100)
@given(
    seed=SEEDS,
    kind=st.sampled_from(["apart", "tiny", "cancelling", "decimal", "whole"]),
    limits=st.sampled_from([Limits(nodes=1), Limits(nodes=7), Limits(time_s=0.0), Limits(relative_gap=0.05)]),
    most_states=st.integers(1, 12),
)
def test_what_an_early_stop_says_is_true(seed: int, kind: str, limits: Limits, most_states: int) -> None:
    """With limits hit, a choice still keeps the budget and the bound is still above the optimum."""
    program = drawn(seed, kind)
    best = best_exactly(program)
    result = solve_single(program, limits=limits, most_states=most_states)
    if limits.relative_gap > 0.0 and result.status is Status.OPTIMAL:
        assert result.gap <= 0.05 * max(abs(result.value), 1e-9) * (1.0 + 1e-9)
    else:
        check(program, result, best)
    assert best is None or result.status is not Status.INFEASIBLE


def test_costs_near_the_least_float_do_not_spin() -> None:
    """Slopes beyond the range of floats: the hull ends, and the optimum is the enumerated one."""
    program = program_of([[0.5, 0.8, 0.9], [0.2, 0.4, 0.9]], [[5e-324, 1e-323, 5e-323]] * 2, 2e-322, [5, 5])
    result = solve(program)
    assert result.status is Status.OPTIMAL
    assert result.value == 7.0
    check(program, result, best_exactly(program))


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(pairs=st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=6))
@example(pairs=[(0.0, 0.0), (1.0, 5e-324), (2.0, 1e-323)])
@example(pairs=[(-1e308, -1e308), (0.0, 0.0), (1e308, 1e308)])
def test_walk_ends_and_only_goes_up(pairs: list[tuple[float, float]]) -> None:
    """From the cheapest option every step takes and gains more than nothing, or there is no step on."""
    value, cost = np.array([[own for own, _ in pairs]]), np.array([[own for _, own in pairs]])
    end = int(np.lexsort((-cost[0], value[0]))[-1])  # the cheapest of the best
    start = int(np.lexsort((-value[0], cost[0]))[0])
    if not (cost[0, end] > cost[0, start] and value[0, end] > value[0, start]):
        return
    with np.errstate(all="ignore"):
        steps = walk(value, cost, np.array([0]), np.array([start]), np.array([end]))
    assert len(steps.row) <= len(pairs)
    if all(own == 0.0 or 1e-90 < abs(own) < 1e90 for pair in pairs for own in pair):
        last = int(steps.end[-1])
        assert (value[0, last], cost[0, last]) == (value[0, end], cost[0, end])
        assert (np.diff(cost[0, steps.end]) > 0.0).all()


def test_a_budget_an_ulp_below_a_choice_is_not_infeasible() -> None:
    """A choice that only a rounded sum lets in does not hide the cheapest one."""
    value = [[0.01973942523898055, 0.0979506245587886], [0.038584899407236944, 0.04771694766007426]]
    cost = [[0.00025021973366796014, 0.0010047228975068633], [0.0006394719365196334, 0.04766165868289146]]
    program = program_of(value, cost, 0.0016441948340264966)
    result = solve(program)
    assert result.status is Status.OPTIMAL
    check(program, result, best_exactly(program))


def test_slack_that_only_worths_of_copies_lose_is_closed() -> None:
    """Two thousand copies and a budget with no room for one step: the bound is the value, not a rounding above it."""
    program = program_of([[0.0, 0.01]], [[0.1529665919636587, 0.770300635523002]], 303.7916516398262, [1986])
    result = solve(program)
    assert result.status is Status.OPTIMAL
    assert result.bound == 0.0


def test_large_whole_sums_are_proven_to_the_last_unit() -> None:
    """Sums near 2**47 of whole numbers: no margin for rounding is left in the gap."""
    generator = np.random.default_rng(5)
    value, cost = np.round(generator.random((20_000, 6)) * 1e10), generator.integers(1, 1000, (20_000, 6)).astype(float)
    result = solve(program_of(value, cost, math.floor(0.4 * cost.max(axis=1).sum())))
    assert result.status is Status.OPTIMAL
    assert result.value == result.bound


@pytest.mark.parametrize("reach", [100, 308])
def test_many_rows_of_numbers_far_apart_have_a_true_bound(reach: int) -> None:
    """Where the small ones have to be moved, the choice keeps the budget and the price still shows the bound."""
    generator = np.random.default_rng(reach)
    shape = (1500, 4)
    value = generator.random(shape) * 10.0 ** generator.integers(-reach, 1, shape)
    cost = generator.random(shape) * 10.0 ** generator.integers(-reach, 1, shape)
    program = program_of(value, cost, float(0.3 * cost.max(axis=1).sum()))
    result = solve(program)
    assert result.taken is not None
    total, (taken,) = exact_totals(program, result.taken)
    assert taken <= Fraction(float(program.budget[0]))
    assert float(total) == result.value
    assert result.status is Status.OPTIMAL
    assert result.relative_gap <= 1e-9
    assert result.proof is not None
    assert Fraction(result.bound) >= total
    assert float(price_bound(program, result.proof.prices)) >= result.value


def test_the_cheapest_choice_is_found_where_moved_costs_hide_it() -> None:
    """A budget of exactly the cheapest choice, whose small costs are beyond the reach of any one unit."""
    cost = np.tile([[1e-300, 1.0, 1.0, 1.0]], (1500, 1))
    cost[0, 0] = 1e-310
    budget = float(sum((Fraction(own) for own in cost[:, 0].tolist()), Fraction(0)))
    value = np.tile([[0.0, 1.0, 2.0, 3.0]], (1500, 1))
    for moved, status in ((budget * 1.001, {Status.OPTIMAL, Status.FEASIBLE}), (budget * 0.999, {Status.INFEASIBLE})):
        result = solve(program_of(value, cost, moved))
        assert result.status in status
        assert result.bound >= result.value
        assert (result.taken is None) == (result.status is Status.INFEASIBLE)


@pytest.mark.parametrize("which", [solve, solve_single])
@pytest.mark.parametrize(("budget", "value"), [(-math.inf, None), (math.inf, 3.0), (1e308, 3.0), (-1e308, None)])
def test_budgets_beyond_all_sums(which: object, budget: float, value: float | None) -> None:
    """No limit takes the best options, one below all sums none."""
    assert callable(which)
    result = which(program_of([[0.0, 1.0], [0.0, 2.0]], [[0.0, 1.0], [-0.0, 1.0]], budget))
    assert result.status is (Status.INFEASIBLE if value is None else Status.OPTIMAL)
    assert value is None or result.value == result.bound == value


BAD = [
    ([[0.0, math.nan]], [[0.0, 1.0]], [1], "menus.value[0][1]"),
    ([[0.0, math.inf]], [[0.0, 1.0]], [1], "menus.value[0][1]"),
    ([[-math.inf, -math.inf]], [[0.0, 1.0]], [1], "menus.value[0]"),
    ([[0.0, 1.0]], [[0.0, math.nan]], [1], "menus.cost[0][0][1]"),
    ([[0.0, 1.0]], [[0.0, -math.inf]], [1], "menus.cost[0][0][1]"),
    ([[0.0, 1.0]], [[0.0, 1.0]], [0], "menus.copies[0]"),
    ([[0.0, 1.0]], [[0.0, 1.0]], [1.5], "menus.copies"),
    ([[0.0, 1.0]], [[0.0, 1.0, 2.0]], [1], "menus[0:1]"),
    ([[0.0]], [[0.0]], [1], "menus[0:1]"),
    ([[0.0, 1e308]], [[0.0, 1.0]], [1000], "menus.value"),
    ([[0.0, 1.0]], [[0.0, -1e308]], [1000], "menus.cost"),
]


@pytest.mark.parametrize("budget", [10.0, math.inf])
@pytest.mark.parametrize(("value", "cost", "copies", "where"), BAD)
def test_refuses_bad_blocks_of_a_formula(
    value: list[list[float]], cost: list[list[float]], copies: list[int], where: str, budget: float
) -> None:
    """Numbers, shapes and sums that no choice can be made of are refused in a sentence that names the place."""

    def formula(start: int, stop: int) -> Block:
        own = np.array(value)[start:stop], np.array(cost)[None, start:stop]
        return Block(value=own[0], cost=own[1], copies=np.array(copies)[start:stop])

    menus = FormulaMenus(rows=1, options=2, resources=1, formula=formula)
    with pytest.raises(InputError) as caught:
        solve(MultipleChoiceKnapsack(menus=menus, budget=np.array([budget])))
    assert str(caught.value).startswith(f"{where}:")


def test_takes_menus_of_whole_number_types() -> None:
    """Integer arrays are read as the floats that they stand for."""
    menus = StoredMenus(value=np.array([[0, 3], [0, 2]]), cost=np.array([[[0, 2], [0, 1]]]))
    assert solve(MultipleChoiceKnapsack(menus=menus, budget=np.array([2.0]))).value == 3.0


@given(
    pairs=st.lists(st.tuples(FINITE, st.integers(1, 2**62)), min_size=1, max_size=8),
)
@example(pairs=[(1.1e-310, 3), (1.7e308, 5), (0.1, 2**53 + 1)])
def test_product_sums_are_exact_for_any_floats(pairs: list[tuple[float, int]]) -> None:
    """Sums of products with copies are those of rational arithmetic, subnormal and overflowing ones too."""
    numbers, copies = np.array([own for own, _ in pairs]), np.array([count for _, count in pairs])
    assert exact_product_sum(numbers, copies) == sum(Fraction(own) * count for own, count in pairs)


@settings(max_examples=10)
@given(seed=SEEDS)
def test_a_great_cost_of_every_option_does_not_blur_the_bound(seed: int) -> None:
    """Where priced costs cancel against the priced budget, the bound is still the one of the price."""
    generator = np.random.default_rng(seed)
    value = np.cumsum(generator.random((200, 5)), axis=1)
    cost = 1e9 + np.cumsum(generator.random((200, 5)), axis=1)
    program = program_of(value, cost, float(cost.min(axis=1).sum() + 100.0))
    result = solve_single(program, with_core=False)
    assert result.taken is not None
    assert result.proof is not None
    shown = price_bound(program, result.proof.prices)
    assert shown <= Fraction(result.bound) <= shown + CLOSED * Fraction(result.value)
