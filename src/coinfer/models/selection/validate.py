"""Checks that constructors of a problem share; each raises one sentence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from coinfer.errors import Plain, ProblemError

LARGEST = 1e18
"""Largest figure of any kind: sums and products of such figures stay finite."""


def named(name: str) -> None:
    """Reject an empty name, and one that would garble a terminal."""
    if not name.strip():
        raise ProblemError("name", expected="a name", found=name)
    if not name.isprintable():
        raise ProblemError("name", expected="a name of printable characters", found=name)


def amount(where: str, number: float | None) -> None:
    """Reject a negative, infinite, NaN or absurdly large number; absent is fine."""
    if number is not None and LARGEST < number < math.inf:
        raise ProblemError(where, expected=f"at most {LARGEST:g}", found=number)
    if number is not None and not 0.0 <= number < math.inf:
        raise ProblemError(where, expected="a finite number, at least 0", found=number)


def unique(where: str, names: list[str]) -> None:
    """Reject an empty list, and names that stand twice."""
    if not names:
        raise ProblemError(where, expected="at least one entry", found=Plain("none"))
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise ProblemError(where, expected="names that differ", found=Plain(f"{name!r} {count} times"))


def among(where: str, name: str, known: Iterable[str]) -> None:
    """Reject a name that is not known."""
    known = list(known)
    if name not in known:
        shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        raise ProblemError(where, expected=f"one of {shown}", found=name)
