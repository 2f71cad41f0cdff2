"""Bounds that an engine only prints: a rounded number proves no more than the lower end of what it may stand for."""

from __future__ import annotations

import math


def lower_end(text: str, *, significant: int | None = None, decimals: int | None = None) -> float:
    """Return the smallest number that prints as ``text``.

    Parameters
    ----------
    text
        A number as printed.
    significant, decimals
        Digits of the format, as in ``%.6g`` or ``%.3f``; one of the two.

    >>> lower_end("2.5", decimals=1)
    2.45
    """
    number = float(text)
    if not math.isfinite(number):
        return -math.inf
    if decimals is not None:
        return number - 0.5 * 10.0**-decimals
    if significant is None or number == 0.0:
        return number
    return number - 0.5 * 10.0 ** (math.floor(math.log10(abs(number))) + 1 - significant)
