"""Recorded outcomes: answers of which it is known whether they are right, from files that runs and pilots leave."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.executor.grade import check_gradable, grades
from coinfer.executor.request import Request
from coinfer.executor.strategies.ask import Sampled
from coinfer.executor.strategies.journal import FORMAT as JOURNAL_FORMAT
from coinfer.executor.strategies.journal import ReplyLine, SessionLine
from coinfer.executor.strategies.reward import steps_of
from coinfer.records import Record

MOST_TEXT = 200_000
"""Characters of a question or an answer."""


class Outcome(Record, frozen=True, kw_only=True):
    """One recorded answer: a line of a file of outcomes.

    Attributes
    ----------
    prompt
        The question.
    text
        The answer.
    correct
        How right it is, 0..1.
    steps
        Chance of ending right after each step of the answer, where that was measured by going on from there (Monte
        Carlo rollouts, 2312.08935); steps are what blank lines separate.
    """

    prompt: str
    text: str
    correct: float
    steps: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.prompt) > MOST_TEXT or len(self.text) > MOST_TEXT:
            raise InputError("text", expected=f"at most {MOST_TEXT:,} characters", found=Plain("more"))
        for where, value in (("correct", self.correct), *(("steps", each) for each in self.steps or ())):
            if not 0.0 <= value <= 1.0:
                raise InputError(where, expected="a number from 0 to 1", found=value)
        count = len(steps_of(self.text))
        if self.steps is not None and len(self.steps) != count:
            raise InputError("steps", expected=f"as many as the answer has, {count}", found=len(self.steps))


class AnswerLine(Record, frozen=True, kw_only=True):
    """A line that ``coinfer run --answers`` wrote; its question stands in the file of requests."""

    id: str
    category: str | None = None
    option: str | None = None
    text: str | None = None
    value: str | None = None
    confidence: float | None = None
    correct: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the verifier learns from: an answer in steps, with what is known after each.

    Attributes
    ----------
    prompt
        The question.
    steps
        They make up the answer.
    labels
        Chance of being right in the end after each step; ``None`` where it is not known. The last is the outcome.
    """

    prompt: str
    steps: tuple[str, ...]
    labels: tuple[float | None, ...]

    @property
    def correct(self) -> float:
        """How right the whole answer is."""
        return self.labels[-1] or 0.0


def read_outcomes(paths: Sequence[Path], requests: Sequence[Request] = ()) -> list[Outcome]:
    """Read outcomes: lines of :class:`Outcome`, answers of a run, or the journal of a pilot.

    Parameters
    ----------
    paths
        The files. What has no text, or of which it is not known whether it is right, is left out.
    requests
        Questions that answers and journals belong to; replies of a journal are graded by their checkers.

    Raises
    ------
    InputError
        With the line; also where requests are needed and not there, or no outcome is left.
    """
    by_id = {request.id: request for request in requests}
    found: list[Outcome] = []
    for path in paths:
        lines = [(i, line) for i, line in enumerate(jsonfile.read_text(path).splitlines(), start=1) if line.strip()]
        rows = [(f"{path}: line {i}", jsonfile.parse(line, where=f"{path}: line {i}")) for i, line in lines]
        if rows and isinstance(rows[0][1], dict) and rows[0][1].get("format") == JOURNAL_FORMAT:
            found += _of_journal(rows[1:], by_id)
        else:
            found += [each for where, row in rows if (each := _of_line(where, row, by_id)) is not None]
    if not found:
        raise InputError(
            str(paths[0]), expected="an answer of which it is known whether it is right", found=Plain("none")
        )
    return found


def _of_line(where: str, row: Any, requests: Mapping[str, Request]) -> Outcome | None:
    if isinstance(row, dict) and "id" in row and "prompt" not in row:
        answer = jsonfile.convert(row, AnswerLine, where=where)
        if answer.text is None or answer.correct is None:
            return None
        row = {"prompt": _asked(where, answer.id, requests).prompt, "text": answer.text, "correct": answer.correct}
    return jsonfile.convert(row, Outcome, where=where)


def _asked(where: str, name: str, requests: Mapping[str, Request]) -> Request:
    request = requests.get(name)
    if request is None:
        expected = "an id of the requests" if requests else "a file of requests with it, since it holds no questions"
        raise InputError(f"{where}: id", expected=expected, found=name)
    return request


def _of_journal(rows: Sequence[tuple[str, Any]], requests: Mapping[str, Request]) -> list[Outcome]:
    """Return what a pilot sampled, graded; a pilot asks in its first step, and for the bare questions only."""
    pairs: list[tuple[Request, str]] = []
    kinds: Any = SessionLine
    for where, row in rows:
        line = jsonfile.convert(row, kinds, where=where)
        if not isinstance(line, ReplyLine) or not isinstance(line.reply, Sampled):
            continue
        name, *place = line.key.rsplit("/", 3)
        if place[:1] == ["0"]:
            request = _asked(where, name, requests)
            pairs += [(request, each.text) for each in line.reply.completions]
    asked = list({request.id: request for request, _ in pairs}.values())
    check_gradable(asked)
    right = grades([request for request, _ in pairs], [text for _, text in pairs])
    return [
        Outcome(prompt=request.prompt, text=text, correct=good)
        for (request, text), good in zip(pairs, right, strict=True)
        if good is not None
    ]


def examples_of(outcomes: Sequence[Outcome], *, shared_steps: bool = False) -> list[Example]:
    """Return what is to be learnt.

    Parameters
    ----------
    outcomes
        As recorded.
    shared_steps
        Also learn what beginnings are worth: the share of right answers among those of the same question that begin
        so, for beginnings of at least two answers. Labels that are given stand.
    """
    found = []
    for each in outcomes:
        steps = steps_of(each.text)
        given: tuple[float | None, ...] = each.steps or (None,) * len(steps)
        found.append(Example(prompt=each.prompt, steps=steps, labels=(*given[:-1], each.correct)))
    return _with_shared(found) if shared_steps else found


def _with_shared(examples: Sequence[Example]) -> list[Example]:
    own: dict[tuple[str, str], list[float]] = {}
    for each in examples:
        for key in _beginnings(each):
            own.setdefault(key, []).append(each.correct)
    made = []
    for each in examples:
        shares = [own[key] for key in _beginnings(each)]
        labels = [
            sum(share) / len(share) if known is None and len(share) > 1 else known
            for known, share in zip(each.labels, shares, strict=True)
        ]
        made.append(replace(each, labels=tuple(labels)))
    return made


def _beginnings(example: Example) -> list[tuple[str, str]]:
    return [(example.prompt, "".join(example.steps[: i + 1])) for i in range(len(example.steps))]


def split(
    examples: Sequence[Example], *, seed: int, held_out: float = 0.2
) -> tuple[list[Example], list[Example], list[Example]]:
    """Cut by question into training, calibration and test: no question stands in two of them.

    Questions are the same where they differ in spaces or case only. Their order is that of a hash, so it does not
    depend on the order of the file.

    Raises
    ------
    InputError
        With fewer than five questions.
    """
    names = {_plain(each.prompt) for each in examples}
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode(errors="replace")).digest())
    if len(order) < 5:
        raise InputError("outcomes", expected="answers to at least 5 different questions", found=len(order))
    part = max(1, round(held_out * len(order)))
    place = {name: 2 if i < part else 1 if i < 2 * part else 0 for i, name in enumerate(order)}
    parts: tuple[list[Example], list[Example], list[Example]] = ([], [], [])
    for each in examples:
        parts[place[_plain(each.prompt)]].append(each)
    return parts


def _plain(prompt: str) -> str:
    return " ".join(prompt.split()).casefold()
