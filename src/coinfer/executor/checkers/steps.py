"""Lists of steps, graded by how far they are right."""

from __future__ import annotations

import re

from coinfer.executor.checkers.base import end_of

_LABEL = re.compile(
    r"^\s*(?:[-*+\N{BULLET}]\s+|(?:step\s{0,3})?[0-9]{1,4}\s{0,3}[.):]\s*|step\s{1,3}[0-9]{1,4}\s+)?", re.IGNORECASE
)
_MOST_STEPS = 10_000


class Steps:
    """A list, one step in a line, as plans and puzzles ask for; the reference is one as well.

    Its grade is the prefix accuracy: the leading steps that agree, over the steps of the longer of both lists; so 1 is
    the whole list and nothing more. Numbers and bullets before steps, case, blanks and a closing full stop do not
    count.
    """

    name = "steps"

    def expected(self, reference: str) -> str | None:
        """Return what the reference should have been."""
        return None if steps_of(reference) else "at least one step"

    def answer_of(self, text: str) -> str | None:
        """Return the steps without numbers, one in a line."""
        return "\n".join(steps_of(text)) or None

    def grade(self, text: str, reference: str) -> float | None:
        """Return the prefix accuracy; ``None`` where the reference has no step."""
        wanted, found = steps_of(reference), steps_of(text)
        if not wanted:
            return None
        right = 0
        for one, other in zip(wanted, found, strict=False):
            if one != other:
                break
            right += 1
        return right / max(len(wanted), len(found))


def steps_of(text: str) -> list[str]:
    r"""Return the steps of a text.

    >>> steps_of("1. Pick up A.\n2) Put A on B")
    ['pick up a', 'put a on b']
    """
    lines = (" ".join(_LABEL.sub("", line, count=1).casefold().split()) for line in end_of(text).splitlines())
    return [line for line in (line.rstrip(".") for line in lines) if line][:_MOST_STEPS]
