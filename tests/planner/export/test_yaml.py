"""What the small YAML writer writes, a real YAML reader reads back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.planner.export.yaml import to_yaml

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["no", "1e3", "~", "- a", "a: b", "# x", "", "'", '"', "\\", "\n", "\x7f", "\u2028", "\U000e0001", "é"]
    )
)
keys = st.text(max_size=4) | st.sampled_from(["yes", "null", "model_list", "a:", "on", "1"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(value=st.dictionaries(keys, values, min_size=1, max_size=4))
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    """Mappings, lists, texts, numbers, truth values and nothing survive, each with its type."""
    yaml = pytest.importorskip("yaml")

    def typed(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: typed(item) for key, item in part.items()}
        return [typed(item) for item in part] if isinstance(part, list) else (type(part), part)

    assert typed(yaml.safe_load(to_yaml(value))) == typed(value)


def test_the_layout_is_the_one_people_write() -> None:
    """Nested lists and mappings are indented blocks, plain keys stand without quotes."""
    assert to_yaml({"share": np.float64(0.5)}) == "share: 0.5\n"
    value = {"model_list": [{"name": "a", "list": [1, 2.5], "none": None}, []], "empty": {}, "on": True, "x y": 1e-05}

    assert to_yaml(value) == (
        "model_list:\n"
        '  - name: "a"\n'
        "    list:\n"
        "      - 1\n"
        "      - 2.5\n"
        "    none: null\n"
        "  - []\n"
        "empty: {}\n"
        '"on": true\n'
        '"x y": 1.0e-05\n'
    )


@pytest.mark.parametrize(("value", "error"), [(math.nan, ValueError), (math.inf, ValueError), ({1}, TypeError)])
def test_what_yaml_cannot_carry_is_refused(value: Any, error: type[Exception]) -> None:
    """Numbers that are none and objects of other kinds are errors of the caller."""
    with pytest.raises(error):
        to_yaml({"a": value})
