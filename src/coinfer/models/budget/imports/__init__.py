"""Outcomes of others, read: one reader for each format, and the problem that outcomes make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from coinfer.errors import InputError, Plain
from coinfer.models.budget.imports.answers import AnswerCounts as AnswerCounts
from coinfer.models.budget.imports.answers import import_answers
from coinfer.models.budget.imports.answers import read_answers as read_answers
from coinfer.models.budget.imports.game24 import import_game24
from coinfer.models.budget.imports.livecodebench import import_livecodebench
from coinfer.models.budget.imports.monkeys import import_monkeys
from coinfer.models.budget.imports.problem import problem_from as problem_from
from coinfer.models.budget.imports.rows import import_rows
from coinfer.models.budget.outcomes import Outcomes

Reader = Callable[[Sequence[Path]], tuple[Outcomes, tuple[str, ...]]]
FORMATS: Mapping[str, Reader] = {
    "rows": import_rows,
    "livecodebench": import_livecodebench,
    "monkeys": import_monkeys,
    "game24": import_game24,
    "answers": import_answers,
}
"""Readers by the name of their format."""


def read_outcomes(paths: Sequence[Path], *, format: str = "rows") -> tuple[Outcomes, tuple[str, ...]]:  # noqa: A002
    """Read outcome files.

    Parameters
    ----------
    paths
        Files of one format; what they hold is put together.
    format
        One of :data:`FORMATS`.

    Returns
    -------
    tuple
        The outcomes, and what was left out or absent, one sentence each.

    Raises
    ------
    InputError
        One sentence with file and line.
    BackendMissing
        If a format needs a package that is not installed.
    """
    if format not in FORMATS:
        raise InputError("format", expected=f"one of {', '.join(FORMATS)}", found=format)
    if not paths:
        raise InputError("files", expected="at least one file", found=Plain("none"))
    return FORMATS[format](tuple(Path(path) for path in paths))
