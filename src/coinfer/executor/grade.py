"""Check an answer by the checker its request names; what a model writes decides nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from coinfer.errors import InputError, RequestError
from coinfer.executor.request import Request
from coinfer.zoo import tasks

_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def check_gradable(requests: Sequence[Request]) -> None:
    """Reject requests whose checker could never give a verdict, before anything is sent.

    Raises
    ------
    RequestError
        Naming the request.
    """
    for request in requests:
        where = f"request {request.id!r}"
        if request.checker == "numeric" and _number(request.answer or "") is None:
            raise RequestError(f"{where}: answer", expected="a number", found=request.answer)
        if request.checker == "task":
            try:
                tasks.solve(request.category, request.prompt)
            except InputError as error:
                raise RequestError(f"{where}: {error.where}", expected=error.expected, found=error.found) from error


def grade(request: Request, text: str) -> float | None:
    """Return 1.0 or 0.0 for a right or wrong answer, ``None`` where the request names no checker.

    ``exact`` compares trimmed texts, ``numeric`` the last number in the text with the reference, ``task`` derives
    the answer again from the prompt.
    """
    if request.checker is None:
        return None
    if request.checker == "task":
        return float(tasks.is_correct(request.category, request.prompt, text))
    reference = request.answer or ""
    if request.checker == "exact":
        return float(text.strip() == reference.strip())
    found = _number(text)
    return float(found is not None and found == _number(reference))


def read_answer(request: Request, text: str) -> str | None:
    """Return the answer in a text, by which votes are counted; ``None`` where there is none. The reference is not read.

    Equal numbers are one answer where the checker is ``numeric``; elsewhere it is the trimmed text.
    """
    if request.checker == "numeric":
        found = _number(text)
        return None if found is None else format(found.normalize(), "f")
    return text.strip() or None


def _number(text: str) -> Decimal | None:
    """Return the last number written in ``text``; commas may group thousands."""
    found = _NUMBER.findall(_THOUSANDS.sub("", text))
    return Decimal(found[-1]) if found else None
