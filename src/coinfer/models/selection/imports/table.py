"""Foreign CSV tables, read strictly: each row with its line, each cell a number, absent, or one sentence."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.selection.validate import LARGEST

_ABSENT = frozenset({"", "nan", "none", "null", "na", "<na>"})
_TRUTH = {"true": 1.0, "false": 0.0}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_LONGEST_CELL = 2**27


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    where
        File and line, as errors name them.
    cells
        Text by column, without surrounding blanks.
    """

    where: str
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """Return a cell that must not be empty."""
        if not self.cells[column]:
            raise InputError(f"{self.where}: {column}", expected="text", found=Plain("an empty cell"))
        return self.cells[column]

    def number(self, column: str, *, least: float = -LARGEST, truth: bool = False) -> float | None:
        """Return a cell as a number; ``None`` where it is absent.

        Parameters
        ----------
        column
            Name of the column.
        least
            Smallest number allowed.
        truth
            Whether ``true`` and ``false`` stand for 1 and 0.
        """
        cell = self.cells[column]
        if cell.casefold() in _ABSENT:
            return None
        if truth and cell.casefold() in _TRUTH:
            return _TRUTH[cell.casefold()]
        number = float(cell) if _NUMBER.fullmatch(cell) else math.nan
        if not least <= number <= LARGEST:
            bound = "" if least == -LARGEST else f", at least {least:g}"
            raise InputError(f"{self.where}: {column}", expected=f"a number{bound}, or an empty cell", found=cell)
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with a header.

    Attributes
    ----------
    path
        The file.
    columns
        Names of the columns, in order.
    rows
        Its rows; empty lines are none.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def need(self, columns: Sequence[str]) -> None:
        """Refuse a table that lacks one of ``columns``."""
        for column in columns:
            if column not in self.columns:
                shown = ", ".join(self.columns[:8]) + (", ..." if len(self.columns) > 8 else "")
                raise InputError(f"{self.path}: line 1", expected=f"a column {column!r}", found=Plain(shown or "none"))


def read_table(path: Path) -> Table:
    """Read a comma-separated file whose first line names the columns.

    Raises
    ------
    InputError
        With the line: a pickle or a Parquet file, no header, a column twice, a row of another length, no row at all.
    """
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise InputError(
            str(path),
            expected="a CSV file, since loading a pickle runs whatever code stands in it",
            found=Plain("a pickle; convert it where it is trusted, as with pandas' to_csv"),
        )
    if path.suffix.lower() in (".parquet", ".pq"):
        raise InputError(str(path), expected="a CSV file", found=Plain("Parquet; convert it, as with pandas' to_csv"))
    limit = csv.field_size_limit(_LONGEST_CELL)  # answers in such tables are longer than the default allows
    try:
        lines = list(_lines(path))
    finally:
        csv.field_size_limit(limit)
    if not lines:
        raise InputError(f"{path}: line 1", expected="names of columns", found=Plain("an empty file"))
    columns = tuple(cell.strip() for cell in lines[0][1])
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise InputError(f"{path}: line 1", expected="each column once", found=column)
    rows = []
    for number, cells in lines[1:]:
        where = f"{path}: line {number}"
        if len(cells) != len(columns):
            raise InputError(where, expected=f"{len(columns)} cells", found=Plain(f"{len(cells)}"))
        rows.append(Row(where=where, cells=dict(zip(columns, (cell.strip() for cell in cells), strict=True))))
    if not rows:
        raise InputError(str(path), expected="at least one row below the header", found=Plain("none"))
    return Table(path=path, columns=columns, rows=tuple(rows))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line of each record, and its cells."""
    text = jsonfile.read_text(path).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            found = Plain(str(error))
            raise InputError(f"{path}: line {number}", expected="comma-separated values", found=found) from error
        if cells is None:
            return
        if cells:
            yield number, cells
