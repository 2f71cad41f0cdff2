"""Exact arithmetic on the numbers as they are written: 0.1 is a tenth."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache


@lru_cache(maxsize=2**16)
def exact(number: float) -> Fraction:
    """Return the decimal that a float is written as.

    >>> exact(0.1) + exact(0.2) == exact(0.3)
    True
    """
    return Fraction(str(float(number)))
