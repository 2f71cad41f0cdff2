"""The canonical form: steps to be covered by stages, each held by several units of few types at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from coinfer.errors import InputError
from coinfer.solver.program import FloatArray, IntArray

MAX_PATTERNS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delay:
    """What it takes to pass a unit at a flow ``f`` through it: ``base / (1 - f * load)``, plus ``hop``.

    Attributes
    ----------
    base, load
        (types, most steps), at least 0.
    hop
        For each stage, at least 0.
    """

    base: FloatArray
    load: FloatArray
    hop: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatternProgram:
    """Cover a line of steps by stages so that as much as possible flows through all of them.

    Every unit of a stage holds the same steps and takes a part of the flow; the rate of a stage is the sum of the
    rates of its units, and the rate of the line is that of its slowest stage. All units of a stage stand in one region.
    The line visits each region at most once; where it passes from one to the next, every unit of the last stage
    there sends to every unit of the first stage here.

    Attributes
    ----------
    steps
        Length of the line, at least 1.
    units
        (regions, types): how many units there are.
    rate
        (types, most steps): flow through one unit that holds ``k + 1`` steps; 0 where it cannot hold so many.
    link
        (regions, regions): flow that one link carries from a unit of one region to a unit of another; ``inf`` where
        links never bind, 0 where there are none. The diagonal is not used: it is as if ``inf``.
    stage_limit
        Most stages on the line; ``None`` without a limit.
    widest
        Most units in one stage.
    delay
        What passing a unit takes; of all lines of the best rate, one that is passed soonest is then returned. ``None``:
        any of them.
    """

    steps: int
    units: IntArray
    rate: FloatArray
    link: FloatArray
    stage_limit: int | None
    widest: int
    delay: Delay | None = None

    def __post_init__(self) -> None:
        regions, types = self.units.shape
        if self.steps < 1:
            raise InputError("pattern.steps", expected="at least 1", found=self.steps)
        if self.rate.ndim != 2 or len(self.rate) != types or not self.rate.size:
            raise InputError("pattern.rate", expected=f"one row for each of {types} types", found=self.rate.shape)
        if not (np.isfinite(self.rate).all() and (self.rate >= 0.0).all()):
            raise InputError("pattern.rate", expected="finite numbers, at least 0", found=self.rate)
        if (self.units < 0).any():
            raise InputError("pattern.units", expected="numbers of units, at least 0", found=self.units)
        if self.link.shape != (regions, regions) or not (self.link >= 0.0).all():
            raise InputError("pattern.link", expected=f"{regions} x {regions} numbers, at least 0", found=self.link)
        if self.stage_limit is not None and self.stage_limit < 1:
            raise InputError("pattern.stage_limit", expected="at least 1", found=self.stage_limit)
        if self.widest < 1:
            raise InputError("pattern.widest", expected="at least 1", found=self.widest)
        if pattern_count(self.units, self.widest) > MAX_PATTERNS:
            raise InputError("pattern.widest", expected=f"at most {MAX_PATTERNS} patterns of units", found=self.widest)
        if self.delay is not None and {self.delay.base.shape, self.delay.load.shape} != {self.rate.shape}:
            found = (self.delay.base.shape, self.delay.load.shape)
            raise InputError("pattern.delay", expected=f"numbers for each of {self.rate.shape} rates", found=found)
        for part in (self.units, self.rate, self.link):
            part.flags.writeable = False

    @property
    def falling(self) -> bool:
        """True where a unit is never faster for holding more steps."""
        return bool((np.diff(self.rate, axis=1) <= 0.0).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Units that hold the same steps.

    Attributes
    ----------
    region
        Where they stand.
    units
        How many of each type.
    steps
        How many steps each of them holds.
    """

    region: int
    units: tuple[int, ...]
    steps: int


def pattern_count(units: IntArray, widest: int) -> int:
    """Return how many multisets of at most ``widest`` units there are, over all regions."""
    total = 0
    for row in units:
        ways = np.zeros(widest + 1)
        ways[0] = 1.0
        for count in row:
            ways = np.convolve(ways, np.ones(min(int(count), widest) + 1))[: widest + 1]
        total += min(int(ways.sum()) - 1, 1 << 60)
    return total


def widest_within(units: IntArray, patterns: int) -> int:
    """Return the largest ``widest`` (at least 1) for which there are at most ``patterns`` multisets of units."""
    most = max(1, int(units.sum(axis=1).max(initial=1)))
    widest = 1
    while widest < most and pattern_count(units, widest + 1) <= patterns:
        widest += 1
    return widest


def patterns(program: PatternProgram, region: int) -> IntArray:
    """Return every multiset of 1 to ``widest`` units of a region, (patterns, types)."""
    rows: list[tuple[int, ...]] = [()]
    for count in program.units[region]:
        most = min(int(count), program.widest)
        rows = [(*row, n) for row, n in itertools.product(rows, range(most + 1)) if sum(row) + n <= program.widest]
    return np.array(rows[1:], dtype=np.int64).reshape(-1, program.units.shape[1])
