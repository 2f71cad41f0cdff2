"""Strict JSON: what is read is what was written, and everything else is refused with one sentence."""

from __future__ import annotations

import json
import math
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import InputError, ProblemError
from coinfer.models.problem import read_problem
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.records import Matrix


def problem() -> SelectionProblem:
    return SelectionProblem(
        name="tiny",
        devices=(Device(name="box", memory_bytes=10),),
        categories=(Category(name="chat", latency_budget_s=2.0),),
        experts=(Expert(name="e", device="box", latency_s={"chat": 1.0}, memory_bytes=4),),
        prompts=(Prompt(name="p", category="chat"),),
        quality=Matrix([[0.5]]),
        budgets=Budgets(),
        gate="oracle",
    )


DATA: dict[str, Any] = jsonfile.to_builtins(problem())

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def refused(folder: Path, text: str | bytes) -> str:
    """Write ``text`` as a problem file and return the sentence with which it is refused."""
    file = folder / "problem.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_problem(file)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "expected" in sentence
    return sentence


@given(value=VALUES)
def test_any_json_value_survives(value: Any) -> None:
    """Strict parsing reads back whatever the standard writer wrote."""
    assert jsonfile.parse(json.dumps(value), where="value") == value


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    """Written and read again, a problem is the same and has the same hash."""
    jsonfile.write(tmp_path / "problem.json", problem())
    again = read_problem(tmp_path / "problem.json")
    assert again == problem()
    assert jsonfile.sha256(again) == jsonfile.sha256(problem())


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"format": "coinfer/problem/1", "a": NaN}', "NaN"),
        ('{"format": "coinfer/problem/1", "a": -Infinity}', "-Infinity"),
        ('{"format": "coinfer/problem/1", "a": 1e999}', "1e999"),
        ('{"format": "coinfer/problem/1", "a": 1, "a": 2}', "'a' twice"),
        ('{"format": "coinfer/problem/2"}', "coinfer/problem/1"),
        ('{"kind": "selection"}', "found nothing"),
        ("[1, 2]", "a JSON object"),
        ("", "valid JSON"),
        ('{"format": "coinfer/problem/1"', "valid JSON"),
        ("[" * 100_000, "nested"),
        ("1" * 10_000, "10000 digits"),
        ("-" + "1" * 400, "401 digits"),
        ('{"format": "coinfer/problem/1", "name": "\\ud800"}', "whole Unicode characters"),
        ('\ufeff{"format": "coinfer/problem/1"}', "bom"),
        (b'{"name": "\xff"}', "UTF-8"),
    ],
)
def test_text_that_is_no_strict_json_is_refused(tmp_path: Path, text: str | bytes, part: str) -> None:
    """Not a number, a key twice, another version, nesting, huge numbers: each gets one sentence."""
    assert part in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"gat": "oracle"}, ("known fields only", "did you mean 'gate'?", "'gat'")),
        ({"gate": "best"}, ("gate", "'oracle'", "'category'", "'best'")),
        ({"kind": "selectoin"}, ("kind", "'selection'")),
        ({"devices": []}, ("devices", "at least one")),
        ({"devices": "box"}, ("devices", "array")),
        ({"quality": [[0.5, 0.5]]}, ("quality", "1 rows (prompts) of 1 numbers (experts)")),
        ({"quality": [["a"]]}, ("quality[0][0]", "a number")),
        ({"quality": {"file": "q.npz", "array": "q", "sha256": "0"}}, ("quality: q.npz: expected", "readable file")),
        ({"quality": {"file": "../q.npz", "array": "q", "sha256": "0"}}, ("below the JSON file's folder",)),
        ({"required": ["e"], "forbidden": ["e"]}, ("forbidden", "also required")),
        ({"required": ["x"]}, ("required[0]", "one of e")),
        ({"aggregation_s_per_expert": 0.1}, ("aggregation_s_per_expert", "latency_rule 'selected'")),
        ({"budgets": {"energy_j": 1.0}}, ("experts[0].energy_j", "there is a budget")),
        ({"budgets": {"energy_j": -1.0}}, ("budgets.energy_j", "at least 0", "-1.0")),
        ({"budgets": {"experts": 0}}, ("budgets.experts", "at least 1")),
        ({"prompts": [{"name": "p", "category": "code"}]}, ("prompts[0].category", "one of chat")),
        ({"prompts": [{"name": "p", "category": "chat", "weight": 0}]}, ("prompts[0].weight", "above 0")),
        ({"prompts": [{"category": "chat"}]}, ("prompts[0]", "a field `name`")),
        ({"experts": [{"name": "e", "device": "box", "latency_s": {"chat": 1.0}}]}, ("memory_bytes", "limited")),
        ({"experts": [{"name": "e", "device": "b", "latency_s": {}}]}, ("experts[0].device", "one of box")),
        ({"experts": [{"name": "e", "device": "box", "latency_s": {"chat": -1.0}}]}, ("latency_s.chat", "-1.0")),
        (
            {"experts": [{"name": "e", "device": "box", "latency_s": {"c": 1.0}, "memory_bytes": 1}]},
            ("latency_s", "chat"),
        ),
        ({"experts": [{"name": " ", "device": "box", "latency_s": {}}]}, ("name", "a name")),
        ({"arrival_rate_per_s": 0.0}, ("arrival_rate_per_s", "above 0")),
        ({"quality": {"file": 1}}, ("quality: expected", "file, array, sha256")),
        ({"quality": {"file": "q\0.npz", "array": "q", "sha256": "0"}}, ("quality: q\\x00.npz", "null")),
        ({"gate": 3}, ("gate: expected `str`; found 3",)),
        ({"name": "x", "\n\x1b[31m": 1}, ("known fields only; found '\\n\\x1b[31m'",)),
        ({"a - at `$.devices[99]": 1}, ("known fields only",)),
    ],
)
def test_a_wrong_problem_is_refused_with_its_path(
    tmp_path: Path, change: dict[str, Any], parts: tuple[str, ...]
) -> None:
    """Unknown, missing, negative and contradictory fields: where, what was expected, what was found."""
    sentence = refused(tmp_path, json.dumps({**DATA, **change}))
    for part in parts:
        assert part in sentence, sentence


@given(cut=st.integers(0, len(json.dumps(DATA)) - 1))
@settings(max_examples=60)
def test_a_truncated_file_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """A file that ends too early is never read as a smaller problem."""
    refused(tmp_path_factory.mktemp("cut"), json.dumps(DATA)[:cut])


@given(text=st.text(max_size=40) | VALUES.map(json.dumps))
def test_no_text_gets_more_than_a_sentence(text: str) -> None:
    """Whatever text is parsed and converted, only coinfer's own error comes out."""
    with pytest.raises(InputError) as caught:
        jsonfile.convert(jsonfile.parse(text, where="file"), SelectionProblem, where="file")
    assert str(caught.value).isprintable()


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A gigabyte gets its sentence at once: nothing of it is loaded."""
    file = tmp_path / "huge.json"
    with file.open("wb") as stream:
        stream.truncate(2**30)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="at most"):
            read_problem(file)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_what_has_no_size_and_no_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that never ends is read up to the limit and no further."""
    monkeypatch.setattr(jsonfile, "MAX_JSON_BYTES", 2**16)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="at most 65,536 bytes; found more"):
            jsonfile.read_text(Path("/dev/zero"))
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_suggestions_come_from_the_object_that_is_wrong(tmp_path: Path) -> None:
    """A field that exists elsewhere is not suggested where it cannot stand."""
    sentence = refused(tmp_path, json.dumps({**DATA, "devices": [{"name": "box", "devce": 1}]}))
    assert "devices[0]: expected known fields only; found 'devce'" in sentence


@given(depth=st.integers(900, 1000))
@settings(max_examples=30)
def test_deep_nesting_inside_a_field_gets_a_sentence(depth: int) -> None:
    """Just below the depth that the parser takes, neither conversion nor the sentence recurses too deep."""
    text = json.dumps({key: value for key, value in DATA.items() if key != "format"})
    nested = "[" * depth + "]" * depth
    with pytest.raises(InputError):
        jsonfile.convert(jsonfile.parse(text.replace("[[0.5]]", nested), where="file"), SelectionProblem, where="file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_files_without_permission_are_refused(tmp_path: Path) -> None:
    """What may not be read or written gets a sentence."""
    file = tmp_path / "problem.json"
    file.write_text("{}")
    file.chmod(0)
    with pytest.raises(InputError, match="readable file"):
        read_problem(file)
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="writable folder"):
        jsonfile.write_text(tmp_path / "new.json", "text")
    tmp_path.chmod(0o700)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    """A path that is no readable file is named."""
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="readable file"):
            read_problem(path)


@pytest.mark.parametrize("number", [math.nan, math.inf, -1.0])
def test_constructors_refuse_what_files_may_not_hold(number: float) -> None:
    """The same rules hold for problems built in Python."""
    with pytest.raises(ProblemError):
        Category(name="chat", latency_budget_s=number)
