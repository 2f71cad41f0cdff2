"""A regular expression that must be found; it never takes more than its time."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from coinfer.executor.checkers.base import end_of

MOST_PATTERN_CHARACTERS = 1000
SECONDS = 5.0
_SEARCH = "import json, re, sys; p, t = json.load(sys.stdin); sys.exit(0 if re.search(p, t) else 10)"
_FOUND = 0


class Pattern:
    """The reference, a regular expression of Python, is found in the text; one not found within 5 s is not found.

    Some patterns take exponential time on some texts, and Python's matcher cannot be stopped in a thread: it holds the
    interpreter. So it runs in a process of its own, which is killed. A search runs no code of the pattern or the text,
    and needs no sandbox.
    """

    name = "regex"

    def expected(self, reference: str) -> str | None:
        """Return what the reference should have been."""
        if len(reference) > MOST_PATTERN_CHARACTERS:
            return f"a pattern of at most {MOST_PATTERN_CHARACTERS:,} characters"
        try:
            re.compile(reference)
        except (re.error, OverflowError, RecursionError):
            return "a regular expression"
        return None

    def answer_of(self, text: str) -> str | None:
        """Return the trimmed text: what is sought is the reference's, and votes do not know it."""
        return text.strip() or None

    def grade(self, text: str, reference: str) -> float | None:
        """Return 1.0 or 0.0; ``None`` where the reference is no pattern."""
        if self.expected(reference) is not None:
            return None
        command = [sys.executable, "-I", "-S", "-B", "-W", "ignore", "-c", _SEARCH]
        told = json.dumps([reference, end_of(text)])
        try:
            made = subprocess.run(
                command, input=told, capture_output=True, text=True, timeout=SECONDS, check=False, env={}
            )
        except subprocess.TimeoutExpired:
            return 0.0
        return float(made.returncode == _FOUND)
