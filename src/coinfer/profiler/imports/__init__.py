"""Files of other tools, read as measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from coinfer.errors import InputError
from coinfer.profiler.imports.device_profiles import read_device_profiles
from coinfer.profiler.imports.llama_bench import read_llama_bench
from coinfer.profiler.imports.serving_bench import read_serving_bench
from coinfer.profiler.measurement import Measurement

IMPORTERS: dict[str, Callable[[Path, str | None], Iterator[Measurement]]] = {
    "device-profiles": lambda path, _: read_device_profiles(path),
    "llama-bench": lambda path, _: read_llama_bench(path),
    "vllm-bench": lambda path, device: read_serving_bench(path, device=device, engine="vllm"),
    "sglang-bench": lambda path, device: read_serving_bench(path, device=device, engine="sglang"),
}
"""Readers by the name of their format; each takes the file and the device it was measured on."""


def import_file(path: Path, format_name: str, *, device: str | None = None) -> Iterator[Measurement]:
    """Yield the measurements of another tool's file.

    Parameters
    ----------
    path
        The file.
    format_name
        One of :data:`IMPORTERS`.
    device
        What it was measured on, for formats that do not say.

    Raises
    ------
    InputError
        If the format is unknown; while iterating, if the file is not of it, with the line or element.
    """
    reader = IMPORTERS.get(format_name)
    if reader is None:
        raise InputError("format", expected=" or ".join(IMPORTERS), found=format_name)
    return reader(path, device)
