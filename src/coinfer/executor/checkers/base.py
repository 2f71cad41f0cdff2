"""What a checker is, and where in a text the final answer stands."""

from __future__ import annotations

import re
from typing import Protocol

MOST_CHARACTERS = 200_000
"""Longer texts are read from their end: the final answer stands there, and reading stays quick."""
_MARK = re.compile(r"####|\\boxed\s{0,5}\{|\banswer\s{0,5}(?:is|:|=)|\banswer\b\**:", re.IGNORECASE)
_END = re.compile(r"[.;!?](?=\s|$)|\n")


class Checker(Protocol):
    """Reads the answer in a text, and grades it by a reference. Implementations hold no state.

    Every text has a verdict and none makes an error: it was written by a model.
    """

    @property
    def name(self) -> str:
        """Name in files of requests."""
        ...

    def expected(self, reference: str) -> str | None:
        """Return what a reference should have been, in words; ``None`` where it can be graded by."""
        ...

    def answer_of(self, text: str) -> str | None:
        """Return the answer in a text, by which votes are counted: equal answers are equal texts; ``None``: none."""
        ...

    def grade(self, text: str, reference: str) -> float | None:
        """Return 0..1 (1 is right); ``None`` where it cannot be graded on this machine."""
        ...


def end_of(text: str) -> str:
    """Return a text, or its last :data:`MOST_CHARACTERS` characters."""
    return text[-MOST_CHARACTERS:]


def marked(text: str) -> str | None:
    r"""Return what follows the last mark of a final answer, to the end of its sentence; ``None`` without a mark.

    Marks: ``####`` (GSM8K, arXiv:2110.14168), ``\boxed{`` (MATH, arXiv:2103.03874), "answer is", "answer:".

    >>> marked("So 3 + 4 = 7. The answer is 7. I hope this helps."), marked("It is \\boxed{\\frac{1}{2}}.")
    ('7', '\\frac{1}{2}')
    """
    found = None
    for found in _MARK.finditer(text):  # noqa: B007  # the last one
        pass
    if found is None:
        return None
    rest = text[found.end() :]
    if found.group().endswith("{"):
        return _braced(rest)
    rest = rest.lstrip(" :*\t\n\r")
    end = _END.search(rest)
    return (rest if end is None else rest[: end.start()]).strip()


def _braced(text: str) -> str:
    """Return what stands before the brace that closes one opened before ``text``."""
    depth = 1
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[:at]
    return text
