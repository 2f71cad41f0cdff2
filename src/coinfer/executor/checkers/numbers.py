"""Numbers: integers, decimals, fractions and percentages, however they are written."""

from __future__ import annotations

import re
from fractions import Fraction

from coinfer.executor.checkers.base import end_of, marked

_DIGITS = r"[0-9]{1,40}"
_DECIMAL = rf"(?:{_DIGITS}(?:\.[0-9]{{0,40}})?|\.{_DIGITS})(?:[eE][-+]?[0-9]{{1,2}}(?![0-9]))?"
_NUMBER = re.compile(
    rf"(?P<sign>(?<![0-9a-zA-Z)])[-\N{{MINUS SIGN}}])?[$\N{{EURO SIGN}}\N{{POUND SIGN}}]?"
    rf"(?:\\[dt]?frac\{{(?P<over>-?{_DIGITS})\}}\{{(?P<under>{_DIGITS})\}}"
    rf"|(?P<number>{_DECIMAL})(?:\s?/\s?(?P<divisor>{_DIGITS})(?![0-9./]))?)"
)
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_TOLERANCE = re.compile(
    rf"^(?P<number>.*?)(?:\N{{PLUS-MINUS SIGN}}|\+/?-)\s*(?P<width>{_DECIMAL})\s*(?P<share>%?)\s*$", re.DOTALL
)


class Numeric:
    r"""The last number of the final answer equals the reference, or lies within its tolerance.

    Commas may group thousands; currency signs before a number and units behind it are no part of it (so ``50%`` is
    50); ``3/4`` and ``\frac{3}{4}`` are fractions, kept exactly. Where no final answer is marked (see
    :func:`coinfer.executor.checkers.base.marked`), the last number of the whole text counts. A reference may state a
    tolerance: ``3.14 +- 0.01``, or ``3.14 +- 1%`` of its size.
    """

    name = "numeric"

    def expected(self, reference: str) -> str | None:
        """Return what the reference should have been."""
        return None if _reference(reference) is not None else "a number"

    def answer_of(self, text: str) -> str | None:
        """Return the number in its shortest form: a decimal where it has one, else a fraction.

        >>> Numeric().answer_of("That makes 1,250.50 dollars"), Numeric().answer_of("The answer is 2/6.")
        ('1250.5', '1/3')
        """
        found = last_number(text)
        return None if found is None else shortest(found)

    def grade(self, text: str, reference: str) -> float | None:
        """Return 1.0 or 0.0; ``None`` where the reference is no number."""
        wanted = _reference(reference)
        if wanted is None:
            return None
        found = last_number(text)
        return float(found is not None and abs(found - wanted[0]) <= wanted[1])


def last_number(text: str) -> Fraction | None:
    """Return the number that a text gives as its answer."""
    text = end_of(text)
    span = marked(text)
    found = None if span is None else _last(span)
    return _last(text) if found is None else found


def shortest(number: Fraction) -> str:
    """Return one text for one number."""
    rest = number.denominator
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{number.numerator}/{number.denominator}"
    places = max(twos, fives)
    digits = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
    sign = "-" if number < 0 else ""
    return sign + (digits if places == 0 else f"{digits[:-places]}.{digits[-places:]}")


def _last(text: str) -> Fraction | None:
    found = None
    for found in _NUMBER.finditer(_THOUSANDS.sub("", text)):  # noqa: B007  # the last one
        pass
    if found is None:
        return None
    if found["over"] is not None:
        number, divisor = Fraction(found["over"]), int(found["under"])
    else:
        number, divisor = Fraction(found["number"]), int(found["divisor"] or 1)
    if divisor == 0:
        return None
    return -number / divisor if found["sign"] else number / divisor


def _reference(reference: str) -> tuple[Fraction, Fraction] | None:
    """Return the number and the tolerance that a reference states."""
    stated = _TOLERANCE.match(end_of(reference))
    number = _last(stated["number"] if stated else reference)
    if number is None or stated is None:
        return None if number is None else (number, Fraction(0))
    width = Fraction(stated["width"])
    return number, abs(number) * width / 100 if stated["share"] else width
