"""The pattern program against enumeration of small lines."""

from __future__ import annotations

import dataclasses
import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CertificateError, InputError
from coinfer.solver.certificate.pattern import check_any_line, check_stages
from coinfer.solver.limits import Limits
from coinfer.solver.pattern.flow import ENDS, Range, max_flow
from coinfer.solver.pattern.improve import improve_ranges, longest_way
from coinfer.solver.pattern.program import PatternProgram, Stage, pattern_count, patterns, widest_within
from coinfer.solver.pattern.solve import prove_stages, ranges_of, solve_pattern
from coinfer.solver.result import Status

FREE = np.full((1, 1), np.inf)


def program(
    steps: int, units: list[list[int]], rate: list[list[float]], *, stage_limit: int | None = None, widest: int = 3
) -> PatternProgram:
    """A program whose regions are joined by links that never bind."""
    regions = len(units)
    return PatternProgram(
        steps=steps,
        units=np.array(units),
        rate=np.array(rate, dtype=float),
        link=np.full((regions, regions), np.inf),
        stage_limit=stage_limit,
        widest=widest,
    )


@st.composite
def programs(draw: st.DrawFn, *, regions: int = 1) -> PatternProgram:
    """Small programs, with rates that fall with the steps and rates that do not."""
    steps = draw(st.integers(1, 5))
    types = draw(st.integers(1, 2))
    most = draw(st.integers(1, 3))
    units = np.array([[draw(st.integers(0, 3 if regions == 1 else 2)) for _ in range(types)] for _ in range(regions)])
    rate = np.array([[float(draw(st.integers(0, 12))) for _ in range(most)] for _ in range(types)])
    if draw(st.booleans()):
        rate = np.sort(rate, axis=1)[:, ::-1].copy()
    link = np.full((regions, regions), np.inf)
    for a, b in itertools.combinations(range(regions), 2):
        link[a, b] = link[b, a] = draw(st.sampled_from([0.0, 1.0, 3.0, 5.0, np.inf]))
    limit = draw(st.none() | st.integers(1, 4))
    return PatternProgram(
        steps=steps, units=units, rate=rate, link=link, stage_limit=limit, widest=draw(st.integers(1, 3))
    )


def best_aligned(given_program: PatternProgram) -> float:
    """The largest flow of all lines of aligned stages, by enumeration of the lines."""
    choices = [
        (region, tuple(row), held)
        for region in range(len(given_program.units))
        for row in patterns(given_program, region).tolist()
        for held in range(1, given_program.rate.shape[1] + 1)
        if all(given_program.rate[kind, held - 1] > 0.0 for kind, count in enumerate(row) if count)
    ]
    limit = given_program.stage_limit or given_program.steps
    best = 0.0

    def extend(line: list[Stage], left: np.ndarray, steps: int) -> None:
        nonlocal best
        if steps == 0:
            ranges = ranges_of(given_program, tuple(line))
            best = max(best, max_flow(ranges, steps=given_program.steps, link=given_program.link).value)
            return
        if len(line) == limit:
            return
        closed = {stage.region for stage in line} - ({line[-1].region} if line else set())
        for region, units, held in choices:
            if held <= steps and region not in closed and (left[region] >= units).all():
                rest = left.copy()
                rest[region] -= units
                extend([*line, Stage(region=region, units=units, steps=held)], rest, steps - held)

    extend([], given_program.units.copy(), given_program.steps)
    return best


def best_of_all(given_program: PatternProgram) -> float:
    """The largest flow of any ranges at all, aligned or not, by enumeration; for programs without a stage limit."""
    kinds = [
        (region, kind)
        for region, row in enumerate(given_program.units.tolist())
        for kind, count in enumerate(row)
        for _ in range(count)
    ]

    @cache
    def places(region: int, kind: int) -> list[Range | None]:
        spans = itertools.combinations(range(given_program.steps + 1), 2)
        rate = given_program.rate[kind]
        held = [(a, b) for a, b in spans if b - a <= len(rate) and rate[b - a - 1] > 0.0]
        return [None, *(Range(region=region, kind=kind, start=a, stop=b, rate=float(rate[b - a - 1])) for a, b in held)]

    best = 0.0
    for choice in itertools.product(*(places(*unit) for unit in kinds)):
        ranges = tuple(unit for unit in choice if unit is not None)
        if ranges:
            best = max(best, max_flow(ranges, steps=given_program.steps, link=given_program.link).value)
    return best


@given(given_program=programs())
@settings(max_examples=80)
def test_the_best_line_of_stages_is_found_and_proven(given_program: PatternProgram) -> None:
    """In one region the result equals enumeration, and its proof is accepted."""
    truth = best_aligned(given_program)

    result = solve_pattern(given_program)

    assert result.rate == pytest.approx(truth, rel=1e-9)
    assert result.stages_bound == pytest.approx(truth, rel=1e-9)
    assert result.any_bound.rate > truth
    assert result.status is (Status.OPTIMAL if truth else Status.INFEASIBLE)
    proof = prove_stages(given_program, result)
    assert proof is not None
    check_stages(given_program, proof)
    check_any_line(given_program, result.any_bound)


@given(given_program=programs(regions=2))
@settings(max_examples=40)
def test_regions_joined_by_links_are_bounded(given_program: PatternProgram) -> None:
    """With links between regions the truth of enumeration lies between what is found and its bound."""
    truth = best_aligned(given_program)

    result = solve_pattern(given_program)

    assert result.rate <= truth * (1 + 1e-9) <= result.stages_bound * (1 + 2e-9)
    assert (result.status is Status.OPTIMAL) == (0.0 < result.rate >= result.stages_bound * (1 - 1e-9))
    proof = prove_stages(given_program, result)
    assert proof is not None
    check_stages(given_program, proof)


@pytest.mark.parametrize("seed", range(4))
def test_no_line_at_all_reaches_the_bound_of_any_line(seed: int) -> None:
    """Enumeration of all ranges of few units stays below the bound, and improvement between the two."""
    random = np.random.default_rng(seed)
    rate = np.sort(random.integers(1, 20, size=(2, 3)), axis=1)[:, ::-1].tolist()
    small = program(3, [[2, 2]], rate, widest=4)
    truth = best_of_all(small)

    result = solve_pattern(small)
    better = improve_ranges(small, result.ranges, time_s=20.0)
    found = max_flow(better, steps=3, link=FREE).value

    assert result.rate <= found <= truth * (1 + 1e-9)
    assert truth < result.any_bound.rate


def test_improvement_leaves_aligned_stages() -> None:
    """Where the best line is not aligned, improvement finds it: 16 becomes 22, which the bound shows to be all."""
    small = program(3, [[3, 1]], [[16.0, 5.0, 3.0], [16.0, 8.0, 6.0]], widest=4)

    result = solve_pattern(small)
    better = improve_ranges(small, result.ranges, time_s=20.0)

    assert result.rate == best_aligned(small) == 16.0
    assert max_flow(better, steps=3, link=FREE).value == pytest.approx(22.0)
    assert result.any_bound.rate == pytest.approx(22.0)


def test_a_stage_limit_is_kept_by_improvement() -> None:
    """Two stages at most, before and after improvement."""
    small = program(4, [[4, 2]], [[9.0, 4.0, 2.0], [8.0, 5.0, 1.0]], stage_limit=2)

    result = solve_pattern(small)
    better = improve_ranges(small, result.ranges, time_s=10.0)

    assert len(result.stages) == longest_way(result.ranges) == 2
    assert longest_way(better) <= 2


@pytest.mark.parametrize(("link", "rate"), [(4.0, 8.0), (3.0, 6.0), (0.0, 4.0), (np.inf, 8.0)])
def test_slow_links_carry_no_more_than_their_number(link: float, rate: float) -> None:
    """A unit of 8 in one region feeds two of 4 in the other: two links of 4 carry 8, two of 3 only 6."""
    two = PatternProgram(
        steps=2,
        units=np.array([[1, 0], [0, 2]]),
        rate=np.array([[8.0], [4.0]]),
        link=np.array([[np.inf, link], [link, np.inf]]),
        stage_limit=None,
        widest=2,
    )

    assert solve_pattern(two).rate == pytest.approx(rate)


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


def test_proofs_are_refused_when_they_claim_more() -> None:
    """A bound lowered, a proof of another program, a refuted rate that skips one, a price without a limit."""
    small = program(6, [[4, 3]], [[9.0, 4.0, 2.0], [8.0, 5.0, 1.0]])
    result = solve_pattern(small)
    proof = prove_stages(small, result)
    assert proof is not None
    assert proof.refuted is not None
    check_stages(small, proof)

    def changed(**fields: object) -> None:
        parts = {name: getattr(proof, name) for name in ("rate", "refuted", "proof")}
        with pytest.raises(CertificateError):
            check_stages(small, type(proof)(**(parts | fields)))

    changed(rate=result.rate - 1.0)
    changed(rate=0.0, refuted=result.rate)
    changed(refuted=proof.refuted + 1.0)
    changed(refuted=None, proof=None)
    changed(refuted=proof.rate)
    with pytest.raises(CertificateError):
        check_stages(dataclasses.replace(small, units=small.units + 1), proof)
    bound = result.any_bound
    with pytest.raises(CertificateError, match="not proven"):
        check_any_line(small, type(bound)(rate=bound.rate * 0.99, price=0.0))
    with pytest.raises(CertificateError, match="not limited"):
        check_any_line(small, type(bound)(rate=bound.rate, price=1.0))
    with pytest.raises(CertificateError, match="finite"):
        check_any_line(small, type(bound)(rate=-1.0, price=0.0))


def test_a_time_limit_keeps_bound_and_status() -> None:
    """Without time nothing is found, and the bound still holds."""
    small = program(6, [[4, 3]], [[9.0, 4.0, 2.0], [8.0, 5.0, 1.0]])
    truth = solve_pattern(small).rate

    stopped = solve_pattern(small, Limits(time_s=0.0))

    assert stopped.status is Status.UNSOLVED
    assert stopped.rate == 0.0
    assert stopped.stages_bound >= truth


def test_patterns_are_counted_as_they_are_listed() -> None:
    """The count that limits the width is the number of multisets."""
    small = program(2, [[3, 2], [1, 0]], [[1.0], [1.0]], widest=3)

    assert pattern_count(small.units, 3) == sum(len(patterns(small, region)) for region in (0, 1))
    assert pattern_count(small.units, widest_within(small.units, 6)) <= 6 or widest_within(small.units, 6) == 1


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"steps": 0}, "steps"),
        ({"rate": np.array([[1.0, np.nan]])}, "rate"),
        ({"rate": np.ones((2, 2))}, "rate"),
        ({"units": np.array([[-1]])}, "units"),
        ({"link": np.ones((2, 2))}, "link"),
        ({"stage_limit": 0}, "stage_limit"),
        ({"widest": 0}, "widest"),
    ],
)
def test_programs_that_mean_nothing_are_refused(change: dict[str, object], where: str) -> None:
    """The error names the part."""
    right = program(2, [[2]], [[2.0, 1.0]])

    with pytest.raises(InputError, match=where):
        dataclasses.replace(right, **change)
