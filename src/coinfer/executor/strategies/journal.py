"""The journal of a run of sessions (``coinfer/sessions/1``): every completed request, so that none is made twice.

A resumed run starts each session anew and sends it the replies that the journal holds; what is missing there is asked
for. Sessions do the same for the same replies, so they go on where they were.
"""

from __future__ import annotations

from pathlib import Path

from coinfer.executor.budget import Amount
from coinfer.executor.journal_file import JournalFile
from coinfer.executor.strategies.ask import Found, Ran, Sampled, Scored
from coinfer.records import Document, Record

FORMAT = "coinfer/sessions/1"
Done = Sampled | Scored | Ran | Found
"""Replies that were paid for."""


class SessionsHeader(Document, frozen=True, kw_only=True):
    """First line: what the journal belongs to.

    Attributes
    ----------
    work_sha256
        Hash of all prompts with their strategies and options.
    seed
        Of the run.
    prices
        Value per unit of each resource that steps were judged by; absent: none.
    """

    file_format = FORMAT

    work_sha256: str
    seed: int
    prices: dict[str, float] | None = None


class AskLine(Record, frozen=True, kw_only=True, tag_field="event", tag="ask"):
    """A request is about to be sent; until it is settled it is charged in full.

    Attributes
    ----------
    call
        Number of the call.
    key
        Prompt, step, ask and part of the request: the same in every run of the same work.
    role
        Who is asked.
    reserved
        The most that it can cost; where the line is there twice, the second holds: calls of its role took more.
    """

    call: int
    key: str
    role: str
    reserved: Amount


class ReplyLine(Record, frozen=True, kw_only=True, tag_field="event", tag="reply"):
    """A request was answered.

    Attributes
    ----------
    call, key
        Of the request.
    reply
        What came back.
    charged
        What it cost.
    elapsed_s
        Wall-clock time of the run so far.
    seconds
        Of the request.
    """

    call: int
    key: str
    reply: Done
    charged: Amount
    elapsed_s: float
    seconds: float


class LossLine(Record, frozen=True, kw_only=True, tag_field="event", tag="loss"):
    """A request failed, or was cancelled; ``charged`` is what it may have cost."""

    call: int
    key: str
    reason: str
    charged: Amount
    elapsed_s: float


class ProbeLine(Record, frozen=True, kw_only=True, tag_field="event", tag="probe"):
    """It was found out what an endpoint offers: a resumed run does not ask again, so requests are cut as before.

    Attributes
    ----------
    call
        Number under which it was set aside.
    role, endpoint_sha256
        Whom it is known of.
    offers, several
        What the endpoint can do, and whether one call gives several completions.
    charged
        What finding out cost.
    """

    call: int
    role: str
    endpoint_sha256: str
    offers: tuple[str, ...]
    several: bool
    charged: Amount


SessionLine = AskLine | ReplyLine | LossLine | ProbeLine
DIFFERS = {
    "work_sha256": "other prompts, strategies or options",
    "seed": "another seed",
    "prices": "other prices",
}


class SessionJournal(JournalFile):
    """An open, locked journal of sessions.

    Attributes
    ----------
    replies
        Replies by key.
    probes
        What endpoints offer, by role.
    spent
        What all requests so far cost; those of a killed run that were never settled in full.
    elapsed_s, calls
        Wall-clock time and requests so far.

    Raises
    ------
    PlanMismatch
        If the file belongs to other work, another seed or other prices.
    InputError
        If another process holds it, or it is no journal.
    """

    def __init__(self, path: Path, header: SessionsHeader) -> None:
        self.replies: dict[str, ReplyLine] = {}
        self.probes: dict[str, ProbeLine] = {}
        self.spent = Amount()
        self.elapsed_s = 0.0
        self.calls = 0
        self._unsettled: dict[int, Amount] = {}
        super().__init__(path, header, kinds=SessionLine, differs=DIFFERS)
        for amount in self._unsettled.values():  # of a run that was killed
            self.spent = self.spent.plus(amount)
        self._unsettled.clear()

    def take(self, line: SessionLine) -> None:
        """Count one line."""
        if isinstance(line, AskLine):
            self.calls = max(self.calls, line.call + 1)
            self._unsettled[line.call] = line.reserved
            return
        self._unsettled.pop(line.call, None)
        self.spent = self.spent.plus(line.charged)
        if isinstance(line, ProbeLine):
            self.probes[line.role] = line
            return
        self.elapsed_s = max(self.elapsed_s, line.elapsed_s)
        if isinstance(line, ReplyLine):
            self.replies.setdefault(line.key, line)
