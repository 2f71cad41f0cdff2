"""Answers are graded by the checker of their request and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import RequestError
from coinfer.executor.grade import check_gradable, grade
from coinfer.executor.request import Request


def ask(**fields: Any) -> Request:
    """Return a request."""
    return Request(**{"id": "r", "prompt": "p", "category": "c", **fields})


@pytest.mark.parametrize(
    ("fields", "text", "correct"),
    [
        ({}, "anything", None),
        ({"checker": "exact", "answer": "Paris"}, "  Paris\n", 1.0),
        ({"checker": "exact", "answer": "Paris"}, "paris", 0.0),
        ({"checker": "numeric", "answer": "42"}, "The answer is 42.", 1.0),
        ({"checker": "numeric", "answer": "42"}, "42.0", 1.0),
        ({"checker": "numeric", "answer": "1200"}, "about 1,200 of them", 1.0),
        ({"checker": "numeric", "answer": "-3"}, "so -3", 1.0),
        ({"checker": "numeric", "answer": "42"}, "42, or rather 43", 0.0),
        ({"checker": "numeric", "answer": "42"}, "no number", 0.0),
        ({"checker": "numeric", "answer": "42"}, "4" * 100_000, 0.0),
        ({"checker": "task", "category": "add", "prompt": "47+85="}, "231", 1.0),
        ({"checker": "task", "category": "add", "prompt": "47+85="}, "132", 0.0),
    ],
)
def test_each_checker_does_what_it_says(fields: dict[str, Any], text: str, correct: float | None) -> None:
    """Exact compares trimmed texts, numeric the last number, task derives the answer again; none grades nothing."""
    assert grade(ask(**fields), text) == correct


@given(text=st.text(), checker=st.sampled_from(["exact", "numeric", "task"]))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_any_text_has_a_verdict(text: str, checker: str) -> None:
    """Whatever a model writes is right or wrong, and never an error."""
    fields = {"category": "mod", "prompt": "357%8="} if checker == "task" else {"answer": "7"}
    assert grade(ask(checker=checker, **fields), text) in (0.0, 1.0)


def test_what_could_never_be_graded_is_refused_first() -> None:
    """A numeric reference that is no number, and a task prompt that is none, are refused with the request's name."""
    with pytest.raises(RequestError, match="request 'r': answer: expected a number"):
        check_gradable([ask(checker="numeric", answer="many")])
    with pytest.raises(RequestError, match="request 'r'"):
        check_gradable([ask(checker="task", category="add", prompt="4+4")])
