"""Outcome rows, JSON Lines and CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.budget.imports import read_outcomes
from coinfer.models.budget.imports.gather import UNLABELLED


def _write(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _sentence(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_outcomes([path])
    return str(caught.value).replace(str(path), "FILE")


def test_samples_of_a_cell_add_up(tmp_path: Path) -> None:
    """Rows of one prompt and arm are further samples; costs are means over those that have one."""
    path = _write(
        tmp_path / "rows.jsonl",
        [
            {"prompt": "p", "arm": "a", "correct": True, "usd": 0.25, "seconds": 2.0, "label": "easy"},
            {"prompt": "p", "arm": "a", "correct": 0, "usd": 0.75},
            {"prompt": "p", "arm": "b", "correct": 1, "n": 3, "usd": 1.0, "answer": "x", "mood": "good"},
            {"prompt": 7, "arm": "b", "correct": 0, "n": 2, "usd": 1.0, "seconds": 3.0},
        ],
    )
    found, notes = read_outcomes([path])
    assert found.prompts == ("p", "7")
    assert found.arms == ("a", "b")
    assert found.successes.tolist() == [[1, 3], [0, 0]]
    assert found.samples.tolist() == [[2, 3], [0, 2]]
    assert found.resources == ("usd", "s")
    assert np.array_equal(found.sample_cost[0], [[0.5, 1.0], [np.nan, 1.0]], equal_nan=True)
    assert np.array_equal(found.sample_cost[1], [[2.0, np.nan], [np.nan, 3.0]], equal_nan=True)
    assert found.labels == ("easy", UNLABELLED)
    told = "\n".join(notes)
    for part in ("1 of 4 cells", "s: absent in 1 of 3", "1 of 2 prompts have no label", "left out: mood", "answers"):
        assert part in told


def test_counts_and_single_samples_say_the_same(tmp_path: Path) -> None:
    """Three rows of one sample, one row of three, and counts as CSV give the same outcomes."""
    single = [{"prompt": "p", "arm": "a", "correct": c, "usd": 0.5} for c in (1, 0, 1)]
    counted = "prompt,arm,successes,samples,usd\np,a,2,3,0.5\n"
    table = tmp_path / "rows.csv"
    table.write_text(counted, encoding="utf-8")
    first, _ = read_outcomes([_write(tmp_path / "single.jsonl", single)])
    second, _ = read_outcomes([table])
    for found in (first, second):
        assert (found.successes.tolist(), found.samples.tolist()) == ([[2]], [[3]])
        assert found.sample_cost.tolist() == [[[0.5]]]


def test_tokens_are_both_kinds_or_said_apart(tmp_path: Path) -> None:
    """The resource ``tokens`` is prompt plus answer; where one is absent, the other is not called by that name."""
    both = _write(
        tmp_path / "a.jsonl", [{"prompt": "p", "arm": "a", "correct": 1, "input_tokens": 5, "output_tokens": 2}]
    )
    one = _write(tmp_path / "b.jsonl", [{"prompt": "p", "arm": "a", "correct": 1, "output_tokens": 2}])
    assert read_outcomes([both])[0].resources == ("tokens",)
    assert read_outcomes([both])[0].sample_cost.tolist() == [[[7.0]]]
    assert read_outcomes([one])[0].resources == ("output_tokens",)


def test_a_resource_that_an_arm_never_tells_is_left_out(tmp_path: Path) -> None:
    """What no row of an arm tells cannot be charged for it; the note names the arm, and the rest is kept."""
    rows = [
        {"prompt": "p", "arm": "a", "correct": 1, "usd": 0.5, "joules": 3.0},
        {"prompt": "p", "arm": "b", "correct": 1, "usd": 0.5},
    ]
    found, notes = read_outcomes([_write(tmp_path / "a.jsonl", rows)])
    assert found.resources == ("usd",)
    assert notes == ("j: left out, because no row of arm 'b' tells it",)
    rows[0].pop("usd")
    found, notes = read_outcomes([_write(tmp_path / "a.jsonl", rows)])
    assert found.resources == ("requests",)
    assert len(notes) == 3


def test_rows_without_any_cost_are_requests(tmp_path: Path) -> None:
    """A sample is one request at least; that it is a stand-in is said."""
    found, notes = read_outcomes([_write(tmp_path / "a.jsonl", [{"prompt": "p", "arm": "a", "correct": 1}])])
    assert found.resources == ("requests",)
    assert any("one request" in note for note in notes)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"arm": "a", "correct": 1}, "FILE: line 2: expected a field `prompt`; found none"),
        (
            {"prompt": "p", "arm": "a"},
            "FILE: line 2: expected 'correct', or 'successes' and 'samples'; found none of them",
        ),
        ({"prompt": "p", "arm": "a", "correct": 0.5}, "FILE: line 2: correct: expected true, false, 1 or 0; found 0.5"),
        ({"prompt": "p", "arm": "a", "correct": "yes"}, "FILE: line 2: correct: expected"),
        ({"prompt": "p", "arm": "a", "correct": 1, "samples": 2}, "FILE: line 2: expected either 'correct', or"),
        ({"prompt": "p", "arm": "a", "successes": 3, "samples": 2}, "FILE: line 2: expected 0 <= right samples"),
        (
            {"prompt": "p", "arm": "a", "successes": 1, "samples": 2},
            "FILE: line 2: expected one row of counts for arm 'a'",
        ),
        ({"prompt": "p", "arm": "a", "correct": 1, "n": 0}, "FILE: line 2: n: expected at least 1 sample; found 0"),
        (
            {"prompt": "p", "arm": "a", "correct": 1, "usd": -1},
            "FILE: line 2: usd: expected a number in 0..1e15; found -1.0",
        ),
        (
            {"prompt": "p", "arm": "a", "correct": 1, "label": "hard"},
            "FILE: line 2: label: expected one label of prompt 'p'",
        ),
        ({"prompt": " ", "arm": "a", "correct": 1}, "FILE: line 2: prompt: expected a name of printable characters"),
        ({"prompt": "p", "arm": "a\n", "correct": 1}, "FILE: line 2: arm: expected a name of printable characters"),
        ({"prompt": "p", "arm": "a", "correct": 1, "n": 10**15}, "FILE: line 2: expected at most 1e15 samples"),
        ([1], "FILE: line 2: expected a JSON object on each line; found [1]"),
    ],
)
def test_a_bad_row_is_one_sentence_with_its_line(tmp_path: Path, row: object, sentence: str) -> None:
    """Whatever is wrong, the sentence names the file, the line and the field."""
    good = {"prompt": "p", "arm": "a", "correct": 1, "label": "easy"}
    assert _sentence(_write(tmp_path / "rows.jsonl", [good, row])).startswith(sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "FILE: expected at least one row; found none"),
        (b'{"prompt": "p"', "FILE: line 1: expected valid JSON"),
        (b'\n\n{"prompt": "p", "prompt": "q"}', "FILE: line 3: expected each key once"),
        (b"\xff\xfe", "FILE: line 1: expected UTF-8 text; found an invalid byte at 0"),
        (b'{"prompt": "p", "arm": "a", "correct": NaN}', "FILE: line 1: expected finite numbers; found NaN"),
    ],
)
def test_a_file_that_is_no_json_lines_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    """Broken text is named by its line."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert _sentence(path).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "FILE: line 1: expected names of columns; found an empty file"),
        ("prompt,arm,correct\n", "FILE: expected at least one row; found none"),
        ("prompt,arm,arm\n", "FILE: line 1: expected each column once; found 'arm'"),
        ("prompt,arm,correct\np,a\n", "FILE: line 2: expected 3 cells; found 2"),
        ("prompt,arm,correct\np,a,1\np,a,maybe\n", "FILE: line 3: correct: expected"),
        ('prompt,arm,correct\np,"a,1\n', "FILE: line 2: expected comma-separated values"),
        ("prompt,arm,correct\n,a,1\n", "FILE: line 2: expected a field `prompt`; found none"),
    ],
)
def test_a_bad_table_is_one_sentence_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    """CSV is read as strictly; an empty cell is an absent field."""
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    assert _sentence(path).startswith(sentence)


def test_cells_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    """A prompt 007 and an arm 7 are names; truth values and empty cells are read as such; line ends may be Windows'."""
    path = tmp_path / "rows.csv"
    path.write_bytes(
        "\N{ZERO WIDTH NO-BREAK SPACE}prompt,arm,correct,usd\r\n007,7,True,\r\n007,7,false,2e-3\r\n".encode()
    )
    found, notes = read_outcomes([path])
    assert (found.prompts, found.arms) == (("007",), ("7",))
    assert (found.successes.item(), found.samples.item(), found.sample_cost.item()) == (1, 2, 0.002)
    assert notes == ()


def test_several_files_are_one_table_in_order(tmp_path: Path) -> None:
    """Arms may be spread over files; no file and an unknown format are refused."""
    first = _write(tmp_path / "a.jsonl", [{"prompt": "p", "arm": "a", "correct": 1}])
    second = _write(tmp_path / "b.jsonl", [{"prompt": "p", "arm": "b", "correct": 0}])
    assert read_outcomes([second, first])[0].arms == ("b", "a")
    with pytest.raises(InputError, match="at least one file"):
        read_outcomes([])
    with pytest.raises(InputError, match="one of rows, livecodebench"):
        read_outcomes([first], format="parquet")
    with pytest.raises(InputError, match="a readable file"):
        read_outcomes([tmp_path / "absent.jsonl"])
    with pytest.raises(InputError, match="a readable file"):
        read_outcomes([tmp_path])


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans(), st.integers(1, 4)), min_size=1, max_size=30)
)
def test_what_is_read_is_what_was_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, bool, int]]
) -> None:
    """Any rows of samples: the counts are the sums, and nothing that was not drawn is counted."""
    path = tmp_path_factory.getbasetemp() / "property.jsonl"
    _write(path, [{"prompt": p, "arm": f"m{a}", "correct": c, "n": n} for p, a, c, n in rows])
    found, _ = read_outcomes([path])
    for i, prompt in enumerate(found.prompts):
        for j, arm in enumerate(found.arms):
            own = [(c, n) for p, a, c, n in rows if str(p) == prompt and f"m{a}" == arm]
            assert found.samples[i, j] == sum(n for _, n in own)
            assert found.successes[i, j] == sum(n for c, n in own if c)
