"""Benchmark files become requests that can be graded, and recorded samples become success counts."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError, RequestError
from coinfer.executor import sandbox
from coinfer.executor.grade import check_gradable, grade
from coinfer.executor.layouts import COLUMNS, KINDS
from coinfer.executor.request import read_requests
from coinfer.executor.workload import SAMPLE_COLUMNS, count_successes, read_samples, read_workload, write_workload
from coinfer.models.budget.imports import problem_from

needs_sandbox = pytest.mark.skipif(sandbox.available() is not None, reason=sandbox.available() or "")
HUMAN_EVAL = {
    "task_id": "HumanEval/x",
    "prompt": 'def add(a: int, b: int) -> int:\n    """Return the sum."""\n',
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate(2, 3) == 5\n",
}
MBPP = {"task_id": 2, "text": "Write add.", "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"]}
MMLU = {"question": "2 + 2?", "choices": ["3", "4", "5", "6"], "answer": 1, "subject": "arithmetic"}
ARC = {"id": "q", "question": "2 + 2?", "choices": {"text": ["3", "4"], "label": ["1", "2"]}, "answerKey": "2"}


def lines(path: Path, *rows: Any) -> Path:
    """Write a JSON Lines file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path: Path, *rows: list[str]) -> Path:
    """Write a CSV file."""
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    path.write_text(stream.getvalue(), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("kind", "row", "right", "wrong"),
    [
        ("numeric", {"question": "q", "answer": "2 and 3.\n#### 1,234"}, "The answer is 1234.", "1233"),
        ("numeric", {"problem": "q", "solution": "so $\\boxed{\\frac{1}{2}}$."}, "0.5", "0.25"),
        ("numeric", {"question": "q", "answer": 7}, "7.0", "8"),
        ("true_false", {"statement": "s", "label": True}, "Yes.", "no"),
        ("true_false", {"claim": "s", "label": "false"}, "No.", "yes"),
        ("choice", MMLU, "(B)", "(A)"),
        ("choice", ARC, "B", "A"),
        ("choice", {**ARC, "answerKey": "4"}, "B", "A"),
        ("choice", {"question": "q", "A": "x", "B": "y", "C": "z", "answer": "C"}, "C", "B"),
        ("choice", {"question": "q", "choices": '["x", "y"]', "answer": "x"}, "A", "B"),
        ("steps", {"prompt": "p", "answer": ["a", "b"]}, "1. a\n2. b", "b\na"),
        ("win_draw_loss", {"prompt": "p", "answer": "1-0"}, "White wins", "a draw"),
        ("text", {"question": "q", "answer": "The answer is ya."}, "ya", "yb"),
        ("exact", {"prompt": "p", "target": "x"}, "x", "X"),
        ("regex", {"prompt": "p", "answer": r"^\d+$"}, "12", "x"),
    ],
)
def test_each_layout_makes_requests_that_grade(tmp_path: Path, kind: str, row: Any, right: str, wrong: str) -> None:
    """Published layouts are read without naming a column; the right answer grades 1, the wrong one 0."""
    workload = read_workload(lines(tmp_path / "bench.jsonl", row), kind=kind)
    (request,) = workload.requests
    check_gradable([request])
    assert (grade(request, right), grade(request, wrong)) == (1.0, 0.0)
    assert request.category == row.get("subject", "bench")
    assert request.id == row.get("id", "bench/1")


@needs_sandbox
@pytest.mark.parametrize("body", ["    return a + b\n", "```python\ndef add(a, b):\n    return a + b\n```"])
def test_human_eval_rows_run_their_tests(tmp_path: Path, body: str) -> None:
    """The canonical rest of the function passes, and so does a whole one in a block; another does not."""
    (request,) = read_workload(lines(tmp_path / "h.jsonl", HUMAN_EVAL), kind="unit_tests").requests
    assert (request.id, request.prompt) == ("HumanEval/x", HUMAN_EVAL["prompt"])
    assert grade(request, body) == 1.0
    assert grade(request, body.replace("+", "-")) == 0.0


@needs_sandbox
def test_lists_of_tests_and_of_outputs_run(tmp_path: Path) -> None:
    """MBPP's assertions are one test program; lists of inputs and outputs are cases."""
    (request,) = read_workload(lines(tmp_path / "m.jsonl", MBPP), kind="unit_tests").requests
    assert (request.id, grade(request, "add = lambda a, b: a + b")) == ("2", 1.0)
    row = {"question": "double it", "inputs": ["1", "2"], "outputs": ["2\n", "4\n"]}
    (request,) = read_workload(lines(tmp_path / "o.jsonl", row), kind="output").requests
    assert grade(request, "print(2 * int(input()))") == 1.0
    assert grade(request, "print(2)") == 0.5


def test_cells_of_csv_stay_as_they_are_written(tmp_path: Path) -> None:
    """A reference 007 keeps its zeros, TRUE is a text, and columns may have any names."""
    path = table(tmp_path / "t.csv", ["Frage", "Antwort", "Art"], ["who?", "007", "spies"], ["so?", "TRUE", "logic"])
    workload = read_workload(path, kind="exact", columns={"prompt": "Frage", "answer": "Antwort", "category": "Art"})
    assert [(each.prompt, each.answer, each.category) for each in workload.requests] == [
        ("who?", "007", "spies"),
        ("so?", "TRUE", "logic"),
    ]
    path = table(tmp_path / "mmlu.csv", ["question", "A", "B", "answer"], ["2 + 2?", "3", "4", "B"])
    (request,) = read_workload(path, kind="choice").requests
    assert request.prompt.splitlines()[:3] == ["2 + 2?", "A. 3", "B. 4"]
    assert request.answer == "B"


def test_a_workload_is_a_file_of_requests(tmp_path: Path) -> None:
    """What is written is what a run reads."""
    workload = read_workload(lines(tmp_path / "b.jsonl", MMLU, {**MMLU, "answer": 0}), kind="choice", max_tokens=9)
    write_workload(tmp_path / "requests.jsonl", workload)
    assert read_requests(tmp_path / "requests.jsonl") == workload.requests
    assert {each.max_tokens for each in workload.requests} == {9}


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("numeric", {"question": "q", "answer": "many"}, "line 2: answer: expected a number; found 'many'"),
        ("numeric", {"question": "q"}, "line 2: answer: expected a column 'answer' or .*; found none"),
        ("numeric", {"answer": "1"}, "line 2: prompt: expected a column 'prompt' or"),
        ("numeric", {"question": ["q"], "answer": "1"}, "line 2: question: expected a text"),
        ("numeric", {"question": "q", "answer": "1", "id": "b/1"}, "line 2: id: expected an id that stands once"),
        ("numeric", {"question": "q", "answer": "1", "id": ""}, "line 2: id: expected a text that is not empty"),
        ("numeric", {"question": "q", "answer": "1", "category": "\n"}, "line 2: category: expected printable"),
        ("choice", {**MMLU, "answer": 4}, "line 2: answer: expected one of A, B, C, D"),
        ("choice", {**MMLU, "answer": -1}, "line 2: answer: expected one of A, B, C, D"),
        ("choice", {**MMLU, "choices": ["one"]}, "line 2: choices: expected 2 to 10 choices"),
        ("choice", {**MMLU, "choices": "[1"}, "line 2: choices: expected a list, as JSON"),
        ("choice", {**MMLU, "choices": {"label": ["A"]}}, "line 2: choices: expected a column 'text'; found none"),
        ("unit_tests", {**HUMAN_EVAL, "entry_point": "a b"}, "line 2: entry_point: expected the name of a function"),
        ("output", {"prompt": "p", "inputs": ["1"], "outputs": ["1", "2"]}, "line 2: inputs: expected 2 inputs"),
        ("regex", {"prompt": "p", "answer": "("}, "line 2: answer: expected a regular expression"),
    ],
)
def test_errors_name_line_and_column(tmp_path: Path, kind: str, row: Any, message: str) -> None:
    """One sentence says where, what was expected and what was found."""
    good = {"numeric": {"question": "q", "answer": "1"}, "choice": MMLU, "unit_tests": HUMAN_EVAL | {"task_id": 1}}
    first = good.get(kind, {"prompt": "p", "answer": "x"})
    with pytest.raises(InputError, match=message):
        read_workload(lines(tmp_path / "b.jsonl", first, row), kind=kind)


def test_wrong_kinds_columns_and_empty_files_are_refused(tmp_path: Path) -> None:
    """Unknown names are answered with the known ones."""
    path = lines(tmp_path / "b.jsonl")
    with pytest.raises(InputError, match="at least one row"):
        read_workload(path, kind="exact")
    with pytest.raises(InputError, match="kind: expected one of exact, "):
        read_workload(path, kind="magic")
    with pytest.raises(InputError, match="columns: expected fields out of prompt"):
        read_workload(path, kind="exact", columns={"anwser": "x"})
    with pytest.raises(InputError, match="at least one sample"):
        read_samples(path)
    with pytest.raises(InputError, match="a readable file"):
        read_workload(tmp_path / "none.jsonl", kind="exact")


def numeric_workload(tmp_path: Path) -> Any:
    """Return two questions."""
    rows = [
        {"id": str(n), "question": f"{n}+1?", "answer": n + 1, "category": "odd" if n % 2 else "even"} for n in (1, 2)
    ]
    return read_workload(lines(tmp_path / "w.jsonl", *rows), kind="numeric")


def test_recorded_samples_are_counted(tmp_path: Path) -> None:
    """Right and drawn samples of each arm on each request; costs are means; what was not measured is absent."""
    path = lines(
        tmp_path / "s.jsonl",
        {"task_id": "2", "model": "big", "completion": "3", "usd": 0.2},
        {"task_id": 1, "model": "small", "completions": ["2", "it is 2", "3"], "usd": 0.1},
        {"task_id": 1, "model": "big", "completion": "2", "usd": 0.4},
        {"task_id": 1, "model": "big", "completion": "none", "usd": 0.2},
    )
    samples = read_samples(path)
    outcomes = count_successes(numeric_workload(tmp_path), samples)
    assert (outcomes.prompts, outcomes.labels, outcomes.resources) == (("1", "2"), ("odd", "even"), ("usd",))
    small, big = outcomes.arms.index("small"), outcomes.arms.index("big")
    assert outcomes.successes[:, [small, big]].tolist() == [[2, 1], [0, 1]]
    assert outcomes.samples[:, [small, big]].tolist() == [[3, 2], [0, 1]]
    assert outcomes.sample_cost[0, :, big] == pytest.approx([0.3, 0.2])
    assert np.isnan(outcomes.sample_cost[0, 1, small])
    problem = problem_from(outcomes, samples=(1, 2), name="recorded", budgets=())
    assert problem.options


def test_a_part_of_the_steps_is_no_success(tmp_path: Path) -> None:
    """Only a grade of 1 counts: half a list is a sample that was not right."""
    workload = read_workload(
        lines(tmp_path / "w.jsonl", {"id": "a", "prompt": "p", "answer": ["x", "y"]}), kind="steps"
    )
    outcomes = count_successes(workload, read_samples(lines(tmp_path / "s.jsonl", {"id": "a", "texts": ["x", "x\ny"]})))
    assert (outcomes.successes.tolist(), outcomes.samples.tolist()) == ([[1]], [[2]])


def test_the_order_of_samples_changes_nothing(tmp_path: Path) -> None:
    """Counts follow the requests and the arms, whatever order samples were written in."""
    workload = numeric_workload(tmp_path)
    rows = [
        {"id": str(1 + n % 2), "arm": "a", "text": str(n % 3), "input_tokens": n, "output_tokens": 1} for n in range(30)
    ]
    samples = list(read_samples(lines(tmp_path / "s.jsonl", *rows)))
    first = count_successes(workload, samples)
    random.Random(0).shuffle(samples)
    second = count_successes(workload, samples, workers=1)
    assert (first.prompts, first.successes.tolist()) == (second.prompts, second.successes.tolist())
    assert first.resources == ("tokens",)
    np.testing.assert_allclose(first.sample_cost, second.sample_cost)


def test_samples_of_nobody_and_amounts_that_are_none_are_refused(tmp_path: Path) -> None:
    """The line is named; without a sandbox, programs are refused before any is run."""
    workload = numeric_workload(tmp_path)
    with pytest.raises(InputError, match="line 1: id: expected the id of a request of 'w'; found '9'"):
        count_successes(workload, read_samples(lines(tmp_path / "s.jsonl", {"id": "9", "text": "x"})))
    for amount in (-1, True, "x", "inf", [1]):
        with pytest.raises(InputError, match="line 1: usd: expected a number, at least 0"):
            read_samples(lines(tmp_path / "s.jsonl", {"id": "1", "text": "x", "usd": amount}))
    with pytest.raises(InputError, match="line 1: id: expected a column"):
        read_samples(lines(tmp_path / "s.jsonl", {"text": "x"}))


def test_programs_are_not_counted_without_a_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is in the sentence, and nothing is counted as wrong."""
    workload = read_workload(lines(tmp_path / "h.jsonl", HUMAN_EVAL), kind="unit_tests")
    samples = read_samples(lines(tmp_path / "s.jsonl", {"task_id": "HumanEval/x", "completion": "    return 1"}))
    monkeypatch.setattr(sandbox, "available", lambda: "no namespaces here")
    with pytest.raises(RequestError, match="a sandbox, since the checker is 'unit_tests'; found none: no namespaces"):
        count_successes(workload, samples)


NAMES = sorted({name for names in (*COLUMNS.values(), *SAMPLE_COLUMNS.values()) for name in names} | {"A", "B", "C"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["text", "label"]), inner, max_size=2),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), max_size=3)
FUZZ = settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(rows=ROWS, kind=st.sampled_from(KINDS))
@FUZZ
def test_whatever_stands_in_json_lines_is_read_or_refused(tmp_path: Path, rows: Any, kind: str) -> None:
    """A workload or one sentence, samples or one sentence: never another error."""
    path = lines(tmp_path / "f.jsonl", *rows)
    for read in (lambda: read_workload(path, kind=kind), lambda: read_samples(path)):
        try:
            assert read()
        except InputError as error:
            assert "\n" not in str(error)


@given(
    content=st.binary(max_size=80)
    | st.lists(st.sampled_from([*NAMES, ",", "\n", '"', "[", "A", "1"]), max_size=40).map(
        lambda parts: "".join(parts).encode()
    ),
    kind=st.sampled_from(KINDS),
    suffix=st.sampled_from([".csv", ".jsonl"]),
)
@FUZZ
def test_whatever_bytes_a_file_has_it_is_read_or_refused(
    tmp_path: Path, content: bytes, kind: str, suffix: str
) -> None:
    """Broken tables, broken JSON and broken UTF-8 are sentences."""
    path = tmp_path / f"f{suffix}"
    path.write_bytes(content)
    for read in (lambda: read_workload(path, kind=kind), lambda: read_samples(path)):
        try:
            assert read()
        except InputError as error:
            assert "\n" not in str(error)
