"""Published formats, on small files of the same shape."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coinfer.errors import BackendMissing, InputError
from coinfer.models.budget.curves.majority import majority
from coinfer.models.budget.imports import read_answers, read_outcomes
from coinfer.models.budget.imports.answers import final_answer
from coinfer.models.budget.imports.game24 import CHAIN, DIRECT, TREE, read_log
from coinfer.models.budget.imports.livecodebench import import_livecodebench


def _json(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def _sentence(path: Path, form: str) -> str:
    with pytest.raises(InputError) as caught:
        read_outcomes([path], format=form)
    return str(caught.value).replace(str(path), "FILE")


def _performance(model: str, question: str, rate: float, difficulty: str = "easy") -> dict[str, object]:
    fields = {"model": model, "question_id": question, "platform": "site", "date": 1, "difficulty": difficulty}
    return {**fields, "pass@1": rate}


def _game(idx: int, total: int, usd: float, **more: Any) -> dict[str, Any]:
    used = {"completion_tokens": total, "prompt_tokens": total, "cost": usd}
    return {"idx": idx, "ys": ["1 + 2"], "usage_so_far": used, **more}


def test_pass_rates_are_counts_of_ten(tmp_path: Path) -> None:
    """A percentage is a count of ten samples, or of as many as the model's name says."""
    rows = [_performance("m", "1", 30.0), _performance("m", "2", 100.0, "hard"), _performance("o (N=1)", "1", 100.0)]
    found, notes = read_outcomes(
        [_json(tmp_path / "a.json", {"performances": rows, "models": []})], format="livecodebench"
    )
    assert found.prompts == ("site 1", "site 2")
    assert found.successes.tolist() == [[3, 1], [10, 0]]
    assert found.samples.tolist() == [[10, 1], [10, 0]]
    assert found.labels == ("easy", "hard")
    assert any("name their own number" in note for note in notes)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [_performance("m", "1", 35.0)],
            "FILE: performances[0].pass@1: expected a percentage of 10 sample(s); found 35",
        ),
        ([_performance("m", "1", 110.0)], "FILE: performances[0].pass@1: expected a percentage of 10"),
        ([_performance("m", "1", 10.0)] * 2, "FILE: performances[1]: expected one row of counts for arm 'm'"),
        ([], "FILE: expected at least one row; found none"),
        ([{"model": "m"}], "FILE: performances[0]: expected a field"),
    ],
)
def test_a_bad_leaderboard_is_one_sentence(tmp_path: Path, rows: list[object], sentence: str) -> None:
    """A rate that is no count, an entry twice, an entry without its fields."""
    assert _sentence(_json(tmp_path / "a.json", {"performances": rows}), "livecodebench").startswith(sentence)


def test_other_numbers_of_samples_are_an_argument(tmp_path: Path) -> None:
    """A file of 20 samples a model is read when told so."""
    path = _json(tmp_path / "a.json", {"performances": [_performance("m", "1", 35.0)]})
    found, _ = import_livecodebench([path], samples=20)
    assert (found.successes.item(), found.samples.item()) == (7, 20)


def test_cumulative_dollars_become_those_of_a_sample(tmp_path: Path) -> None:
    """What a problem took is the difference of two records, shared by its answers; a new start begins at nought."""
    direct = [_game(1, 10, 0.5, accs=[True, False]), _game(2, 30, 2.5, accs=[False, False])]
    chain = [_game(1, 10, 1.0, infos=[{"r": 1}, {"r": 1}]), _game(2, 5, 0.25, infos=[{"r": 0}, {"r": 1}])]
    tree = [
        _game(1, 10, 3.0, infos=[{"r": 0}, {"r": 1}], steps=[]),
        _game(2, 11, 3.5, infos=[{"r": 0}] * 2, steps=[{}]),
    ]
    files = [_json(tmp_path / f"{name}.json", data) for name, data in (("d", direct), ("c", chain), ("t", tree))]
    found, notes = read_outcomes(files, format="game24")
    assert found.arms == (DIRECT, CHAIN, TREE)
    assert found.successes.tolist() == [[1, 2, 1], [0, 1, 0]]
    assert found.samples.tolist() == [[2, 2, 1], [2, 2, 1]]
    assert found.resources == ("usd", "tokens")
    assert found.sample_cost[0].tolist() == [[0.25, 0.5, 3.0], [1.0, 0.125, 0.5]]
    assert found.sample_cost[1].tolist() == [[10.0, 10.0, 20.0], [20.0, 5.0, 2.0]]
    assert any("begin anew at record 1" in note for note in notes)
    assert read_log(files[2]).right.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([], "FILE: expected at least one record; found none"),
        ([_game(1, 1, 1.0)], "FILE: [0]: expected 'accs' (direct answers) or 'infos'; found both or neither"),
        ([_game(1, 1, 1.0, accs=[])], "FILE: [0].accs: expected at least one answer; found none"),
        ([_game(1, 1, 1.0, accs=[2])], "FILE: [0].accs[0]: expected 1 or 0; found 2"),
        ([_game(1, 1, -1.0, accs=[1])], "FILE: [0].usage_so_far: expected numbers in 0..1e15"),
        ([_game(1, 1, 1.0, accs=[1]), _game(2, 2, 2.0, accs=[1, 0])], "FILE: [1]: expected 1 answers by direct"),
        ([_game(1, 1, 1.0, accs=[1]), _game(1, 2, 2.0, accs=[1])], "FILE: [1]: expected one row of counts"),
    ],
)
def test_a_bad_log_is_one_sentence(tmp_path: Path, records: list[object], sentence: str) -> None:
    """Records that are not of one way of asking, negative use, a problem twice."""
    assert _sentence(_json(tmp_path / "log.json", records), "game24").startswith(sentence)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is yajo.", "yajo"),
        ("First the answer is 'x'. No: The Answer Is: \"YA\". Done.", "ya"),
        ("the answer is 3.5.\n", "3.5"),
        ("42", "42"),
        ("no idea at all", ""),
        ("The answer is", ""),
    ],
)
def test_the_final_answer_is_what_follows_the_last_mark(text: str, answer: str) -> None:
    """Up to the end of the sentence, without quotes, in small letters."""
    assert final_answer(text) == answer


def test_answers_become_votes(tmp_path: Path) -> None:
    """Votes feed the majority curve; texts without an answer vote for none and are counted in a note."""
    lines = [
        {
            "question": "q one",
            "answer": "A",
            "generated_answer": ["The answer is a.", "The answer is b.", "who knows that"],
        },
        {"question": "q two", "answer": 7, "generated_answer": ["The answer is 8.", "The answer is 8.", "8"]},
    ]
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    votes, notes = read_answers([path])
    assert votes.counts.tolist() == [[1, 1, 1], [3, 0, 0]]
    assert votes.right.tolist() == [0, -1]
    assert votes.answers == (("a", "b", ""), ("8",))
    assert notes == ("1 of 6 samples have no final answer: they vote for none",)
    assert majority(votes.counts, votes.right, [1]).value[:, 0] == pytest.approx([1 / 3, 0.0])
    found, _ = read_outcomes([path], format="answers")
    assert (found.arms, found.successes.tolist(), found.samples.tolist()) == (("votes",), [[1], [0]], [[3], [3]])
    path.write_text("".join(json.dumps(line) + "\n" for line in [lines[0], lines[0]]), encoding="utf-8")
    assert _sentence(path, "answers").startswith("FILE: line 2: question: expected each question once")


def _parquet(path: Path, **columns: object) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, which reads Parquet, is not installed")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_attempts_are_counted_by_model_and_problem(tmp_path: Path) -> None:
    """One row for each attempt, in any order; several benchmarks do not mix."""
    columns = {
        "Problem Idx": [3, 3, 3, 5, 3],
        "Attempt Idx": [1, 2, 1, 1, 1],
        "Score": [1.0, 0.0, 1.0, 0.0, 1.0],
        "Model": ["a", "a", "b", "a", "a"],
        "Benchmark": ["X", "X", "X", "X", "Y"],
    }
    found, _ = read_outcomes([_parquet(tmp_path / "a.parquet", **columns)], format="monkeys")
    assert set(found.prompts) == {"X 3", "X 5", "Y 3"}
    at = {prompt: i for i, prompt in enumerate(found.prompts)}
    a, b = (found.arms.index(name) for name in "ab")
    assert (found.successes[at["X 3"], a], found.samples[at["X 3"], a]) == (1, 2)
    assert (found.successes[at["X 3"], b], found.samples[at["X 5"], b]) == (1, 0)
    assert (found.successes[at["Y 3"], a], found.samples[at["Y 3"], a]) == (1, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"Score": [0.5, 1.0]}, "FILE: Score: row 1: expected 0 or 1; found 0.5"),
        ({"Attempt Idx": [1, 1]}, "FILE: expected each attempt once; found attempt 1 of problem 3 by a twice"),
        ({"Problem Idx": ["x", "y"]}, "FILE: Problem Idx: expected whole numbers"),
        ({"Score": [None, 1.0]}, "FILE: Score: expected a value in every row; found an empty one"),
        ({"Model": None}, "FILE: expected a column 'Model'"),
    ],
)
def test_a_bad_parquet_file_is_one_sentence(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    """Scores that are none, attempts given twice, columns that lack or are of another kind."""
    columns = {"Problem Idx": [3, 3], "Attempt Idx": [1, 2], "Score": [1.0, 0.0], "Model": ["a", "a"], **change}
    path = _parquet(tmp_path / "a.parquet", **{name: column for name, column in columns.items() if column is not None})
    assert _sentence(path, "monkeys").startswith(sentence)


def test_without_pyarrow_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet without its package is no traceback."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BackendMissing, match="pip install pyarrow"):
        read_outcomes([tmp_path / "a.parquet"], format="monkeys")


def test_the_published_files_are_read(shared_data: Path) -> None:
    """What is known of the public data: shapes, shares, and dollars that the last counter of a log does not show."""
    site, _ = read_outcomes([shared_data / "livecodebench_generation_45x400.json"], format="livecodebench")
    assert site.successes.shape == (400, 45)
    assert set(site.labels) == {"easy", "medium", "hard"}
    games, _ = read_outcomes(sorted(shared_data.glob("game24_*.json")), format="game24")
    share = {arm: games.successes[:, j].sum() / games.samples[:, j].sum() for j, arm in enumerate(games.arms)}
    assert share == {DIRECT: pytest.approx(0.0734), CHAIN: pytest.approx(0.0403), TREE: pytest.approx(0.69)}
    usd = dict(zip(games.arms, games.sample_cost[0].mean(axis=0), strict=True))
    assert usd[DIRECT] == pytest.approx(0.00138, rel=1e-3)
    assert usd[CHAIN] == pytest.approx((14.87664 + 32.17008) / 10_000, rel=1e-9)
    assert usd[TREE] == pytest.approx(0.7450962)
    votes, _ = read_answers([shared_data / "last_letters_gpt35_40votes.jsonl"])
    assert votes.counts.sum() == 20_000
    curve = majority(votes.counts, votes.right, [1, 40]).value.mean(axis=0)
    assert curve == pytest.approx([0.7873, 0.82], abs=5e-4)
    assert np.all(votes.counts.sum(axis=1) == 40)
