"""Local improvement beyond aligned stages: units move one by one, cuts shift, and the real flow decides."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from coinfer.solver.pattern.flow import Range, max_flow
from coinfer.solver.pattern.program import PatternProgram

Ranges = tuple[Range, ...]
_GAIN = 1e-9


def improve_ranges(
    program: PatternProgram,
    ranges: Ranges,
    *,
    time_s: float,
    value: Callable[[Ranges], float] | None = None,
) -> Ranges:
    """Return ranges that are worth at least as much as the given ones.

    First improvement over three kinds of step: one unit (a spare one too) takes other steps, which begin or end where
    others begin or end; a cut shifts by one step for all units that meet there; a unit is taken out.

    Parameters
    ----------
    program
        The units and their rates. Its stage limit, if any, is kept on every way through the ranges.
    ranges
        Where to begin.
    time_s
        Wall-clock seconds after which the best so far is returned.
    value
        What to enlarge; by default the largest flow.
    """
    ends = time.perf_counter() + time_s
    judge = value or (lambda found: max_flow(found, steps=program.steps, link=program.link).value)
    best = judge(ranges)
    improved = True
    while improved:
        improved = False
        for candidate in _neighbours(program, ranges):
            if time.perf_counter() >= ends:
                return ranges
            if program.stage_limit is not None and longest_way(candidate) > program.stage_limit:
                continue
            worth = judge(candidate)
            if worth > best * (1.0 + _GAIN):
                ranges, best, improved = candidate, worth, True
                break
    return ranges


def longest_way(ranges: Ranges) -> int:
    """Return the most units on any way of ranges that each begin where the one before stops."""
    longest: dict[int, int] = {0: 0}
    for unit in sorted(ranges, key=lambda unit: unit.start):
        if unit.start in longest:
            longest[unit.stop] = max(longest.get(unit.stop, 0), longest[unit.start] + 1)
    return max(longest.values())


def _neighbours(program: PatternProgram, ranges: Ranges) -> Iterator[Ranges]:
    cuts = sorted({0, program.steps, *(unit.start for unit in ranges), *(unit.stop for unit in ranges)})
    for cut in cuts[1:-1]:
        for shift in (-1, 1):
            shifted = _shifted(program, ranges, cut, cut + shift)
            if shifted is not None:
                yield shifted
    for region, kind in _spare(program, ranges):
        for moved in _places(program, region, kind, cuts):
            yield (*ranges, moved)
    for index, unit in enumerate(ranges):
        rest = ranges[:index] + ranges[index + 1 :]
        for moved in _places(program, unit.region, unit.kind, cuts):
            if moved != unit:
                yield (*rest, moved)
        yield rest


def _spare(program: PatternProgram, ranges: Ranges) -> list[tuple[int, int]]:
    """Return region and type of one spare unit of each kind."""
    left = program.units.copy()
    for unit in ranges:
        left[unit.region, unit.kind] -= 1
    return [(region, kind) for region, row in enumerate(left.tolist()) for kind, count in enumerate(row) if count > 0]


def _places(program: PatternProgram, region: int, kind: int, cuts: list[int]) -> Iterator[Range]:
    """Yield what a unit could hold so that it begins or ends at a cut."""
    rates = program.rate[kind].tolist()
    spans = {
        (start, start + held)
        for cut in cuts
        for held in range(1, len(rates) + 1)
        for start in (cut, cut - held)
        if start >= 0 and start + held <= program.steps
    }
    for start, stop in sorted(spans):
        rate = rates[stop - start - 1]
        if rate > 0.0:
            yield Range(region=region, kind=kind, start=start, stop=stop, rate=rate)


def _shifted(program: PatternProgram, ranges: Ranges, cut: int, to: int) -> Ranges | None:
    """Return the ranges with all ends at ``cut`` moved; ``None`` where a unit would hold nothing or too much."""
    found = []
    for unit in ranges:
        start, stop = (to if end == cut else end for end in (unit.start, unit.stop))
        if not 0 < stop - start <= program.rate.shape[1]:
            return None
        rate = float(program.rate[unit.kind, stop - start - 1])
        if rate <= 0.0:
            return None
        found.append(replace(unit, start=start, stop=stop, rate=rate))
    return tuple(found)
