r"""The integer program of one target rate :math:`F`: which stages reach it, and whether they cover the line.

A column is a multiset :math:`v` of units with a number of steps :math:`k` such that
:math:`\sum_i v_i\,\mathrm{rate}_i(k) \ge F`. With :math:`x_c` stages of column :math:`c`,

.. math:: \max \sum_c k_c x_c \quad \text{s.t. } \sum_c v_{ci} x_c \le \mathrm{units}_i,\ \sum_c x_c \le S,\
   \sum_c k_c x_c \ge L

has a point exactly when some line of such stages carries :math:`F`. (The form of the pattern or
cutting-stock program, Gilmore and Gomory, Oper. Res. 9, 1961.) Several regions add a path over regions, and for each
of its arcs how many units stand on either side, and in which stage: with :math:`b` units on the other side of links of
rate :math:`\ell`, a unit passes at most :math:`b\,\ell`. That is necessary, so the program bounds the rate of aligned
stages; the flow of the decoded line is computed apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.pattern.columns import Columns, enumerate_columns
from coinfer.solver.pattern.program import PatternProgram, Stage
from coinfer.solver.pattern.regions import Door, add_regions, doors_for, passing
from coinfer.solver.program import FloatArray, IntArray, MixedIntegerProgram, ProgramBuilder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TargetProgram:
    """The integer program of one target rate, with what its variables mean."""

    rate: float
    columns: Columns
    doors: tuple[Door, ...]
    program: MixedIntegerProgram


def target_program(program: PatternProgram, target: float) -> TargetProgram:
    """State the integer program of ``target``, with a row that the line must be covered."""
    columns = enumerate_columns(program, target)
    builder = ProgramBuilder()
    room = _room(program, columns)
    x = builder.variables("stages", len(room), cost=-columns.steps, upper=room, integer=True)
    regions, types = program.units.shape
    place, kind = np.nonzero(columns.use)
    builder.rows(
        "units",
        row=columns.region[place] * types + kind,
        column=x[place],
        coefficient=columns.use[place, kind],
        upper=program.units.ravel(),
        count=regions * types,
    )
    if program.stage_limit is not None:
        builder.rows("stage_limit", row=0, column=x, coefficient=1.0, upper=program.stage_limit, count=1)
    upper = np.inf if program.falling else program.steps
    builder.rows("steps", row=0, column=x, coefficient=columns.steps, lower=program.steps, upper=upper, count=1)
    doors: tuple[Door, ...] = ()
    if regions > 1:
        doors = doors_for(program, target)
        add_regions(builder, program, target, columns, doors, x)
    return TargetProgram(rate=target, columns=columns, doors=doors, program=builder.build())


def _room(program: PatternProgram, columns: Columns) -> FloatArray:
    """Return how often each column fits into the units there are, (columns,)."""
    with np.errstate(divide="ignore"):
        fits = np.where(columns.use > 0, program.units[columns.region] // np.maximum(columns.use, 1), 1 << 30)
    room: FloatArray = np.minimum(fits.min(axis=1, initial=1 << 30), program.steps).astype(np.float64)
    return room


def decode_stages(target: TargetProgram, point: FloatArray, program: PatternProgram) -> tuple[Stage, ...]:
    """Return the stages of a point in the order of the line, cut to its length."""
    columns, blocks = target.columns, target.program.variable_blocks
    times = np.round(point[blocks["stages"]]).astype(np.int64)
    chosen = np.repeat(np.arange(len(times)), times)
    by_region: dict[int, list[int]] = {}
    for column in chosen.tolist():
        by_region.setdefault(int(columns.region[column]), []).append(column)
    open_doors = (
        [d for d, on in zip(target.doors, point[blocks["doors"]], strict=True) if on > 0.5] if target.doors else []
    )
    order = _ordered(sorted(by_region), open_doors)
    line: list[int] = []
    for region in order:
        here = by_region.get(region, [])
        for side, to in (("entering", 0), ("leaving", -1)):
            for door in open_doors:
                if region == (door.target if side == "entering" else door.source):
                    marked = np.flatnonzero(point[blocks[side]] > 0.5)
                    fitting = passing(program, target.rate, columns, door, leaving=side == "leaving")
                    here = _moved(here, np.intersect1d(marked, fitting), to=to)
        line += here
    surplus = int(columns.steps[line].sum()) - program.steps
    stages = []
    for column in line:
        held = int(columns.steps[column])
        cut = min(surplus, held)
        surplus -= cut
        if held > cut:
            units = tuple(columns.use[column].tolist())
            stages.append(Stage(region=int(columns.region[column]), units=units, steps=held - cut))
    return tuple(stages)


def _ordered(regions: list[int], doors: list[Door]) -> list[int]:
    """Return the regions in the order in which the doors lead through them."""
    follows = {door.source: door.target for door in doors}
    first = [r for r in {*regions, *follows} if r not in follows.values()]
    order: list[int] = []
    at: int | None = min(first) if first else None
    while at is not None and at not in order:
        order.append(at)
        at = follows.get(at)
    return order


def _moved(line: list[int], wanted: IntArray, *, to: int) -> list[int]:
    """Return the line with one of the wanted columns at its start (``to=0``) or end (``to=-1``)."""
    fitting = [place for place, column in enumerate(line) if column in wanted]
    if not fitting:
        return line
    place = fitting[to]
    rest = line[:place] + line[place + 1 :]
    return [line[place], *rest] if to == 0 else [*rest, line[place]]
