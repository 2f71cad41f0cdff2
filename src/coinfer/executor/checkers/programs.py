"""Programs, graded by tests or by what they print; they run in the sandbox, or not at all."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

import msgspec

from coinfer.executor import sandbox
from coinfer.executor.checkers.base import end_of
from coinfer.executor.sandbox import Limits
from coinfer.executor.strategies.ask import RunProgram
from coinfer.records import Record

_FENCE = re.compile(r"^[ \t]{0,8}```[^\n`]{0,40}\n(.*?)(?:^[ \t]{0,8}```|\Z)", re.MULTILINE | re.DOTALL)
_MOST_CASES = 1000
_LIMITS = Limits()


class TestReference(Record, frozen=True, kw_only=True):
    """Reference of unit tests, as JSON.

    Attributes
    ----------
    tests
        Python that raises where the program before it is wrong.
    stem
        What the program goes on from, where the reply is only the rest of it.
    entry_point
        A function that is there once the program is whole: without its ``def`` the stem is put before the reply.
    """

    __test__ = False  # no test, whatever pytest takes from its name

    tests: str
    stem: str = ""
    entry_point: str = ""


class Case(Record, frozen=True, kw_only=True):
    """What a program reads, and what it should print."""

    stdout: str
    stdin: str = ""


class OutputReference(Record, frozen=True, kw_only=True):
    """Reference of printed output, as JSON; one with a single case without input may be its plain text."""

    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTests:
    """Tests of the reference pass after the program of the text has run.

    The program is the last fenced block of code, or else the whole text. The reference is the tests, or JSON as of
    :class:`TestReference`. A program that ends the process before the tests are done has not passed: the last thing
    printed must be a word drawn at random for the run.

    Attributes
    ----------
    limits
        Of each run.
    """

    limits: Limits = _LIMITS
    name: str = "unit_tests"

    def expected(self, reference: str) -> str | None:
        """Return what the reference should have been."""
        held = _test_reference(reference)
        return None if held is not None and held.tests.strip() else "tests in Python, or JSON with 'tests'"

    def answer_of(self, text: str) -> str | None:
        """Return the program."""
        return program_of(text)

    def grade(self, text: str, reference: str) -> float | None:
        """Return 1.0 or 0.0; ``None`` without a sandbox or tests."""
        held = _test_reference(reference)
        if held is None or not held.tests.strip() or sandbox.available() is not None:
            return None
        program = program_of(text)
        if program is None:
            return 0.0
        if held.entry_point and not re.search(
            rf"^(?:async )?def {re.escape(held.entry_point)}\b", program, re.MULTILINE
        ):
            program = f"{held.stem}{_body(text)}"
        word = secrets.token_hex(16)
        source = f"{program}\n\n{held.tests}\n\nprint(); print({word!r})\n"
        ran = sandbox.run_blocking(RunProgram(source=source), self.limits)
        return float(ran.ended == "ok" and ran.stdout.rstrip("\n").rpartition("\n")[2] == word)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOutput:
    """The program of the text prints what it should; its grade is the share of the cases where it does.

    Blanks at the ends of lines and empty lines at the end do not count.

    Attributes
    ----------
    limits
        Of each run.
    """

    limits: Limits = _LIMITS
    name: str = "output"

    def expected(self, reference: str) -> str | None:
        """Return what the reference should have been."""
        return None if _cases(reference) else f"the output, or JSON with 1 to {_MOST_CASES:,} 'cases'"

    def answer_of(self, text: str) -> str | None:
        """Return the program."""
        return program_of(text)

    def grade(self, text: str, reference: str) -> float | None:
        """Return the share of cases; ``None`` without a sandbox or cases."""
        cases = _cases(reference)
        if not cases or sandbox.available() is not None:
            return None
        program = program_of(text)
        if program is None:
            return 0.0
        right = 0
        for case in cases:
            ran = sandbox.run_blocking(RunProgram(source=program, stdin=case.stdin), self.limits)
            right += ran.ended == "ok" and _lines(ran.stdout) == _lines(case.stdout)
        return right / len(cases)


def program_of(text: str) -> str | None:
    """Return the last fenced block of code in a text, or the whole text where none is fenced; ``None``: it is blank."""
    text = end_of(text)
    blocks = [block for block in _FENCE.findall(text) if block.strip()]
    program: str = blocks[-1] if blocks else text
    return program if program.strip() else None


def _body(text: str) -> str:
    """Return the rest of a function as it was written: without its first indent it would be no body."""
    blocks = [block for block in _FENCE.findall(end_of(text)) if block.strip()]
    body: str = blocks[-1] if blocks else end_of(text)
    first = next(line for line in body.splitlines() if line.strip())
    if first[:1].isspace():
        return body
    return "".join(f"    {line}" for line in body.splitlines(keepends=True))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _test_reference(reference: str) -> TestReference | None:
    if not reference.lstrip().startswith("{"):
        return TestReference(tests=reference)
    try:
        return msgspec.json.decode(reference, type=TestReference)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def _cases(reference: str) -> tuple[Case, ...]:
    if not reference.lstrip().startswith('{"cases"'):
        return (Case(stdout=reference),)
    try:
        cases = msgspec.json.decode(reference, type=OutputReference).cases
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return ()
    return cases if len(cases) <= _MOST_CASES else ()
