"""Questions that find out what an endpoint offers: asked again where a failure may pass, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from coinfer.errors import EndpointError
from coinfer.executor.backends.base import CompletionReply, CompletionRequest, MeteredError, RetryableError

PROBE = "1 2 3"
PROBE_CALLS = 6
"""Questions, without repetitions."""
PROBE_OUTPUT_TOKENS = 1 + 2 + 1 + 3 * 16
"""Most that one round of them generates."""
PROBE_PROMPT_TOKENS = 261
"""Most that one reads: a token for each byte, and what a chat template may add."""
ATTEMPTS = 4
PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


class Asked:
    """Asks, and counts what was billed.

    Parameters
    ----------
    call
        Makes one call.

    Attributes
    ----------
    calls, prompt_tokens, output_tokens
        Of all questions so far; where a reply did not say, the most that it can have been billed.
    """

    def __init__(self, call: Callable[[CompletionRequest], Awaitable[CompletionReply]]) -> None:
        self._call = call
        self.calls = self.prompt_tokens = self.output_tokens = 0

    async def offered(self, request: CompletionRequest) -> CompletionReply | None:
        """Return the reply, or ``None`` where the endpoint refuses this kind of request for good."""
        try:
            reply = await self.reply(request)
        except RetryableError:
            raise
        except EndpointError:
            return None
        return reply if len(reply.completions) == request.samples else None

    async def reply(self, request: CompletionRequest) -> CompletionReply:
        """Return the reply, whatever is wrong with it as long as it can be read; again where a failure may pass."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._once(request)
            except RetryableError as error:
                if attempt + 1 == ATTEMPTS or not _may_pass(error):
                    refused = error.refused and self.calls == attempt + 1  # else earlier questions were billed
                    raise RetryableError(str(error), retry_after_s=error.retry_after_s, refused=refused) from error
                pause_s = PAUSE_S * 2.0**attempt if error.retry_after_s is None else error.retry_after_s
                await asyncio.sleep(min(pause_s, LONGEST_PAUSE_S))
        raise AssertionError  # pragma: no cover

    async def _once(self, request: CompletionRequest) -> CompletionReply:
        self.calls += 1
        reply: CompletionReply | None = None
        free = False
        try:
            reply = await self._call(request)
        except MeteredError as error:
            reply = error.reply
        except RetryableError as error:
            free = error.refused
            raise
        finally:
            read = None if reply is None else reply.prompt_tokens
            written = None if reply is None else reply.output_tokens
            self.prompt_tokens += 0 if free else PROBE_PROMPT_TOKENS if read is None else read
            self.output_tokens += 0 if free else request.max_tokens * request.samples if written is None else written
        return reply


def _may_pass(error: RetryableError) -> bool:
    """Whether to ask again soon: not where nobody listens or nothing came in time."""
    return not isinstance(error.__cause__, TimeoutError) and not (error.refused and error.__cause__ is not None)
