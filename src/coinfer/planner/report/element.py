"""Markup that cannot be forgotten to be escaped: every string is text, and only :func:`tag` makes elements."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

VOID = frozenset({"br", "col", "hr", "meta", "wbr"})
REFUSED = frozenset({"base", "embed", "form", "iframe", "img", "input", "link", "object", "script", "style", "use"})
BREAKS_AFTER = frozenset({"section", "tr", "p", "h1", "h2", "h3", "table", "li", "g", "figure", "header", "div", "svg"})
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Element:
    """An element: its name, its attributes and what it holds. Strings among the children are text."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple[Element | str, ...]

    def __str__(self) -> str:
        return "".join(self._pieces())

    def _pieces(self) -> Iterable[str]:
        attributes = "".join(f' {key}="{text(value)}"' for key, value in self.attributes)
        yield f"<{self.name}{attributes}>"
        if self.name not in VOID:
            for child in self.children:
                yield str(child) if isinstance(child, Element) else text(child)
            yield f"</{self.name}>"
        if self.name in BREAKS_AFTER:
            yield "\n"


Child = Element | str | None | Iterable["Element | str | None"]


def text(value: str) -> str:
    """Escape ``value`` for an element or an attribute.

    Control characters, lone surrogates and marks that reverse the reading direction become U+FFFD: the first two
    are no valid HTML, the last lets a name disguise the text around it.
    """
    return html.escape(_UNSAFE.sub("\N{REPLACEMENT CHARACTER}", value), quote=True)


def tag(name: str, *children: Child, **attributes: str | float | None) -> Element:
    """Make an element.

    Parameters
    ----------
    name
        Element name. Those that load or run anything are refused.
    *children
        Elements, text, ``None`` (nothing) or iterables of these.
    **attributes
        ``class_`` for ``class``; other underscores become hyphens; ``None`` leaves the attribute out.

    Raises
    ------
    ValueError
        For an element or an attribute that could load or run something.
    """
    if name in REFUSED:
        raise ValueError(f"a report has no <{name}>")
    kept: list[tuple[str, str]] = []
    for key, value in attributes.items():
        if value is None:
            continue
        shown = key.rstrip("_").replace("_", "-")
        written = value if isinstance(value, str) else _number(value)
        local = shown in {"href", "src"} and not written.startswith("#")
        if local or shown == "style" or shown.startswith("on"):
            raise ValueError(f"a report has no {shown}={written!r}")
        kept.append((shown, written))
    return Element(name, tuple(kept), tuple(_flat(children)))


def named(value: str) -> Element:
    """Show a name from a file: isolated from the direction of the text around it, and free to break anywhere."""
    return tag("bdi", value, class_="name")


def _number(value: float) -> str:
    """Write a coordinate with at most two decimals, the same on every run."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _flat(children: Iterable[Child]) -> Iterable[Element | str]:
    for child in children:
        if isinstance(child, Element | str):
            yield child
        elif child is not None:
            yield from (part for part in child if part is not None)
