"""What a session may ask for, and what comes back: plain data, no model is called here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from coinfer.errors import RequestError
from coinfer.executor.backends.base import Completion, Message
from coinfer.records import Record

ANSWER = "answer"
"""The role that answers where a strategy has one model only."""
REWARD = "reward"
"""The role that scores."""
SANDBOX, RETRIEVER, DECODER = "sandbox", "retriever", "decoder"
"""Roles that run programs, search, and decode several models together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Independent completions of one conversation.

    Attributes
    ----------
    messages
        The conversation, the last turn being the user's.
    max_tokens
        Most tokens of each completion.
    count
        How many; one call bills the prompt once where the endpoint gives several.
    temperature
        0 for greedy decoding.
    role
        Who is asked: the plan names an endpoint for each role of a strategy.
    prefix
        Text that the reply goes on from; it is not repeated in the completion. Needs ``prefix``.
    stop
        Texts that end a completion; the stop text is not part of it.
    logprobs
        True to ask for the log-probability of every token. Needs ``logprobs``.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    count: int = 1
    temperature: float = 0.0
    role: str = ANSWER
    prefix: str = ""
    stop: tuple[str, ...] = ()
    logprobs: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.count < 1:
            raise RequestError("sample", expected="at least one token and one completion", found=self.max_tokens)
        if not self.messages or self.messages[-1].role != "user":
            raise RequestError("sample.messages", expected="a conversation that ends with the user", found=self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Rewards of answers to one conversation, by a reward model or a trained verifier. Needs ``reward``.

    Attributes
    ----------
    messages
        The conversation.
    answers
        Each a tuple of steps: one score comes back for every step, the score of the answer up to there.
    role
        Who scores.
    """

    messages: tuple[Message, ...]
    answers: tuple[tuple[str, ...], ...]
    role: str = REWARD


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgram:
    """A Python program to be run in the sandbox. Needs ``sandbox``.

    Attributes
    ----------
    source
        The program.
    stdin
        What it reads.
    """

    source: str
    stdin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Passages for a query, from the retriever that the user supplied. Needs ``retriever``."""

    query: str
    count: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Decode:
    """One text decoded in process from the logits of several models, or by several workers. Needs ``logits``.

    Attributes
    ----------
    method
        Which: see :mod:`coinfer.executor.strategies.decoding`.
    messages
        The conversation.
    max_tokens
        Most tokens of the text (of all workers together).
    roles
        The models, in the order that the method says.
    settings
        Its numbers.
    temperature
        0 for greedy decoding.
    """

    method: str
    messages: tuple[Message, ...]
    max_tokens: int
    roles: tuple[str, ...]
    settings: dict[str, float] = field(default_factory=dict)
    temperature: float = 0.0


Ask = Sample | Score | RunProgram | Search | Decode


class RoleTokens(Record, frozen=True, kw_only=True):
    """Tokens that went through the model of one role.

    Attributes
    ----------
    prompt_tokens
        Tokens read: the prompt, and those that the role did not choose itself.
    output_tokens
        Next-token distributions computed, each at the end of a pass. All tokens that went through the model are
        ``prompt_tokens + output_tokens - 1``, for each text under way.
    """

    prompt_tokens: int
    output_tokens: int


class Sampled(Record, frozen=True, kw_only=True, tag_field="reply", tag="sampled"):
    """Reply to :class:`Sample` and :class:`Decode`.

    Attributes
    ----------
    completions
        As many as were asked for, fewer where some failed; of ``Decode`` one, or one of each worker.
    metered
        What each role's model read and computed, where several decoded together; else empty.
    """

    completions: tuple[Completion, ...]
    metered: dict[str, RoleTokens] = msgspec.field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts alone."""
        return tuple(each.text for each in self.completions)


class Scored(Record, frozen=True, kw_only=True, tag_field="reply", tag="scored"):
    """Reply to :class:`Score`: (answers, steps) rewards, each usually in 0..1."""

    scores: tuple[tuple[float, ...], ...]


class Ran(Record, frozen=True, kw_only=True, tag_field="reply", tag="ran"):
    """Reply to :class:`RunProgram`.

    Attributes
    ----------
    stdout
        What it printed, cut at the sandbox's limit.
    ended
        ``ok``, ``error`` (it raised or returned a code), ``time``, ``memory``, ``output``, or ``killed``.
    stderr
        The end of what it complained about.
    """

    stdout: str
    ended: Literal["ok", "error", "time", "memory", "output", "killed"]
    stderr: str = ""


class Found(Record, frozen=True, kw_only=True, tag_field="reply", tag="found"):
    """Reply to :class:`Search`, the most relevant first."""

    passages: tuple[str, ...]


class Missing(Record, frozen=True, kw_only=True, tag_field="reply", tag="missing"):
    """There is no reply.

    Attributes
    ----------
    why
        ``cap``: a hard cap forbids the call. ``price``: the expected gain is not worth its cost. ``failed``: the
        endpoint failed after all repetitions. ``enough``: the session had said that it could do without.
    reason
        In words.
    """

    why: Literal["cap", "price", "failed", "enough"]
    reason: str = ""


Reply = Sampled | Scored | Ran | Found | Missing


def role_of(ask: Ask) -> str:
    """Return who is asked."""
    if isinstance(ask, RunProgram):
        return SANDBOX
    if isinstance(ask, Search):
        return RETRIEVER
    return DECODER if isinstance(ask, Decode) else ask.role
