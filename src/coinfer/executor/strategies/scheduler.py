"""Runs sessions: all asks within slots, breakers, prices and hard caps, the journal after each, replies in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coinfer.errors import EndpointError
from coinfer.executor.backends.base import RefusedError, RetryableError
from coinfer.executor.breaker import Breaker
from coinfer.executor.budget import Amount, Ledger
from coinfer.executor.options import RunOptions
from coinfer.executor.repetition import backoff_pause_s, request_seed
from coinfer.executor.strategies.ask import Ask, Missing, Reply, Sample, Sampled, role_of
from coinfer.executor.strategies.journal import AskLine, LossLine, ReplyLine, SessionJournal
from coinfer.executor.strategies.provider import Provider, Served
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

    Attributes
    ----------
    used
        What each session was charged, by the id of its prompt; replies that the journal held are counted too.
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
        self._providers, self._journal, self._options = providers, journal, options
        self._price, self._cost, self._at_once = price, cost, sessions_at_once
        self._typical = typical_tokens or {}
        self._slots = {role: asyncio.Semaphore(provider.concurrency) for role, provider in providers.items()}
        self._all_slots = asyncio.Semaphore(options.concurrency)
        self._breakers = {
            role: Breaker(
                failures=options.breaker_failures,
                pause_s=options.breaker_pause_s,
                probes=options.breaker_probes,
                clock=clock,
            )
            for role in providers
        }
        self._ledger = Ledger(options.caps, spent=journal.spent, elapsed_s=journal.elapsed_s, clock=clock)
        self._random = np.random.default_rng(options.seed)
        self._next_call = journal.calls
        self.used: dict[str, Amount] = {}

    @property
    def spent(self) -> Amount:
        """What all calls so far were charged, earlier parts of the run included."""
        return self._ledger.spent

    @property
    def elapsed_s(self) -> float:
        """Wall-clock time of the run with its earlier parts, seconds."""
        return self._ledger.elapsed_s

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

        async with asyncio.TaskGroup() as group:
            for item in work:
                await window.acquire()
                group.create_task(one(item))
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
            return await self._part(f"{key}/0", role, provider, parts[0])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._part(f"{key}/{i}", role, provider, part)) for i, part in enumerate(parts)]
        replies = [task.result() for task in tasks]
        completions = [each for reply in replies if isinstance(reply, Sampled) for each in reply.completions]
        return Sampled(completions=tuple(completions)) if completions else replies[0]

    async def _part(self, key: str, role: str, provider: Provider, ask: Ask) -> Reply:
        """Make one call, again after a pause where the failure may pass; what the journal holds is not asked again."""
        held = self._journal.replies.get(key)
        if held is not None:
            self._charge(key, held.charged)
            return held.reply
        breaker, reason = self._breakers[role], ""
        attempt = 0
        while attempt < self._options.attempts:
            wait = 0.0
            async with self._slots[role], self._all_slots:
                if breaker.allow():
                    attempt += 1
                    made = await self._call(key, role, provider, ask)
                    if not isinstance(made, _Failed):
                        return made
                    reason = made.reason
                    if not made.again:
                        break
                    wait = backoff_pause_s(attempt - 1, made.retry_after_s, self._options, self._random)
                else:
                    reopens = breaker.reopens_in_s()
                    if reopens is None:
                        return Missing(why="failed", reason=reason or f"{role}: left alone after failures in a row")
                    wait = max(reopens, self._options.breaker_pause_s / 10, 0.001)
            left = self._ledger.remaining_s()
            if left <= 0.0:
                return Missing(why="cap", reason="the time of the run is over")
            await asyncio.sleep(min(wait, left))
        return Missing(why="failed", reason=reason)

    async def _call(self, key: str, role: str, provider: Provider, ask: Ask) -> Reply | _Failed:
        """Reserve, journal, send and settle one call; the breaker has let it pass."""
        need, breaker = provider.worst(ask), self._breakers[role]
        number, self._next_call = self._next_call, self._next_call + 1
        try:
            fits = await self._ledger.reserve(number, need)
        except asyncio.CancelledError:
            breaker.withdrawn()
            raise
        if not fits:
            breaker.withdrawn()
            return Missing(why="cap", reason="a cap of the run leaves no room for this call")
        charged = need
        try:
            self._journal.append(AskLine(call=number, key=key, role=role, reserved=need))
            served = await self._served(key, provider, ask)
            charged = served.charged
            assert not isinstance(served.reply, Missing)  # noqa: S101  # providers raise instead
            line = ReplyLine(
                call=number,
                key=key,
                reply=served.reply,
                charged=charged,
                elapsed_s=self.elapsed_s,
                seconds=served.seconds,
            )
            await self._journal.commit(line)
        except EndpointError as error:
            refused = isinstance(error, RefusedError)
            if refused:
                breaker.withdrawn()
            else:
                breaker.failed()
            retry = error if isinstance(error, RetryableError) else None
            if refused or (retry is not None and retry.refused):
                charged = Amount(calls=1)
            self._lost(number, key, str(error), charged)
            after = None if retry is None else retry.retry_after_s
            return _Failed(reason=f"{role}: {error}", again=retry is not None, retry_after_s=after)
        except asyncio.CancelledError:
            breaker.withdrawn()
            if key not in self._journal.replies:
                self._lost(number, key, "cancelled: the session had enough", charged)
            raise
        finally:
            self._charge(key, charged)
            await self._ledger.settle(number, charged)
        breaker.succeeded()
        return served.reply

    def _charge(self, key: str, amount: Amount) -> None:
        name = key.rsplit("/", 3)[0]
        self.used[name] = self.used[name].plus(amount)

    async def _served(self, key: str, provider: Provider, ask: Ask) -> Served:
        limit_s = max(0.0, min(self._options.timeout_s, self._ledger.remaining_s()))
        try:
            async with asyncio.timeout(limit_s):
                return await provider.serve(ask, seed=request_seed(self._options.seed, key))
        except TimeoutError as error:
            raise RetryableError(f"no reply within {limit_s:g} s") from error
        except EndpointError:
            raise
        except Exception as error:  # a defect of one provider must cost one call, not the run
            raise EndpointError(f"it failed unexpectedly ({type(error).__name__}: {error})"[:300]) from error

    def _lost(self, number: int, key: str, reason: str, charged: Amount) -> None:
        said = reason.encode(errors="replace").decode()
        self._journal.append(LossLine(call=number, key=key, reason=said, charged=charged, elapsed_s=self.elapsed_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    reason: str
    again: bool
    retry_after_s: float | None
