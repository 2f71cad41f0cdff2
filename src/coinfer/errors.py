"""The one error tree; the command line turns each into a sentence and an exit code.

CoinferError
├── InputError            a file or an argument that is not what it should be
│   ├── ProblemError      ... in a problem
│   ├── ProfileError      ... in a profile or its measurements
│   └── RequestError      ... in the requests to be run
├── PlanMismatch          the plan belongs to another problem
├── CertificateError      a claim of a plan is not true
├── BackendMissing        an optional package or counter that is not installed
├── EndpointError         an endpoint that cannot be reached or does not keep its protocol
├── Infeasible            no decision keeps every budget, as the engine found (exit code 3)
└── LimitReached          a limit was hit before any decision was found (exit code 4)

A solver never raises the last two: it returns a status. They are raised only where a caller asked for a plan
and there is none.
"""

from __future__ import annotations

import reprlib
from functools import partial


class CoinferError(Exception):
    """Base of every error coinfer raises on purpose."""

    exit_code = 2


class InputError(CoinferError, ValueError):
    """A value that is no valid input: where it stands, what was expected, what was found.

    Parameters
    ----------
    where
        Path of the value inside its file, as in ``experts[2].latency_s``.
    expected
        What would have been right, in words.
    found
        The value itself; shortened when long.
    """

    def __init__(self, where: str, *, expected: str, found: object) -> None:
        self.where = where
        self.expected = expected
        self.found = found
        place = f"{where}: " if where else ""
        super().__init__(_printable(f"{place}expected {expected}; found {_short(found)}"))

    def __reduce__(self) -> tuple[partial[InputError], tuple[str]]:
        return partial(type(self), expected=self.expected, found=self.found), (self.where,)

    def inside(self, outer: str) -> InputError:
        """Return the same error with ``outer`` put before its path."""
        separator = "" if self.where.startswith(("[", ": ")) or not self.where else "."
        return type(self)(f"{outer}{separator}{self.where}", expected=self.expected, found=self.found)


class ProblemError(InputError):
    """A problem that no solver could put right."""


class ProfileError(InputError):
    """A profile or a measurement that is not a fact."""


class RequestError(InputError):
    """A request that cannot be run."""


class PlanMismatch(CoinferError):  # noqa: N818
    """The plan was made for another problem or another program version."""


class CertificateError(CoinferError):
    """A claim of the plan was re-checked and is not true."""


class BackendMissing(CoinferError):  # noqa: N818
    """A package, program or counter that this step needs is not there."""


class EndpointError(CoinferError):
    """An endpoint that cannot be reached, hangs, or answers outside its protocol."""


class Infeasible(CoinferError):  # noqa: N818
    """No decision satisfies every constraint, as the engine found."""

    exit_code = 3


class LimitReached(CoinferError):  # noqa: N818
    """A limit was hit before any decision was found."""

    exit_code = 4


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 120
_REPR.maxlevel = 4


def _short(value: object) -> str:
    """Show ``value`` in at most 120 characters, without spelling out what is long or deeply nested."""
    if isinstance(value, int) and value.bit_length() > 1000:  # repr refuses the longest of them
        return f"an integer of {value.bit_length()} bits"
    text = value if isinstance(value, Plain) else _REPR.repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _printable(text: str) -> str:
    """Escape line breaks and control characters: a file must not write to the terminal through its error."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


class Plain(str):
    """A ``found`` that is words about a value, not the value itself, and so is printed without quotes."""

    __slots__ = ()
