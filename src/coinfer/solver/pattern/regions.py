"""Rows for several regions: a path over them, and how wide the stages are where it passes from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.pattern.columns import Columns
from coinfer.solver.pattern.program import PatternProgram
from coinfer.solver.program import IntArray, ProgramBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A way to pass from one region to another: so many units ``leaving`` here and ``entering`` there; 0 for any."""

    source: int
    target: int
    leaving: int
    entering: int


def doors_for(program: PatternProgram, target: float) -> tuple[Door, ...]:
    """Return the widths at which the links of each pair of regions can carry ``target``."""
    found = []
    widths = [(a, b) for a in range(1, program.widest + 1) for b in range(1, program.widest + 1)]
    for source, end in np.argwhere(program.link > 0.0).tolist():
        link = float(program.link[source, end])
        if source != end and link >= target:
            found.append(Door(source=source, target=end, leaving=0, entering=0))
        elif source != end:
            fit = [(a, b) for a, b in widths if a * b * link >= target]
            found += [Door(source=source, target=end, leaving=a, entering=b) for a, b in fit]
    return tuple(found)


def add_regions(
    builder: ProgramBuilder,
    program: PatternProgram,
    target: float,
    columns: Columns,
    doors: tuple[Door, ...],
    x: IntArray,
) -> None:
    """Add which regions the line visits, in which order, and the width of the stages at each passage."""
    regions = len(program.units)
    used = builder.variables("visited", regions, upper=1.0, integer=True)
    door = builder.variables("doors", len(doors), upper=1.0, integer=True)
    order = builder.variables("order", regions, upper=regions - 1.0)
    place = np.arange(len(columns.region))
    builder.rows(
        "only_visited",
        row=np.concatenate([columns.region, np.arange(regions)]),
        column=np.concatenate([x, used]),
        coefficient=np.concatenate([np.ones(len(place)), np.full(regions, -float(program.steps))]),
        upper=0.0,
        count=regions,
    )
    passages = np.concatenate([door, used])
    for name, ends in (("leave_once", [d.source for d in doors]), ("enter_once", [d.target for d in doors])):
        row = np.concatenate([np.array(ends, dtype=np.int64), np.arange(regions)])
        number = np.concatenate([np.ones(len(doors)), -np.ones(regions)])
        builder.rows(name, row=row, column=passages, coefficient=number, upper=0.0, count=regions)
    number = np.concatenate([np.ones(len(doors)), -np.ones(regions)])
    builder.rows("path", row=0, column=passages, coefficient=number, lower=-1.0, upper=-1.0, count=1)
    for index, passage in enumerate(doors):
        builder.rows(
            f"after_{index}",
            row=0,
            column=[order[passage.target], order[passage.source], door[index]],
            coefficient=[1.0, -1.0, -float(regions)],
            lower=1.0 - regions,
            count=1,
        )
    _add_ends(builder, program, target, columns, doors, x, door)


def _add_ends(
    builder: ProgramBuilder,
    program: PatternProgram,
    target: float,
    columns: Columns,
    doors: tuple[Door, ...],
    x: IntArray,
    door: IntArray,
) -> None:
    """Add which stages stand at the doors: two different ones, unless a region has a single stage."""
    count, regions = len(x), len(program.units)
    ends = {side: builder.variables(side, count, upper=1.0, integer=True) for side in ("entering", "leaving")}
    single = builder.variables("single", regions, upper=1.0, integer=True)
    for side, end in ends.items():
        for index, passage in enumerate(doors):
            fitting = passing(program, target, columns, passage, leaving=side == "leaving")
            builder.rows(
                f"{side}_{index}",
                row=0,
                column=np.concatenate([end[fitting], door[index : index + 1]]),
                coefficient=np.concatenate([np.ones(len(fitting)), [-1.0]]),
                lower=0.0,
                count=1,
            )
    row = np.tile(np.arange(count), 4)
    number = np.repeat([1.0, 1.0, -1.0, -1.0], count)
    column = np.concatenate([ends["entering"], ends["leaving"], x, single[columns.region]])
    builder.rows("different", row=row, column=column, coefficient=number, upper=0.0, count=count)
    for side, end in ends.items():
        row = np.tile(np.arange(count), 2)
        number = np.repeat([1.0, -1.0], count)
        builder.rows(
            f"{side}_there", row=row, column=np.concatenate([end, x]), coefficient=number, upper=0.0, count=count
        )
    most = float(program.steps)
    builder.rows(
        "single",
        row=np.concatenate([columns.region, np.arange(regions)]),
        column=np.concatenate([x, single]),
        coefficient=np.concatenate([np.ones(count), np.full(regions, most)]),
        upper=1.0 + most,
        count=regions,
    )


def passing(program: PatternProgram, target: float, columns: Columns, door: Door, *, leaving: bool) -> IntArray:
    """Return the columns that can stand on one side of a door."""
    region, width, other = (
        (door.source, door.leaving, door.entering) if leaving else (door.target, door.entering, door.leaving)
    )
    here: NDArray[np.bool_] = columns.region == region
    if width:
        through = np.minimum(program.rate, other * program.link[door.source, door.target])
        passes = (columns.use * through[:, columns.steps - 1].T).sum(axis=1) >= target
        here &= (columns.width == width) & passes
    return np.flatnonzero(here)
