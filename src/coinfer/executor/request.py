"""The requests to be run: JSON Lines of prompts with their category, and the checker that grades the answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from coinfer import jsonfile
from coinfer.errors import InputError, Plain, RequestError
from coinfer.records import Record

CheckerName = Literal[
    "task",
    "exact",
    "text",
    "numeric",
    "true_false",
    "choice",
    "steps",
    "win_draw_loss",
    "regex",
    "unit_tests",
    "output",
]
"""How answers are graded."""


class Request(Record, frozen=True, kw_only=True):
    """One prompt to be answered.

    Attributes
    ----------
    id
        Unique within the file: the journal knows an answered request by it.
    prompt
        Text.
    category
        Application category, which decides the route.
    answer
        Reference answer; absent where the answer is not graded or the checker derives it.
    checker
        How an answer is graded: ``task`` (a bundled task, re-derived from the prompt); one of
        :data:`coinfer.executor.checkers.CHECKERS`, with ``answer`` as its reference: ``exact``, ``text``, ``numeric``,
        ``true_false``, ``choice``, ``steps``, ``win_draw_loss``, ``regex``, and in a sandbox ``unit_tests`` and
        ``output``; or absent: not graded.
    max_tokens
        Most tokens to generate.
    extra
        Texts that single test-time strategies take, by name: ``tests`` (Python that may be looked at), ``document``.
    """

    id: str
    prompt: str
    category: str
    max_tokens: int = 64
    answer: str | None = None
    checker: CheckerName | None = None
    extra: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise RequestError("id", expected="a text that is not empty", found=self.id)
        if self.max_tokens < 1:
            raise RequestError("max_tokens", expected="an integer, at least 1", found=self.max_tokens)
        if self.checker not in (None, "task") and self.answer is None:
            raise RequestError("answer", expected=f"a reference, since the checker is {self.checker!r}", found=None)


def read_requests(path: str | os.PathLike[str]) -> tuple[Request, ...]:
    """Read a JSON Lines file of requests.

    Raises
    ------
    InputError
        With the line number; also for an empty file and for an id that stands twice.
    """
    file = Path(path)
    requests: list[Request] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(jsonfile.read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{file}: line {number}"
        request = jsonfile.convert(jsonfile.parse(line, where=where), Request, where=where)
        if request.id in lines:
            found = Plain(f"{request.id!r}, as in line {lines[request.id]}")
            raise RequestError(f"{where}: id", expected="an id that stands once", found=found)
        lines[request.id] = number
        requests.append(request)
    if not requests:
        raise InputError(str(file), expected="at least one request", found=Plain("none"))
    return tuple(requests)
