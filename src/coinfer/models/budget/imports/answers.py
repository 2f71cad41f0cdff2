"""Import of answers to questions (JSON Lines): full texts of several samples per question, counted by final answer.

Lines: ``question``, ``answer`` (the right one) and ``generated_answer`` (a list of texts), as in the published samples
of Escape Sky-high Cost (``Yiwei98/ESC``, ``GPT3.5_result/last_letters/*.jsonl``). The final answer of a text is what
follows its last "answer is", up to the end of the sentence; a text of one word is its own answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.budget.imports.gather import Gathered
from coinfer.models.budget.imports.lines import json_lines
from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import IntArray

NO_ANSWER = ""
"""Final answer of a text in which none was found."""
_MARK = "answer is"
_END = re.compile(r"[.\n;]\s|[.\n;]$")
_MOST_CELLS = 50_000_000


class AnswerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One question; other fields are not read."""

    question: str
    answer: str | int | float
    generated_answer: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswerCounts:
    """How often each answer was given, as :func:`coinfer.models.budget.curves.majority.majority` takes it.

    Attributes
    ----------
    prompts
        The questions.
    counts
        (prompts, answers): votes, padded with 0; answers in the order of their first votes.
    right
        (prompts,): column of the right answer; -1 where no vote has it.
    answers
        Text of each column, by prompt; :data:`NO_ANSWER` is a column like others.
    """

    prompts: tuple[str, ...]
    counts: IntArray
    right: IntArray
    answers: tuple[tuple[str, ...], ...]


def final_answer(text: str) -> str:
    """Return the final answer of a text, in small letters without quotes and blanks at its ends.

    >>> final_answer("The letters are 'y' and 'a'. The answer is 'ya'. Thanks!"), final_answer("I do not know.")
    ('ya', '')
    """
    lowered = text.casefold()
    at = lowered.rfind(_MARK)
    if at < 0:
        words = lowered.split()
        return _bare(words[0]) if len(words) == 1 else NO_ANSWER
    rest = lowered[at + len(_MARK) :].lstrip(" :\n\t")
    end = _END.search(rest)
    return _bare(rest if end is None else rest[: end.start()])


def read_answers(files: Sequence[Path]) -> tuple[AnswerCounts, tuple[str, ...]]:
    """Return the votes of all questions, and notes.

    Raises
    ------
    InputError
        With file and line; for a question twice, and for one without any sample.
    """
    names: dict[str, None] = {}
    tallies: list[dict[str, int]] = []
    right: list[int] = []
    silent = total = 0
    for path in files:
        for where, data in json_lines(path):
            line = jsonfile.convert(data, AnswerLine, where=where)
            name = " ".join(line.question.split())
            if not name or not name.isprintable():
                raise InputError(f"{where}: question", expected="printable text", found=line.question)
            if name in names:
                raise InputError(f"{where}: question", expected="each question once", found=name)
            if not line.generated_answer:
                raise InputError(f"{where}: generated_answer", expected="at least one sample", found=Plain("none"))
            names[name] = None
            tally: dict[str, int] = {}
            for text in line.generated_answer:
                answer = final_answer(text)
                tally[answer] = tally.get(answer, 0) + 1
            silent, total = silent + tally.get(NO_ANSWER, 0), total + len(line.generated_answer)
            wanted = _bare(str(line.answer).casefold())
            right.append(list(tally).index(wanted) if wanted != NO_ANSWER and wanted in tally else -1)
            tallies.append(tally)
    if not tallies:
        raise InputError(str(files[0]), expected="at least one line", found=Plain("none"))
    widest = max(len(tally) for tally in tallies)
    if widest * len(tallies) > _MOST_CELLS:
        found = Plain(f"{len(tallies):,} x {widest:,}")
        raise InputError(str(files[0]), expected=f"at most {_MOST_CELLS:,} questions times answers", found=found)
    counts = np.zeros((len(tallies), widest), dtype=np.int64)
    for row, tally in enumerate(tallies):
        counts[row, : len(tally)] = list(tally.values())
    notes = (f"{silent:,} of {total:,} samples have no final answer: they vote for none",) if silent else ()
    made = AnswerCounts(
        prompts=tuple(names),
        counts=counts,
        right=np.array(right, dtype=np.int64),
        answers=tuple(tuple(tally) for tally in tallies),
    )
    return made, notes


def import_answers(files: Sequence[Path]) -> tuple[Outcomes, tuple[str, ...]]:
    """Return the outcomes of one arm, named after the first file: how many samples have the right final answer.

    Raises
    ------
    InputError
        See :func:`read_answers`.
    """
    found, notes = read_answers(files)
    gathered, arm = Gathered(), files[0].stem
    for row, name in enumerate(found.prompts):
        column = int(found.right[row])
        right = int(found.counts[row, column]) if column >= 0 else 0
        drawn = int(found.counts[row].sum())
        gathered.add(str(files[0]), prompt=name, arm=arm, right=right, drawn=drawn, counted=True)
    outcomes, others = gathered.outcomes(str(files[0]))
    return outcomes, (*notes, *others)


def _bare(text: str) -> str:
    return text.strip(" \t\n.,;:!?'\"`*$()[]")
