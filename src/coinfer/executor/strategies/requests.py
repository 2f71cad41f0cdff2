"""Requests as sessions see them: without their reference answers."""

from __future__ import annotations

from functools import partial

from coinfer.executor.grade import read_answer
from coinfer.executor.request import Request
from coinfer.executor.strategies.strategy import Prompt

TEMPERATURE = 0.8
"""Of samples that are to differ."""


def prompt_of(request: Request, *, temperature: float = TEMPERATURE) -> Prompt:
    """Return a request as a session sees it: without its reference answer."""
    return Prompt(
        id=request.id,
        text=request.prompt,
        max_tokens=request.max_tokens,
        answer_of=partial(read_answer, request),
        temperature=temperature,
        extra=request.extra or {},
    )
