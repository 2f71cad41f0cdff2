"""Answer checkers: each reads the answer in a text, and grades it by a reference, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from coinfer.executor.checkers.base import Checker as Checker
from coinfer.executor.checkers.numbers import Numeric
from coinfer.executor.checkers.patterns import Pattern
from coinfer.executor.checkers.programs import ProgramOutput, UnitTests
from coinfer.executor.checkers.steps import Steps
from coinfer.executor.checkers.words import Choice, Exact, Outcome, Text, TrueFalse

_ALL: tuple[Checker, ...] = (
    Exact(),
    Text(),
    Numeric(),
    TrueFalse(),
    Choice(),
    Steps(),
    Outcome(),
    UnitTests(),
    ProgramOutput(),
    Pattern(),
)
CHECKERS: Mapping[str, Checker] = MappingProxyType({checker.name: checker for checker in _ALL})
"""Every checker by its name in files of requests."""
RUN_PROGRAMS = frozenset({"unit_tests", "output"})
"""Those that need the sandbox."""
