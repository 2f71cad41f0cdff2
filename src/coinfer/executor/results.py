"""What a run leaves: its summary, an answers file, and measurement rows, all derived from the journal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.executor.budget import Amount
from coinfer.executor.journal import AnswerLine
from coinfer.executor.request import Request
from coinfer.executor.scheduler import Unanswered
from coinfer.profiler.measurement import Measurement, append_measurements, read_measurements
from coinfer.records import Record


class Answer(Record, frozen=True, kw_only=True):
    """One line of an answers file: the final state of one request.

    Attributes
    ----------
    id, category
        The request's.
    state
        ``answered``, ``failed``, ``skipped_budget``, or ``pending`` in a run that was interrupted.
    expert, text, output_tokens, seconds
        Of the answer; absent without one.
    correct
        1.0 or 0.0 where the request names a checker; absent otherwise.
    calls
        Calls it took in the part of the run that answered it; absent without an answer.
    fallback
        True where another expert answered than the routed one.
    reason
        Why there is no answer; absent where there is one.
    """

    id: str
    category: str
    state: str
    expert: str | None = None
    text: str | None = None
    output_tokens: int | None = None
    seconds: float | None = None
    correct: float | None = None
    calls: int | None = None
    fallback: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run did, its earlier parts included.

    Attributes
    ----------
    answers
        The answered requests, in the order of the request file.
    unanswered
        The others.
    resumed
        Answers that stood in the journal before this part of the run.
    spent
        What all calls were charged.
    seconds
        Wall-clock time of all parts of the run.
    energy_j
        Energy of all answers as counters measured it; ``None`` unless every answer was measured.
    notes
        What a reader should know about the caps.
    """

    answers: tuple[Answer, ...]
    unanswered: tuple[Answer, ...]
    resumed: int
    spent: Amount
    seconds: float
    energy_j: float | None
    notes: tuple[str, ...]

    @property
    def answered(self) -> int:
        """Answered requests."""
        return len(self.answers)

    @property
    def failed(self) -> int:
        """Requests that no expert answered; a resumed run tries them again."""
        return sum(item.state == "failed" for item in self.unanswered)

    @property
    def skipped(self) -> int:
        """Requests a cap left out; a resumed run with larger caps tries them again."""
        return sum(item.state == "skipped_budget" for item in self.unanswered)

    @property
    def pending(self) -> int:
        """Requests not yet in a final state, in a run that was interrupted."""
        return sum(item.state == "pending" for item in self.unanswered)

    @property
    def output_tokens(self) -> int:
        """Tokens of all answers."""
        return sum(item.output_tokens or 0 for item in self.answers)

    @property
    def by_expert(self) -> dict[str, int]:
        """Answers by expert, most first."""
        return dict(Counter(item.expert or "" for item in self.answers).most_common())

    @property
    def fallbacks(self) -> int:
        """Answers of another expert than the routed one."""
        return sum(item.fallback for item in self.answers)


def summarize(
    requests: Sequence[Request],
    answers: Mapping[str, AnswerLine],
    unanswered: Mapping[str, Unanswered],
    *,
    resumed: int,
    spent: Amount,
    seconds: float,
    notes: Sequence[str],
) -> RunSummary:
    """Return the summary of a run; energy is the sum of what counters measured, ``None`` unless all did."""
    states = [_state(request, answers.get(request.id), unanswered.get(request.id)) for request in requests]
    energies = [line.measurement.energy_j for line in answers.values()]
    measured = [energy for energy in energies if energy is not None]
    return RunSummary(
        answers=tuple(item for item in states if item.state == "answered"),
        unanswered=tuple(item for item in states if item.state != "answered"),
        resumed=resumed,
        spent=spent,
        seconds=seconds,
        energy_j=sum(measured) if measured and len(measured) == len(energies) else None,
        notes=tuple(notes),
    )


def write_answers(path: Path, summary: RunSummary, requests: Sequence[Request]) -> None:
    """Write one line per request, in the order of the request file, atomically."""
    by_id = {item.id: item for item in (*summary.answers, *summary.unanswered)}
    lines = [json.dumps(jsonfile.to_builtins(by_id[request.id]), ensure_ascii=True) for request in requests]
    jsonfile.write_text(path, "".join(f"{line}\n" for line in lines))


def write_measurements(path: Path, answers: Mapping[str, AnswerLine]) -> None:
    """Write the rows of all answers atomically: writing again, or after a resumption, doubles nothing."""
    with jsonfile.atomic(path) as temporary:
        append_measurements(temporary, [line.measurement for line in answers.values()])


def check_measurements_path(path: Path, answers: Mapping[str, AnswerLine]) -> None:
    """Refuse to overwrite rows that are not from this run: they could not be brought back.

    Raises
    ------
    InputError
        If the file holds other rows than the first ones of ``answers``.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    expected = [line.measurement for line in answers.values()]
    for number, row in enumerate(read_measurements(path)):
        if number >= len(expected) or row != expected[number]:
            found = Plain(f"other rows, such as row {number + 1}")
            raise InputError(str(path), expected="a new file, or one that this run wrote", found=found)


def _state(request: Request, line: AnswerLine | None, missing: Unanswered | None) -> Answer:
    """Return the final state of one request."""
    if line is not None:
        row: Measurement = line.measurement
        return Answer(
            id=request.id,
            category=request.category,
            state="answered",
            expert=line.expert,
            text=line.text,
            output_tokens=row.output_tokens,
            seconds=row.seconds,
            correct=row.correct,
            calls=line.calls,
            fallback=line.fallback,
        )
    if missing is not None:
        return Answer(id=request.id, category=request.category, state=missing.state, reason=missing.reason)
    return Answer(id=request.id, category=request.category, state="pending", reason="the run was interrupted")
