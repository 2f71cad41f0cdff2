"""A small writer of YAML: block style, every text quoted, so that no reader takes one for a number or a key word."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class Inline(tuple[Any, ...]):
    """A sequence of scalars that is written on one line, in brackets."""

    __slots__ = ()


_BARE_KEY = re.compile(r"[a-z][a-z_]+")
_KEY_WORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null"})  # YAML 1.1 reads them as values
_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def to_yaml(value: Mapping[str, Any]) -> str:
    """Return mappings, sequences, texts, numbers, truth values and ``None`` as YAML that 1.1 and 1.2 read alike.

    Keys are texts, or integers, which stay integers.

    Raises
    ------
    TypeError
        For a value of another kind.
    ValueError
        For a number that is not finite.
    """
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Any, indent: str) -> Iterator[str]:
    """Yield the lines of a mapping or a sequence that is not empty."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{indent}{_key(key)}:", item, indent + "  ")
    else:
        for item in value:
            inner = list(_lines(item, indent + "  ")) if _is_nested(item) else [f"{indent}  {_scalar(item)}"]
            yield f"{indent}- {inner[0][len(indent) + 2 :]}"
            yield from inner[1:]


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    if _is_nested(item):
        yield head
        yield from _lines(item, indent)
    else:
        yield f"{head} {_scalar(item)}"


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str | Inline) and len(value) > 0


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"no finite number: {value}")
        mantissa, letter, exponent = repr(float(value)).partition("e")  # numpy writes np.float64(1.0)
        if letter and "." not in mantissa:
            mantissa += ".0"  # YAML 1.1 takes 1e-05 for a text
        return f"{mantissa}{letter}{exponent}"
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_scalar, value))}]"
    raise TypeError(f"no YAML form for {type(value)}")


def _key(key: str | int) -> str:
    if isinstance(key, int):
        return _scalar(key)
    return key if _BARE_KEY.fullmatch(key) and key not in _KEY_WORDS else _quoted(key)


def _quoted(text: str) -> str:
    return '"' + "".join(map(_mark, text)) + '"'


def _mark(mark: str) -> str:
    """Return one character inside quotes; what a reader could stumble over is escaped."""
    if mark in _ESCAPES:
        return _ESCAPES[mark]
    if mark.isprintable():
        return mark
    code = ord(mark)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
