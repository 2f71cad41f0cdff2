"""Conversations as plain text, and texts cut at their stops: what every backend does alike."""

from __future__ import annotations

from dataclasses import replace

from coinfer.executor.backends.base import Completion, CompletionRequest

SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


def turns(request: CompletionRequest) -> list[dict[str, str]]:
    """Return the conversation of a request as chat templates and endpoints take it, without its prefix."""
    if not request.messages:
        return [{"role": "user", "content": request.prompt}]
    return [{"role": each.role, "content": each.content} for each in request.messages]


def plain_text(request: CompletionRequest) -> str:
    """Return what a model without a chat template completes: a single question as it is, turns with their speakers.

    The prefix stands at the end, where the model goes on.
    """
    if not request.messages:
        return request.prompt + request.prefix
    if len(request.messages) == 1:
        return request.messages[0].content + request.prefix
    said = "\n\n".join(f"{SPEAKERS[each.role]}: {each.content}" for each in request.messages)
    return f"{said}\n\n{SPEAKERS['assistant']}: {request.prefix}"


def cut(completion: Completion, request: CompletionRequest) -> Completion:
    """Return a completion up to its first stop text. Its tokens stay counted: they were generated and are paid."""
    places = [place for place in (completion.text.find(text) for text in request.stop if text) if place >= 0]
    if not places:
        return completion
    return replace(completion, text=completion.text[: min(places)], finish="stop")


def without_prefix(completion: Completion, request: CompletionRequest) -> Completion:
    """Return a completion without the prefix, which some endpoints repeat."""
    if request.prefix and completion.text.startswith(request.prefix):
        return replace(completion, text=completion.text[len(request.prefix) :])
    return completion
