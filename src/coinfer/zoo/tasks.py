"""Six verifiable skills: prompts whose answers a program can check, for the small models of the zoo.

======== ============ ========= =====================================================
category prompt       answer    meaning
======== ============ ========= =====================================================
add      ``47+85=``   ``231``   sum of two numbers below 100
sub      ``85-47=``   ``83``    difference of two numbers below 100, never negative
mul      ``347*8=``   ``6772``  product of a number below 1000 and a digit
reverse  ``r:abc=``   ``cba``   3 to 7 lower-case letters, last first
sort     ``s:3121=``  ``1123``  3 to 7 digits in ascending order
mod      ``357%8=``   ``5``     remainder of a number below 1000 by a divisor 2 to 9
======== ============ ========= =====================================================

**Numbers in answers are written with the least significant digit first** (47+85 is 132, answered ``231``): a
small decoder then carries as a person does on paper. Numbers in prompts are written as usual.

Every prompt belongs to exactly one split, by a hash: about a quarter of each category is held out for
evaluation and never drawn for training. ``a+b`` and ``b+a`` share a hash, so a model cannot be examined on the mirror
image of a prompt it has seen. Every category holds out more than 1,000 prompts.
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from coinfer.errors import InputError

__all__ = ["CATEGORIES", "MAX_ANSWER_TOKENS", "Split", "Task", "is_correct", "sample_tasks", "solve", "split_of"]

Split = Literal["train", "evaluation"]

CATEGORIES: Final = ("add", "sub", "mul", "reverse", "sort", "mod")
MAX_ANSWER_TOKENS: Final = 9  # seven characters, the end of sequence, and one to spare
_HELD_OUT_EVERY: Final = 4  # one prompt in four is for evaluation
_PATIENCE: Final = 50_000  # draws rejected in a row before a split is called exhausted
_LETTERS: Final = tuple("abcdefghijklmnopqrstuvwxyz")
_DIGITS: Final = tuple("0123456789")

_NUMBER = r"(0|[1-9][0-9]?)"
_LONG_NUMBER = r"(0|[1-9][0-9]{0,2})"
_PROMPTS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "add": re.compile(rf"{_NUMBER}\+{_NUMBER}="),
        "sub": re.compile(rf"{_NUMBER}-{_NUMBER}="),
        "mul": re.compile(rf"{_LONG_NUMBER}\*([0-9])="),
        "reverse": re.compile(r"r:([a-z]{3,7})="),
        "sort": re.compile(r"s:([0-9]{3,7})="),
        "mod": re.compile(rf"{_LONG_NUMBER}%([2-9])="),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One question with a checkable answer.

    Attributes
    ----------
    category
        The skill it asks for; one of `CATEGORIES`.
    prompt
        What the model reads; ends with ``=``.
    answer
        The one right continuation, without the end-of-sequence token.
    """

    category: str
    prompt: str
    answer: str


def sample_tasks(
    rng: np.random.Generator,
    *,
    count: int,
    categories: Sequence[str] = CATEGORIES,
    split: Split = "evaluation",
    distinct: bool = False,
) -> tuple[Task, ...]:
    """Draw ``count`` tasks of one split; the same generator state gives the same tasks.

    Parameters
    ----------
    rng
        The only source of randomness.
    count
        Number of tasks, >= 0.
    categories
        Each task's category is drawn uniformly from these; naming one twice doubles its share.
    split
        ``train`` and ``evaluation`` never share a prompt.
    distinct
        Never draw a prompt twice.

    Raises
    ------
    InputError
        For an unknown category or split, a negative count, or more distinct prompts than the split can give.
    """
    if count < 0:
        raise InputError("tasks.count", expected="a number of tasks >= 0", found=count)
    if split not in ("train", "evaluation"):
        raise InputError("tasks.split", expected="train or evaluation", found=split)
    if not categories:
        raise InputError("tasks.categories", expected="at least one category", found=categories)
    for category in categories:
        _require_category(category)
    tasks: list[Task] = []
    seen: set[str] = set()
    rejected = 0  # in a row
    while len(tasks) < count:
        category = categories[int(rng.integers(len(categories)))]
        prompt = _DRAWS[category](rng)
        if split_of(prompt) == split and not (distinct and prompt in seen):
            rejected = 0
            seen.add(prompt)
            tasks.append(Task(category=category, prompt=prompt, answer=solve(category, prompt)))
            continue
        rejected += 1
        if rejected == _PATIENCE:
            raise InputError("tasks.count", expected=f"at most the {len(tasks)} distinct prompts found", found=count)
    return tuple(tasks)


def split_of(prompt: str) -> Split:
    """Say which split a prompt belongs to; mirror images of a sum belong together."""
    key = prompt
    if _PROMPTS["add"].fullmatch(prompt):
        key = "+".join(sorted(prompt[:-1].split("+")))
    return "evaluation" if hashlib.sha256(key.encode()).digest()[0] % _HELD_OUT_EVERY == 0 else "train"


def solve(category: str, prompt: str) -> str:
    """Derive the one right answer from the prompt.

    Raises
    ------
    InputError
        For an unknown category, or a prompt that is none of its category.
    """
    _require_category(category)
    match = _PROMPTS[category].fullmatch(prompt)
    if match is None:
        raise InputError("prompt", expected=f"a prompt of category {category}", found=prompt)
    if category == "reverse":
        return match[1][::-1]
    if category == "sort":
        return "".join(sorted(match[1]))
    left, right = int(match[1]), int(match[2])
    if category == "sub" and left < right:
        raise InputError("prompt", expected="a difference that is not negative", found=prompt)
    operations = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "mod": operator.mod}
    value = operations[category](left, right)
    return str(value)[::-1]


def is_correct(category: str, prompt: str, answer_text: str) -> bool:
    """Check an answer by deriving it again from the prompt.

    Spaces around the answer are forgiven, nothing else is: no superfluous zero, nothing after the answer. Whatever a
    model writes gives True or False; only a prompt that is none of its category raises `InputError`.
    """
    return answer_text.strip() == solve(category, prompt)


def _require_category(category: str) -> None:
    """Reject a category that does not exist."""
    if category not in CATEGORIES:
        raise InputError("tasks.category", expected=f"one of {', '.join(CATEGORIES)}", found=category)


def _draw_add(rng: np.random.Generator) -> str:
    return f"{rng.integers(100)}+{rng.integers(100)}="


def _draw_sub(rng: np.random.Generator) -> str:
    low, high = sorted((int(rng.integers(100)), int(rng.integers(100))))
    return f"{high}-{low}="


def _draw_mul(rng: np.random.Generator) -> str:
    return f"{rng.integers(1000)}*{rng.integers(10)}="


def _draw_reverse(rng: np.random.Generator) -> str:
    return f"r:{_draw_text(rng, _LETTERS)}="


def _draw_sort(rng: np.random.Generator) -> str:
    return f"s:{_draw_text(rng, _DIGITS)}="


def _draw_mod(rng: np.random.Generator) -> str:
    return f"{rng.integers(1000)}%{rng.integers(2, 10)}="


def _draw_text(rng: np.random.Generator, alphabet: Sequence[str]) -> str:
    """Draw 3 to 7 characters."""
    return "".join(alphabet[i] for i in rng.integers(len(alphabet), size=int(rng.integers(3, 8))))


_DRAWS: Final[Mapping[str, Callable[[np.random.Generator], str]]] = MappingProxyType(
    {
        "add": _draw_add,
        "sub": _draw_sub,
        "mul": _draw_mul,
        "reverse": _draw_reverse,
        "sort": _draw_sort,
        "mod": _draw_mod,
    }
)
