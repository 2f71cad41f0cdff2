"""Import of the ``device-profiles`` format: a CSV table of published rates, one figure a row, each with its source.

Header: ``device,model,quantisation,engine,phase,batch,context,tokens_per_s,power_w,memory_gb,source``.

How a row is read:

- ``tokens_per_s`` of a batch is the rate of the whole batch. The row becomes one step of it: every sequence reads or
  writes one token, which takes ``batch / tokens_per_s`` seconds.
- ``phase`` is ``prefill``, ``decode``, or ``output throughput``: tokens written per second of a whole run, the time
  of its prompts included. It is taken as ``decode``, of which it is a lower bound, and the source says so.
- ``power_w`` times the step's time is its energy. Published power is mostly a peak, often of the whole system, so
  such energy is an upper bound, and the source says so.
- ``memory_gb`` is checked and left out: sources mean the device's memory by it, or the model's.
- ``quantisation`` may be ``unstated``; empty cells are absent. ``source`` must stand in every row.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from coinfer import jsonfile
from coinfer.errors import Plain, ProfileError
from coinfer.profiler.measurement import Measurement

COLUMNS = (
    "device",
    "model",
    "quantisation",
    "engine",
    "phase",
    "batch",
    "context",
    "tokens_per_s",
    "power_w",
    "memory_gb",
    "source",
)

_PHASES: dict[str, Literal["prefill", "decode"]] = {
    "prefill": "prefill",
    "decode": "decode",
    "output throughput": "decode",
}
_LONGEST_INTEGER = 18


def read_device_profiles(path: Path) -> Iterator[Measurement]:
    """Yield the rows of a ``device-profiles`` file.

    Raises
    ------
    InputError
        With the line: another header, a row of another length, an unknown phase, a number that is none.
    """
    yield from parse_device_profiles(jsonfile.read_text(path), where=str(path))


def parse_device_profiles(text: str, *, where: str) -> Iterator[Measurement]:
    """Yield the rows of a ``device-profiles`` text; ``where`` names it in errors."""
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(table, [])
        if tuple(header) != COLUMNS:
            raise ProfileError(f"{where}: line 1", expected=",".join(COLUMNS), found=Plain(",".join(header)))
        for cells in table:
            if cells:
                yield _measurement(cells, f"{where}: line {table.line_num}")
    except csv.Error as error:
        place = f"{where}: line {table.line_num}"
        raise ProfileError(place, expected="comma-separated values", found=Plain(str(error))) from error


def _measurement(cells: list[str], where: str) -> Measurement:
    """Turn the cells of one row into a measurement."""
    if len(cells) != len(COLUMNS):
        raise ProfileError(where, expected=f"{len(COLUMNS)} cells", found=Plain(f"{len(cells)}"))
    row = dict(zip(COLUMNS, (cell.strip() for cell in cells), strict=True))
    for column in ("device", "model", "engine", "source"):
        if not row[column]:
            raise ProfileError(f"{where}: {column}", expected="text", found=Plain("an empty cell"))
    phase = _PHASES.get(row["phase"])
    if phase is None:
        raise ProfileError(f"{where}: phase", expected=" or ".join(_PHASES), found=row["phase"])
    batch = _integer(row["batch"], f"{where}: batch", least=1)
    context = _integer(row["context"], f"{where}: context", least=0) if row["context"] else None
    seconds = batch / _number(row["tokens_per_s"], f"{where}: tokens_per_s")
    if not 0.0 < seconds < math.inf:
        raise ProfileError(f"{where}: tokens_per_s", expected="a rate of sane size", found=row["tokens_per_s"])
    energy_j = _number(row["power_w"], f"{where}: power_w") * seconds if row["power_w"] else None
    if row["memory_gb"]:
        _number(row["memory_gb"], f"{where}: memory_gb")
    if energy_j == math.inf:
        raise ProfileError(f"{where}: power_w", expected="a power of sane size", found=row["power_w"])
    return Measurement(
        device=row["device"],
        model=row["model"],
        engine=row["engine"],
        quantisation=None if row["quantisation"] in ("", "unstated") else row["quantisation"],
        phase=phase,
        batch=batch,
        context_tokens=context,
        prompt_tokens=batch if phase == "prefill" else None,
        output_tokens=batch if phase == "decode" else None,
        seconds=seconds,
        energy_j=energy_j,
        energy_source=None if energy_j is None else "published",
        source=_source(row),
    )


def _source(row: dict[str, str]) -> str:
    """Return the row's source with a note on every way in which its figure is only a bound."""
    notes = []
    if row["phase"] == "output throughput":
        notes.append("output throughput of whole runs taken as decode rate")
    if row["power_w"]:
        notes.append("energy from published power, an upper bound where that is a peak")
    return "; ".join([row["source"], *notes])


def _number(text: str, where: str) -> float:
    """Return a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 < number < math.inf:
        raise ProfileError(where, expected="a finite number above 0", found=text)
    return number


def _integer(text: str, where: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_INTEGER and int(text) >= least):
        raise ProfileError(where, expected=f"an integer, at least {least}", found=text)
    return int(text)
