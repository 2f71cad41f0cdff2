"""A strict little reader of YAML: mappings, and lists of numbers; enough for a load balancer's file, and no more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from coinfer.errors import InputError

DEEPEST = 8
"""Levels of mappings, at most."""
_ENTRY = re.compile(r"""(?P<key>-?\d+|[A-Za-z_][A-Za-z0-9_\-]*|"[^"\\]*"|'[^']*')\s*:(?:\s+(?P<value>\S.*))?""")
_INTEGER = re.compile(r"[-+]?(0|[1-9]\d{0,17})")
_QUOTED = re.compile(r"""\"[^\"\\]*\"|'[^']*'""")
_PLAIN = re.compile(r"""[A-Za-z0-9_./~]([^#,\[\]{}"':]|:(?=\S))*""")
_COMMENT = re.compile(r"(^|\s)#.*$")
_QUOTES = "\"'"


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str


def from_yaml(text: str, *, where: str) -> dict[str | int, Any]:
    """Return a YAML mapping of mappings, lists of scalars and scalars.

    Lists stand in brackets, also over several lines, or one item a line after a dash. Keys and scalars of digits are
    integers; other scalars stay texts, without their quotes. Everything else of YAML is refused.

    Raises
    ------
    InputError
        With the line that cannot be read.
    """
    return _Lines(text, where).mapping(0, 0)


class _Lines:
    """The lines that hold something, and how far they were read."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.lines: list[_Line] = []
        self.position = 0
        for number, raw in enumerate(text.splitlines(), start=1):
            line = raw.rstrip()
            if "\t" in raw[: len(raw) - len(raw.lstrip())]:
                self.fail(_Line(number, 0, line), "spaces before the text, no tabs")
            content = line if any(quote in line for quote in _QUOTES) else _COMMENT.sub("", line).rstrip()
            if content.strip() and not content.lstrip().startswith("#") and not (number == 1 and content == "---"):
                self.lines.append(_Line(number, len(content) - len(content.lstrip()), content.strip()))

    def fail(self, line: _Line, expected: str) -> NoReturn:
        raise InputError(f"{self.where}: line {line.number}", expected=expected, found=line.text)

    @property
    def here(self) -> _Line | None:
        return self.lines[self.position] if self.position < len(self.lines) else None

    def mapping(self, indent: int, depth: int) -> dict[str | int, Any]:
        """Read the mapping whose keys stand at ``indent``."""
        result: dict[str | int, Any] = {}
        while (line := self.here) is not None and line.indent >= indent:
            entry = _ENTRY.fullmatch(line.text)
            if entry is None or line.indent != indent:
                self.fail(line, f"a key and a colon after {indent} spaces")
            key = _scalar(entry["key"])
            if key in result:
                self.fail(line, f"each key once; {key} stood before")
            self.position += 1
            result[key] = self.value(line, entry["value"], depth)
        return result

    def value(self, line: _Line, text: str | None, depth: int) -> Any:
        """Read what belongs to a key: the rest of its line, or the lines below it."""
        if text is not None:
            if text.startswith("["):
                return self.bracket(line, text)
            if not _is_scalar(text):
                self.fail(line, "a number, a text or a list of numbers")
            return _scalar(text)
        below = self.here
        if below is not None and below.indent >= line.indent and below.text.startswith("-"):
            return self.dashes(below.indent)
        if below is None or below.indent <= line.indent:
            return None
        if depth >= DEEPEST:
            self.fail(below, f"at most {DEEPEST} levels")
        return self.mapping(below.indent, depth + 1)

    def dashes(self, indent: int) -> list[Any]:
        """Read a list of scalars, one on a line after a dash."""
        result = []
        while (line := self.here) is not None and line.indent == indent and line.text.startswith("-"):
            item = line.text[1:].strip()
            if not line.text.startswith("- ") or not _is_scalar(item):
                self.fail(line, "a dash, a space and a number")
            result.append(_scalar(item))
            self.position += 1
        return result

    def bracket(self, first: _Line, text: str) -> list[Any]:
        """Read a list in brackets, which may go on over the next lines."""
        parts = [text]
        while "]" not in parts[-1]:
            line = self.here
            if line is None:
                self.fail(first, "a list that ends with a bracket")
            parts.append(line.text)
            self.position += 1
        inner = " ".join(parts)
        if inner.index("]") != len(inner) - 1 or "[" in inner[1:]:
            self.fail(first, "one list in brackets, and nothing after it")
        items = [item.strip() for item in inner[1:-1].split(",")]
        if items[-1] == "":
            items.pop()  # a list may be empty or end with a comma
        if not all(map(_is_scalar, items)):
            self.fail(first, "numbers between the commas")
        return [_scalar(item) for item in items]


def _is_scalar(text: str) -> bool:
    """Whether this is an integer, a text in quotes, or a text without any mark that has a meaning in YAML."""
    return any(kind.fullmatch(text) for kind in (_INTEGER, _QUOTED, _PLAIN))


def _scalar(text: str) -> str | int:
    """Return an integer, or the text without its quotes."""
    if _INTEGER.fullmatch(text):
        return int(text)
    return text[1:-1] if len(text) > 1 and text[0] in _QUOTES and text[-1] == text[0] else text
