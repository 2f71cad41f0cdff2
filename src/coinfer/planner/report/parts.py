"""Parts that every section is made of: sections, tables, badges, lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from coinfer.planner.report.element import Child, Element, tag

BASES: dict[str, str] = {
    "measured": "timed or counted on the device itself",
    "published": "read from somebody else's publication",
    "declared": "stated by the user, such as a power figure times a time; no counter took it",
    "derived": "worked out from other figures",
}


def section(identifier: str, title: str, *children: Child) -> Element:
    """Make a section with its heading."""
    heading = tag("h2", title, id=f"{identifier}-title")
    return tag("section", heading, *children, id=identifier, aria_labelledby=f"{identifier}-title")


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Child]], *, class_: str | None = None) -> Element:
    """Make a table whose first column names the rows; on a narrow screen each row becomes a card.

    The roles are those of the elements; they are written out because some browsers forget them when a style turns
    rows into cards.

    Headings of columns that hold figures end in ``#``: they and their cells are set to the right.
    """
    figures = [title.endswith("#") for title in head]
    titles = [title.removesuffix("#") for title in head]
    columns = [
        tag("th", title, scope="col", role="columnheader", class_="figure" if number else None)
        for title, number in zip(titles, figures, strict=True)
    ]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row", role="rowheader"),
            [
                tag("td", cell, role="cell", class_="figure" if number else None, data_label=title)
                for cell, number, title in zip(row[1:], figures[1:], titles[1:], strict=True)
            ],
            role="row",
        )
        for row in rows
    ]
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", columns, role="row"), role="rowgroup"),
        tag("tbody", body, role="rowgroup"),
        role="table",
        class_=class_,
    )


def badge(word: str, title: str | None = None) -> Element:
    """Mark a figure or a claim with a word; the outline tells the words apart without colour."""
    return tag("span", word, class_=f"badge {re.sub('[^a-z]', '-', word.lower())}", title=title or BASES.get(word))


def listing(items: Iterable[Child], *, class_: str | None = None) -> Element:
    """Make a list."""
    return tag("ul", [tag("li", item) for item in items], class_=class_)


def facts_list(pairs: Iterable[tuple[str, Child]]) -> Element:
    """Make a list of terms and what they are."""
    return tag("dl", [tag("div", tag("dt", term), tag("dd", value)) for term, value in pairs])


def note(*children: Child) -> Element:
    """Make a paragraph in small type."""
    return tag("p", *children, class_="note")
