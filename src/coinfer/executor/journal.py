"""The journal of a run (``coinfer/journal/1``): append-only, fsynced, and all that a resumed run needs to know.

One JSON line per event: a ``call`` before it is sent, and its ``answer`` or ``failure``. An answer counts as done only
when its line has reached the disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from coinfer.executor.budget import Amount
from coinfer.executor.journal_file import JournalFile
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


DIFFERS = {
    "plan_sha256": "another plan",
    "requests_sha256": "other requests",
    "temperature": "another temperature",
    "seed": "another seed",
    "gate_sha256": "another gate",
}


class Journal(JournalFile):
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
        self._unsettled: dict[int, Amount] = {}
        super().__init__(path, header, kinds=Line, differs=DIFFERS)
        for amount in self._unsettled.values():  # of a run that was killed
            self.spent = self.spent.plus(amount)
        self._unsettled.clear()

    def take(self, line: Line) -> None:
        """Count one line."""
        if isinstance(line, CallLine):
            self.calls = max(self.calls, line.call + 1)
            self._unsettled[line.call] = line.reserved
            return
        self._unsettled.pop(line.call, None)
        self.spent = self.spent.plus(line.charged)
        self.elapsed_s = max(self.elapsed_s, line.elapsed_s)
        if isinstance(line, AnswerLine):
            self.answers.setdefault(line.request, line)
