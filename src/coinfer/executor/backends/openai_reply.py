"""What an OpenAI-compatible endpoint answers, checked and brought into one form."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeGuard

from coinfer.errors import EndpointError
from coinfer.executor.backends.base import Completion, CompletionReply, CompletionRequest, MeteredError

LARGEST_COUNT = 2**53
"""Beyond it a count is no count: it would not fit into a journal."""


def parse_reply(data: Any, request: CompletionRequest, *, chat: bool, seconds: float) -> CompletionReply:
    """Turn the JSON of a reply into a :class:`CompletionReply`.

    Log-probabilities are read in the legacy layout (an array beside the text) and in the chat layout (a list of
    tokens); some servers answer a legacy call with the latter. The number of tokens is, in this order: the
    endpoint's own count of a single text where it keeps ``max_tokens``; one per log-probability; ``max_tokens`` for a
    text cut there; otherwise an upper limit, the bytes of the text, since no token is shorter than a byte.

    The endpoint's own count over several texts says nothing about each, but it is what is billed.

    Raises
    ------
    MeteredError
        If the reply says what it cost, but has too few or too many texts, or more tokens than were allowed.
    EndpointError
        If it is none, and does not say what it cost.
    """
    fields = data if isinstance(data, dict) else {}
    choices, usage, timings = (fields.get(name) for name in ("choices", "usage", "timings"))
    usage = usage if isinstance(usage, dict) else {}
    billed = _count(usage.get("completion_tokens"))
    prompt_ms = timings.get("prompt_ms") if isinstance(timings, dict) else None  # llama.cpp
    reply = CompletionReply(
        completions=(),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        seconds=seconds,
        prefill_s=min(prompt_ms / 1000.0, seconds) if _is_number(prompt_ms) and prompt_ms > 0.0 else None,
        output_tokens=billed,
    )
    try:
        if not isinstance(choices, list):
            raise EndpointError("expected an object with a list of choices")
        if len(choices) > request.samples:
            raise EndpointError(f"expected {request.samples} choice(s); found {len(choices)}")
        count = billed if request.samples == 1 else None
        reply = replace(reply, completions=tuple(_completion(choice, request, count, chat=chat) for choice in choices))
        written = [len(each.logprobs) for each in reply.completions if each.logprobs is not None]
        if written and len(written) == len(reply.completions):
            reply = replace(reply, output_tokens=max(sum(written), billed or 0))
        most = max([*written, *(each.output_tokens for each in reply.completions)], default=0)
        if most > request.max_tokens or (reply.output_tokens or 0) > request.max_tokens * request.samples:
            raise EndpointError(
                f"generated {most} tokens in a text, {reply.output_tokens} in all, where at most "
                f"{request.max_tokens} x {request.samples} were allowed"
            )
        if len(choices) < request.samples:
            raise EndpointError(f"expected {request.samples} choice(s); found {len(choices)}")
    except EndpointError as error:
        if reply.output_tokens is None:
            raise
        raise MeteredError(str(error), reply=reply) from None
    return reply


def _completion(choice: Any, request: CompletionRequest, count: int | None, *, chat: bool) -> Completion:
    """Read one choice."""
    if not isinstance(choice, dict):
        raise EndpointError("expected every choice to be an object")
    holder, field = (choice.get("message"), "content") if chat else (choice, "text")
    text = holder.get(field) if isinstance(holder, dict) else None
    if not isinstance(text, str):
        raise EndpointError(f"expected a text in every choice's {'message.content' if chat else 'text'}")
    logprobs = _logprobs(choice.get("logprobs")) if request.logprobs else None
    finish = "length" if choice.get("finish_reason") == "length" else "stop"
    if count is None:
        if logprobs is not None:
            count = len(logprobs)
        elif finish == "length":
            count = request.max_tokens
        else:
            count = min(request.max_tokens, len(text.encode(errors="replace")))
    return Completion(text=text, output_tokens=count, finish=finish, logprobs=logprobs)


def _logprobs(value: Any) -> tuple[float, ...] | None:
    """Return the log-probabilities of the generated tokens in either layout; ``None`` where there are none."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("content"), list):
        found = [item.get("logprob") if isinstance(item, dict) else None for item in value["content"]]
    elif isinstance(value.get("token_logprobs"), list):
        found = value["token_logprobs"]
    else:
        return None
    numbers = tuple(min(0.0, float(number)) for number in found if _is_number(number) and number <= 1e-6)
    if len(numbers) < len(found):
        raise EndpointError("expected log-probabilities that are numbers, at most 0")
    return numbers


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT else None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
