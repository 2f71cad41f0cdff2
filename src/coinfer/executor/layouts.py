"""Layouts of benchmark files: which columns make the prompt and the reference of each kind of answer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from coinfer.errors import InputError, Plain
from coinfer.executor.checkers import CHECKERS
from coinfer.executor.checkers.base import marked
from coinfer.executor.checkers.programs import Case, OutputReference, TestReference

KINDS = tuple(CHECKERS)
"""Names of the kinds: those of the checkers."""
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prompt": ("prompt", "question", "problem", "statement", "claim", "text", "input"),
        "answer": ("answer", "label", "answerKey", "target", "solution", "output"),
        "id": ("id", "task_id", "question_id"),
        "category": ("category", "subject"),
        "choices": ("choices", "options"),
        "tests": ("test", "tests", "test_list"),
        "setup": ("test_setup_code", "test_imports"),
        "entry_point": ("entry_point",),
        "inputs": ("inputs", "stdin"),
        "outputs": ("outputs", "stdout"),
    }
)
"""Names under which the fields are looked for, in this order."""
LETTERS = "ABCDEFGHIJ"
_ASK_LETTER = "Answer with the letter of the right choice."


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a file.

    Attributes
    ----------
    where
        File and line.
    data
        Its columns.
    columns
        Names of columns by field, as the caller gave them.
    known
        Names that are looked for otherwise.
    """

    where: str
    data: Mapping[str, Any]
    columns: Mapping[str, str]
    known: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: COLUMNS)

    def column(self, field: str) -> str | None:
        """Return the name of the column of a field in this row; ``None``: it has none."""
        names = (self.columns[field],) if field in self.columns else self.known[field]
        return next((name for name in names if self.data.get(name) is not None), None)

    def value(self, field: str) -> Any:
        """Return what stands in a field, ``None`` where nothing does."""
        name = self.column(field)
        return None if name is None else self.data[name]

    def text(self, field: str, *, absent: str | None = None) -> str:
        """Return a field as text; a number or truth value as it is written."""
        value = self.value(field)
        if value is None:
            if absent is not None:
                return absent
            raise self.wrong(field, f"a column {' or '.join(self._names(field))}", Plain("none"))
        return self._plain(field, value)

    def texts(self, field: str) -> tuple[str, ...]:
        """Return a field as a list of texts; a single text is a list of one."""
        value = self.value(field)
        if value is None:
            raise self.wrong(field, f"a column {' or '.join(self._names(field))}", Plain("none"))
        values = value if isinstance(value, list) else [value]
        return tuple(self._plain(field, each) for each in values)

    def amount(self, field: str) -> float | None:
        """Return a field as a number that is not negative, ``None`` where there is none."""
        value = self.value(field)
        if value is None:
            return None
        try:
            amount = float(value) if isinstance(value, str | int | float) else math.nan
        except (ValueError, OverflowError):
            amount = math.nan
        if isinstance(value, bool) or not 0.0 <= amount < math.inf:
            raise self.wrong(field, "a number, at least 0", value)
        return amount

    def wrong(self, field: str, expected: str, found: object) -> InputError:
        """Return the error of a field."""
        return InputError(f"{self.where}: {self.column(field) or field}", expected=expected, found=found)

    def _names(self, field: str) -> tuple[str, ...]:
        return tuple(map(repr, (self.columns[field],) if field in self.columns else self.known[field]))

    def _plain(self, field: str, value: object) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return repr(value)
        raise self.wrong(field, "a text", value)


def prompt_and_reference(kind: str, row: Row) -> tuple[str, str]:
    """Return the prompt of a row, and the reference by which the checker of a kind grades.

    Raises
    ------
    InputError
        With line and column.
    """
    return _READERS.get(kind, _plain)(row)


def _plain(row: Row) -> tuple[str, str]:
    return row.text("prompt"), row.text("answer")


def _final(row: Row) -> tuple[str, str]:
    """Read a reference that may be a worked solution with a marked answer, as in GSM8K (``#### 42``) and MATH."""
    answer = row.text("answer")
    return row.text("prompt"), marked(answer) or answer


def _steps(row: Row) -> tuple[str, str]:
    return row.text("prompt"), "\n".join(row.texts("answer"))


def _choice(row: Row) -> tuple[str, str]:
    """Read choices as a list (MMLU), as texts with labels (ARC), as JSON in a cell, or as columns A, B, C ..."""
    texts, labels = _choices(row)
    if not 2 <= len(texts) <= len(LETTERS) or len(labels) != len(texts):
        raise row.wrong("choices", f"2 to {len(LETTERS)} choices, each with one label", Plain(f"{len(texts)}"))
    given, value = row.text("answer").strip(), row.value("answer")
    numbers = [str(at) for at in range(len(texts))]
    if isinstance(value, int) and not isinstance(value, bool):  # MMLU: counted from 0
        at = value if value < len(texts) else -1
    else:
        sought = (labels, list(LETTERS[: len(texts)]), numbers, [text.strip() for text in texts])
        at = next((names.index(given) for names in sought if given in names), -1)
    if at < 0:
        raise row.wrong("answer", f"one of {', '.join(labels)}, a number below {len(texts)}, or a choice", given)
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False))
    return f"{row.text('prompt')}\n{listed}\n{_ASK_LETTER}", LETTERS[at]


def _choices(row: Row) -> tuple[list[str], list[str]]:
    held = row.value("choices")
    if held is None:
        letters = [letter for letter in LETTERS if row.data.get(letter) is not None]
        lettered = Row(where=row.where, data=row.data, columns={letter: letter for letter in letters})
        return [lettered.text(letter) for letter in letters], letters
    if isinstance(held, str):
        held = _json(row, "choices", held)
    parts = held if isinstance(held, dict) else {"text": held}
    inner = Row(where=row.where, data=parts, columns={"choices": "text", "label": "label"})
    texts = list(inner.texts("choices"))
    return texts, list(LETTERS[: len(texts)]) if inner.value("label") is None else list(inner.texts("label"))


def _tests(row: Row) -> tuple[str, str]:
    """Read HumanEval (``prompt``, ``test``, ``entry_point``) and MBPP (``text``, ``test_list``)."""
    prompt = row.text("prompt")
    value, entry_point = row.value("tests"), row.text("entry_point", absent="")
    if entry_point and not entry_point.isidentifier():
        raise row.wrong("entry_point", "the name of a function", entry_point)
    if isinstance(value, str) and value.lstrip().startswith("["):
        row = Row(
            where=row.where,
            data={**row.data, "tests": _json(row, "tests", value)},
            columns={**row.columns, "tests": "tests"},
        )
    tests = "\n".join(row.texts("tests"))
    if row.value("setup") is not None:
        tests = "\n".join((*row.texts("setup"), tests))
    if entry_point and "def check(" in tests:
        tests += f"\n\ncheck({entry_point})\n"
    stem = f"{prompt.rstrip()}\n" if entry_point else ""
    return prompt, _encoded(row, "tests", TestReference(tests=tests, stem=stem, entry_point=entry_point))


def _output(row: Row) -> tuple[str, str]:
    """Read inputs and outputs, one or lists of the same length; or the only output as the answer."""
    if row.value("outputs") is None:
        return row.text("prompt"), row.text("answer")
    outputs = row.texts("outputs")
    inputs = row.texts("inputs") if row.value("inputs") is not None else ("",) * len(outputs)
    if len(inputs) != len(outputs):
        raise row.wrong("inputs", f"{len(outputs)} inputs, one for each output", Plain(f"{len(inputs)}"))
    cases = tuple(Case(stdin=stdin, stdout=stdout) for stdin, stdout in zip(inputs, outputs, strict=True))
    return row.text("prompt"), _encoded(row, "outputs", OutputReference(cases=cases))


def _json(row: Row, field: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise row.wrong(field, "a list, as JSON", text) from error


def _encoded(row: Row, field: str, reference: msgspec.Struct) -> str:
    try:
        return msgspec.json.encode(reference).decode()
    except UnicodeEncodeError as error:
        raise row.wrong(field, "whole Unicode characters", Plain("half of one")) from error


_READERS: Mapping[str, Callable[[Row], tuple[str, str]]] = MappingProxyType(
    {
        "numeric": _final,
        "text": _final,
        "true_false": _plain,
        "choice": _choice,
        "steps": _steps,
        "unit_tests": _tests,
        "output": _output,
    }
)
