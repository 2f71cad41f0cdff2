"""Small pattern programs, and their truth by enumeration."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from hypothesis import strategies as st

from coinfer.solver.pattern.flow import Range, max_flow
from coinfer.solver.pattern.program import PatternProgram, Stage, patterns
from coinfer.solver.pattern.solve import ranges_of


def pattern_program(
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
def pattern_programs(draw: st.DrawFn, *, regions: int = 1) -> PatternProgram:
    """Small programs, with rates that fall with the steps and rates that do not."""
    steps = draw(st.integers(1, 5))
    types = draw(st.integers(1, 2))
    most = draw(st.integers(1, 3))
    units = np.array([[draw(st.integers(0, 3 if regions == 1 else 2)) for _ in range(types)] for _ in range(regions)])
    rate = np.array(
        [[float(draw(st.sampled_from([0, 7, 10, 19, 20, 21, 31]))) for _ in range(most)] for _ in range(types)]
    )
    if draw(st.booleans()):
        rate = np.sort(rate, axis=1)[:, ::-1].copy()
    link = np.full((regions, regions), np.inf)
    for a, b in itertools.combinations(range(regions), 2):
        link[a, b] = link[b, a] = draw(st.sampled_from([0.0, 5.0, 10.0, 19.0, np.inf]))
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
