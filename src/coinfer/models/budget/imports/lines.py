"""Files of others line by line: never more than one line in memory, each with its place."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coinfer import jsonfile
from coinfer.errors import InputError, Plain

LONGEST_LINE_BYTES = 64 * 2**20
_ABSENT = frozenset({"", "nan", "none", "null", "na", "<na>"})
_TRUTH = {"true": True, "false": False}
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ``file: line n`` and the text of every line that is not blank.

    Raises
    ------
    InputError
        If the file cannot be read, is not UTF-8, or has a line of more than 64 MiB.
    """
    try:
        with path.open("rb") as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE_BYTES + 1):
                number += 1
                where = f"{path}: line {number}"
                if len(line) > LONGEST_LINE_BYTES:
                    raise InputError(where, expected=f"at most {LONGEST_LINE_BYTES:,} bytes", found=Plain("more"))
                text = _decoded(line, where, first=number == 1)
                if text.strip():
                    yield where, text
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        if isinstance(error, InputError):
            raise
        found = Plain(getattr(error, "strerror", None) or str(error))
        raise InputError(str(path), expected="a readable file", found=found) from error


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the object of every line of a JSON Lines file."""
    for where, text in text_lines(path):
        data = jsonfile.parse(text, where=where)
        if not isinstance(data, dict):
            raise InputError(where, expected="a JSON object on each line", found=data)
        yield where, data


def csv_lines(path: Path, texts: frozenset[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the cells of every row of a CSV file whose first line names the columns.

    Cells of the columns ``texts`` stay text; those of others become numbers or truth values where they are such. An
    empty cell (or ``nan``, ``none``, ``null``, ``na``) is absent.
    """
    places: list[str] = []

    def lines() -> Iterator[str]:
        for where, text in text_lines(path):
            places.append(where)
            yield text

    limit = csv.field_size_limit(LONGEST_LINE_BYTES)
    try:
        reader = csv.reader(lines(), strict=True)
        header: list[str] = []
        while True:
            places.clear()
            try:
                cells = next(reader, None)
            except csv.Error as error:
                where = places[0] if places else str(path)
                raise InputError(where, expected="comma-separated values", found=Plain(str(error))) from error
            if cells is None:
                break
            where = places[0]
            if not header:
                header = _header([cell.strip() for cell in cells], where)
                continue
            if len(cells) != len(header):
                raise InputError(where, expected=f"{len(header)} cells", found=Plain(f"{len(cells)}"))
            named = zip(header, (cell.strip() for cell in cells), strict=True)
            yield where, {name: _cell(cell, name in texts) for name, cell in named if cell.casefold() not in _ABSENT}
    finally:
        csv.field_size_limit(limit)
    if not header:
        raise InputError(f"{path}: line 1", expected="names of columns", found=Plain("an empty file"))


def _header(names: list[str], where: str) -> list[str]:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InputError(where, expected="each column once", found=name)
    return names


def _cell(cell: str, text: bool) -> str | bool | int | float:
    if text:
        return cell
    if cell.casefold() in _TRUTH:
        return _TRUTH[cell.casefold()]
    if _WHOLE.fullmatch(cell):
        return int(cell)
    if _NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
        return float(cell)
    return cell


def _decoded(line: bytes, where: str, *, first: bool) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(where, expected="UTF-8 text", found=Plain(f"an invalid byte at {error.start}")) from error
    return text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}") if first else text
