"""What checkers read in texts as models write them, and how they grade it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.executor.checkers import CHECKERS
from coinfer.executor.checkers.base import MOST_CHARACTERS
from coinfer.executor.checkers.numbers import last_number, shortest

LIGHT = sorted(set(CHECKERS) - {"unit_tests", "output", "regex"})


@pytest.mark.parametrize(
    ("checker", "text", "answer"),
    [
        ("exact", " Paris \n", "Paris"),
        ("exact", " ", None),
        ("text", "The letters are y and a.\nThe answer is 'ya'.", "ya"),
        ("text", "Let me see.\n**Paris**", "paris"),
        ("text", "...", None),
        ("numeric", "It is 42.", "42"),
        ("numeric", "#### 1,234", "1234"),
        ("numeric", "3 apples and 4 pears. The answer is 7. That took 2 steps.", "7"),
        ("numeric", "The answer is 3 + 4 = 7.", "7"),
        ("numeric", "so \\boxed{\\frac{3}{4}} for all 12", "0.75"),
        ("numeric", "-1.50 dollars", "-1.5"),
        ("numeric", "$1,250.00", "1250"),
        ("numeric", "about 50%", "50"),
        ("numeric", "2/6", "1/3"),
        ("numeric", "12 km/h", "12"),
        ("numeric", "5 - 3", "3"),
        ("numeric", "10-3", "3"),
        ("numeric", "x = -3", "-3"),
        ("numeric", "\N{MINUS SIGN}3", "-3"),
        ("numeric", "1.5e3", "1500"),
        ("numeric", "0.0", "0"),
        ("numeric", "-0", "0"),
        ("numeric", "1/0", None),
        ("numeric", "none", None),
        ("numeric", "1,2,3", "3"),
        ("true_false", "Yes, because no other holds.", "true"),
        ("true_false", "There is no doubt about it: the answer is true.", "true"),
        ("true_false", "That is not true.", "false"),
        ("true_false", "so: **No**", "false"),
        ("true_false", "Answer: False", "false"),
        ("true_false", "there are no cats", None),
        ("choice", "B", "B"),
        ("choice", "(b)", "B"),
        ("choice", "The answer is (C), since A and B are wrong.", "C"),
        ("choice", "Answer: D. Paris", "D"),
        ("choice", "**Answer:** B", "B"),
        ("choice", "\\boxed{\\text{(B)}}", "B"),
        ("choice", "B) Paris", "B"),
        ("choice", "I think that it is (A). No, it is (D).", "D"),
        ("choice", "It rains.\nC.", "C"),
        ("choice", "The answer is option E", "E"),
        ("choice", "I do not know", None),
        ("win_draw_loss", "White wins.", "win"),
        ("win_draw_loss", "Looks lost, but the answer is a draw.", "draw"),
        ("win_draw_loss", "0-1", "loss"),
        ("win_draw_loss", "unknown", None),
        ("steps", "1. Pick up A.\n- put A  on b\nStep 3: done", "pick up a\nput a on b\ndone"),
        ("steps", "\n", None),
        ("regex", " abc ", "abc"),
    ],
)
def test_each_checker_reads_the_answer_as_people_write_it(checker: str, text: str, answer: str | None) -> None:
    """Marks of final answers, brackets, units, signs and words around an answer do not hide it."""
    assert CHECKERS[checker].answer_of(text) == answer


@pytest.mark.parametrize(
    ("checker", "text", "reference", "value"),
    [
        ("numeric", "0.5", "1/2", 1.0),
        ("numeric", "3.14", "3.14159", 0.0),
        ("numeric", "3.14", "3.14159 +- 0.01", 1.0),
        ("numeric", "3.14", "3.14159 \N{PLUS-MINUS SIGN} 1%", 1.0),
        ("numeric", "-3.2", "-3 +- 1%", 0.0),
        ("numeric", "-3.02", "-3 +- 1%", 1.0),
        ("numeric", "1", "many", None),
        ("text", "The answer is Paris.", "paris", 1.0),
        ("true_false", "yes", "TRUE", 1.0),
        ("true_false", "no", "1", 0.0),
        ("true_false", "no", "perhaps", None),
        ("choice", "(B)", "b", 1.0),
        ("choice", "(B)", "Paris", None),
        ("win_draw_loss", "a tie", "draw", 1.0),
        ("win_draw_loss", "a tie", "?", None),
        ("steps", "a\nb\nc\nd", "a\nb\nc\nd", 1.0),
        ("steps", "a\nb\nx\nd", "a\nb\nc\nd", 0.5),
        ("steps", "a\nb\nc\nd", "a\nb", 0.5),
        ("steps", "x", "a", 0.0),
        ("steps", "", "a", 0.0),
        ("steps", "a", " ", None),
        ("regex", "the code is ab-12", r"\b[a-z]{2}-\d+", 1.0),
        ("regex", "no code", r"\d", 0.0),
        ("regex", "x", "(", None),
        ("regex", "x", "x" * 1001, None),
    ],
)
def test_each_checker_grades_by_its_reference(checker: str, text: str, reference: str, value: float | None) -> None:
    """Right is 1, wrong is 0, a part of the steps is between; a reference that says nothing gives no grade."""
    assert CHECKERS[checker].grade(text, reference) == value
    assert (CHECKERS[checker].expected(reference) is None) == (value is not None)


def test_a_pattern_that_takes_for_ever_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exponential matching ends at its time, and the answer does not count."""
    monkeypatch.setattr("coinfer.executor.checkers.patterns.SECONDS", 0.5)
    assert CHECKERS["regex"].grade("a" * 60 + "!", r"^(a+)+$") == 0.0


@given(
    text=st.text() | st.text("0123456789.,/-eE$%\\{}frac()ABCyesno# \n", max_size=60), reference=st.text(max_size=20)
)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_any_text_has_a_verdict(text: str, reference: str) -> None:
    """Whatever a model or a file says, checkers read an answer or none, and grade in 0..1 or not at all."""
    for name in LIGHT:
        checker = CHECKERS[name]
        answer = checker.answer_of(text)
        assert answer is None or answer
        graded = checker.grade(text, reference)
        assert (graded is None) == (checker.expected(reference) is not None)
        assert graded is None or 0.0 <= graded <= 1.0


@given(number=st.fractions(max_denominator=10**6).map(lambda value: value.limit_denominator(10**6)))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_number_survives_its_shortest_form(number: Fraction) -> None:
    """Reading what was written gives the same number, exactly; so equal votes are equal numbers."""
    if abs(number) < 10**30:
        assert last_number(f"The answer is {shortest(number)}.") == number


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize("piece", ["1", "(", "answer is ", "\\boxed{", "yes ", "(A) ", "1/", "- ", " ", "\n", "not "])
def test_long_texts_are_read_quickly(name: str, piece: str) -> None:
    """A flood of any mark is read in time that grows with its length: this test would not end otherwise."""
    text = piece * (2 * MOST_CHARACTERS // len(piece))
    CHECKERS[name].answer_of(text)
    CHECKERS[name].grade(text, "1")
