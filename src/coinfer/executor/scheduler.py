"""Sends requests to experts: concurrency, repetition, fallback, caps before every call, the journal after it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from coinfer.errors import EndpointError
from coinfer.executor.backends.base import Backend, CompletionReply, CompletionRequest, RefusedError, RetryableError
from coinfer.executor.breaker import Breaker
from coinfer.executor.budget import Amount, Ledger
from coinfer.executor.grade import grade
from coinfer.executor.journal import AnswerLine, CallLine, FailureLine, Journal
from coinfer.executor.options import RunOptions
from coinfer.executor.repetition import backoff_pause_s, request_seed
from coinfer.executor.request import Request
from coinfer.executor.route import Router
from coinfer.executor.rows import request_row
from coinfer.executor.worst_case import WorstCase
from coinfer.planner.selection.document import Deployment

WAITING_PER_EXPERT = 16  # requests beyond the endpoint's own concurrency that may wait or back off at once

OnProgress = Callable[[int, int], None]
"""Called with the requests in a final state and all requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """Final state of a request without an answer."""

    id: str
    state: Literal["failed", "skipped_budget"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """How one attempt ended: ``blocked`` by the breaker or ``skipped`` by a cap where no call was made."""

    state: Literal["answered", "retry", "next", "blocked", "skipped"]
    reason: str = ""
    retry_after_s: float | None = None


class Scheduler:
    """Runs requests until each is in exactly one final state.

    Attributes
    ----------
    unanswered
        Requests that failed or that a cap left out, by id.
    """

    def __init__(
        self,
        *,
        router: Router,
        deployments: Mapping[str, Deployment],
        backends: Mapping[str, Backend],
        journal: Journal,
        options: RunOptions,
        worst_case: WorstCase,
        on_progress: OnProgress | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._router, self._backends, self._journal = router, backends, journal
        self._options, self._worst_case, self._on_progress = options, worst_case, on_progress
        self._devices = {name: item.device for name, item in deployments.items()}
        self._limits = {
            name: item.endpoint.concurrency if item.endpoint is not None else 1 for name, item in deployments.items()
        }
        self._slots = {name: asyncio.Semaphore(limit) for name, limit in self._limits.items()}
        self._all_slots = asyncio.Semaphore(options.concurrency)
        self._breakers = {
            name: Breaker(
                failures=options.breaker_failures,
                pause_s=options.breaker_pause_s,
                probes=options.breaker_probes,
                clock=clock,
            )
            for name in deployments
        }
        self._ledger = Ledger(options.caps, spent=journal.spent, elapsed_s=journal.elapsed_s, clock=clock)
        self._random = np.random.default_rng(options.seed)
        self._next_call = journal.calls
        self._total = 0
        self._final = len(journal.answers)
        self._calls_of: dict[str, int] = {}
        self._last_failure: dict[str, str] = {}
        self.unanswered: dict[str, Unanswered] = {}

    @property
    def elapsed_s(self) -> float:
        """Wall-clock time of the run with its earlier parts, seconds."""
        return self._ledger.elapsed_s

    @property
    def spent(self) -> Amount:
        """What all calls so far were charged, earlier parts of the run included."""
        return self._ledger.spent

    async def run(self, requests: Sequence[Request]) -> None:
        """Bring every request that the journal does not answer to a final state."""
        self._total = len(requests)
        by_expert: dict[str, list[Request]] = {}
        for request in requests:
            if request.id not in self._journal.answers:
                by_expert.setdefault(self._router.order(request)[0], []).append(request)
        self._tell()
        if by_expert:
            await asyncio.gather(*map(self._start, self._backends))
        async with asyncio.TaskGroup() as group:
            for expert, waiting in by_expert.items():
                group.create_task(self._feed(expert, waiting))

    async def _start(self, expert: str) -> None:
        """Load an expert before its first call, whose timeout is for answering and not for loading."""
        # what is wrong with an expert is said by its first call, which may fall back on another
        with contextlib.suppress(EndpointError):
            await self._backends[expert].start()

    async def _feed(self, expert: str, requests: Sequence[Request]) -> None:
        """Serve the requests routed to one expert, a bounded number of them at once, so that memory stays bounded."""
        window = asyncio.Semaphore(self._limits[expert] + WAITING_PER_EXPERT)
        async with asyncio.TaskGroup() as group:
            for request in requests:
                await window.acquire()
                task = group.create_task(self._serve(request))
                task.add_done_callback(lambda _: window.release())

    async def _serve(self, request: Request) -> None:
        """Ask one expert after the other until the request is answered, failed, or left out by a cap."""
        order = self._router.order(request)
        while True:
            ends: list[_Attempt] = []
            for expert in order:
                ends.append(await self._ask(request, expert))
                if ends[-1].state in ("answered", "skipped"):
                    break
            if all(end.state == "blocked" for end in ends):
                pauses = [self._breakers[expert].reopens_in_s() for expert in order]
                known = [pause for pause in pauses if pause is not None]
                if known and self._ledger.remaining_s() > 0.0:
                    # another request may be the probe: look again after a tenth of a pause at the earliest
                    await asyncio.sleep(max(min(known), self._options.breaker_pause_s / 10, 0.001))
                    continue
            break
        last = ends[-1]
        if last.state != "answered":
            reason = last.reason if last.state == "skipped" else "; ".join(dict.fromkeys(end.reason for end in ends))
            state: Literal["failed", "skipped_budget"] = "skipped_budget" if last.state == "skipped" else "failed"
            self.unanswered[request.id] = Unanswered(id=request.id, state=state, reason=reason)
        self._final += 1
        self._tell()

    async def _ask(self, request: Request, expert: str) -> _Attempt:
        """Ask one expert, again after a pause where the failure may pass."""
        end = _Attempt(state="blocked")
        for attempt in range(self._options.attempts):
            if attempt > 0:
                pause_s = backoff_pause_s(attempt - 1, end.retry_after_s, self._options, self._random)
                await asyncio.sleep(max(0.0, min(pause_s, self._ledger.remaining_s())))
            earlier, end = end, await self._attempt(request, expert)
            if end.state == "blocked" and attempt > 0:
                return earlier
            if end.state != "retry":
                break
        return end

    async def _attempt(self, request: Request, expert: str) -> _Attempt:
        """Make one call, within slots, breaker and caps."""
        breaker = self._breakers[expert]
        async with self._slots[expert], self._all_slots:
            if not breaker.allow():
                last = self._last_failure.get(expert, "none yet")
                return _Attempt(state="blocked", reason=f"left alone after failures in a row, the last: {last}")
            need = self._worst_case.amount(request, expert)
            number = self._next_call
            self._next_call += 1
            try:
                fits = await self._ledger.reserve(number, need)
            except asyncio.CancelledError:
                breaker.withdrawn()
                raise
            if not fits:
                breaker.withdrawn()
                return _Attempt(state="skipped", reason="a budget of the run leaves no room for this call")
            return await self._call(request, expert, number, need)

    async def _call(self, request: Request, expert: str, number: int, need: Amount) -> _Attempt:
        """Journal, send, check and settle one call."""
        self._journal.append(CallLine(call=number, request=request.id, expert=expert, reserved=need))
        self._calls_of[request.id] = self._calls_of.get(request.id, 0) + 1
        charged = need
        try:
            reply = await self._complete(request, expert)
            charged = self._worst_case.actual(need, expert, reply)
            right = await asyncio.to_thread(grade, request, reply.completions[0].text)
            line = self._answer(request, expert, number, reply, charged, right)
            await self._journal.commit(line)
        except EndpointError as error:
            refused = isinstance(error, RefusedError)
            if refused:
                self._breakers[expert].withdrawn()
            else:
                self._breakers[expert].failed()
            self._last_failure[expert] = f"{expert}: {error}"
            retry = error if isinstance(error, RetryableError) else None
            if refused or (retry is not None and retry.refused):
                charged = Amount(calls=1)
            self._journal.append(
                FailureLine(
                    call=number,
                    request=request.id,
                    expert=expert,
                    reason=_clean(str(error)),
                    charged=charged,
                    elapsed_s=self.elapsed_s,
                )
            )
            return _Attempt(
                state="next" if retry is None else "retry",
                reason=f"{expert}: {error}",
                retry_after_s=None if retry is None else retry.retry_after_s,
            )
        finally:
            await self._ledger.settle(number, charged)
        self._breakers[expert].succeeded()
        return _Attempt(state="answered")

    async def _complete(self, request: Request, expert: str) -> CompletionReply:
        """Return a reply that keeps its promises, or raise an :class:`EndpointError`."""
        asked = CompletionRequest(
            prompt=request.prompt,
            max_tokens=request.max_tokens,
            temperature=self._options.temperature,
            seed=request_seed(self._options.seed, request.id),
        )
        limit_s = max(0.0, min(self._options.timeout_s, self._ledger.remaining_s()))
        try:
            async with asyncio.timeout(limit_s):
                reply = await self._backends[expert].complete(asked)
        except TimeoutError as error:
            raise RetryableError(f"no answer within {limit_s:g} s") from error
        except EndpointError:
            raise
        except Exception as error:  # a defect of one backend must cost one call, not the run
            raise EndpointError(f"the backend failed unexpectedly ({type(error).__name__}: {error})"[:300]) from error
        if len(reply.completions) != 1:
            raise EndpointError(f"{len(reply.completions)} answers where one was asked for")
        tokens = reply.completions[0].output_tokens
        if tokens > request.max_tokens:
            raise EndpointError(f"{tokens} tokens where at most {request.max_tokens} were allowed")
        return reply

    def _answer(
        self, request: Request, expert: str, number: int, reply: CompletionReply, charged: Amount, right: float | None
    ) -> AnswerLine:
        """Return the journal line of an answer with its measurement."""
        facts = self._backends[expert].facts
        completion = reply.completions[0]
        text = _clean(completion.text)
        return AnswerLine(
            call=number,
            request=request.id,
            expert=expert,
            text=text,
            finish="length" if completion.finish == "length" else "stop",
            calls=self._calls_of[request.id],
            fallback=expert != self._router.order(request)[0],
            measurement=request_row(
                request, reply, facts=facts, device=self._devices[expert], model=expert, correct=right
            ),
            charged=charged,
            elapsed_s=self.elapsed_s,
        )

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._final, self._total)


def _clean(text: str) -> str:
    """Replace lone surrogates, which no UTF-8 file can hold."""
    return text.encode(errors="replace").decode()
