"""Sessions that are watched: what each role was asked for, and whether a cap cut them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from coinfer.executor.budget import Amount
from coinfer.executor.strategies.ask import Ask, Decode, Missing, Reply, Sample, Sampled, Score, role_of
from coinfer.executor.strategies.session import Answer, Session
from coinfer.executor.strategies.strategy import (
    Prior,
    Prompt,
    Strategy,
    StrategyOption,
    Usage,
    estimated_tokens,
    metered_usage,
)


@dataclass(slots=True, kw_only=True)
class Watched:
    """By session: what each role was asked for, and whether the pilot's caps cut it."""

    used: dict[str, dict[str, Usage]] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class WatchedTrial:
    """A strategy whose sessions are watched."""

    inner: Strategy
    watched: Watched

    @property
    def name(self) -> str:
        """That of the strategy."""
        return self.inner.name

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return those of the strategy."""
        return self.inner.options(prior)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Pass everything on, and count."""
        used: defaultdict[str, Usage] = defaultdict(Usage)
        session = self.inner.start(prompt, option)
        try:
            step = next(session)
            while True:
                replies = yield step
                for ask, reply in zip(step.asks, replies, strict=True):
                    if not isinstance(reply, Missing):
                        for role, part in _used(ask, reply).items():
                            used[role] = used[role].plus(part)
                    elif reply.why == "cap":
                        self.watched.cut.add(prompt.id)
                step = session.send(replies)
        except StopIteration as end:
            self.watched.used[prompt.id] = dict(used)
            answer: Answer = end.value
            return answer


def settled(used: Mapping[str, Usage], charged: Amount) -> dict[str, Usage]:
    """Return usage whose tokens read add up to those that were charged."""
    estimated = sum(each.prompt_tokens for each in used.values())
    factor = charged.prompt_tokens / estimated if estimated else 0.0
    return {role: replace(each, prompt_tokens=each.prompt_tokens * factor) for role, each in used.items()}


def _used(ask: Ask, reply: Reply) -> dict[str, Usage]:
    """Return what each role took; tokens read are estimates, which are set right by what the call was charged."""
    if isinstance(ask, Decode) and isinstance(reply, Sampled):
        return metered_usage(ask, reply)
    if isinstance(ask, Sample) and isinstance(reply, Sampled):
        read = sum(estimated_tokens(message.content) for message in ask.messages)
        written = float(sum(each.output_tokens for each in reply.completions))
        return {ask.role: Usage(calls=len(reply.completions), prompt_tokens=read, output_tokens=written)}
    if isinstance(ask, Score):
        read = sum(estimated_tokens(message.content) for message in ask.messages) * len(ask.answers)
        answers = sum(estimated_tokens("".join(steps)) for steps in ask.answers)
        return {ask.role: Usage(calls=len(ask.answers), prompt_tokens=read, output_tokens=answers)}
    return {role_of(ask): Usage(calls=1)}
