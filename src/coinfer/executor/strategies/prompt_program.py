"""Prompt programs (``coinfer/prompt-program/1``): stages of asks, choices, loops and votes, written as data."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Mapping
from typing import Literal

from coinfer import jsonfile
from coinfer.executor.strategies.ask import ANSWER
from coinfer.records import Document, Record

FORMAT = "coinfer/prompt-program/1"
_HOLE = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")

Count = int | str
"""A whole number, at least 1, or the name of one of the program's settings."""


def holes(template: str) -> tuple[str, ...]:
    """Return the names of the holes of a template, in order.

    >>> holes("{prompt} as {{json}}: {plan}{")
    ('prompt', 'plan')
    """
    return tuple(found[2] for found in _HOLE.finditer(template) if found[2] is not None)


def filled(template: str, text_of: Callable[[str], str]) -> str:
    """Return a template with its holes filled, in one pass: what a filled text holds is not filled again.

    >>> filled("{a} {{a}} {b}", {"a": "{b}", "b": "2"}.__getitem__)
    '{b} {a} 2'
    """
    return _HOLE.sub(lambda found: f"{{{found[1]}}}" if found[2] is None else text_of(found[2]), template)


class AskStage(Record, frozen=True, kw_only=True, tag_field="do", tag="ask"):
    """Ask a role.

    Attributes
    ----------
    name
        Of the result: the texts of the completions.
    template
        What is asked. ``{prompt}`` is the prompt, ``{NAME}`` a result, ``{item}`` one of ``each``; for a plain ``{x}``
        write ``{{x}}``. In a text that fills a hole ``<<<`` and ``>>>`` are replaced, so these can fence it.
    role
        Who is asked.
    samples
        Completions; above 1 they are drawn at the temperature of the prompt, and the result holds several texts.
    varied
        True to draw a single completion at that temperature too; false: greedy.
    each
        A result: one completion for each of its texts, all asked at once; the result holds as many texts.
    logprobs
        True to ask for log-probabilities, which a vote by ``probability`` needs.
    max_tokens
        Most tokens of a completion, where fewer than the request's.
    """

    name: str
    template: str
    role: str = ANSWER
    samples: Count = 1
    varied: bool = False
    each: str | None = None
    logprobs: bool = False
    max_tokens: int | None = None


class SearchStage(Record, frozen=True, kw_only=True, tag_field="do", tag="search"):
    """Find passages with the retriever.

    Attributes
    ----------
    name
        Of the result: the passages, the most relevant first.
    query
        Template of the query.
    count
        Passages, at most.
    max_tokens
        Of a passage, about: longer ones are cut.
    """

    name: str
    query: str
    count: Count = 5
    max_tokens: int = 128


class RankStage(Record, frozen=True, kw_only=True, tag_field="do", tag="rank"):
    """Keep the best texts of a result.

    Attributes
    ----------
    name
        Of the result: texts of ``source``, the best first.
    source
        A result with several texts.
    template
        Question that is asked for each, with ``{item}``; the last number in the reply counts, a reply without one
        comes last. Absent: the role ``reward`` scores them.
    role
        Who is asked.
    keep
        Texts that stay, at most.
    max_tokens
        Of a reply.
    """

    name: str
    source: str
    template: str | None = None
    role: str = ANSWER
    keep: Count = 3
    max_tokens: int = 8


class ExtractStage(Record, frozen=True, kw_only=True, tag_field="do", tag="extract"):
    """Read something in a result; no model is asked.

    Attributes
    ----------
    name
        Of the result; without texts where nothing is found.
    source
        Where it is read.
    how
        ``lines``: lines that are not empty, without the marks of lists; ``after``: the rest of the line after the last
        ``mark``; ``answer``: what the workload's extractor reads.
    mark
        For ``after``; upper and lower case are the same.
    most
        Lines, at most; the result of ``lines`` holds several texts.
    max_tokens
        Of each text, about: longer ones are cut.
    """

    name: str
    source: str
    how: Literal["lines", "after", "answer"]
    mark: str | None = None
    most: Count = 1
    max_tokens: int = 32


class VoteStage(Record, frozen=True, kw_only=True, tag_field="do", tag="vote"):
    """Count answers, as the workload's extractor reads them; no model is asked.

    Attributes
    ----------
    name
        Of the result: a text with the answer that won.
    over
        Results whose texts vote.
    weight
        ``equal``, or ``probability``: each weighs its probability per token.
    """

    name: str
    over: tuple[str, ...]
    weight: Literal["equal", "probability"] = "equal"


class BranchStage(Record, frozen=True, kw_only=True, tag_field="do", tag="branch"):
    """Take one of several ways.

    Attributes
    ----------
    name
        For details and measured chances.
    on
        A result: the choice that is named last in its text, of several texts the most frequent, is taken.
    choices
        Stages by choice. A result that is used afterwards is given by all.
    otherwise
        The choice where none is named.
    chances
        How often each is taken, until that is measured; absent: all the same.
    """

    name: str
    on: str
    choices: dict[str, tuple[Stage, ...]]
    otherwise: str
    chances: dict[str, float] | None = None


class LoopStage(Record, frozen=True, kw_only=True, tag_field="do", tag="loop"):
    """Do stages again and again, at most so many times.

    Attributes
    ----------
    name
        For details and measured chances.
    most
        Rounds, at most.
    stages
        Of a round. What they give, the next round reads.
    until
        A result of the stages: the loop ends where its text names ``ends`` after the last ``goes_on``, or is missing.
    ends, goes_on
        The two choices.
    chance
        That a round is the last, until that is measured; absent: all rounds take place.
    """

    name: str
    most: Count
    stages: tuple[Stage, ...]
    until: str
    ends: str
    goes_on: str
    chance: float | None = None


Stage = AskStage | SearchStage | RankStage | ExtractStage | VoteStage | BranchStage | LoopStage


class PromptProgram(Document, frozen=True, kw_only=True):
    """A prompt program: stages that fill named results, the last of which is the answer.

    Attributes
    ----------
    name
        Lower-case letters, digits and underscores.
    stages
        Done one after the other.
    answer
        The result that is handed out, of one text.
    description
        What it does, and its source.
    settings
        Numbers that options may have, by name: a count may be the name of one. Each combination is an option.
    """

    file_format = FORMAT

    name: str
    stages: tuple[Stage, ...]
    answer: str
    description: str = ""
    settings: dict[str, tuple[int, ...]] = {}  # noqa: RUF012  # msgspec copies it

    def __post_init__(self) -> None:
        from coinfer.executor.strategies.program_check import check

        check(self)

    def combinations(self) -> tuple[dict[str, float], ...]:
        """Return the settings of each option."""
        names = tuple(self.settings)
        return tuple(
            dict(zip(names, map(float, numbers), strict=True))
            for numbers in itertools.product(*(self.settings[name] for name in names))
        )


def resolved(count: Count, settings: Mapping[str, float]) -> int:
    """Return a count as a number."""
    return int(settings[count]) if isinstance(count, str) else count


def read_program(path: str | os.PathLike[str]) -> PromptProgram:
    """Read a prompt program.

    Raises
    ------
    InputError
        If the file is none: with the place, what was expected and what was found.
    """
    return jsonfile.read(path, PromptProgram, format_name=FORMAT)
