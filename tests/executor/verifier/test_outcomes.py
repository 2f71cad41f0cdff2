"""Recorded outcomes are read from every file that holds some, and no question stands in two parts of the split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.executor.backends.base import Completion
from coinfer.executor.budget import Amount
from coinfer.executor.request import Request
from coinfer.executor.strategies.ask import Sampled
from coinfer.executor.strategies.journal import ReplyLine, SessionJournal, SessionsHeader
from coinfer.executor.verifier.outcomes import Example, Outcome, examples_of, read_outcomes, split

REQUESTS = [
    Request(id="a/1", prompt="2+2=", category="add", checker="exact", answer="4"),
    Request(id="b", prompt="3+3=", category="add", checker="exact", answer="6"),
]


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    """Write a file of JSON lines."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_outcomes_and_answers_of_a_run_are_read_side_by_side(tmp_path: Path) -> None:
    """Lines with their question stand alone; answers find theirs by id; what has no text or verdict is left out."""
    path = written(
        tmp_path,
        {"prompt": "1+1=", "text": "2", "correct": 1},
        {"id": "a/1", "category": "add", "option": "single", "text": "5", "value": "5", "correct": 0.0},
        {"id": "b", "category": "add", "option": "single", "correct": 0.0},
        {"id": "b", "category": "add", "option": "single", "text": "6"},
    )
    found = read_outcomes([path], REQUESTS)
    assert [(each.prompt, each.text, each.correct) for each in found] == [("1+1=", "2", 1.0), ("2+2=", "5", 0.0)]


def test_the_journal_of_a_pilot_is_graded_by_the_checkers_of_its_requests(tmp_path: Path) -> None:
    """Replies of the first step are answers, whatever stands in the ids; later steps asked for something else."""
    path = tmp_path / "pilot"
    with SessionJournal(path, SessionsHeader(work_sha256="0", seed=0)) as journal:
        for call, (key, text) in enumerate((("a/1/0/0/0", "4"), ("b/0/1/0", "7"), ("b/1/0/0", "6"))):
            reply = Sampled(completions=(Completion(text=text, output_tokens=1, finish="stop", logprobs=None),))
            journal.append(
                ReplyLine(call=call, key=key, reply=reply, charged=Amount(calls=1), elapsed_s=0.0, seconds=0.0)
            )
    found = read_outcomes([path], REQUESTS)
    assert [(each.prompt, each.text, each.correct) for each in found] == [("2+2=", "4", 1.0), ("3+3=", "7", 0.0)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"id": "b", "text": "6", "correct": 1.0}], "requests"),
        ([{"prompt": "q", "text": "a", "correct": 1.5}], "0 to 1"),
        ([{"prompt": "q", "text": "a", "correct": 1.0, "steps": [0.5, 0.5]}], "steps"),
        ([{"prompt": "q", "text": "a"}], "correct"),
        ([{"prompt": "q", "text": "a", "correct": 1.0, "key": "x"}], "key"),
        ([[1]], "line 1"),
        ([], "known"),
    ],
)
def test_what_is_no_outcome_is_named_in_a_sentence(tmp_path: Path, rows: list[Any], words: str) -> None:
    """Bad lines are told with their number, a file without outcomes too."""
    with pytest.raises(InputError, match=words):
        read_outcomes([written(tmp_path, *rows)])


def test_beginnings_that_answers_share_are_worth_their_share_of_right_ones() -> None:
    """Labels of steps are Monte Carlo means over answers that begin so; given ones stand, single ones are unknown."""
    outcomes = [
        Outcome(prompt="q", text="a\n\nb", correct=1.0),
        Outcome(prompt="q", text="a\n\nc", correct=0.0),
        Outcome(prompt="q", text="d\n\ne", correct=0.0),
        Outcome(prompt="q", text="a\n\nf", correct=1.0, steps=(0.9, 1.0)),
        Outcome(prompt="other", text="a\n\nb", correct=0.0),
    ]
    assert [each.labels for each in examples_of(outcomes)][:2] == [(None, 1.0), (None, 0.0)]
    found = [each.labels for each in examples_of(outcomes, shared_steps=True)]
    assert found == [(pytest.approx(2 / 3), 1.0), (pytest.approx(2 / 3), 0.0), (None, 0.0), (0.9, 1.0), (None, 0.0)]


@given(st.lists(st.sampled_from([f"Question {i}" for i in range(12)]), min_size=12, max_size=60), st.integers(0, 9))
def test_no_question_stands_in_two_parts(prompts: list[str], seed: int) -> None:
    """Every answer is in one part, all answers to a question in the same; spaces and case do not make another one."""
    prompts = [*prompts, *(f"Question {i}" for i in range(5))]
    written_otherwise = [prompt.upper().replace(" ", "  ") for prompt in prompts]
    examples = [Example(prompt=prompt, steps=("x",), labels=(1.0,)) for prompt in (*prompts, *written_otherwise)]
    parts = split(examples, seed=seed)
    names = [{" ".join(each.prompt.split()).lower() for each in part} for part in parts]
    assert sum(map(len, parts)) == len(examples)
    assert all(names)
    assert sum(map(len, names)) == len(names[0] | names[1] | names[2])
    backwards = split(examples[::-1], seed=seed)
    assert [{each.prompt for each in part} for part in backwards] == [{each.prompt for each in part} for part in parts]


def test_too_few_questions_cannot_be_split() -> None:
    """Four questions are a sentence."""
    with pytest.raises(InputError, match="5 different questions"):
        split([Example(prompt=f"{i % 4}", steps=("x",), labels=(1.0,)) for i in range(40)], seed=0)
