"""One error tree: a sentence and an exit code each."""

from __future__ import annotations

import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinfer import errors
from coinfer.errors import CoinferError, InputError, Plain, ProblemError

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_has_one_root_and_an_exit_code(kind: type[CoinferError]) -> None:
    """One ``except`` catches them all, the command line knows what to return, and the module's tree names it."""
    assert issubclass(kind, CoinferError)
    assert kind.exit_code == {"Infeasible": 3, "LimitReached": 4}.get(kind.__name__, 2)
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


def test_the_sentence_says_where_what_and_what_was_found() -> None:
    """Place, expectation and finding stand in this order; no place, no colon."""
    error = InputError("experts[2].latency_s", expected="a number", found="x")
    assert str(error) == "experts[2].latency_s: expected a number; found 'x'"
    assert str(InputError("", expected="a number", found=Plain("none"))) == "expected a number; found none"
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("inner", "outer", "place"),
    [
        ("name", "experts[0]", "experts[0].name"),
        ("[0][1]", "quality", "quality[0][1]"),
        ("", "quality", "quality"),
        (": q.npz", "quality", "quality: q.npz"),
    ],
)
def test_paths_grow_from_the_inside(inner: str, outer: str, place: str) -> None:
    """An error inside a value becomes one inside its owner, of the same class."""
    error = ProblemError(inner, expected="a", found=1).inside(outer)
    assert (error.where, error.expected, error.found) == (place, "a", 1)
    assert type(error) is ProblemError


def nested(depth: int) -> list[object]:
    """Return a list inside a list inside a list."""
    inner: list[object] = []
    for _ in range(depth):
        inner = [inner]
    return inner


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(where=st.text(), found=JSON | st.text().map(Plain))
def test_a_sentence_stays_short_and_on_one_line(where: str, found: object) -> None:
    """Whatever was found, it neither floods nor steers the terminal."""
    text = str(InputError(where, expected="x", found=found))
    assert text.isprintable()
    assert len(text) <= 10 * len(where) + 10 * 120 + 30


@pytest.mark.parametrize(
    "found",
    [10**6000, -(10**6000), "x" * 10**6, list(range(10**6)), nested(5_000)],
    ids=["integer", "negative", "text", "list", "nesting"],
)
def test_what_is_huge_is_shown_short(found: object) -> None:
    """Numbers, texts, lists and nesting of any size fit into the sentence."""
    assert len(str(InputError("a", expected="b", found=found))) < 160


def test_found_words_are_not_quoted() -> None:
    """Words about a value are told from the value itself."""
    assert str(InputError("a", expected="b", found=Plain("nothing"))).endswith("found nothing")
    assert str(InputError("a", expected="b", found="nothing")).endswith("found 'nothing'")


@pytest.mark.parametrize("error", [ProblemError("a", expected="b", found=1), CoinferError("a sentence")])
def test_errors_cross_processes(error: CoinferError) -> None:
    """A worker process can hand its error over: pickled and read back it says the same."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
