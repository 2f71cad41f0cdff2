r"""The layered path program as a mixed-integer program: a flow through steps and carriers, and rows for the rest.

Binary :math:`x_{l,b,m}`: step :math:`l` on carrier :math:`b` in mode :math:`m`; :math:`y_{l,a,b,c}`: the jump before
step :math:`l`; :math:`i_{l,b,m}` and :math:`o_{l,b,m}`: a piece begins, or has ended, there. Then

.. math:: x_{l,b,m} = x_{l-1,b,m} + i_{l,b,m} - o_{l,b,m}, \quad \sum_m i_{l,b,m} = \sum_{a,c} y_{l,a,b,c}, \quad
   \sum_m o_{l,a,m} = \sum_{b,c} y_{l,a,b,c},

and :math:`i_{l,b,m} \le x_{l,b,m}`, with the modes of a carrier added up in these rows where a piece may mix them. A
unit of flow goes in at the first boundary and out at the last one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.path.program import LayeredPath, Path, Piece
from coinfer.solver.path.tables import Tables, ends, ends_busy, jump_busy, jump_use, tables_of
from coinfer.solver.program import FloatArray, IntArray, MixedIntegerProgram, ProgramBuilder


@dataclass(slots=True, kw_only=True, eq=False)
class PathForm:
    """The integer program, and where its variables stand.

    ``step``, ``begin``, ``end`` (steps + 1, carriers, modes): columns, -1 where there is none; ``jump``
    (jumps, 5): boundary, from, to, codec and column.
    """

    program: LayeredPath
    tables: Tables
    builder: ProgramBuilder = field(default_factory=ProgramBuilder)
    step: IntArray = field(init=False)
    begin: IntArray = field(init=False)
    end: IntArray = field(init=False)
    jump: IntArray = field(init=False)
    jump_use: FloatArray = field(init=False)
    built: MixedIntegerProgram = field(init=False)

    def decode(self, point: FloatArray) -> Path:
        """Return the path of a feasible point."""
        chosen = np.argwhere((self.step >= 0) & (point[self.step] > 0.5))
        taken = {(line[0], line[2]): line[3] for line in self.jump.tolist() if point[line[4]] > 0.5}
        pieces: list[Piece] = []
        for step, carrier, mode in chosen.tolist():
            if pieces and pieces[-1].carrier == carrier:
                last = pieces.pop()
                pieces.append(last._replace(last=step, modes=(*last.modes, mode)))
            else:
                pieces.append(Piece(carrier, step, step, (mode,), taken.get((step, carrier), 0)))
        return tuple(pieces)


def formulate_path(program: LayeredPath) -> PathForm:
    """Return the program in rows and columns."""
    form = PathForm(program=program, tables=tables_of(program))
    _columns(form)
    _flow(form)
    _limits(form)
    if program.objective == "bottleneck" and program.busy is not None:
        _bottleneck(form, program.busy)
    form.built = form.builder.build()
    return form


def _columns(form: PathForm) -> None:
    """Add the variables, each with its share of the objective."""
    program, tables = form.program, form.tables
    shape = (program.steps + 1, program.carriers, program.modes)
    use = np.moveaxis(program.step[tables.kept], 3, 1)  # (kept, steps, carriers, modes)
    into, back = ends(tables)
    cost = 1.0 if program.objective == "sum" else 0.0

    def block(name: str, there: NDArray[np.bool_], costs: FloatArray) -> IntArray:
        columns = np.full(shape, -1, dtype=np.int64)
        columns[: len(there)][there] = form.builder.variables(
            name, int(there.sum()), cost=cost * costs[there], upper=1.0, integer=True
        )
        return columns

    possible = np.asarray(np.isfinite(use).all(axis=0))
    form.step = block("step", possible, use[0])
    begin, end = np.zeros(shape), np.zeros(shape)
    begin[0], end[-1] = into[0][:, None], back[0][:, None]
    may_begin, may_end = np.ones(shape, dtype=bool), np.ones(shape, dtype=bool)
    may_begin[0], may_begin[-1] = np.asarray(np.isfinite(into).all(axis=0))[:, None], False
    may_end[0], may_end[-1] = False, np.asarray(np.isfinite(back).all(axis=0))[:, None]
    form.begin = block("begin", may_begin, begin)
    form.end = block("end", may_end, end)
    uses, places = [np.zeros((len(tables.kept), 0))], [np.zeros((0, 4), dtype=np.int64)]
    for boundary in range(1, program.steps):
        jumps = jump_use(tables, boundary)
        own = np.argwhere(np.isfinite(jumps).all(axis=0))
        places.append(np.concatenate([np.full((len(own), 1), boundary), own], axis=1))
        uses.append(jumps[:, *own.T])
    form.jump_use = np.concatenate(uses, axis=1)
    columns = form.builder.variables(
        "jump", form.jump_use.shape[1], cost=cost * form.jump_use[0], upper=1.0, integer=True
    )
    form.jump = np.concatenate([np.concatenate(places), columns[:, None]], axis=1)


def _flow(form: PathForm) -> None:
    """Let one unit of flow pass."""
    program = form.program
    boundary, carrier, mode = np.indices(form.begin.shape, dtype=np.int64)
    place = np.asarray(boundary * program.carriers + carrier)
    state = place
    if not program.mixed_modes:
        state = state * program.modes + mode
    parts = [(form.step, 0, 1.0), (form.step, 1, -1.0), (form.begin, 0, -1.0), (form.end, 0, 1.0)]
    row, column, number = [], [], []
    for columns, later, sign in parts:
        there = columns >= 0
        shift = later * program.carriers * (1 if program.mixed_modes else program.modes)
        row.append((state + shift)[there])
        column.append(columns[there])
        number.append(np.full(there.sum(), sign))
    entries = (np.concatenate(part) for part in (row, column, number))
    _equal(form, "carry", *entries, count=int(state.max()) + 1, right=0.0)
    # A carrier that only passes on would be a way that is not there.
    begun, done = form.begin >= 0, form.step >= 0
    form.builder.rows(
        "carry at once",
        row=np.concatenate([state[begun], state[done]]),
        column=np.concatenate([form.begin[begun], form.step[done]]),
        coefficient=np.concatenate([np.ones(begun.sum()), -np.ones(done.sum())]),
        upper=0.0,
        count=int(state.max()) + 1,
    )
    at, first, end, _, jump = form.jump.T
    for name, columns, ways in (("begin", form.begin, end), ("end", form.end, first)):
        inner = (columns >= 0) & (boundary > 0) & (boundary < program.steps)
        rows = np.concatenate([place[inner], at * program.carriers + ways])
        signs = np.concatenate([np.ones(inner.sum()), -np.ones(len(jump))])
        count = (program.steps + 1) * program.carriers
        _equal(form, name, rows, np.concatenate([columns[inner], jump]), signs, count=count, right=0.0)
    first_columns = form.begin[0][form.begin[0] >= 0]
    ones = np.ones(len(first_columns))
    _equal(form, "one", np.zeros(len(ones), dtype=np.int64), first_columns, ones, count=1, right=1.0)


def _equal(
    form: PathForm, name: str, row: IntArray, column: IntArray, number: FloatArray, *, count: int, right: float
) -> None:
    form.builder.rows(name, row=row, column=column, coefficient=number, lower=right, upper=right, count=count)


def _limits(form: PathForm) -> None:
    """Add memory, budgets, and in free order the rule that a carrier comes once."""
    program, tables = form.program, form.tables
    boundary, carrier, mode = np.nonzero(form.step >= 0)
    column = form.step[boundary, carrier, mode]
    size = program.size[carrier, mode, boundary]
    form.builder.rows(
        "memory", row=carrier, column=column, coefficient=size, upper=program.capacity, count=program.carriers
    )
    if program.order == "free":
        places = np.nonzero(form.begin >= 0)
        form.builder.rows(
            "once", row=places[1], column=form.begin[places], coefficient=1.0, upper=1.0, count=program.carriers
        )
    into, back = ends(tables)
    begin, end = form.begin[0] >= 0, form.end[-1] >= 0
    for index, resource in enumerate(tables.kept.tolist()):
        if not np.isfinite(program.budget[resource]):
            continue
        numbers = [
            program.step[resource, carrier, mode, boundary],
            form.jump_use[index],
            np.broadcast_to(into[index][:, None], begin.shape)[begin],
            np.broadcast_to(back[index][:, None], end.shape)[end],
        ]
        columns = [column, form.jump[:, 4], form.begin[0][begin], form.end[-1][end]]
        form.builder.rows(
            f"budget {resource}",
            row=0,
            column=np.concatenate(columns),
            coefficient=np.concatenate(numbers),
            upper=program.budget[resource],
            count=1,
        )


def _bottleneck(form: PathForm, busy: FloatArray) -> None:
    """Minimise the longest busy time: of each carrier, each way, the first jump and the return."""
    program = form.program
    longest = form.builder.variables("longest", 1, cost=1.0)[0]
    boundary, carrier, mode = np.nonzero(form.step >= 0)
    start, end, jump = form.jump.T[[1, 2, 4]]
    ways = np.array([jump_busy(program, line[0])[*line[1:]] for line in form.jump[:, :4].tolist()])
    into, back = ends_busy(program)
    first, last = np.argwhere(form.begin[0] >= 0), np.argwhere(form.end[-1] >= 0)
    families = (
        ("carriers", carrier, form.step[boundary, carrier, mode], busy[carrier, mode, boundary]),
        ("ways", start * program.carriers + end, jump, ways),
        ("into", first[:, 0], form.begin[0][*first.T], into[first[:, 0]]),
        ("back", last[:, 0], form.end[-1][*last.T], back[last[:, 0]]),
    )
    for name, row, column, number in families:
        if len(row):
            count = int(row.max()) + 1
            form.builder.rows(
                f"busy {name}",
                row=np.concatenate([row, np.arange(count)]),
                column=np.concatenate([column, np.full(count, longest)]),
                coefficient=np.concatenate([number, -np.ones(count)]),
                upper=0.0,
                count=count,
            )
