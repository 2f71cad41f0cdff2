"""The front as an ASGI application (Starlette), and a server for it (uvicorn): loopback by default, a bearer key."""

from __future__ import annotations

import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coinfer.errors import BackendMissing, CoinferError, InputError
from coinfer.executor.serve.service import MODEL, Asked, Given, Service

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

PIECE = 64
"""Characters of a streamed piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the front takes.

    Attributes
    ----------
    body_bytes
        Largest request.
    at_once
        Requests under way at once; more are told to come again.
    """

    body_bytes: int = 2**20
    at_once: int = 256


def application(service: Service, *, key: str | None = None, limits: Limits | None = None) -> Starlette:
    """Return the application.

    Parameters
    ----------
    service
        Answers requests.
    key
        Bearer key that every request but ``/health`` must carry; ``None``: open to whoever reaches the address.
    limits
        See the class.

    Raises
    ------
    BackendMissing
        If Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route
    except ImportError as error:
        raise BackendMissing("the front needs Starlette; install it with: pip install 'coinfer[serve]'") from error
    front = _Front(service, key, limits or Limits())
    return Starlette(
        routes=[
            Route("/v1/chat/completions", front.complete, methods=["POST"]),
            Route("/v1/models", front.models),
            Route("/health", front.health),
        ],
        exception_handlers={HTTPException: _odd_address, Exception: _failed},
    )


class _Front:
    """The routes."""

    def __init__(self, service: Service, key: str | None, limits: Limits) -> None:
        self._service, self._key, self._limits, self._under_way = service, key, limits, 0

    async def complete(self, request: Request) -> Response:
        """Answer a chat completion."""
        from starlette.responses import JSONResponse, StreamingResponse

        refused = self._stranger(request)
        if refused is not None:
            return refused
        content = await self._body(request)
        if content is None:
            most = self._limits.body_bytes
            return _refused(413, f"the request is larger than {most:,} bytes", "invalid_request_error")
        try:
            asked = self._service.understand(json.loads(content))
        except InputError as error:
            return _refused(400, str(error), "invalid_request_error")
        except (ValueError, RecursionError):
            return _refused(400, "the body is not valid JSON", "invalid_request_error")
        if self._under_way >= self._limits.at_once:
            return _refused(429, "too many requests at once", "rate_limit_error", {"Retry-After": "1"})
        self._under_way += 1
        try:
            given = await self._service.answer(asked)
        finally:
            self._under_way -= 1
        if given.answer.text is None:
            return _refused(503, f"no answer: {given.why or 'no reply holds one'}", "server_error")
        if asked.stream:
            return StreamingResponse(_pieces(asked, given), media_type="text/event-stream")
        return JSONResponse(_completion(given))

    async def models(self, request: Request) -> Response:
        """List the names that requests may give."""
        from starlette.responses import JSONResponse

        entries = [{"id": name, "object": "model", "created": 0, "owned_by": MODEL} for name in self._service.models]
        return self._stranger(request) or JSONResponse({"object": "list", "data": entries})

    async def health(self, _: Request) -> Response:
        """Say that the front is there."""
        from starlette.responses import JSONResponse

        return JSONResponse({"status": "ok"})

    def _stranger(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "")
        if self._key is None or hmac.compare_digest(given.encode(errors="replace"), f"Bearer {self._key}".encode()):
            return None
        words = "the bearer key is missing or wrong"
        return _refused(401, words, "authentication_error", {"WWW-Authenticate": "Bearer"})

    async def _body(self, request: Request) -> bytes | None:
        """Return the body; ``None`` where it is too large."""
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > self._limits.body_bytes:
                return None
        return bytes(content)


def _odd_address(_: Request, error: Exception) -> Response:
    """Say what Starlette refuses itself, such as an address that is not there, as clients expect it."""
    status = getattr(error, "status_code", 400)
    return _refused(status, str(getattr(error, "detail", error)), "invalid_request_error")


def _failed(_: Request, error: Exception) -> Response:
    """Say that an answer failed; only sentences made on purpose are passed on."""
    said = str(error) if isinstance(error, CoinferError) else "the answer failed"
    return _refused(500, said, "server_error")


def _refused(status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import JSONResponse

    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return JSONResponse(body, status_code=status, headers=headers)


def _head(kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": MODEL}


def _usage(given: Given) -> dict[str, int]:
    """Return what the answer took in all: every sample of the strategy counts."""
    read, written = given.used.prompt_tokens, given.used.tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _completion(given: Given) -> dict[str, Any]:
    message = {"role": "assistant", "content": given.answer.text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {
        **_head("chat.completion"),
        "choices": [choice],
        "usage": _usage(given),
        "system_fingerprint": given.option,
    }


async def _pieces(asked: Asked, given: Given) -> AsyncIterator[str]:
    """Yield an answer as server-sent events; a strategy knows its answer only when it ends, so pieces come at once."""
    head = _head("chat.completion.chunk")
    text = given.answer.text or ""

    def event(delta: dict[str, str], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"

    yield event({"role": "assistant", "content": ""})
    for start in range(0, len(text), PIECE):
        yield event({"content": text[start : start + PIECE]})
    yield event({}, "stop")
    if asked.with_usage:
        yield f"data: {json.dumps({**head, 'choices': [], 'usage': _usage(given)})}\n\n"
    yield "data: [DONE]\n\n"
