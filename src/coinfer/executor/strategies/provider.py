"""Who serves the asks of sessions: language models behind endpoints, and whatever else a strategy needs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from coinfer.errors import EndpointError, Plain, RequestError
from coinfer.executor.backends.base import Backend, CompletionReply, CompletionRequest, MeteredError
from coinfer.executor.budget import Amount
from coinfer.executor.strategies.ask import Ask, Found, Reply, Sample, Sampled, Search
from coinfer.executor.strategies.strategy import Need
from coinfer.records import Record

PROMPT_OVERHEAD_TOKENS = 256
"""What a chat template may add to a prompt; a token is at least one byte of the text itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A reply with what it cost.

    Attributes
    ----------
    reply
        What the session gets.
    charged
        What the call cost, which may be more than the worst of an endpoint that does not keep ``max_tokens``.
    seconds
        How long it took.
    """

    reply: Reply
    charged: Amount
    seconds: float


class PaidError(EndpointError):
    """A call that failed, and of which it is known what it cost.

    Attributes
    ----------
    charged
        What it cost.
    """

    def __init__(self, message: str, *, charged: Amount) -> None:
        super().__init__(message)
        self.charged = charged


class Provider(Protocol):
    """Serves the asks of one role. Implementations are safe for concurrent calls."""

    @property
    def offers(self) -> frozenset[Need]:
        """What it can do."""
        ...

    @property
    def concurrency(self) -> int:
        """Calls that may run at once."""
        ...

    def parts(self, ask: Ask) -> tuple[Ask, ...]:
        """Cut an ask into calls: one where the endpoint gives several completions per call, else one for each."""
        ...

    def worst(self, ask: Ask) -> Amount:
        """Return the most that a call can cost."""
        ...

    async def serve(self, ask: Ask, *, seed: int) -> Served:
        """Make a call; raises :class:`RetryableError` or :class:`EndpointError`, never anything else."""
        ...


class TokenPrice(Record, frozen=True, kw_only=True):
    """What tokens cost at an endpoint, US dollars each; and its power while it works, watts; 0 where nothing is paid.

    Attributes
    ----------
    prompt_usd, output_usd
        For one token read, and one generated.
    power_w
        Declared power: energy is power times seconds where no counter measures it.
    """

    prompt_usd: float = 0.0
    output_usd: float = 0.0
    power_w: float = 0.0

    def __post_init__(self) -> None:
        for name in ("prompt_usd", "output_usd", "power_w"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise RequestError(f"price.{name}", expected="a finite number, at least 0", found=getattr(self, name))


class LanguageModel:
    """A language model behind a backend.

    Parameters
    ----------
    backend
        The endpoint.
    price
        What its tokens cost.
    offers
        As probed; ``completions`` always.
    several
        Whether one call gives several completions of a prompt, which is then read and billed once.
    concurrency
        Calls that it serves at once.
    timeout_s
        Longest time of a call: with a declared power, it bounds the energy.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        price: TokenPrice | None = None,
        offers: frozenset[Need] = frozenset(),
        several: bool = True,
        concurrency: int = 4,
        timeout_s: float = 60.0,
    ) -> None:
        self._backend, self.price = backend, price or TokenPrice()
        self._several, self._timeout_s = several, timeout_s
        self.offers: frozenset[Need] = offers | {"completions"}
        self.concurrency = concurrency

    def at(self, price: TokenPrice) -> LanguageModel:
        """Return the same model at another price."""
        return LanguageModel(
            self._backend,
            price=price,
            offers=self.offers,
            several=self._several,
            concurrency=self.concurrency,
            timeout_s=self._timeout_s,
        )

    def parts(self, ask: Ask) -> tuple[Ask, ...]:
        """Cut a sample into calls."""
        sample = _sample(ask)
        if self._several or sample.count == 1:
            return (sample,)
        return (replace(sample, count=1),) * sample.count

    def worst(self, ask: Ask) -> Amount:
        """Return all its output tokens, and its prompt at a token for each byte."""
        sample = _sample(ask)
        read = sum(len(each.content.encode(errors="replace")) for each in sample.messages)
        read += len(sample.prefix.encode(errors="replace")) + PROMPT_OVERHEAD_TOKENS
        written = sample.max_tokens * sample.count
        return Amount(
            calls=1,
            tokens=written,
            prompt_tokens=read,
            energy_j=self.price.power_w * self._timeout_s,
            usd=read * self.price.prompt_usd + written * self.price.output_usd,
        )

    async def serve(self, ask: Ask, *, seed: int) -> Served:
        """Make one call and check what came back; too few completions, or too long ones, are taken: they are paid."""
        sample = _sample(ask)
        request = CompletionRequest(
            max_tokens=sample.max_tokens,
            temperature=sample.temperature,
            seed=seed,
            samples=sample.count,
            logprobs=sample.logprobs,
            messages=sample.messages,
            prefix=sample.prefix,
            stop=sample.stop,
        )
        fault: str | None = None
        try:
            reply = await self._backend.complete(request)
        except MeteredError as error:  # it is paid: what can be read of it is not thrown away
            reply, fault = error.reply, str(error)
        charged = self._charged(sample, reply)
        if not reply.completions:
            raise PaidError(fault or "no completion", charged=charged)
        if sample.logprobs and any(each.logprobs is None for each in reply.completions):
            raise PaidError("no log-probabilities where they were asked for", charged=charged)
        return Served(
            reply=Sampled(completions=reply.completions[: sample.count]), charged=charged, seconds=reply.seconds
        )

    def _charged(self, sample: Sample, reply: CompletionReply) -> Amount:
        """Return what a reply cost: as it says, and where it does not, the most that it can have cost."""
        counted = sum(each.output_tokens for each in reply.completions)
        written = counted if reply.output_tokens is None else reply.output_tokens
        read = self.worst(sample).prompt_tokens if reply.prompt_tokens is None else reply.prompt_tokens
        return Amount(
            calls=1,
            tokens=written,
            prompt_tokens=read,
            energy_j=self.price.power_w * reply.seconds if reply.energy_j is None else reply.energy_j,
            usd=read * self.price.prompt_usd + written * self.price.output_usd,
        )


class Retriever:
    """A user's function that finds passages.

    Parameters
    ----------
    search
        Given a query and a number, returns passages, the most relevant first.
    concurrency
        Calls that it takes at once.
    """

    def __init__(self, search: Callable[[str, int], Awaitable[tuple[str, ...]]], *, concurrency: int = 4) -> None:
        self._search = search
        self.offers: frozenset[Need] = frozenset({"retriever"})
        self.concurrency = concurrency

    def parts(self, ask: Ask) -> tuple[Ask, ...]:
        """Return the search itself."""
        return (ask,)

    def worst(self, ask: Ask) -> Amount:  # noqa: ARG002  # a search costs a call
        """Return one call."""
        return Amount(calls=1)

    async def serve(self, ask: Ask, *, seed: int) -> Served:  # noqa: ARG002  # a search has no seed
        """Search."""
        if not isinstance(ask, Search):
            raise RequestError("ask", expected="a search", found=Plain(type(ask).__name__))
        started_s = time.perf_counter()
        passages = await self._search(ask.query, ask.count)
        seconds = time.perf_counter() - started_s
        return Served(reply=Found(passages=tuple(passages)[: ask.count]), charged=Amount(calls=1), seconds=seconds)


def _sample(ask: Ask) -> Sample:
    if not isinstance(ask, Sample):
        raise RequestError("ask", expected="a sample, of a language model", found=Plain(type(ask).__name__))
    return ask
