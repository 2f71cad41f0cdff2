"""Markup: whatever a string holds, it stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.planner.report.element import tag


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.words += data


@given(text=st.text(), value=st.text())
def test_no_string_becomes_markup(text: str, value: str) -> None:
    """Any text and any attribute value leave exactly the elements and attributes that were asked for."""
    reader = Reader()
    reader.feed(str(tag("p", text, tag("b", text), title=value)))
    reader.close()

    assert reader.tags == ["p", "b"]
    assert [name for name, _ in reader.attributes] == ["title"]
    str(tag("p", text)).encode()  # no lone surrogate is left


def test_marks_that_disguise_text_are_replaced() -> None:
    """A right-to-left override, a NUL and a lone surrogate become the replacement character."""
    assert str(tag("b", "a\u202eb\x00c\ud800d")) == "<b>a\ufffdb\ufffdc\ufffdd</b>"


@pytest.mark.parametrize("name", ["script", "iframe", "img", "link", "style", "object"])
def test_elements_that_load_or_run_are_refused(name: str) -> None:
    """Not even our own code can put one on the page."""
    with pytest.raises(ValueError, match=name):
        tag(name)


@pytest.mark.parametrize("attributes", [{"onclick": "x"}, {"style": "x"}, {"href": "https://a"}, {"src": "a"}])
def test_attributes_that_load_or_run_are_refused(attributes: dict[str, str]) -> None:
    """Links stay on the page; no handler, no inline style."""
    with pytest.raises(ValueError, match="a report has no"):
        tag("a", **attributes)
