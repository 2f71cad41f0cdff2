"""Programs are graded in the sandbox, or not at all."""

from __future__ import annotations

import json

import pytest

from coinfer.executor import sandbox
from coinfer.executor.checkers import CHECKERS
from coinfer.executor.checkers.programs import ProgramOutput, UnitTests, program_of
from coinfer.executor.sandbox import Limits

needs_sandbox = pytest.mark.skipif(sandbox.available() is not None, reason=sandbox.available() or "")
STEM = 'def add(a, b):\n    """Return the sum."""\n'
TESTS = json.dumps({"tests": "def check(f):\n    assert f(2, 3) == 5\ncheck(add)", "stem": STEM, "entry_point": "add"})
QUICK = Limits(wall_s=1.0)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("x = 1", "x = 1"),
        ("Here:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
        ("```\nx\n```\nor better\n```py\ny\n```", "y\n"),
        ("```python\nx = 1", "x = 1"),
        (" \n", None),
        ("```\n```", "```\n```"),
    ],
)
def test_the_program_is_the_last_block_of_code(text: str, program: str | None) -> None:
    """Where nothing is fenced it is the whole text; a fence that is not closed ends with the text."""
    assert program_of(text) == program


@needs_sandbox
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("```python\ndef add(a, b):\n    return a + b\n```", 1.0),
        ("    return a + b", 1.0),
        ("return a + b", 1.0),
        ("```python\n    return a + b\n```", 1.0),
        ("def add(a, b):\n    return a - b", 0.0),
        ("import sys\nsys.exit(0)\ndef add(a, b): return 5", 0.0),
        ("import os\nprint('0' * 32)\nos._exit(0)\ndef add(a, b): return 5", 0.0),
        ("def add(a, b):\n    while True: pass", 0.0),
        ("this is no program", 0.0),
        ("", 0.0),
        ("def add(a, b):\n    print('noise')\n    return a + b", 1.0),
    ],
)
def test_programs_pass_their_tests_or_do_not(text: str, value: float) -> None:
    """Whole functions and bodies alone are run; one that ends early, hangs, or is none has not passed."""
    assert UnitTests(limits=QUICK).grade(text, TESTS) == value


@needs_sandbox
def test_tests_may_be_plain_python() -> None:
    """A reference that is no JSON object is the tests themselves."""
    assert CHECKERS["unit_tests"].grade("x = 2", "assert x == 2") == 1.0
    assert CHECKERS["unit_tests"].grade("x = 2", "assert x == 3") == 0.0


@needs_sandbox
def test_output_is_graded_by_its_share_of_cases() -> None:
    """Each case gives its input; blanks at line ends do not count; errors are wrong even where the text is right."""
    cases = [{"stdin": "1 2", "stdout": "3\n"}, {"stdin": "2 2", "stdout": "4"}]
    reference = json.dumps({"cases": cases})
    adder, checker = "print(sum(map(int, input().split())), end='  \\n\\n')", ProgramOutput(limits=QUICK)
    assert checker.grade(adder, reference) == 1.0
    assert checker.grade("print(3)", reference) == 0.5
    assert checker.grade("print(3); raise SystemExit(1)", "3") == 0.0
    assert checker.grade("print(3)", "3") == 1.0


@pytest.mark.parametrize(
    ("checker", "reference"),
    [
        ("unit_tests", " "),
        ("unit_tests", "{"),
        ("unit_tests", '{"tests": 1}'),
        ("unit_tests", '{"tests": "\ud800"}'),
        ("output", '{"cases": []}'),
        ("output", '{"cases": 3}'),
        ("output", '{"cases"' + "[" * 10_000),
    ],
)
def test_references_that_say_nothing_are_refused(checker: str, reference: str) -> None:
    """They are named before anything runs, and grade nothing."""
    assert CHECKERS[checker].expected(reference) is not None
    assert CHECKERS[checker].grade("x", reference) is None


def test_without_a_sandbox_no_program_is_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grade is absent, never 0, and no program is started."""
    monkeypatch.setattr(sandbox, "available", lambda: "none here")
    monkeypatch.setattr(sandbox, "run_blocking", lambda *_: pytest.fail("it was run"))
    assert CHECKERS["unit_tests"].grade("x = 2", "assert x == 2") is None
    assert CHECKERS["output"].grade("print(1)", "1") is None
