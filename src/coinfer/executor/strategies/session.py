"""A session: one prompt answered by one option of a strategy, step by step. It asks; somebody else gets the replies.

A session is a generator. It yields a :class:`Step` and is sent the replies in the order of the asks, whatever order
they arrived in; so what it does depends on the replies alone. It ends by returning an :class:`Answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from coinfer.executor.backends.base import Completion, Message
from coinfer.executor.strategies.ask import ANSWER, Ask, Reply, Sample, Sampled


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Asks that may be made at the same time.

    Attributes
    ----------
    asks
        At least one.
    gain
        Expected rise of the answer's value (the chance of being right) by taking the step; the scheduler refuses the
        step where that is less than price x expected cost, and every reply is then missing. ``None``: part of the
        strategy, taken whatever the price.
    enough
        Looked at with the replies so far, in the order of the asks: once it is true for the first n of them, the rest
        is cancelled (and charged where it was under way) and missing. It sees only replies, in order; so the result
        does not depend on arrival.
    """

    asks: tuple[Ask, ...]
    gain: float | None = None
    enough: Callable[[Sequence[Reply]], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a session ended.

    Attributes
    ----------
    text
        The reply to hand out; ``None`` where there is none (every call failed, or the cap came first).
    value
        The answer in it, as the workload's extractor reads it; ``None`` where it reads none.
    confidence
        The strategy's own estimate that it is right, 0..1; ``None`` where it has none.
    votes
        What each answer got, where answers were weighed.
    details
        Figures that a reader may want (rounds, steps), by name.
    """

    text: str | None
    value: str | None = None
    confidence: float | None = None
    votes: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, float] = field(default_factory=dict)


Session = Generator[Step, tuple[Reply, ...], Answer]
Part = Generator[Step, tuple[Reply, ...], tuple[Completion | None, ...]]


def sampled(
    *conversations: Sequence[Message],
    max_tokens: int,
    count: int = 1,
    temperature: float = 0.0,
    roles: Sequence[str] = (),
    stop: tuple[str, ...] = (),
    logprobs: bool = False,
    gain: float | None = None,
) -> Part:
    """Ask for completions of each conversation at once; ``yield from`` it in a session.

    Parameters
    ----------
    conversations
        One or more.
    max_tokens, count, temperature, stop, logprobs
        As of :class:`Sample`.
    roles
        Who is asked, for each conversation; absent: the role ``answer``.
    gain
        As of :class:`Step`.

    Returns
    -------
    tuple of Completion or None
        ``count`` for each conversation, in order; ``None`` where a completion is missing.
    """
    names = roles or (ANSWER,) * len(conversations)
    asks = tuple(
        Sample(
            messages=tuple(messages),
            max_tokens=max_tokens,
            count=count,
            temperature=temperature,
            role=role,
            stop=stop,
            logprobs=logprobs,
        )
        for messages, role in zip(conversations, names, strict=True)
    )
    replies = yield Step(asks=asks, gain=gain)
    found: list[Completion | None] = []
    for reply in replies:
        got = reply.completions if isinstance(reply, Sampled) else ()
        found += (*got, *(None,) * (count - len(got)))
    return tuple(found)


def user(text: str, *, system: str | None = None) -> tuple[Message, ...]:
    """Return a conversation of one question."""
    first = () if system is None else (Message(role="system", content=system),)
    return (*first, Message(role="user", content=text))


def reply_to(messages: Sequence[Message], text: str, question: str) -> tuple[Message, ...]:
    """Return a conversation that goes on after an answer with another question."""
    return (*messages, Message(role="assistant", content=text), Message(role="user", content=question))
