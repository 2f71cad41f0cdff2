r"""The integer program of one target rate :math:`F`: which stages reach it, and whether they cover the line.

A column is a multiset :math:`v` of units with a number of steps :math:`k` such that
:math:`\sum_i v_i\,\mathrm{rate}_i(k) \ge F`. With :math:`x_c` stages of column :math:`c`,

.. math:: \max \sum_c k_c x_c \quad \text{s.t. } \sum_c v_{ci} x_c \le \mathrm{units}_i,\ \sum_c x_c \le S

reaches the length of the line exactly when some line of such stages carries :math:`F`. (The form of the pattern or
cutting-stock program, Gilmore and Gomory, Oper. Res. 9, 1961.) Several regions add a path over regions, and for each
of its arcs how many units stand on either side: with :math:`b` units on the other side of links of rate
:math:`\ell`, a unit passes at most :math:`b\,\ell`. That is necessary; the flow of the decoded line is computed apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.pattern.program import PatternProgram, Stage, patterns
from coinfer.solver.program import FloatArray, IntArray, MixedIntegerProgram, ProgramBuilder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Stages that reach the target.

    Attributes
    ----------
    region, steps, width
        (columns,): where the units stand, how many steps each holds, how many units there are.
    use
        (columns, types): the units.
    """

    region: IntArray
    use: IntArray
    steps: IntArray
    width: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A way to pass from one region to another: so many units ``leaving`` here and ``entering`` there; 0 for any."""

    source: int
    target: int
    leaving: int
    entering: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TargetProgram:
    """The integer program of one target rate, with what its variables mean."""

    rate: float
    columns: Columns
    doors: tuple[Door, ...]
    program: MixedIntegerProgram


def enumerate_columns(program: PatternProgram, target: float) -> Columns:
    """Return the columns that can matter for ``target``.

    A stage from which a unit can be taken away is left out where regions do not ask for wide stages. Of the steps a
    stage can hold only the most are kept where a unit is never faster for holding more: the rest of the line can
    then be cut to length.
    """
    one_region = len(program.units) == 1
    parts: list[tuple[int, IntArray, IntArray]] = []
    for region in range(len(program.units)):
        use = patterns(program, region)
        reaches = use @ program.rate >= target  # (patterns, most steps)
        # A unit that cannot hold so many steps is no part of such a stage.
        reaches &= (use @ (program.rate <= 0.0)) == 0
        keep = reaches & ~_dispensable(use, reaches) if one_region else reaches
        if program.falling:
            most = reaches.shape[1] - np.argmax(reaches[:, ::-1], axis=1)
            keep &= np.arange(1, reaches.shape[1] + 1) == most[:, None]
        index, held = np.nonzero(keep)
        parts.append((region, use[index], held + 1))
    use = np.concatenate([part[1] for part in parts])
    return Columns(
        region=np.concatenate([np.full(len(part[1]), part[0]) for part in parts]),
        use=use,
        steps=np.concatenate([part[2] for part in parts]),
        width=use.sum(axis=1),
    )


def _dispensable(use: IntArray, reaches: np.ndarray) -> np.ndarray:
    """Return, (patterns, most steps), where the stage without one of its units still reaches the target."""
    position = {tuple(row): index for index, row in enumerate(use.tolist())}
    found = np.zeros_like(reaches)
    for kind in range(use.shape[1]):
        fewer = use.copy()
        fewer[:, kind] -= 1
        smaller = np.array([position.get(tuple(row), -1) for row in fewer.tolist()], dtype=np.int64)
        inside = smaller >= 0
        found[inside] |= reaches[smaller[inside]]
    return found


def target_program(program: PatternProgram, target: float, *, covering: bool = False) -> TargetProgram:
    """State the integer program of ``target``; ``covering`` adds the row that the line must be covered."""
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
    lower = program.steps if covering else -np.inf
    upper = np.inf if program.falling else program.steps
    builder.rows("steps", row=0, column=x, coefficient=columns.steps, lower=lower, upper=upper, count=1)
    doors: tuple[Door, ...] = ()
    if regions > 1:
        doors = _doors(program, target)
        _add_regions(builder, program, target, columns, doors, x)
    return TargetProgram(rate=target, columns=columns, doors=doors, program=builder.build())


def _room(program: PatternProgram, columns: Columns) -> FloatArray:
    """Return how often each column fits into the units there are, (columns,)."""
    with np.errstate(divide="ignore"):
        fits = np.where(columns.use > 0, program.units[columns.region] // np.maximum(columns.use, 1), 1 << 30)
    room: FloatArray = np.minimum(fits.min(axis=1, initial=1 << 30), program.steps).astype(np.float64)
    return room


def _doors(program: PatternProgram, target: float) -> tuple[Door, ...]:
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


def _add_regions(
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
        for side in ("leaving", "entering"):
            wide = passing(program, target, columns, passage, leaving=side == "leaving")
            builder.rows(
                f"{side}_{index}",
                row=0,
                column=np.concatenate([x[wide], door[index : index + 1]]),
                coefficient=np.concatenate([np.ones(len(wide)), [-1.0]]),
                lower=0.0,
                count=1,
            )


def passing(program: PatternProgram, target: float, columns: Columns, door: Door, *, leaving: bool) -> IntArray:
    """Return the columns that can stand on one side of a door."""
    region, width, other = (
        (door.source, door.leaving, door.entering) if leaving else (door.target, door.entering, door.leaving)
    )
    here = columns.region == region
    if width:
        through = np.minimum(program.rate, other * program.link[door.source, door.target])
        passes = (columns.use * through[:, columns.steps - 1].T).sum(axis=1) >= target
        here &= (columns.width == width) & passes
    return np.flatnonzero(here)


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
        for door in open_doors:
            if door.target == region:
                here = _moved(here, passing(program, target.rate, columns, door, leaving=False), to=0)
        for door in open_doors:
            if door.source == region:
                here = _moved(here, passing(program, target.rate, columns, door, leaving=True), to=-1)
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
    place = fitting[0 if to == 0 else -1]
    rest = line[:place] + line[place + 1 :]
    return [line[place], *rest] if to == 0 else [*rest, line[place]]
