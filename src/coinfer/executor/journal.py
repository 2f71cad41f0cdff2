"""The journal of a run (``coinfer/journal/1``): append-only, fsynced, and all that a resumed run needs to know.

One JSON line per event: a ``call`` before it is sent, and its ``answer`` or ``failure``. An answer counts as done only
when its line has reached the disk. A last line without a line end was cut by a crash and is cut off.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from coinfer import jsonfile
from coinfer.errors import InputError, Plain, PlanMismatch
from coinfer.executor.budget import Amount
from coinfer.profiler.measurement import Measurement
from coinfer.records import Document, Record

FORMAT = "coinfer/journal/1"


class Header(Document, frozen=True, kw_only=True):
    """First line: what the journal belongs to.

    Attributes
    ----------
    plan_sha256, requests_sha256
        Hashes of the plan and of all requests.
    temperature, seed
        Decoding of the whole run.
    gate_sha256
        Hash of the gate that routes; absent without one.
    """

    file_format = FORMAT

    plan_sha256: str
    requests_sha256: str
    temperature: float
    seed: int
    gate_sha256: str | None = None


class CallLine(Record, frozen=True, kw_only=True, tag_field="event", tag="call"):
    """A call is about to be sent; until it is settled it is charged in full."""

    call: int
    request: str
    expert: str
    reserved: Amount


class FailureLine(Record, frozen=True, kw_only=True, tag_field="event", tag="failure"):
    """A call failed."""

    call: int
    request: str
    expert: str
    reason: str
    charged: Amount
    elapsed_s: float


class AnswerLine(Record, frozen=True, kw_only=True, tag_field="event", tag="answer"):
    """A request was answered; ``elapsed_s`` is the run's wall-clock time so far, ``calls`` what the request took."""

    call: int
    request: str
    expert: str
    text: str
    finish: Literal["stop", "length"]
    calls: int
    fallback: bool
    measurement: Measurement
    charged: Amount
    elapsed_s: float


Line = CallLine | FailureLine | AnswerLine


class Journal:
    """An open, locked journal.

    Attributes
    ----------
    answers
        Answered requests by id, in the order they were answered.
    spent
        What all calls so far cost; unsettled calls of a killed run are charged in full.
    elapsed_s
        Wall-clock time of the run so far, seconds.
    calls
        Calls sent so far.

    Raises
    ------
    PlanMismatch
        If the file belongs to another plan, other requests or another decoding.
    InputError
        If another process holds it, or it is no journal.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.answers: dict[str, AnswerLine] = {}
        self.spent = Amount()
        self.elapsed_s = 0.0
        self.calls = 0
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            found = Plain(error.strerror or str(error))
            raise InputError(str(path), expected="a writable journal file", found=found) from error
        try:
            self._lock()
            self._read(header)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._written = self._synced = 0
        self._syncing = asyncio.Lock()

    def append(self, line: Line) -> None:
        """Write one line without waiting for the disk: a killed process loses nothing, a power cut may."""
        self._write(_text(line))
        self._count(line)

    async def commit(self, line: Line) -> None:
        """Write one line and return when it has reached the disk; lines written together share one fsync."""
        self.append(line)
        self._written += 1
        ticket = self._written
        async with self._syncing:
            if self._synced >= ticket:
                return
            reached = self._written
            await asyncio.to_thread(os.fsync, self._descriptor)
            self._synced = reached

    def close(self) -> None:
        """Bring everything to the disk and release the lock."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            found = Plain("another process that is running it")
            raise InputError(str(self._path), expected="a journal that nobody holds", found=found) from error

    def _read(self, header: Header) -> None:
        """Take in what stands in the file, cut a torn last line, and write the header of a new file."""
        content = self._path.read_bytes()
        first = _text(header)
        whole = content[: content.rfind(b"\n") + 1]
        if not whole and not first.startswith(content):
            raise InputError(str(self._path), expected="a journal or a new file", found=Plain("another kind of file"))
        if len(whole) < len(content):
            os.ftruncate(self._descriptor, len(whole))
        if not whole:
            self._write(first)
            os.fsync(self._descriptor)
            _sync_folder(self._path.parent)
            return
        lines = whole.decode(errors="replace").splitlines()
        self._check_header(lines[0], header)
        unsettled: dict[int, Amount] = {}
        for number, text in enumerate(lines[1:], start=2):
            where = f"{self._path}: line {number}"
            line: Line = jsonfile.convert(jsonfile.parse(text, where=where), Line, where=where)  # type: ignore[arg-type]
            if isinstance(line, CallLine):
                unsettled[line.call] = line.reserved
            else:
                unsettled.pop(line.call, None)
            self._count(line)
        for amount in unsettled.values():
            self.spent = self.spent.plus(amount)

    def _check_header(self, text: str, header: Header) -> None:
        where = f"{self._path}: line 1"
        data = jsonfile.parse(text, where=where)
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise InputError(where, expected=f"the header of {FORMAT}", found=Plain(text[:80]))
        found = jsonfile.convert(data, Header, where=where)
        names = {
            "plan_sha256": "another plan",
            "requests_sha256": "other requests",
            "temperature": "another temperature",
            "seed": "another seed",
            "gate_sha256": "another gate",
        }
        for field, words in names.items():
            if getattr(found, field) != getattr(header, field):
                raise PlanMismatch(f"{self._path}: this journal belongs to a run with {words}; name a new journal")

    def _count(self, line: Line) -> None:
        if isinstance(line, CallLine):
            self.calls = max(self.calls, line.call + 1)
            return
        self.spent = self.spent.plus(line.charged)
        self.elapsed_s = max(self.elapsed_s, line.elapsed_s)
        if isinstance(line, AnswerLine):
            self.answers.setdefault(line.request, line)

    def _write(self, data: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            os.ftruncate(self._descriptor, size)  # a full disk must not leave half a line before the next one
            found = Plain(error.strerror or str(error))
            raise InputError(str(self._path), expected="a journal that can be written", found=found) from error


def _text(line: Record) -> bytes:
    # ASCII, so that no separator in a model's text can look like a line end
    return json.dumps(jsonfile.to_builtins(line), allow_nan=False, ensure_ascii=True).encode() + b"\n"


def _sync_folder(folder: Path) -> None:
    """Bring the entry of a new file to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
