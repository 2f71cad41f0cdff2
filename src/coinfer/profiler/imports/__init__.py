"""Files of other tools, read as measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from coinfer.errors import InputError
from coinfer.profiler.imports.device_profiles import read_device_profiles
from coinfer.profiler.imports.llama_bench import read_llama_bench
from coinfer.profiler.measurement import Measurement

IMPORTERS: dict[str, Callable[[Path], Iterator[Measurement]]] = {
    "device-profiles": read_device_profiles,
    "llama-bench": read_llama_bench,
}
"""Readers by the name of their format."""


def import_file(path: Path, format_name: str) -> Iterator[Measurement]:
    """Yield the measurements of another tool's file.

    Parameters
    ----------
    path
        The file.
    format_name
        One of :data:`IMPORTERS`.

    Raises
    ------
    InputError
        If the format is unknown; while iterating, if the file is not of it, with the line or element.
    """
    reader = IMPORTERS.get(format_name)
    if reader is None:
        raise InputError("format", expected=" or ".join(IMPORTERS), found=format_name)
    return reader(path)
