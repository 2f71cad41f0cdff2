"""Runs sessions: all asks within slots, breakers, prices and hard caps, the journal after each, replies in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from coinfer.executor.budget import Amount
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled, Scored, role_of
from coinfer.executor.strategies.calls import Calls
from coinfer.executor.strategies.journal import SessionJournal
from coinfer.executor.strategies.provider import Provider
from coinfer.executor.strategies.session import Answer, Step
from coinfer.executor.strategies.strategy import Prompt, Strategy, StrategyOption

Cost = Callable[[Amount], float]
"""Turns what a call takes into the unit of the price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A prompt, and who answers it how."""

    prompt: Prompt
    strategy: Strategy
    option: StrategyOption


class SessionScheduler:
    """Brings every session to its end.

    Parameters
    ----------
    providers
        Who serves each role.
    journal
        Of this run, maybe resumed.
    options
        Concurrency, repetition, breakers, seed, and the caps.
    price
        Value per unit of cost: a step whose gain is less than price x cost is not taken; ``None``: all are.
    cost
        The unit of the price; absent: output tokens.
    typical_tokens
        Mean tokens of a completion, by role: what a step is expected to cost; absent: the most that it may have.
    sessions_at_once
        Sessions under way at once: memory is bounded by it.

    """

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        journal: SessionJournal,
        options: RunOptions,
        price: float | None = None,
        cost: Cost = lambda amount: float(amount.tokens),
        typical_tokens: Mapping[str, float] | None = None,
        sessions_at_once: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._providers = providers
        self._price, self._cost, self._at_once = price, cost, sessions_at_once
        self._typical = typical_tokens or {}
        self.lost: dict[str, Missing] = {}
        """The last reply that did not come, by the id of its prompt: why a session may have no answer."""
        self._calls = Calls(providers=providers, journal=journal, options=options, clock=clock)

    @property
    def used(self) -> dict[str, Amount]:
        """What each session was charged, by the id of its prompt; replies that the journal held are counted too."""
        return self._calls.used

    @property
    def spent(self) -> Amount:
        """What all calls so far were charged, earlier parts of the run included."""
        return self._calls.ledger.spent

    @property
    def elapsed_s(self) -> float:
        """Wall-clock time of the run with its earlier parts, seconds."""
        return self._calls.ledger.elapsed_s

    async def run(
        self, work: Sequence[Work], *, on_answer: Callable[[str, Answer], None] | None = None
    ) -> dict[str, Answer]:
        """Answer every prompt; ids must be unique."""
        answers: dict[str, Answer] = {}
        window = asyncio.Semaphore(self._at_once)

        async def one(item: Work) -> None:
            try:
                answers[item.prompt.id] = await self.answer(item)
            finally:
                window.release()
            if on_answer is not None:
                on_answer(item.prompt.id, answers[item.prompt.id])

        try:
            async with asyncio.TaskGroup() as group:
                for item in work:
                    await window.acquire()
                    group.create_task(one(item))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed  # the others were cancelled for it, or say the same of another
        return {item.prompt.id: answers[item.prompt.id] for item in work}

    async def answer(self, item: Work) -> Answer:
        """Answer one prompt, whatever else runs; replies under its id that the journal holds are not asked again."""
        self.used[item.prompt.id] = Amount()
        session = item.strategy.start(item.prompt, item.option)
        number = 0
        try:
            step = next(session)
            while True:
                replies = await self._step(f"{item.prompt.id}/{number}", step)
                for reply in replies:
                    if isinstance(reply, Missing) and reply.why in ("cap", "failed"):
                        self.lost[item.prompt.id] = reply
                number += 1
                step = session.send(replies)
        except StopIteration as end:
            answer: Answer = end.value
            return answer

    async def _step(self, key: str, step: Step) -> tuple[Reply, ...]:
        """Get the replies of a step, in the order of its asks."""
        if self._price is not None and step.gain is not None and step.gain < self._price * self._expected(step):
            return tuple(Missing(why="price") for _ in step.asks)
        if len(step.asks) == 1:
            return (await self._ask(f"{key}/0", step.asks[0]),)
        tasks = [asyncio.create_task(self._ask(f"{key}/{i}", ask)) for i, ask in enumerate(step.asks)]
        replies: list[Reply] = []
        try:
            for task in tasks:
                if replies and step.enough is not None and step.enough(tuple(replies)):
                    break
                replies.append(await task)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return (*replies, *(Missing(why="enough") for _ in range(len(tasks) - len(replies))))

    def _expected(self, step: Step) -> float:
        """Return what a step is expected to cost, in the unit of the price; it does not depend on other sessions."""
        total = 0.0
        for ask in step.asks:
            role = role_of(ask)
            provider = self._providers.get(role)
            if provider is not None:
                if isinstance(ask, Sample) and role in self._typical:
                    ask = replace(ask, max_tokens=max(1, min(ask.max_tokens, round(self._typical[role]))))  # noqa: PLW2901
                total += self._cost(provider.worst(ask))
        return total

    async def _ask(self, key: str, ask: Ask) -> Reply:
        """Get one reply, of one or several calls."""
        role = role_of(ask)
        provider = self._providers.get(role)
        if provider is None:
            return Missing(why="failed", reason=f"nobody serves the role {role!r}")
        parts = provider.parts(ask)
        if len(parts) == 1:
            return await self._calls.get(f"{key}/0", role, provider, parts[0])
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._calls.get(f"{key}/{i}", role, provider, part))
                    for i, part in enumerate(parts)
                ]
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        replies = [task.result() for task in tasks]
        scored = [reply for reply in replies if isinstance(reply, Scored)]
        if scored and len(scored) == len(replies):
            return Scored(scores=tuple(scores for reply in scored for scores in reply.scores))
        if scored:  # answers without a score cannot be compared with the others
            return next(reply for reply in replies if not isinstance(reply, Scored))
        completions = [each for reply in replies if isinstance(reply, Sampled) for each in reply.completions]
        return Sampled(completions=tuple(completions)) if completions else replies[0]
