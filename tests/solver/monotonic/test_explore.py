"""Questions around an optimum give what enumeration gives, and claim nothing when they are cut short."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.explore import best_points, excluded, forced, sweep, with_limit, worth_of_budgets
from coinfer.solver.monotonic.maximise import maximise
from coinfer.solver.monotonic.program import FloatArray, LinearRows, MonotonicProgram
from coinfer.solver.monotonic.result import SearchStatus
from coinfer.solver.progress import Stop
from coinfer.testing.monotonic import KINDS, Kind, enumerated, program_from_seed

NEAR = 1e-7


def ranked(program: MonotonicProgram) -> FloatArray:
    """Return the values of all feasible points, best first."""
    truth = enumerated(program)
    return np.sort(truth.values[truth.feasible])[::-1]


def small(seed: int, kind: Kind, *, linear_only: bool = False) -> MonotonicProgram:
    return program_from_seed(seed, kind, max_variables=5, max_levels=3, linear_only=linear_only)


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_points_are_those_of_enumeration(kind: Kind) -> None:
    """Of every class, the k best values are the k largest of all feasible points, each of another point."""
    for seed in range(12):
        program = small(seed, kind)
        truth = ranked(program)
        made = best_points(program, count=5)
        assert made.complete
        assert made.values == pytest.approx(truth[:5].tolist(), abs=NEAR), seed
        assert len({point.tobytes() for point in made.points}) == len(made.points)
        whole = enumerated(program)
        for value, point in zip(made.values, made.points, strict=True):
            assert whole.at(point) == (pytest.approx(value, abs=NEAR), True)
        left = truth[5] if len(truth) > 5 else -math.inf
        assert made.bound >= left - 1e-12, seed


@pytest.mark.parametrize("kind", ["facility", "gate", "monotone"])
def test_within_a_distance_keeps_all_that_is_near(kind: Kind) -> None:
    """All points within the distance are on the list, and none beyond it."""
    for seed in range(12):
        program = small(seed, kind, linear_only=True)
        truth = ranked(program)
        made = best_points(program, count=10_000, within=0.4)
        near = truth[truth >= truth[0] - 0.4] if len(truth) else truth
        assert made.values == pytest.approx(near.tolist(), abs=NEAR), seed


@pytest.mark.parametrize("kind", KINDS)
def test_a_ranking_cut_short_claims_nothing_untrue(kind: Kind) -> None:
    """However early it ends, every point on the list is feasible, and nothing off it is worth more than the bound."""
    cut = 0
    for seed in range(8):
        program = small(seed, kind)
        whole = enumerated(program)
        for nodes in (0, 1, 3):
            made = best_points(program, count=4, limits=Limits(nodes=nodes))
            listed = {point.tobytes() for point in made.points}
            others = [
                value
                for point, value, kept in zip(whole.points, whole.values, whole.feasible, strict=True)
                if kept and point.tobytes() not in listed
            ]
            assert made.bound >= max(others, default=-math.inf) - NEAR, (seed, nodes)
            assert list(made.values) == sorted(made.values, reverse=True)
            assert all(whole.at(point)[1] for point in made.points)
            if made.complete:
                assert made.values == pytest.approx(ranked(program)[:4].tolist(), abs=NEAR), (seed, nodes)
            cut += not made.complete
    assert cut


def test_a_ranking_that_was_stopped_is_not_complete() -> None:
    """A flag set beforehand ends the search at once, and a proven best point does not make the list complete."""
    for kind in ("facility", "mixed"):
        stop = Stop()
        stop.set()
        assert not best_points(small(1, kind), count=3, stop=stop).complete


@pytest.mark.parametrize(("count", "within"), [(0, 1.0), (1, -1.0), (1, math.nan)])
def test_a_ranking_of_nothing_is_refused(count: int, within: float) -> None:
    """Counts below 1 and distances below 0 are bad input."""
    with pytest.raises(InputError, match="count and within"):
        best_points(small(0, "facility"), count=count, within=within)


def budgeted(seed: int, kind: Kind) -> MonotonicProgram:
    """Return a program with a budget row of whole numbers in front, and a second one beside it."""
    program = small(seed, kind, linear_only=True)
    rng = np.random.default_rng(seed)
    cost = rng.integers(0, 4, (2, program.variables)).astype(np.float64)
    rows = LinearRows(coefficients=cost, limits=np.array([5.0, 5.0]), names=("money", "time"))
    return replace(program, constraints=(rows, *program.constraints))


@pytest.mark.parametrize("kind", ["facility", "gate", "submodular"])
def test_a_sweep_is_what_each_budget_gives_from_scratch(kind: Kind) -> None:
    """Each point of a sweep is the optimum of enumeration under that limit; values never fall as the limit rises."""
    searched = 0
    for seed in range(15):
        program = budgeted(seed, kind)
        for rows in (0, [0, 1]):
            budgets = [0.0, 1.0, 2.0, 4.0, 7.0, 12.0]
            swept = sweep(program, row=rows, budgets=budgets)
            assert [point.limit for point in swept] == budgets
            for point in swept:
                variant = with_limit(program, row=0, limit=point.limit)
                variant = with_limit(variant, row=1, limit=point.limit) if rows else variant
                truth = enumerated(variant)
                assert point.value == pytest.approx(truth.optimum, abs=NEAR), (seed, rows, point.limit)
                assert point.bound >= truth.optimum - 1e-12
                assert (point.status is SearchStatus.INFEASIBLE) == (not truth.feasible.any())
                if point.point is not None:
                    assert truth.at(point.point)[1]
                    assert point.used is not None
                    assert point.used <= point.limit
            searched += sum(not point.searched for point in swept)
    assert searched  # some answers came without a search


def test_a_sweep_cut_short_never_falls() -> None:
    """With hardly any boxes allowed, values and bounds still rise with the limit, and hold the truth between them."""
    for kind in ("facility", "submodular"):
        for seed in range(15):
            program = budgeted(seed, kind)
            swept = sweep(program, row=0, budgets=[1.0, 2.0, 4.0, 8.0], limits=Limits(nodes=1))
            for below, above in itertools.pairwise(swept):
                assert below.value <= above.value
                assert below.bound <= above.bound
            for point in swept:
                truth = enumerated(with_limit(program, row=0, limit=point.limit)).optimum
                assert point.value - NEAR <= truth <= point.bound + NEAR


def test_a_row_that_is_not_there_is_refused() -> None:
    """A number beyond the rows is bad input."""
    with pytest.raises(InputError, match="row: expected a linear row below"):
        with_limit(budgeted(0, "facility"), row=99, limit=1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_forced_and_excluded_variables_are_what_enumeration_says(kind: Kind) -> None:
    """With a variable forced in, or a group left out, the optimum is that of the points that have it so."""
    for seed in range(8):
        program = small(seed, kind)
        truth = enumerated(program)
        last = program.variables - 1
        level = int(program.upper[last])
        held = truth.feasible & (truth.points[:, last] >= level)
        best = float(truth.values[held].max(initial=-math.inf))
        assert maximise(forced(program, variable=last, level=level)).value == pytest.approx(best, abs=NEAR), seed
        group = [0, last]
        bare = truth.feasible & (truth.points[:, group] == program.lower[group]).all(axis=1)
        best = float(truth.values[bare].max(initial=-math.inf))
        assert maximise(excluded(program, variables=group)).value == pytest.approx(best, abs=NEAR), seed


def test_a_variable_cannot_be_forced_above_its_upper_end() -> None:
    """A level that the box does not have is refused, and makes no wider box."""
    program = small(3, "facility")
    with pytest.raises(InputError, match="level: expected at most 1, where the box ends; found 2"):
        forced(program, variable=0, level=2)


def test_the_worth_of_a_budget_is_what_more_of_it_buys() -> None:
    """Each addition's value is the optimum under the raised limit; rows that cannot bind are left out."""
    told = 0
    for seed in range(15):
        program = budgeted(seed, "facility")
        best = maximise(program)
        if best.incumbent is None:
            continue
        worths = worth_of_budgets(program, best.incumbent, steps=(0.2, 0.6))
        names = [worth.name for worth in worths]
        reach = program.rows.coefficients[0] @ program.upper
        assert ("money" in names) == (reach > 5.0)
        for worth in worths:
            assert worth.slack == pytest.approx(worth.limit - worth.used)
            if worth.name != "money":
                continue
            for more, value, bound in worth.more:
                truth = enumerated(with_limit(program, row=0, limit=5.0 + more)).optimum
                assert value == pytest.approx(truth, abs=NEAR)
                assert bound >= truth - NEAR
                told += truth > best.value + 1e-6
    assert told
