"""Answers that are words: texts, true or false, a letter of a choice, win or draw or loss."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from coinfer.executor.checkers.base import end_of, marked

_ENDS = " \t\r\n.,;:!?'\"`*$()[]{}"
_TRUE, _FALSE = "true", "false"
_POLARITY = re.compile(
    r"\b(?P<no_>not\s{1,3})?(?P<word>true|false)\b|\b(?P<short>yes|no)\b(?=\s{0,3}(?:[.,;:!?)\]}\"'*\n]|$))",
    re.IGNORECASE,
)
_FIRST = re.compile(r"[\s\"'(*]{0,5}(?P<word>true|false|yes|no)\b", re.IGNORECASE)
_TRUTHS: Mapping[str, str] = MappingProxyType(
    {"true": _TRUE, "yes": _TRUE, "1": _TRUE, "false": _FALSE, "no": _FALSE, "0": _FALSE}
)
_BRACKETED = re.compile(r"(?<![a-zA-Z])\(\s?([A-Za-z])\s?\)|\\text\{\(?([A-Z])\)?\}")
_LETTER = re.compile(r"\b(?:(?:option|choice)\s{1,3})?([A-Z])\b(?!['\N{RIGHT SINGLE QUOTATION MARK}])")
_ALONE = re.compile(r"\W{0,5}([A-Za-z])\W{0,5}")
_LEADING = re.compile(r"[\s*]{0,5}([A-Z])\s{0,2}[).:,\n]")
_OUTCOMES: Mapping[str, str] = MappingProxyType(
    {
        "win": r"win|wins|won|victory|1-0",
        "draw": r"draw|draws|drawn|tie|ties|tied|1/2-1/2",
        "loss": r"loss|lose|loses|lost|defeat|0-1",
    }
)
_OUTCOME = re.compile("|".join(rf"(?P<{name}>\b(?:{words})\b)" for name, words in _OUTCOMES.items()), re.IGNORECASE)


class Exact:
    """The text, without blanks at its ends, is the reference."""

    name = "exact"

    def expected(self, reference: str) -> str | None:  # noqa: ARG002  # any text is one
        """Return nothing: every reference will do."""
        return None

    def answer_of(self, text: str) -> str | None:
        """Return the trimmed text."""
        return text.strip() or None

    def grade(self, text: str, reference: str) -> float | None:
        """Return 1.0 or 0.0."""
        return float(text.strip() == reference.strip())


class Text:
    """The final answer is the reference, whatever its case, blanks, and punctuation at its ends.

    The final answer stands behind its mark (see :func:`coinfer.executor.checkers.base.marked`); without a mark it is
    the last line that is not empty.
    """

    name = "text"

    def expected(self, reference: str) -> str | None:
        """Return what the reference should have been."""
        return None if _plain(reference) else "a text with letters or digits"

    def answer_of(self, text: str) -> str | None:
        """Return the final answer in small letters."""
        text = end_of(text)
        span = marked(text)
        return _plain(span if span is not None else text.strip().rpartition("\n")[2]) or None

    def grade(self, text: str, reference: str) -> float | None:
        """Return 1.0 or 0.0; ``None`` where nothing is left of the reference."""
        wanted = _plain(reference)
        return float(self.answer_of(text) == wanted) if wanted else None


class TrueFalse:
    """True (or yes) and false (or no).

    Read behind the mark of a final answer; else where the text begins with such a word; else its last one. ``not
    true`` is false. ``yes`` and ``no`` count only before punctuation: "no" is a common word.
    """

    name = "true_false"

    def expected(self, reference: str) -> str | None:
        """Return what the reference should have been."""
        return None if _TRUTHS.get(_plain(reference)) else "true, false, yes, no, 1 or 0"

    def answer_of(self, text: str) -> str | None:
        """Return ``true`` or ``false``."""
        text = end_of(text)
        span = marked(text)
        found = None if span is None else self._in(span)
        return self._in(text) if found is None else found

    def grade(self, text: str, reference: str) -> float | None:
        """Return 1.0 or 0.0; ``None`` where the reference is neither."""
        wanted = _TRUTHS.get(_plain(reference))
        return None if wanted is None else float(self.answer_of(text) == wanted)

    @staticmethod
    def _in(text: str) -> str | None:
        first = _FIRST.match(text)
        if first:
            return _TRUTHS[first["word"].lower()]
        found = None
        for found in _POLARITY.finditer(text):  # noqa: B007  # the last one
            pass
        if found is None:
            return None
        said = _TRUTHS[(found["word"] or found["short"]).lower()]
        return said if not found["no_"] else _FALSE if said == _TRUE else _TRUE


class Choice:
    r"""A letter of a multiple choice: ``B``, ``(B)``, ``B.``, "the answer is B", ``\boxed{B}``.

    Read behind the mark of a final answer; else the last letter in brackets, else a letter that stands alone or leads
    the text, else a letter that leads the last line.
    """

    name = "choice"

    def expected(self, reference: str) -> str | None:
        """Return what the reference should have been."""
        return None if _ALONE.fullmatch(reference) else "one letter"

    def answer_of(self, text: str) -> str | None:
        """Return the letter, as a capital."""
        text = end_of(text)
        span = marked(text)
        if span is not None:
            found = _last(_BRACKETED, span) or _alone(span) or _first(_LETTER, span)
            if found:
                return found
        last = text.strip().rpartition("\n")[2]
        return _last(_BRACKETED, text) or _alone(text) or _alone(last) or _leading(text) or _leading(last)

    def grade(self, text: str, reference: str) -> float | None:
        """Return 1.0 or 0.0; ``None`` where the reference is no letter."""
        wanted = _alone(reference)
        return None if wanted is None else float(self.answer_of(text) == wanted)


class Outcome:
    """How a game ends: win, draw or loss, in any of their usual words, or ``1-0``, ``1/2-1/2``, ``0-1``.

    Read behind the mark of a final answer; else the last such word.
    """

    name = "win_draw_loss"

    def expected(self, reference: str) -> str | None:
        """Return what the reference should have been."""
        return None if _outcome(reference) else "win, draw or loss"

    def answer_of(self, text: str) -> str | None:
        """Return ``win``, ``draw`` or ``loss``."""
        text = end_of(text)
        span = marked(text)
        return (None if span is None else _outcome(span)) or _outcome(text)

    def grade(self, text: str, reference: str) -> float | None:
        """Return 1.0 or 0.0; ``None`` where the reference is none of them."""
        wanted = _outcome(reference)
        return None if wanted is None else float(self.answer_of(text) == wanted)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(_ENDS)


def _outcome(text: str) -> str | None:
    found = None
    for found in _OUTCOME.finditer(text):  # noqa: B007  # the last one
        pass
    return None if found is None else found.lastgroup


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.findall(text)
    return None if not found else "".join(found[-1]).upper()


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return None if found is None else found[1]


def _alone(text: str) -> str | None:
    found = _ALONE.fullmatch(text.strip())
    return None if found is None else found[1].upper()


def _leading(text: str) -> str | None:
    found = _LEADING.match(text)
    return None if found is None else found[1]
