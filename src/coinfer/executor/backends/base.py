"""What the executor asks of a language model, and what it gets back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from coinfer.errors import EndpointError


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation.

    Attributes
    ----------
    role
        Who speaks.
    content
        Text. What other agents wrote is content and nothing else: no part of it is ever read as an instruction to the
        executor.
    """

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One call of a language model.

    Attributes
    ----------
    prompt
        Text to complete (or the user's message, for an endpoint with ``chat``); not read where there are ``messages``.
    messages
        A conversation that ends with the user's turn; an endpoint without ``chat`` gets it as plain text.
    prefix
        Text that the reply goes on from; it is not part of the completion.
    stop
        Texts that end a completion; they are not part of it.
    max_tokens
        Most tokens to generate; a hard limit, checked on the reply.
    temperature
        0 for greedy decoding.
    seed
        Seed of sampling; endpoints without seeds ignore it, which their capabilities say.
    samples
        Number of independent completions.
    logprobs
        True to ask for the log-probability of each generated token.
    """

    prompt: str = ""
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    samples: int = 1
    logprobs: bool = False
    messages: tuple[Message, ...] = ()
    prefix: str = ""
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One generated text.

    Attributes
    ----------
    text
        The generated text, without the prompt.
    output_tokens
        Tokens generated, counted by us where the endpoint's own count cannot be trusted.
    finish
        ``stop`` (ended by itself) or ``length`` (ran into ``max_tokens``).
    logprobs
        Natural log-probability of each generated token; ``None`` where not asked for or not offered.
    """

    text: str
    output_tokens: int
    finish: str
    logprobs: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionReply:
    """The answer to one :class:`CompletionRequest`, with what it cost.

    Attributes
    ----------
    completions
        ``samples`` of them.
    prompt_tokens
        Tokens read; ``None`` where the endpoint does not say.
    output_tokens
        Tokens generated, of all completions together, as the endpoint bills them; ``None`` where it does not say.
    seconds
        Wall-clock time from sending the request to its last byte.
    prefill_s
        Part of it until the first token; ``None`` where the endpoint does not say.
    energy_j, energy_source
        Energy of this call and the counter it was read from; ``None`` without a counter.
    """

    completions: tuple[Completion, ...]
    prompt_tokens: int | None
    seconds: float
    prefill_s: float | None = None
    energy_j: float | None = None
    energy_source: str | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an endpoint offers, found out by asking it and not by its word.

    Attributes
    ----------
    logprobs, samples, seeds, prefix
        Returns log-probabilities; returns several completions per call; the same seed gives the same text; goes on from
        a given beginning of its reply.
    engine
        Program behind it with its version, as far as it says.
    calls, prompt_tokens, output_tokens
        What finding out was billed; where a reply did not say, the most that it can have been. 0 in process.
    """

    logprobs: bool
    samples: bool
    seeds: bool
    engine: str
    prefix: bool = False
    calls: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the language model behind an endpoint, for its measurement rows.

    Attributes
    ----------
    engine
        Program that runs it, with its version where known.
    source
        ``measured``, or where recorded outcomes were read: a replay is never taken for a measurement.
    quantisation
        Number format of the weights; ``None`` where unknown.
    memory_bytes
        Memory of the weights; ``None`` where unknown.
    load_s
        Seconds it took to load them; ``None`` where that was not seen.
    """

    engine: str
    source: str = "measured"
    quantisation: str | None = None
    memory_bytes: int | None = None
    load_s: float | None = None


class RetryableError(EndpointError):
    """A failure that may pass: a timeout, a refused connection, 429 or 5xx.

    Attributes
    ----------
    retry_after_s
        Seconds the endpoint asked us to wait; ``None`` where it did not say.
    refused
        True when the endpoint surely did no work (no connection, 429, 503), so that budgets are not charged.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, refused: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.refused = refused


class RefusedError(EndpointError):
    """A request that can never be served, found out before any work: a prompt longer than the model's context.

    Nothing is charged but the call, and the endpoint is none the worse for it.
    """


class MeteredError(EndpointError):
    """A reply that arrived and says what it cost, but is not what was asked for; to be charged to the token.

    Attributes
    ----------
    reply
        What of it could be read: fewer completions than asked for, none, or some with more than ``max_tokens``.
    """

    def __init__(self, message: str, *, reply: CompletionReply) -> None:
        super().__init__(message)
        self.reply = reply


class Backend(Protocol):
    """A language model behind one endpoint. Implementations are safe for concurrent calls."""

    @property
    def facts(self) -> Facts:
        """What is known so far; asks nobody, so more may be known after the first call."""
        ...

    async def start(self) -> None:
        """Load weights or start servers, generating nothing; raises :class:`EndpointError` when that fails."""
        ...

    async def probe(self) -> Capabilities:
        """Find out what the endpoint offers; raises :class:`EndpointError` when it cannot be reached."""
        ...

    async def complete(self, request: CompletionRequest) -> CompletionReply:
        """Run one request; raises :class:`RetryableError` or :class:`EndpointError`, never anything else."""
        ...

    async def close(self) -> None:
        """Release connections, processes and memory; may be called twice."""
        ...
