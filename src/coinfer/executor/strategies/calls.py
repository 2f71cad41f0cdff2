"""Calls of sessions: within slots, breakers and hard caps, journalled before and after, repeated where it may help."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from coinfer.errors import EndpointError
from coinfer.executor.backends.base import RefusedError, RetryableError
from coinfer.executor.breaker import Breaker
from coinfer.executor.budget import Amount, Ledger
from coinfer.executor.options import RunOptions
from coinfer.executor.repetition import backoff_pause_s, request_seed
from coinfer.executor.strategies.allowance import Allowance
from coinfer.executor.strategies.ask import Ask, Missing, Reply
from coinfer.executor.strategies.journal import AskLine, LossLine, ReplyLine, SessionJournal
from coinfer.executor.strategies.provider import PaidError, Provider, Served


class Calls:
    """Makes the calls of all sessions of a run.

    Parameters
    ----------
    providers
        Who serves each role.
    journal
        Of this run, maybe resumed.
    options
        Concurrency, repetition, breakers, seed, and the caps.
    clock
        Monotonic seconds.

    Attributes
    ----------
    ledger
        What was spent, and what is set aside.
    used
        What each session was charged, by the id of its prompt; replies that the journal held are counted too.
    """

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        journal: SessionJournal,
        options: RunOptions,
        clock: Callable[[], float],
    ) -> None:
        self._journal, self._options = journal, options
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
        self._allowances = {role: Allowance() for role in providers}
        self._in_flight: dict[int, tuple[str, str, Amount]] = {}  # key, role and what the call can cost at most
        self._random = np.random.default_rng(options.seed)
        self._next_call = journal.calls
        self.ledger = Ledger(options.caps, spent=journal.spent, elapsed_s=journal.elapsed_s, clock=clock)
        self.used: dict[str, Amount] = {}

    async def get(self, key: str, role: str, provider: Provider, ask: Ask) -> Reply:
        """Make one call, again after a pause where the failure may pass; what the journal holds is not asked again."""
        held = self._journal.replies.get(key)
        if held is not None:
            self._charge(key, held.charged)
            self._allowances[role].seen(provider.worst(ask), held.charged)
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
            left = self.ledger.remaining_s()
            if left <= 0.0:
                return Missing(why="cap", reason="the time of the run is over")
            await asyncio.sleep(min(wait, left))
        return Missing(why="failed", reason=reason)

    async def _call(self, key: str, role: str, provider: Provider, ask: Ask) -> Reply | _Failed:
        """Reserve, journal, send and settle one call; the breaker has let it pass."""
        worst, breaker = provider.worst(ask), self._breakers[role]
        need = self._allowances[role].of(worst)
        number, self._next_call = self._next_call, self._next_call + 1
        try:
            fits = await self.ledger.reserve(number, need)
        except asyncio.CancelledError:
            breaker.withdrawn()
            raise
        if not fits:
            breaker.withdrawn()
            return Missing(why="cap", reason="a cap of the run leaves no room for this call")
        charged: Amount | None = None  # not known
        self._in_flight[number] = (key, role, worst)
        try:
            self._journal.append(AskLine(call=number, key=key, role=role, reserved=need))
            served = await self._served(key, provider, ask)
            charged = served.charged
            self._widen(number, worst, charged)  # before anything else is sent
            assert not isinstance(served.reply, Missing)  # noqa: S101  # providers raise instead
            line = ReplyLine(
                call=number,
                key=key,
                reply=served.reply,
                charged=charged,
                elapsed_s=self.ledger.elapsed_s,
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
            if isinstance(error, PaidError):
                charged = error.charged
                self._widen(number, worst, charged)
            elif refused or (retry is not None and retry.refused):
                charged = Amount(calls=1)
            charged = self._lost(number, key, str(error), charged)
            after = None if retry is None else retry.retry_after_s
            return _Failed(reason=f"{role}: {error}", again=retry is not None, retry_after_s=after)
        except asyncio.CancelledError:
            breaker.withdrawn()
            if key not in self._journal.replies:
                charged = self._lost(number, key, "cancelled: the session had enough", charged)
            raise
        finally:
            charged = charged or self.ledger.aside(number)
            self._in_flight.pop(number, None)
            self._charge(key, charged)
            await self.ledger.settle(number, charged)
        breaker.succeeded()
        return served.reply

    def _charge(self, key: str, amount: Amount) -> None:
        name = key.rsplit("/", 3)[0]
        self.used[name] = self.used[name].plus(amount)

    async def _served(self, key: str, provider: Provider, ask: Ask) -> Served:
        limit_s = max(0.0, min(self._options.timeout_s, self.ledger.remaining_s()))
        try:
            async with asyncio.timeout(limit_s):
                return await provider.serve(ask, seed=request_seed(self._options.seed, key))
        except TimeoutError as error:
            raise RetryableError(f"no reply within {limit_s:g} s") from error
        except EndpointError:
            raise
        except Exception as error:  # a defect of one provider must cost one call, not the run
            raise EndpointError(f"it failed unexpectedly ({type(error).__name__}: {error})"[:300]) from error

    def _lost(self, number: int, key: str, reason: str, charged: Amount | None) -> Amount:
        """Journal a loss, at what is set aside where it is not known what it cost; return what it is charged."""
        said, charged = reason.encode(errors="replace").decode(), charged or self.ledger.aside(number)
        self._journal.append(
            LossLine(call=number, key=key, reason=said, charged=charged, elapsed_s=self.ledger.elapsed_s)
        )
        return charged

    def _widen(self, number: int, worst: Amount, charged: Amount) -> None:
        """Where a call took more than it was allowed to, set more aside for it and for those of its role in flight."""
        role = self._in_flight.pop(number)[1]
        if not self._allowances[role].seen(worst, charged):
            return
        self.ledger.widen(number, charged)
        for other, (key, whose, most) in self._in_flight.items():
            if whose == role:
                need = self._allowances[role].of(most)
                self.ledger.widen(other, need)
                self._journal.append(AskLine(call=other, key=key, role=role, reserved=need))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    reason: str
    again: bool
    retry_after_s: float | None
