"""Lines that need not be aligned: their flow, their bound, their improvement."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings

from coinfer.solver.pattern.bound import any_line_bound
from coinfer.solver.pattern.flow import ENDS, Range, max_flow
from coinfer.solver.pattern.improve import improve_ranges, longest_way
from coinfer.solver.pattern.program import PatternProgram
from coinfer.solver.pattern.solve import solve_pattern
from coinfer.testing.patterns import best_aligned, best_of_all, pattern_program, pattern_programs

FREE = np.full((1, 1), np.inf)


@pytest.mark.parametrize(
    ("rates", "units", "stage_limit", "bound"),
    [([100.0, 30.0], 3, None, 45.0), ([10.0, 4.0], 4, 2, 8.0), ([10.0, 4.0], 4, None, 10.0)],
)
def test_the_bound_of_any_line_is_as_tight_as_it_should_be(
    rates: list[float], units: int, stage_limit: int | None, bound: float
) -> None:
    """Worked by hand for four steps: no unit passes more than the line, and few stages must hold much each."""
    four = pattern_program(4, [[units]], [rates], stage_limit=stage_limit)

    assert any_line_bound(four).rate == pytest.approx(bound, rel=1e-9)


@given(given_program=pattern_programs())
@settings(max_examples=60)
def test_the_bound_of_any_line_does_not_hang_on_the_order_of_types(given_program: PatternProgram) -> None:
    """Types in the other order give the same bound."""
    other = dataclasses.replace(
        given_program, units=given_program.units[:, ::-1].copy(), rate=given_program.rate[::-1].copy()
    )

    assert any_line_bound(other).rate == pytest.approx(any_line_bound(given_program).rate, rel=1e-10)


def test_a_bound_at_which_all_is_used_up_is_met() -> None:
    """Four, eight and twelve units that hold 8, 3 and 2 of 80 steps at one rate: slack is 0 up to it, in any order."""
    rates = np.zeros((3, 8))
    rates[0] = [23833.87, 11384.25, 7201.41, 5264.62, 4096.65, 3124.14, 2595.68, 2045.641047336262]
    rates[1, :4] = [7557.86, 3625.71, 2171.878, 1476.08]
    rates[2, :3] = [5709.2, 2434.367, 1347.866]
    for order in itertools.permutations(range(3)):
        line = pattern_program(80, [[(4, 8, 12)[i] for i in order]], rates[list(order)].tolist())
        assert any_line_bound(line).rate == pytest.approx(2045.641047336262, rel=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_no_line_at_all_reaches_the_bound_of_any_line(seed: int) -> None:
    """Enumeration of all ranges of few units stays below the bound, and improvement between the two."""
    random = np.random.default_rng(seed)
    rate = np.sort(random.integers(1, 20, size=(2, 3)), axis=1)[:, ::-1].tolist()
    small = pattern_program(3, [[2, 2]], rate, widest=4)
    truth = best_of_all(small)

    result = solve_pattern(small)
    better = improve_ranges(small, result.ranges, time_s=20.0)
    found = max_flow(better, steps=3, link=FREE).value

    assert result.rate <= found <= truth * (1 + 1e-9)
    assert truth < result.any_bound.rate


def test_improvement_leaves_aligned_stages() -> None:
    """Where the best line is not aligned, improvement finds it: 16 becomes 20, below the bound of 21.3."""
    small = pattern_program(3, [[3, 1]], [[16.0, 4.0, 2.0], [16.0, 5.0, 4.0]], widest=4)

    result = solve_pattern(small)
    better = improve_ranges(small, result.ranges, time_s=20.0)

    assert result.rate == best_aligned(small) == 16.0
    assert max_flow(better, steps=3, link=FREE).value == pytest.approx(20.0)
    assert best_of_all(small) == pytest.approx(20.0)
    assert result.any_bound.rate == pytest.approx(64 / 3)


def test_a_stage_limit_is_kept_by_improvement() -> None:
    """One unit alone passes 1, two in line would pass 10, which a limit of one stage forbids."""
    small = pattern_program(2, [[1, 1]], [[10.0, 0.0], [10.0, 1.0]], stage_limit=1)
    ranges = (
        Range(region=0, kind=0, start=0, stop=1, rate=10.0),
        Range(region=0, kind=1, start=0, stop=2, rate=1.0),
    )

    better = improve_ranges(small, ranges, time_s=10.0)
    free = improve_ranges(dataclasses.replace(small, stage_limit=None), ranges, time_s=10.0)

    assert longest_way(better) == 1
    assert max_flow(better, steps=2, link=FREE).value == pytest.approx(1.0)
    assert longest_way(free) == 2
    assert max_flow(free, steps=2, link=FREE).value == pytest.approx(10.0)


def test_flow_prefers_the_way_with_fewer_units() -> None:
    """Of two largest flows, that through fewer units is returned, with its edges."""
    ranges = tuple(
        Range(region=0, kind=0, start=start, stop=stop, rate=5.0) for start, stop in ((0, 2), (0, 1), (1, 2), (2, 3))
    )

    flow = max_flow(ranges, steps=3, link=FREE)

    assert flow.value == pytest.approx(5.0)
    assert flow.edges == {(ENDS, 0): 5.0, (0, 3): 5.0, (3, ENDS): 5.0}
    assert flow.mean_units == pytest.approx(2.0)
    assert flow.through(3) == 5.0
