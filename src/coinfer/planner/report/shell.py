"""What every page has around its sections: head, policy, style, contents."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from coinfer.planner.report.element import Element, tag, text


def contents(sections: Sequence[Element]) -> Element:
    """Link to every section by its heading."""
    links = []
    for part in sections:
        heading = part.children[0]
        if isinstance(heading, Element):
            links.append(tag("li", tag("a", heading.children, href=f"#{dict(part.attributes)['id']}")))
    return tag("nav", tag("ul", links), aria_label="Sections")


def document(title: str, body: Element) -> str:
    """Wrap the body; the policy lets the page load nothing and apply this one style sheet only."""
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n{body}\n</html>\n"
    )
