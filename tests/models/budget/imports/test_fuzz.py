"""No file, however broken, is more than one sentence."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.imports import FORMATS, problem_from, read_outcomes

TEXT_FORMATS = sorted(set(FORMATS) - {"monkeys"})
FIELDS = {
    "rows": ["prompt", "arm", "correct", "successes", "samples", "n", "label", "usd", "seconds", "input_tokens"],
    "livecodebench": ["performances", "question_id", "model", "pass@1", "platform", "difficulty"],
    "game24": ["idx", "usage_so_far", "completion_tokens", "prompt_tokens", "cost", "accs", "infos", "steps", "r"],
    "answers": ["question", "answer", "generated_answer"],
}
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 12), st.integers(), st.floats(), st.text(max_size=5), st.just("a")
)


def _values(fields: list[str]) -> st.SearchStrategy[object]:
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(fields), inner, max_size=len(fields))
        ),
        max_leaves=20,
    )


def _near(form: str) -> st.SearchStrategy[object]:
    """Return data that are nearly right: every field is there, and holds something."""
    fields = FIELDS[form]
    good = st.one_of(st.just("a"), st.sampled_from([0, 1, 3, 10.0, 50.0]), _values(fields))
    if form == "rows":
        return st.fixed_dictionaries({"prompt": good, "arm": st.just("m")}, optional=dict.fromkeys(fields[2:], good))
    if form == "answers":
        return st.fixed_dictionaries({"question": good, "answer": good, "generated_answer": st.lists(good, max_size=3)})
    if form == "livecodebench":
        each = st.fixed_dictionaries({"question_id": good, "model": good, "pass@1": good})
        return st.fixed_dictionaries({"performances": st.lists(each, max_size=3)})
    used = st.fixed_dictionaries(dict.fromkeys(fields[2:5], good))
    record = st.fixed_dictionaries(
        {"idx": good, "usage_so_far": used}, optional={"accs": st.lists(good), "infos": st.lists(good), "steps": good}
    )
    return st.lists(record, max_size=3)


def _read(path: Path, form: str) -> None:
    """Read a file, and plan from it where that works; nothing but an input error may come of it."""
    try:
        outcomes, _ = read_outcomes([path], format=form)
        problem_from(outcomes, name="fuzz")
    except InputError as error:
        assert "\n" not in str(error)
        assert str(error)


@pytest.mark.parametrize("form", TEXT_FORMATS)
@given(data=st.data())
def test_any_json_is_read_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    """JSON of any shape, nearly right or not, ends in outcomes or in one sentence."""
    values = data.draw(st.lists(st.one_of(_near(form), _values(FIELDS[form])), min_size=1, max_size=3))
    path = tmp_path_factory.getbasetemp() / f"{form}.json"
    whole = form in ("livecodebench", "game24")
    text = json.dumps(values[0]) if whole else "".join(json.dumps(value) + "\n" for value in values)
    path.write_text(text, encoding="utf-8")
    _read(path, form)


@pytest.mark.parametrize("form", sorted(FORMATS))
@given(content=st.binary(max_size=80))
@example(content=b"PAR1" + bytes(12) + b"PAR1")
@example(content=b"[" * 5000)
def test_any_bytes_are_read_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, form: str, content: bytes
) -> None:
    """Bytes that are nothing at all end in one sentence."""
    if form == "monkeys" and find_spec("pyarrow") is None:
        pytest.skip("pyarrow, which reads Parquet, is not installed")
    path = tmp_path_factory.getbasetemp() / f"{form}.bytes"
    path.write_bytes(content)
    _read(path, form)


@given(
    text=st.one_of(
        st.text(alphabet='prompt,am"\n\r1 .e-', max_size=60),
        st.lists(
            st.lists(
                st.sampled_from(["a", "1", "0", "true", "", "nan", "1e999", '"', "-1", "9" * 30]),
                min_size=4,
                max_size=4,
            ),
            max_size=5,
        ).map(lambda rows: "prompt,arm,correct,usd\n" + "".join(",".join(row) + "\n" for row in rows)),
    )
)
def test_any_table_is_read_or_refused_in_a_sentence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """CSV of any shape ends in outcomes or in one sentence."""
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_text(text, encoding="utf-8")
    _read(path, "rows")
