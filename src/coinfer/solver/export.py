"""Writes a mixed-integer program as an MPS or LP file that any solver reads.

Numbers are written with 17 significant digits, so the file holds exactly the program: the writer of HiGHS rounds
them to 15.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping

import numpy as np

from coinfer import jsonfile
from coinfer.errors import InputError
from coinfer.solver.program import MixedIntegerProgram

_TERMS_PER_LINE = 6  # LP readers cut lines at 255 to 560 characters
_OBJECTIVE = "objective"


def write_mps(program: MixedIntegerProgram, path: str | os.PathLike[str]) -> None:
    """Write ``program`` as a free-format MPS file, atomically.

    Variables and rows are named after their blocks, as in ``x[3]`` and ``budget[0]``. Rows with no finite side are
    left out. The offset stands, negated as the format wants it, in the right-hand side of the objective.

    Raises
    ------
    InputError
        If the folder of ``path`` cannot be written.
    """
    jsonfile.write_text(path, "\n".join(_mps(program)) + "\n")


def write_lp(program: MixedIntegerProgram, path: str | os.PathLike[str]) -> None:
    """Write ``program`` in the CPLEX LP format, atomically.

    Names are those of :func:`write_mps` with round brackets, since square ones mean quadratic terms in this format.
    A row with two different finite sides becomes two rows, ``name`` and ``name_upper``; the format's offset is a
    variable ``offset_`` fixed to 1, which every reader understands.

    Raises
    ------
    InputError
        If ``program`` has no variable, or the folder of ``path`` cannot be written.
    """
    if program.variables == 0:
        raise InputError("program", expected="at least one variable, since an LP file cannot do without", found=0)
    jsonfile.write_text(path, "\n".join(_lp(program)) + "\n")


def names(blocks: Mapping[str, slice], *, brackets: str = "[]") -> list[str]:
    """Return the name of every index of ``blocks``, unique and without blanks."""
    found: list[str] = []
    used: set[str] = set()
    for block, indices in blocks.items():
        plain = re.sub(r"[^A-Za-z0-9_.]", "_", block)
        if not re.match(r"[A-Za-z_]", plain) or re.match(r"[eE][0-9]", plain):  # would read as a number
            plain = f"_{plain}"
        while plain.lower() in used:  # "a b" and "a_b" are different blocks
            plain += "_"
        used.add(plain.lower())
        found += [f"{plain}{brackets[0]}{i}{brackets[1]}" for i in range(indices.stop - indices.start)]
    return found


def _mps(program: MixedIntegerProgram) -> Iterator[str]:
    columns, rows = names(program.variable_blocks), names(program.row_blocks)
    low, high = program.row_lower, program.row_upper
    yield "NAME coinfer FREE"  # without the word, CBC takes names with blanks around them for fixed columns
    yield "ROWS"
    yield f" N {_OBJECTIVE}"
    kinds = [_row_kind(float(low[i]), float(high[i])) for i in range(program.rows)]
    yield from (f" {kind} {name}" for kind, name in zip(kinds, rows, strict=True) if kind != "N")
    yield "COLUMNS"
    yield from _mps_columns(program, columns, rows, kinds)
    yield "RHS"
    if program.offset != 0.0:
        yield f" RHS {_OBJECTIVE} {_number(-program.offset)}"
    for i, kind in enumerate(kinds):
        side = float(high[i]) if kind == "L" else float(low[i])
        if kind != "N" and side != 0.0:
            yield f" RHS {rows[i]} {_number(side)}"
    yield "RANGES"
    for i, kind in enumerate(kinds):
        if kind == "G" and high[i] < math.inf:
            yield f" RNG {rows[i]} {_number(_range(float(low[i]), float(high[i])))}"
    yield "BOUNDS"
    for j, column in enumerate(columns):
        yield from _mps_bounds(float(program.lower[j]), float(program.upper[j]), column)
    yield "ENDATA"


def _row_kind(low: float, high: float) -> str:
    if low == high:
        return "E"
    if low > -math.inf:
        return "G"
    return "L" if high < math.inf else "N"


def _range(low: float, high: float) -> float:
    """Return the width that a reader adds to ``low``; rounded up when the sum would fall short of ``high``."""
    width = high - low
    return width if low + width >= high else math.nextafter(width, math.inf)


def _mps_columns(program: MixedIntegerProgram, columns: list[str], rows: list[str], kinds: list[str]) -> Iterator[str]:
    order = np.argsort(program.column, kind="stable")  # CSR to CSC
    row_of_entry = program.row_of_entry[order]
    coefficient = program.coefficient[order]
    start = np.searchsorted(program.column[order], np.arange(program.variables + 1))
    inside = False
    for j, column in enumerate(columns):
        if bool(program.integer[j]) != inside:
            inside = not inside
            yield f" MARKER{j} 'MARKER' '{'INTORG' if inside else 'INTEND'}'"
        yield f" {column} {_OBJECTIVE} {_number(float(program.cost[j]))}"
        for entry in range(start[j], start[j + 1]):
            i = int(row_of_entry[entry])
            if kinds[i] != "N":
                yield f" {column} {rows[i]} {_number(float(coefficient[entry]))}"
    if inside:
        yield " MARKEREND 'MARKER' 'INTEND'"


def _mps_bounds(low: float, high: float, column: str) -> Iterator[str]:
    """Say both bounds, always: readers disagree on the default of integers and of a negative upper bound."""
    if low == high:
        yield f" FX BND {column} {_number(low)}"
    elif low == -math.inf and high == math.inf:
        yield f" FR BND {column}"
    else:
        yield f" MI BND {column}" if low == -math.inf else f" LO BND {column} {_number(low)}"
        yield f" PL BND {column}" if high == math.inf else f" UP BND {column} {_number(high)}"


def _lp(program: MixedIntegerProgram) -> Iterator[str]:
    columns, rows = (names(blocks, brackets="()") for blocks in (program.variable_blocks, program.row_blocks))
    offset = ["offset_"] if program.offset != 0.0 else []
    costs = [*program.cost.tolist(), program.offset]
    yield "Minimize"
    yield f" {_OBJECTIVE}:"
    yield from _terms(list(zip(costs, [*columns, *offset], strict=False)))
    yield "Subject To"
    for i, row in enumerate(rows):
        entries = slice(program.row_start[i], program.row_start[i + 1])
        terms = [
            (number, columns[j])
            for number, j in zip(program.coefficient[entries].tolist(), program.column[entries].tolist(), strict=True)
        ]
        for name, sense, side in _lp_sides(row, float(program.row_lower[i]), float(program.row_upper[i])):
            yield f" {name}:"
            yield from _terms(terms or [(0.0, columns[0])])
            yield f" {sense} {_number(side)}"
    yield "Bounds"
    for column, low, high in zip(columns, program.lower.tolist(), program.upper.tolist(), strict=True):
        yield f" {column} = {_number(low)}" if low == high else _lp_bounds(column, low, high)
    yield from (f" {name} = 1" for name in offset)
    if program.integer.any():
        yield "General"
        yield from (f" {columns[j]}" for j in np.flatnonzero(program.integer))
    yield "End"


def _lp_sides(name: str, low: float, high: float) -> Iterator[tuple[str, str, float]]:
    if low == high:
        yield name, "=", low
        return
    if low > -math.inf:
        yield name, ">=", low
    if high < math.inf:
        yield (name if low == -math.inf else f"{name}_upper"), "<=", high


def _lp_bounds(column: str, low: float, high: float) -> str:
    if low == -math.inf and high == math.inf:
        return f" {column} free"
    left = "-inf" if low == -math.inf else _number(low)
    right = "+inf" if high == math.inf else _number(high)
    return f" {left} <= {column} <= {right}"


def _terms(terms: list[tuple[float, str]]) -> Iterator[str]:
    for first in range(0, len(terms), _TERMS_PER_LINE):
        part = terms[first : first + _TERMS_PER_LINE]
        yield "  " + " ".join(f"{'-' if number < 0 else '+'} {_number(abs(number))} {name}" for number, name in part)


def _number(number: float) -> str:
    """Return the shortest text that reads back as the same double."""
    return repr(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
