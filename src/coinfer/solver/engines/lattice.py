"""When continuous variables may be declared integer without losing an optimum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.solver.program import IntArray, MixedIntegerProgram


def require_whole(program: MixedIntegerProgram, *, engine: str) -> None:
    """Refuse a program whose continuous variables an integer engine cannot treat as integer.

    For every choice of the integer variables, the rest must have a whole optimum. That holds when bounds and
    right-hand sides are whole and the matrix of the continuous columns is totally unimodular; tested is the
    sufficient condition of Heller and Tompkins [1]_, rows with one continuous variable left out: entries of one
    size, at most two per column, and rows that split into two sides such that two entries of a column stand on
    one side exactly when their signs differ. Facility location, assignment and flow have that form.

    Raises
    ------
    InputError
        Naming the engine and the block of the first variable that breaks the condition.

    References
    ----------
    .. [1] I. Heller and C. B. Tompkins, "An extension of a theorem of Dantzig's", Linear Inequalities and Related
       Systems, Princeton University Press, 1956.
    """
    continuous = ~program.integer
    if not continuous.any():
        return
    bounds_whole = (np.floor(program.lower) == program.lower) & (np.floor(program.upper) == program.upper)
    finite = np.isfinite(program.lower) & np.isfinite(program.upper)
    bad = continuous & ~(bounds_whole & finite)
    bad |= _in_uneven_row(program) & continuous
    if not bad.any():
        bad = _breaks_two_sides(program)
    if bad.any():
        name = _block(program, int(np.flatnonzero(bad)[0]))
        expected = f"integer variables in block {name!r}, which engine {engine!r} cannot round without loss"
        raise InputError("program.integer", expected=expected, found=Plain("continuous ones"))


def _block(program: MixedIntegerProgram, index: int) -> str:
    return next((name for name, part in program.variable_blocks.items() if part.start <= index < part.stop), "?")


def _in_uneven_row(program: MixedIntegerProgram) -> NDArray[np.bool_]:
    """Mark columns of rows which, divided by the size of their continuous entries, are not whole."""
    row, continuous = program.row_of_entry, ~program.integer[program.column]
    size = np.zeros(program.rows)
    np.maximum.at(size, row[continuous], np.abs(program.coefficient[continuous]))
    mixed = size > 0.0
    unit = np.where(mixed, size, 1.0)
    entry = program.coefficient / unit[row]
    uneven = np.zeros(program.rows, dtype=bool)
    uneven[row[(entry != np.round(entry)) | (continuous & (np.abs(entry) != 1.0))]] = True
    for side in (program.row_lower / unit, program.row_upper / unit):
        uneven |= np.isfinite(side) & (side != np.floor(side))
    marked = np.zeros(program.variables, dtype=bool)
    marked[program.column[(uneven & mixed)[row]]] = True
    return marked


def _breaks_two_sides(program: MixedIntegerProgram) -> NDArray[np.bool_]:
    """Mark the continuous columns that break the condition of Heller and Tompkins."""
    continuous = ~program.integer[program.column]
    row, column = program.row_of_entry[continuous], program.column[continuous]
    positive = program.coefficient[continuous] > 0.0
    shared = np.bincount(row, minlength=program.rows)[row] > 1  # a row of one entry changes no determinant but by sign
    row, column, positive = row[shared], column[shared], positive[shared]
    order = np.argsort(column, kind="stable")
    row, column, positive = row[order], column[order], positive[order]
    marked: NDArray[np.bool_] = np.bincount(column, minlength=program.variables) > 2
    first = np.flatnonzero(column[1:] == column[:-1]) if len(column) else np.zeros(0, dtype=np.int64)
    if not marked.any():
        marked[column[_odd(row[first], row[first + 1], positive[first] == positive[first + 1], program.rows)]] = True
    return marked


def _odd(one: IntArray, other: IntArray, apart: NDArray[np.bool_], rows: int) -> IntArray:
    """Two-colour rows: ``apart`` pairs must differ, others agree; return the pairs that cannot (union-find)."""
    parent, side = list(range(rows)), [False] * rows

    def root(row: int) -> tuple[int, bool]:
        flipped, path = False, []
        while parent[row] != row:
            path.append(row)
            flipped ^= side[row]
            row = parent[row]
        rest = flipped
        for step in path:  # path compression keeps the whole pass near linear
            parent[step], side[step], rest = row, rest, rest ^ side[step]
        return row, flipped

    broken = []
    for pair, (a, b, differ) in enumerate(zip(one.tolist(), other.tolist(), apart.tolist(), strict=True)):
        (top, flip), (bottom, flop) = root(a), root(b)
        if top != bottom:
            parent[top], side[top] = bottom, flip ^ flop ^ differ
        elif flip ^ flop != differ:
            broken.append(pair)
    return np.array(broken, dtype=np.int64)
