"""The strict little reader of YAML reads what a real one reads, or refuses it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.planner.export.placement.yaml_reader import from_yaml
from coinfer.planner.export.yaml import Inline, to_yaml

numbers = st.integers(-(10**6), 10**6)
lists = st.lists(numbers, min_size=1, max_size=4)
keys = st.from_regex(r"[a-z]{3,6}_[a-z]{2}", fullmatch=True) | st.integers(0, 60)
values = st.recursive(
    numbers | lists | lists.map(Inline),
    lambda inner: st.dictionaries(keys, inner, min_size=1, max_size=3),
    max_leaves=10,
)


@given(value=st.dictionaries(keys, values, min_size=1, max_size=4))
def test_what_is_written_is_read(value: dict[Any, Any]) -> None:
    """Mappings with integers as keys, lists on one line and on many, and numbers survive both readers."""
    yaml = pytest.importorskip("yaml")

    def plain(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: plain(item) for key, item in part.items()}
        return list(part) if isinstance(part, Inline | list) else part

    text = to_yaml(value)
    assert from_yaml(text, where="f") == plain(value)
    assert yaml.safe_load(text) == plain(value)


pieces = st.sampled_from(
    [
        "a",
        "b:",
        ":",
        " ",
        "  ",
        "\n",
        "\n  ",
        "- ",
        "-",
        "1",
        "-2",
        "[",
        "]",
        ", ",
        "[1, 2]",
        "# x",
        "'",
        '"',
        "key: 3\n",
    ]
)


@settings(max_examples=400)
@given(parts=st.lists(pieces, max_size=12))
def test_it_never_reads_anything_else_than_a_real_reader(parts: list[str]) -> None:
    """What the little reader accepts, a real one reads as the same numbers, lists and mappings."""
    yaml = pytest.importorskip("yaml")
    text = "".join(parts)
    try:
        value = from_yaml(text, where="f")
    except InputError:
        return

    real = yaml.safe_load(text)

    assert value == ({} if real is None else real)


def test_the_files_people_have() -> None:
    """Comments, a document mark, lists over several lines, dashes, quotes, empty values and nesting are read."""
    text = (
        "---\n"
        "# what follows is a plan\n"
        "num_slots: 4  # in all\n"
        "moe_config:\n"
        "  backend: WIDEEP\n"
        '  name: "a: b"\n'
        "\n"
        "  load_balancer:\n"
        "    layers:\n"
        "      3: [0, 1,\n"
        "          2, 3,]\n"
        "      4:\n"
        "      - 0\n"
        "      - -1\n"
        "      5: []\n"
        "'quoted': 1\n"
        "empty:\n"
        "last: off\n"
    )

    assert from_yaml(text, where="f") == {
        "num_slots": 4,
        "moe_config": {
            "backend": "WIDEEP",
            "name": "a: b",
            "load_balancer": {"layers": {3: [0, 1, 2, 3], 4: [0, -1], 5: []}},
        },
        "quoted": 1,
        "empty": None,
        "last": "off",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a", "f: line 1: expected a key and a colon after 0 spaces; found 'a'"),
        ("a: 1\n b: 2", "f: line 2: expected a key and a colon after 0 spaces; found 'b: 2'"),
        ("a: 1\na: 2", "f: line 2: expected each key once; a stood before; found 'a: 2'"),
        ("\ta: 1", "f: line 1: expected spaces before the text, no tabs; found '\\ta: 1'"),
        ("a: [1, 2", "f: line 1: expected a list that ends with a bracket; found 'a: [1, 2'"),
        ("a: [1, [2]]", "f: line 1: expected one list in brackets, and nothing after it; found 'a: [1, [2]]'"),
        ("a: [1] 2", "f: line 1: expected one list in brackets, and nothing after it; found 'a: [1] 2'"),
        ("a: [1,,2]", "f: line 1: expected numbers between the commas; found 'a: [1,,2]'"),
        ("a: &x 1", "f: line 1: expected a number, a text or a list of numbers; found 'a: &x 1'"),
        ("a: {b: 1}", "f: line 1: expected a number, a text or a list of numbers; found 'a: {b: 1}'"),
        ("a:\n  - [1]", "f: line 2: expected a dash, a space and a number; found '- [1]'"),
        ("a:\n  - b: 1", "f: line 2: expected a dash, a space and a number; found '- b: 1'"),
        ("".join(f"{' ' * i}a:\n" for i in range(12)), "f: line 10: expected at most 8 levels; found 'a:'"),
    ],
)
def test_the_rest_of_yaml_is_refused(text: str, sentence: str) -> None:
    """Anchors, mappings in braces, lists of lists, repeated keys, tabs and deep nesting name their line."""
    with pytest.raises(InputError) as caught:
        from_yaml(text, where="f")

    assert str(caught.value) == sentence
