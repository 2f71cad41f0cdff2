"""One budget: the plan, its bound and the exact search, against enumeration and other solvers."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.solver.knapsack.program import Block, FormulaMenus, MultipleChoiceKnapsack, StoredMenus
from coinfer.solver.knapsack.result import KnapsackResult
from coinfer.solver.knapsack.single import solve_single
from coinfer.solver.limits import Limits
from coinfer.solver.progress import Progress, Stop
from coinfer.solver.result import Status
from coinfer.testing.knapsack import best_by_cost, enumerate_knapsack, exact_totals, price_bound, random_knapsack

KINDS = [kind + more for kind in ("whole", "decimal", "equal") for more in ("", "-copies", "-absent")]
SEEDS = st.integers(0, 2**32 - 1)


def program_of(value: object, cost: object, budget: float, copies: object = None) -> MultipleChoiceKnapsack:
    own = None if copies is None else np.array(copies)
    menus = StoredMenus(value=np.array(value, dtype=float), cost=np.array(cost, dtype=float)[None], copies=own)
    return MultipleChoiceKnapsack(menus=menus, budget=np.array([budget]))


def middling(seed: int, kind: str, rows: int = 400, options: int = 8) -> MultipleChoiceKnapsack:
    """A program with a gap to close: whole numbers, decimals with scales far apart, or equal slopes."""
    generator = np.random.default_rng(seed)
    if kind == "whole":
        value = generator.integers(1, 1001, (rows, options)).astype(float)
        cost = generator.integers(1, 1001, (rows, options)).astype(float)
    elif kind == "decimal":
        value = 1.0 - (1.0 - generator.beta(0.6, 1.4, (rows, 1))) ** np.arange(options)
        cost = np.arange(options) * generator.lognormal(5.5, 0.7, (rows, 1))
    else:
        cost = np.cumsum(np.sort(generator.integers(1, 1001, (rows, options)), axis=1), axis=1).astype(float)
        value = cost + 100.0 * np.arange(1, options + 1)
    budget = math.floor(cost.min(axis=1).sum() + 0.3 * (cost.max(axis=1) - cost.min(axis=1)).sum())
    return program_of(value, cost, budget)


def check_true(program: MultipleChoiceKnapsack, result: KnapsackResult) -> None:
    """Whatever a result says of its own choice and prices holds exactly."""
    assert result.taken is not None
    value, costs = exact_totals(program, result.taken)
    assert float(value) == result.value
    assert float(costs[0]) == result.cost[0]
    assert program.budget[0] == math.inf or costs[0] <= Fraction(float(program.budget[0]))
    assert result.bound >= result.value
    if result.proof is not None and result.proof.core_bound is None:
        assert Fraction(result.bound) >= price_bound(program, result.proof.prices) or float(
            price_bound(program, result.proof.prices)
        ) == pytest.approx(result.bound, rel=1e-12)


@given(seed=SEEDS, kind=st.sampled_from(KINDS))
def test_optimum_is_the_one_of_enumeration(seed: int, kind: str) -> None:
    """On small programs of every kind the value is that of the best of all choices, and is said to be."""
    program = random_knapsack(seed, kind)
    best, _ = enumerate_knapsack(program)
    result = solve_single(program)
    if best == -math.inf:
        assert result.status is Status.INFEASIBLE
        assert result.taken is None
        assert result.proof is not None
        assert result.proof.shows == "infeasible"
        return
    check_true(program, result)
    assert result.value == pytest.approx(best, abs=1e-12)
    assert result.status is Status.OPTIMAL
    assert best <= result.bound + 1e-12
    assert result.gap <= 1e-12


@settings(max_examples=60)
@given(seed=SEEDS, kind=st.sampled_from(KINDS), states=st.integers(0, 4), nodes=st.integers(0, 6))
def test_bound_holds_at_every_early_stop(seed: int, kind: str, states: int, nodes: int) -> None:
    """However few states the exact search may have, its bound is above the optimum and its choice is feasible."""
    program = random_knapsack(seed, kind)
    best, _ = enumerate_knapsack(program)
    for limits in (Limits(), Limits(nodes=nodes)):
        for with_core in (True, False):
            result = solve_single(program, limits=limits, most_states=states, with_core=with_core)
            if best == -math.inf:
                assert result.status is Status.INFEASIBLE
                continue
            check_true(program, result)
            assert result.value - 1e-12 <= best <= result.bound + 1e-12
            if result.status is Status.OPTIMAL:
                assert result.value == pytest.approx(best, abs=1e-12)


@functools.cache
def solved_fully(seed: int, kind: str) -> KnapsackResult:
    """The same program with every state it may have."""
    return solve_single(middling(seed, kind, rows=120, options=5))


@pytest.mark.parametrize("kind", ["whole", "decimal", "cumulated"])
@pytest.mark.parametrize("states", [0, 1, 2, 16, 256, 1 << 14])
def test_bound_never_falls_below_the_best_known(kind: str, states: int) -> None:
    """On programs that enumeration cannot reach, no bound of any cap is below the value found with any other cap."""
    for seed in range(2):
        program = middling(seed, kind, rows=120, options=5)
        full = solved_fully(seed, kind)
        capped = solve_single(program, most_states=states)
        check_true(program, capped)
        assert capped.bound >= full.value
        assert full.bound >= capped.value
        if capped.status is Status.FEASIBLE:
            assert capped.limit == "states"


@pytest.mark.parametrize("name", ["whole", "equal", "cumulated", "skip"])
def test_optimum_is_the_one_of_a_table_over_costs(name: str) -> None:
    """On programs of up to 60 rows, with losses that matter, the value is that of an unrelated exact method."""
    generator = np.random.default_rng(1)
    for _ in range(25):
        rows, options = int(generator.integers(5, 60)), int(generator.integers(2, 10))
        cost = generator.integers(1, 51, (rows, options))
        value = generator.integers(1, 1001, (rows, options)).astype(float)
        if name == "equal":
            value = cost + 10.0
        elif name == "cumulated":
            cost = np.cumsum(np.sort(cost, axis=1), axis=1)
            value = cost + 10.0 * np.arange(1, options + 1)
        elif name == "skip":
            value = cost + 10.0
            value[:, 0] = cost[:, 0] = 0
        least, most = cost.min(axis=1).sum(), cost.max(axis=1).sum()
        budget = int(least + generator.uniform(0.0, 0.9) * (most - least))
        program = program_of(value, cost, budget)
        result = solve_single(program)
        check_true(program, result)
        best = best_by_cost(value, cost, budget)
        assert result.value <= best <= result.bound
        if name != "cumulated":  # the hard ones may need more states than there are
            assert result.status is Status.OPTIMAL
        assert result.status is not Status.OPTIMAL or result.value == best


def test_agrees_with_an_integer_solver() -> None:
    """HiGHS finds the same optimum on programs of 60 rows with decimals."""
    milp = pytest.importorskip("scipy.optimize")
    for seed in range(3):
        program = middling(seed, "decimal", rows=60)
        block = program.menus.block(0, 60)
        one = np.kron(np.eye(60), np.ones(block.value.shape[1]))
        found = milp.milp(
            -block.value.ravel(),
            integrality=np.ones(block.value.size),
            bounds=milp.Bounds(0, 1),
            constraints=[
                milp.LinearConstraint(one, 1, 1),
                milp.LinearConstraint(block.cost.reshape(1, -1), -np.inf, program.budget),
            ],
            options={"mip_rel_gap": 0.0},
        )
        result = solve_single(program)
        assert result.status is Status.OPTIMAL
        assert result.value == pytest.approx(-found.fun, rel=1e-6)
        assert result.bound >= -found.fun * (1.0 - 1e-6)


@given(seed=SEEDS, kind=st.sampled_from(KINDS))
def test_formula_is_as_good_as_a_table(seed: int, kind: str) -> None:
    """Menus that are computed when asked for give the very same answer as stored ones."""
    program = random_knapsack(seed, kind)
    menus = program.menus
    formula = FormulaMenus(rows=menus.rows, options=menus.options, resources=1, formula=menus.block)
    first = solve_single(program)
    second = solve_single(MultipleChoiceKnapsack(menus=formula, budget=program.budget))
    assert first.value == second.value
    assert first.bound == second.bound
    assert np.array_equal(first.taken, second.taken) if first.taken is not None else second.taken is None


def test_large_formula_is_read_in_blocks_only() -> None:
    """A formula is never asked for more than some ten thousand rows at a time, and a few times in all."""
    asked = []

    def formula(start: int, stop: int) -> Block:
        asked.append(stop - start)
        row = np.arange(start, stop)[:, None]
        cost = np.arange(6.0) * (1.0 + row % 97)
        return Block(
            value=np.sqrt(cost) * (1.0 + row % 13), cost=cost[None], copies=np.ones(stop - start, dtype=np.int64)
        )

    menus = FormulaMenus(rows=200_000, options=6, resources=1, formula=formula)
    result = solve_single(MultipleChoiceKnapsack(menus=menus, budget=np.array([1e7])))
    assert max(asked) <= 1 << 16
    assert sum(asked) <= 5 * 200_000
    assert result.relative_gap <= 1e-7


@given(seed=SEEDS, kind=st.sampled_from(KINDS), more=st.floats(0.0, 5.0))
def test_more_budget_never_hurts(seed: int, kind: str, more: float) -> None:
    """The optimum does not fall when the budget rises."""
    program = random_knapsack(seed, kind)
    wider = MultipleChoiceKnapsack(menus=program.menus, budget=program.budget + more)
    first, second = solve_single(program), solve_single(wider)
    assert second.value >= first.value - 1e-12


@given(seed=SEEDS, kind=st.sampled_from(KINDS))
def test_order_of_rows_and_options_does_not_matter(seed: int, kind: str) -> None:
    """Renaming rows and options changes no value."""
    program = random_knapsack(seed, kind)
    block = program.menus.block(0, program.menus.rows)
    generator = np.random.default_rng(seed)
    rows, options = generator.permutation(program.menus.rows), generator.permutation(program.menus.options)
    menus = StoredMenus(
        value=block.value[rows][:, options], cost=block.cost[:, rows][:, :, options], copies=block.copies[rows]
    )
    other = solve_single(MultipleChoiceKnapsack(menus=menus, budget=program.budget))
    assert other.value == pytest.approx(solve_single(program).value, abs=1e-12)


def test_copies_are_rows_of_their_own() -> None:
    """A row with copies is worth what as many equal rows are worth, split between options where that is best."""
    generator = np.random.default_rng(3)
    for _ in range(20):
        value, cost = generator.integers(0, 30, (8, 4)).astype(float), generator.integers(0, 30, (8, 4)).astype(float)
        copies = generator.integers(1, 40, 8)
        budget = math.floor(0.4 * (cost.max(axis=1) @ copies) + 0.6 * (cost.min(axis=1) @ copies))
        together = solve_single(program_of(value, cost, budget, copies))
        apart = program_of(np.repeat(value, copies, axis=0), np.repeat(cost, copies, axis=0), budget)
        alone = solve_single(apart)
        check_true(program_of(value, cost, budget, copies), together)
        assert alone.status is Status.OPTIMAL
        assert together.value <= alone.value <= together.bound
        assert together.status is not Status.OPTIMAL or together.value == alone.value


def best_with_copies(value: np.ndarray, cost: np.ndarray, copies: np.ndarray, budget: float) -> Fraction | None:
    """Best value over all ways to share out the copies of every row, in whole-number arithmetic."""
    scale = 2**80
    sums = [(0, 0)]
    for values, costs, count in zip(value.tolist(), cost.tolist(), copies.tolist(), strict=True):
        own = [(0, 0, count)]
        for option, (gain, price) in enumerate(zip(values, costs, strict=True)):
            gained, taken, last = int(Fraction(gain) * scale), int(Fraction(price) * scale), option + 1 == len(values)
            own = [
                (spent + number * taken, total + number * gained, left - number)
                for spent, total, left in own
                for number in (range(left, left + 1) if last else range(left + 1))
            ]
        sums = sorted((spent + more, -total - gain) for spent, total in sums for more, gain, _ in own)
        sums, every = [], [pair for pair in sums if pair[0] <= Fraction(budget) * scale]
        for spent, loss in every:
            if not sums or -loss > sums[-1][1]:
                sums.append((spent, -loss))
    return Fraction(sums[-1][1], scale) if sums else None


@settings(max_examples=60)
@given(seed=SEEDS, kind=st.sampled_from(["decimal", "tied", "priced", "real"]))
def test_few_rows_of_many_copies_are_solved_exactly(seed: int, kind: str) -> None:
    """With up to 60 copies a row, equal slopes, budgets met to the last bit or missed by it: the optimum, proven."""
    generator = np.random.default_rng(seed)
    rows, options = int(generator.integers(1, 4)), int(generator.integers(2, 5))
    copies = generator.integers(1, (60, 12, 5)[rows - 1], rows)
    value, cost = generator.random((rows, options)), generator.random((rows, options))
    digits = {"decimal": 2, "tied": 1, "priced": 3, "real": 6}[kind]
    if kind == "priced":
        value = generator.choice([0.02, 0.15, 0.2, 0.4, 0.9], value.shape)
        cost = generator.choice([0.001, 0.01, 0.016, 0.04, 0.1], cost.shape)
    elif kind != "real":
        value, cost = np.round(value, digits), np.round(cost, digits)
        value = np.round(2.0 * cost + 0.1 * (value > 0.5), 1) if kind == "tied" else value
    least, most = float(cost.min(axis=1) @ copies), float(cost.max(axis=1) @ copies)
    budget = round(least + generator.random() * (most - least), digits)
    program = program_of(value, cost, budget, copies)
    best = best_with_copies(value, cost, copies, budget)
    result = solve_single(program)
    if best is None:
        assert result.status is Status.INFEASIBLE
        return
    check_true(program, result)
    assert result.status is Status.OPTIMAL
    assert result.value == pytest.approx(float(best), rel=1e-12, abs=1e-12)
    assert Fraction(result.bound) >= best - Fraction(1e-12)


@pytest.mark.parametrize(
    ("value", "cost", "copies", "budget"),
    [
        (
            [[1.5, 1.9, 1.8], [1.2, 2.1, 0.0], [0.7, 1.5, 1.2]],
            [[0.7, 0.9, 0.9], [0.6, 1.0, 0.0], [0.3, 0.7, 0.6]],
            [5, 2, 1],
            4.6,
        ),
        (
            [[1.1, 1.2, 0.1], [1.4, 0.5, 0.5], [1.8, 0.8, 0.6]],
            [[0.5, 0.6, 0.0], [0.7, 0.2, 0.2], [0.9, 0.4, 0.3]],
            [5, 5, 1],
            2.8,
        ),
    ],
)
def test_more_copies_than_there_are_help_nothing(value: object, cost: object, copies: object, budget: float) -> None:
    """Where the best sum would take more copies of a row than it has, the best of the others is proven."""
    result = solve_single(program_of(value, cost, budget, copies))
    best = best_with_copies(np.array(value), np.array(cost), np.array(copies), budget)
    assert best is not None
    assert result.status is Status.OPTIMAL
    assert result.value == pytest.approx(float(best), rel=1e-12)


def test_equal_slopes_in_a_large_stratum_do_not_hit_a_cap() -> None:
    """Three options on one line in 300 copies, for budgets all along: solved, with the gap closed."""
    for budget in (0.7, 2.5, 3.3, 5.0, 7.77, 9.123, 11.9):
        program = program_of([[0.02, 0.15, 0.2, 0.4]], [[0.001, 0.01, 0.016, 0.04]], budget, [300])
        result = solve_single(program)
        check_true(program, result)
        assert result.status is Status.OPTIMAL
        assert result.relative_gap <= 1e-12


def test_a_million_copies_of_one_row_are_solved() -> None:
    """Copies are counted, not gone through one by one."""
    generator = np.random.default_rng(0)
    for _ in range(5):
        value, cost = generator.random((2, 9)), generator.random((2, 9))
        value[:, 0] = cost[:, 0] = 0.0
        program = program_of(value, cost, 250_000.0, [10**6, 3 * 10**5])
        result = solve_single(program)
        check_true(program, result)
        assert result.status is Status.OPTIMAL


def test_budget_that_the_best_options_miss_by_rounding_is_feasible() -> None:
    """Where all best options take the budget as floats, and more than that exactly, there still is a choice."""
    value, cost = [[1.7, 1.4], [1.8, 1.3], [0.6, 1.7]], [[0.8, 0.7], [0.9, 0.6], [0.3, 0.8]]
    program = program_of(value, cost, 4.3, [1, 3, 1])
    result = solve_single(program)
    check_true(program, result)
    assert result.status is Status.OPTIMAL
    assert result.value == pytest.approx(
        float(best_with_copies(np.array(value), np.array(cost), np.array([1, 3, 1]), 4.3))
    )


def test_budgets_without_end_and_without_room() -> None:
    """Without a limit every row takes its best; at 0 only what is free; below the cheapest there is no choice."""
    value, cost = [[0.0, 5.0, 5.0], [0.0, 1.0, -np.inf]], [[0.0, 2.0, 1.0], [0.0, 1.0, np.nan]]
    free = solve_single(program_of(value, cost, math.inf))
    assert (free.value, free.cost[0], free.status) == (6.0, 2.0, Status.OPTIMAL)
    assert free.bound == 6.0
    none = solve_single(program_of(value, cost, 0.0))
    assert (none.value, none.status) == (0.0, Status.OPTIMAL)
    short = solve_single(program_of(value, cost, -1e-9))
    assert short.status is Status.INFEASIBLE
    assert short.proof is not None
    assert short.proof.prices == (1.0,)
    assert solve_single(program_of(value, cost, -math.inf)).status is Status.INFEASIBLE


@pytest.mark.parametrize(
    ("value", "cost", "copies", "where"),
    [
        ([[math.nan, 1.0]], [[0.0, 0.0]], None, "menus.value[0][0]"),
        ([[0.0, 1.0], [math.inf, 1.0]], [[0.0, 0.0], [1.0, 1.0]], None, "menus.value[1][0]"),
        ([[0.0, 1.0]], [[0.0, math.inf]], None, "menus.cost[0][0][1]"),
        ([[-math.inf, -math.inf]], [[0.0, 0.0]], None, "menus.value[0]"),
        ([[0.0, 1.0]], [[0.0, 1.0]], [0], "menus.copies[0]"),
    ],
)
def test_wrong_numbers_are_refused_by_name(value: object, cost: object, copies: object, where: str) -> None:
    """Every number that is not what a menu may hold is refused with its place."""
    with pytest.raises(InputError) as caught:
        solve_single(program_of(value, cost, 1.0, copies))
    assert caught.value.where == where


def test_wrong_number_far_down_is_refused() -> None:
    """A NaN in a row outside the sample is found as well."""
    value, cost = np.ones((30_000, 2)), np.ones((30_000, 2))
    value[12_345, 1] = math.nan
    with pytest.raises(InputError, match=r"menus.value\[12345\]\[1\]"):
        solve_single(program_of(value, cost, 30_000.0))


def test_stop_and_time_keep_what_is_there() -> None:
    """A stop that is set before the first row leaves nothing but a status; one set later keeps the plan and a bound."""
    program = middling(0, "decimal")
    stop = Stop()
    stop.set()
    result = solve_single(program, stop=stop)
    assert (result.status, result.limit, result.taken, result.bound) == (Status.UNSOLVED, "interrupt", None, math.inf)
    assert solve_single(program, limits=Limits(time_s=0.0)).limit == "time"
    later = Stop()
    result = solve_single(program, stop=later, on_progress=lambda _: later.set())
    check_true(program, result)
    assert result.limit == "interrupt" or result.status is Status.OPTIMAL
    assert result.bound >= solve_single(program).value


def test_gap_asked_for_ends_the_solve() -> None:
    """With a relative gap the solve ends as optimal as soon as it is proven, and says the true gap."""
    program = middling(1, "decimal")
    result = solve_single(program, limits=Limits(relative_gap=0.01))
    assert result.status is Status.OPTIMAL
    assert 0.0 < result.relative_gap <= 0.01
    assert result.bound >= solve_single(program).value


def test_progress_tells_value_and_bound() -> None:
    """Reports go from a lower value to a higher one under a falling bound."""
    reports: list[Progress] = []
    solve_single(middling(1, "decimal"), on_progress=reports.append)
    assert reports
    assert all(report.value <= report.bound for report in reports)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999, 1.0])
def test_rows_unlike_the_sample_are_bracketed(share: float) -> None:
    """Where a few rows hold nearly all of the cost, so that a sample misses them, the plan is as close as ever."""
    generator = np.random.default_rng(7)
    value, cost = generator.random((20_000, 4)), generator.random((20_000, 4))
    value[:, 0] = cost[:, 0] = 0.0
    cost[4321:4331] *= 1e4
    value[4321:4331] *= 1e3
    budget = share * cost.max(axis=1).sum()
    program = program_of(value, cost, budget)
    result = solve_single(program)
    check_true(program, result)
    assert result.gap <= 0.01 * max(1.0, result.value)  # one step of the few is a percent of the value


def test_too_many_survivors_are_cut_honestly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the options left are too many to keep, the bound still holds."""
    program = middling(2, "cumulated", rows=200)
    best = solve_single(program).value
    monkeypatch.setattr("coinfer.solver.knapsack.single.MOST_FIRST", 20)
    monkeypatch.setattr("coinfer.solver.knapsack.single.MOST_LEFT", 40)
    cut = solve_single(program)
    check_true(program, cut)
    assert cut.value <= best <= cut.bound


def test_long_last_step_is_branched() -> None:
    """Where one row's step is as long as a hundred others together, the optimum is still proven, and it is right."""
    generator = np.random.default_rng(11)
    for _ in range(5):
        value, cost = generator.integers(1, 200, (300, 4)).astype(float), generator.integers(1, 200, (300, 4))
        cost[:3], value[:3] = cost[:3] * 60, value[:3] * 50
        program = program_of(value, cost, float(cost.min(axis=1).sum() + 9_000))
        result = solve_single(program)
        check_true(program, result)
        assert result.status is Status.OPTIMAL
        assert result.value == best_by_cost(value, cost, int(program.budget[0]))
