"""An append-only, fsynced file of JSON lines that one process holds: what a killed run leaves is whole lines."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain, PlanMismatch
from coinfer.records import Document, Record


class JournalFile:
    """An open, locked journal. A last line without a line end was cut by a crash and is cut off.

    Parameters
    ----------
    path
        The file; it is made where it is not there.
    header
        What the journal belongs to: its first line.
    kinds
        Union of the kinds of lines.
    differs
        For each field of the header, in words, what another value of it means.

    Raises
    ------
    PlanMismatch
        If the file belongs to another header.
    InputError
        If another process holds it, or it is no journal.
    """

    def __init__(self, path: Path, header: Document, *, kinds: Any, differs: dict[str, str]) -> None:
        self._path, self._kinds, self._differs = path, kinds, differs
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

    def take(self, line: Any) -> None:
        """Take in a line that stands in the file, in order; subclasses keep what they need."""
        raise NotImplementedError

    def append(self, line: Record) -> None:
        """Write one line without waiting for the disk: a killed process loses nothing, a power cut may."""
        self._write(_text(line))
        self.take(line)

    async def commit(self, line: Record) -> None:
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

    def _read(self, header: Document) -> None:
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
        for number, text in enumerate(lines[1:], start=2):
            where = f"{self._path}: line {number}"
            self.take(jsonfile.convert(jsonfile.parse(text, where=where), self._kinds, where=where))

    def _check_header(self, text: str, header: Document) -> None:
        where = f"{self._path}: line 1"
        data = jsonfile.parse(text, where=where)
        if not isinstance(data, dict) or data.pop("format", None) != header.file_format:
            raise InputError(where, expected=f"the header of {header.file_format}", found=Plain(text[:80]))
        found = jsonfile.convert(data, type(header), where=where)
        for field, words in self._differs.items():
            if getattr(found, field) != getattr(header, field):
                raise PlanMismatch(f"{self._path}: this journal belongs to a run with {words}; name a new journal")

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
    if not isinstance(line, Document):
        with contextlib.suppress(TypeError, ValueError):  # half characters, and what only the other way can write
            data = msgspec.json.encode(line)
            if data.isascii() and data.count(b"null") == data.count(b'"logprobs":null'):  # no null stands for a NaN
                return data + b"\n"
    return json.dumps(jsonfile.to_builtins(line), allow_nan=False, ensure_ascii=True).encode() + b"\n"


def _sync_folder(folder: Path) -> None:
    """Bring the entry of a new file to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
