"""One timed event, written down as one line of a JSON Lines file (``coinfer/measurements/1``)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from coinfer import jsonfile
from coinfer.errors import InputError, Plain, ProfileError
from coinfer.records import Record

FORMAT = "coinfer/measurements/1"
MAX_LINE_BYTES = 2**20

Phase = Literal["prefill", "decode", "request", "load", "idle"]
EnergySource = Literal["rapl", "nvml", "jetson", "published", "declared"]


class Measurement(Record, frozen=True, kw_only=True):
    """One timed event, or one published figure turned into one.

    Attributes
    ----------
    device
        Device it ran on, as the problem file names it.
    model
        Language model, as the problem file names it.
    engine
        Program that ran it, with its version, as in ``transformers 5.23.0``.
    quantisation
        Number format of the weights, as in ``float32`` or ``Q4_K_M``; absent where the source does not say.
    power_mode
        Power mode of the device (``25W``, ``MAXN``); absent where it has none or the source does not say.
    phase
        ``prefill``, ``decode``, one whole ``request``, ``load`` of the weights, or ``idle``.
    category
        Application category of a request; absent for bare phases.
    batch
        Sequences processed together.
    context_tokens
        Tokens already in the context when the event began; absent where unknown.
    prompt_tokens, output_tokens
        Tokens read and written by the event; absent where unknown.
    seconds
        Duration, > 0.
    energy_j
        Energy of the event in joules; absent where nothing measured it.
    energy_source
        What measured the energy; present exactly when ``energy_j`` is.
    memory_bytes
        Memory held by the model; absent where unknown.
    correct
        Quality of the answer in [0, 1] where it was checked; absent otherwise.
    prompt
        Identifier of the prompt; absent for bare phases.
    source
        ``measured`` or where a published figure was read.
    """

    device: str
    model: str
    engine: str
    phase: Phase
    seconds: float
    source: str
    batch: int = 1
    quantisation: str | None = None
    power_mode: str | None = None
    category: str | None = None
    context_tokens: int | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    energy_j: float | None = None
    energy_source: EnergySource | None = None
    memory_bytes: int | None = None
    correct: float | None = None
    prompt: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.seconds < math.inf:
            raise ProfileError("seconds", expected="a finite number above 0", found=self.seconds)
        if self.energy_j is not None and not 0.0 <= self.energy_j < math.inf:
            raise ProfileError("energy_j", expected="a finite number, at least 0", found=self.energy_j)
        if (self.energy_j is None) != (self.energy_source is None):
            raise ProfileError(
                "energy_source", expected="a source exactly when energy_j stands", found=self.energy_source
            )
        if self.correct is not None and not 0.0 <= self.correct <= 1.0:
            raise ProfileError("correct", expected="a number in [0, 1]", found=self.correct)
        for name in ("context_tokens", "prompt_tokens", "output_tokens", "memory_bytes"):
            count = getattr(self, name)
            if count is not None and count < 0:
                raise ProfileError(name, expected="an integer, at least 0", found=count)
        if self.batch < 1:
            raise ProfileError("batch", expected="an integer, at least 1", found=self.batch)


def read_measurements(path: str | os.PathLike[str]) -> Iterator[Measurement]:
    """Yield the rows of a measurements file, one at a time, so that a file may be larger than memory.

    The first line is the header ``{"format": "coinfer/measurements/1"}``. A last line without a line end was cut
    by a crash while it was written and is left out.

    Raises
    ------
    ProfileError, InputError
        With the line number.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), start=1):
                where = f"{file}: line {number}"
                if len(line) == MAX_LINE_BYTES:
                    raise ProfileError(where, expected=f"less than {MAX_LINE_BYTES:,} bytes", found=Plain("more"))
                if not line.endswith(b"\n"):
                    return
                data = jsonfile.parse(_decoded(line, where), where=where)
                if number > 1:
                    yield jsonfile.convert(data, Measurement, where=where)
                elif not isinstance(data, dict) or data.get("format") != FORMAT:
                    found = Plain(_decoded(line, where).strip()[:80])
                    raise ProfileError(where, expected=f'{{"format": "{FORMAT}"}}', found=found)
    except OSError as error:
        raise InputError(str(file), expected="a readable file", found=Plain(error.strerror or str(error))) from error


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(where, expected="UTF-8 text", found=Plain("other bytes")) from error


def append_measurements(path: str | os.PathLike[str], rows: Iterable[Measurement]) -> None:
    """Append rows to a measurements file and bring them to the disk; a torn last line is cut off first."""
    file = Path(path)
    try:
        with file.open("a+b") as stream:
            _cut_torn_line(stream.fileno())
            if os.fstat(stream.fileno()).st_size == 0:
                stream.write(json.dumps({"format": FORMAT}).encode() + b"\n")
            for row in rows:
                text = json.dumps(jsonfile.to_builtins(row), allow_nan=False, ensure_ascii=False)
                stream.write(text.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise InputError(str(file), expected="a writable file", found=Plain(error.strerror or str(error))) from error


def _cut_torn_line(descriptor: int) -> None:
    """Truncate the file after its last line end."""
    size = os.fstat(descriptor).st_size
    end, block = size, 4096
    while end > 0:
        start = max(0, end - block)
        chunk = os.pread(descriptor, end - start, start)
        last = chunk.rfind(b"\n")
        if last >= 0:
            end = start + last + 1
            break
        end = start
    if end != size:
        os.ftruncate(descriptor, end)
