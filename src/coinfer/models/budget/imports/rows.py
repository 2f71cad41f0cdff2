"""Import of outcome rows (JSON Lines or CSV): one row for each sample, or one for each arm on each prompt.

Fields: ``prompt``, ``arm``, and either ``correct`` (true, false, 1, 0) or ``successes`` and ``samples``. Optional:
``label``, ``answer``, ``score``, ``input_tokens``, ``output_tokens``, ``seconds``, ``joules``, ``usd``, and ``n``, the
number of samples that a row with ``correct`` stands for. Amounts are those of one sample (the mean of the row's).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.budget.imports.gather import Gathered, left_out
from coinfer.models.budget.imports.lines import csv_lines, json_lines
from coinfer.models.budget.outcomes import Outcomes

_TEXTS = frozenset({"prompt", "arm", "label", "answer"})
_MOST_FIELDS = 1000


class OutcomeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row; other fields of the file are not read."""

    prompt: str | int
    arm: str
    correct: bool | int | float | None = None
    successes: int | None = None
    samples: int | None = None
    n: int | None = None
    label: str | None = None
    answer: str | int | float | bool | None = None
    score: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    seconds: float | None = None
    joules: float | None = None
    usd: float | None = None


def import_rows(files: Sequence[Path]) -> tuple[Outcomes, tuple[str, ...]]:
    """Return the outcomes of row files, those of several files together.

    Raises
    ------
    InputError
        With file, line and field.
    """
    gathered, others, judged = Gathered(), Counter[str](), 0
    for path in files:
        for where, row in outcome_rows(path, others):
            right, drawn, counted = _counts(where, row)
            judged += row.answer is not None or row.score is not None
            gathered.add(
                where,
                prompt=str(row.prompt),
                arm=row.arm,
                right=right,
                drawn=drawn,
                counted=counted,
                cost=costs(row),
                label=row.label,
            )
    outcomes, notes = gathered.outcomes(str(files[0]))
    if judged:
        notes.append("answers and scores are left out: outcomes are counts of right samples")
    return outcomes, (*notes, *left_out(others))


def outcome_rows(path: Path, others: Counter[str]) -> Iterator[tuple[str, OutcomeRow]]:
    """Yield place and row of a file, ``.csv`` or else JSON Lines; ``others`` counts the fields that are not read."""
    known = OutcomeRow.__struct_fields__
    lines = csv_lines(path, _TEXTS) if path.suffix.lower() == ".csv" else json_lines(path)
    for where, data in lines:
        if len(others) < _MOST_FIELDS:
            others.update(name for name in data if name not in known)
        yield where, jsonfile.convert(data, OutcomeRow, where=where)


def costs(row: OutcomeRow) -> dict[str, float]:
    """Return what one sample took, by the resources of a budget; ``tokens`` needs both kinds."""
    read, written = row.input_tokens, row.output_tokens
    made: dict[str, float | None] = {"usd": row.usd, "s": row.seconds, "j": row.joules}
    if read is not None and written is not None:
        made["tokens"] = read + written
    else:
        made |= {"input_tokens": read, "output_tokens": written}
    return {name: amount for name, amount in made.items() if amount is not None}


def _counts(where: str, row: OutcomeRow) -> tuple[int, int, bool]:
    """Return right samples, samples drawn, and whether the row gave them as counts."""
    if row.correct is None:
        if row.successes is None or row.samples is None:
            expected = "'correct', or 'successes' and 'samples'"
            raise InputError(where, expected=expected, found=Plain(_given(row)))
        if row.n is not None:
            raise InputError(f"{where}: n", expected="none beside 'samples'", found=row.n)
        return row.successes, row.samples, True
    if row.successes is not None or row.samples is not None:
        expected = "either 'correct', or 'successes' and 'samples'"
        raise InputError(where, expected=expected, found=Plain(_given(row)))
    if row.correct not in (0, 1):
        raise InputError(f"{where}: correct", expected="true, false, 1 or 0", found=row.correct)
    drawn = 1 if row.n is None else row.n
    if drawn < 1:
        raise InputError(f"{where}: n", expected="at least 1 sample", found=drawn)
    return int(row.correct) * drawn, drawn, False


def _given(row: OutcomeRow) -> str:
    given: dict[str, Any] = msgspec.structs.asdict(row)
    names = [name for name in ("correct", "successes", "samples") if given[name] is not None]
    return " and ".join(names) or "none of them"
