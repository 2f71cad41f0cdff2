"""``coinfer workload``: benchmark files to requests and outcomes, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coinfer.cli.app import main

ROWS = [{"question": "1+1?", "answer": "#### 2"}, {"question": "2+3?", "answer": "#### 5"}]


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_benchmark_file_leads_to_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Requests and graded samples are written, and the samples' counts are those that the importer plans from."""
    bench = lines(tmp_path / "b.jsonl", ROWS)
    samples = lines(
        tmp_path / "s.jsonl",
        [
            {"id": "b/1", "texts": ["it is 2", "3"], "arm": "small", "input_tokens": 4, "output_tokens": 3},
            {"id": "b/2", "texts": ["5"], "arm": "small", "input_tokens": 4, "output_tokens": 3},
        ],
    )
    requests, outcomes, problem = (tmp_path / name for name in ("r.jsonl", "o.jsonl", "p.json"))
    given = ["workload", str(bench), "--kind", "numeric", "--samples", str(samples)]
    assert main([*given, "-o", str(requests), "--outcomes", str(outcomes)]) == 0
    assert "Right: 2 of 3 samples" in capsys.readouterr().out.replace("\u00a0", " ")
    assert [json.loads(line)["checker"] for line in requests.read_text().splitlines()] == ["numeric", "numeric"]
    rows = [json.loads(line) for line in outcomes.read_text().splitlines()]
    assert [(row["prompt"], row["correct"], row["output_tokens"]) for row in rows] == [
        ("b/1", True, 3),
        ("b/1", False, 3),
        ("b/2", True, 3),
    ]
    assert main(["import", "outcomes", str(outcomes), "--budget", "tokens=30", "-o", str(problem)]) == 0
    assert main(["plan", str(problem), "-o", str(tmp_path / "plan.json")]) == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--kind", "colour", "-o", "r"], "kind"),
        (["--kind", "numeric"], "--output"),
        (["--kind", "numeric", "-o", "r", "--samples", "s"], "--outcomes"),
        (["--kind", "numeric", "-o", "r", "--column", "prompt"], "FIELD=NAME"),
        (["--kind", "numeric", "-o", "r", "--column", "colour=x"], "colour"),
        (["--kind", "numeric", "-o", "r", "--max-tokens", "0"], "--max-tokens"),
    ],
)
def test_bad_use_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], sentence: str
) -> None:
    """Exit code 2, one line that names what is wrong, and no file."""
    bench = lines(tmp_path / "b.jsonl", ROWS)
    given = [str(tmp_path / each) if each in ("r", "s") else each for each in given]
    assert main(["workload", str(bench), *given]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "r").exists()
