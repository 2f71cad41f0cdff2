"""Endpoints that fail on purpose, to test what calls them: a real HTTP server, and a wrapper around a backend."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from coinfer.errors import EndpointError
from coinfer.executor.backends.base import Backend, Capabilities, CompletionReply, CompletionRequest, Facts

FLOOD_BYTES = 256 * 2**20


class Fault(enum.Enum):
    """How an endpoint can fail a call."""

    HANG = "takes the request and never answers"
    GARBAGE = "answers bytes that are no JSON"
    WRONG_SHAPE = "answers JSON of another shape"
    WRONG_TYPE = "answers a page of HTML"
    WRONG_COUNT = "answers one choice too many"
    TOO_LONG = "says it generated more tokens than allowed"
    FLOOD = "answers without end"
    CUT = "closes the connection in the middle of the answer"
    BUSY = "429 with Retry-After"
    ERROR = "500"
    FORBIDDEN = "401, repeating the key it was sent"
    REDIRECT = "307 to another address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request a server took.

    Attributes
    ----------
    number
        Counts from 0.
    prompt
        What was asked.
    fault
        How it was failed; ``None`` where it was answered.
    """

    number: int
    prompt: str
    fault: Fault | None


class OpenAIServer:
    """An OpenAI-compatible server on loopback over any backend; a context manager.

    Parameters
    ----------
    backend
        Answers the requests.
    fault
        Called with the number of the request and its prompt; says how to fail it.
    delay_s
        Time before each answer.
    retry_after
        Value of the ``Retry-After`` header of ``Fault.BUSY``.
    legacy_logprobs
        True for arrays beside the text, false for the chat layout in all answers.
    usage
        False for a server that counts no tokens.
    ignore
        Fields of requests that it does not understand and ignores, such as ``n``; without ``seed``, every call
        samples differently.

    Attributes
    ----------
    log
        What it was asked, in order of arrival.
    bytes_sent
        By the last flood.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        fault: Callable[[int, str], Fault | None] = lambda _number, _prompt: None,
        delay_s: float = 0.0,
        retry_after: str = "0",
        legacy_logprobs: bool = False,
        usage: bool = True,
        ignore: tuple[str, ...] = (),
    ) -> None:
        self.backend, self.fault, self.delay_s, self.retry_after = backend, fault, delay_s, retry_after
        self.legacy_logprobs, self.usage, self.ignore = legacy_logprobs, usage, ignore
        self.log: list[Exchange] = []
        self.bytes_sent = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self._server.daemon_threads = False  # closing waits for every handler, so no thread outlives a test
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """Base address, with its ``/v1``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def note(self, prompt: str) -> Fault | None:
        """Log a request and say how to fail it."""
        with self._lock:
            number = len(self.log)
            fault = self.fault(number, prompt)
            self.log.append(Exchange(number=number, prompt=prompt, fault=fault))
            return fault


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    owner: OpenAIServer

    def do_POST(self) -> None:
        """Answer, or fail as told."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = self.path.endswith("/chat/completions")
        prompt = body["messages"][-1]["content"] if chat else body["prompt"]
        fault = self.owner.note(prompt)
        self.owner.stopping.wait(self.owner.delay_s)
        with contextlib.suppress(ConnectionError):  # the client may be gone
            if fault in _STATUS:
                self._fail_with_status(fault)
            elif fault in (Fault.HANG, Fault.FLOOD):
                self._never_end(fault)
            else:
                self._answer(body, prompt, chat=chat, fault=fault)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep standard error quiet."""

    def _answer(self, body: dict[str, Any], prompt: str, *, chat: bool, fault: Fault | None) -> None:
        kept = {key: value for key, value in body.items() if key not in self.owner.ignore}
        asked = CompletionRequest(
            prompt=prompt,
            max_tokens=kept["max_tokens"],
            temperature=kept.get("temperature", 1.0),
            seed=kept.get("seed", len(self.owner.log)),
            samples=kept.get("n", 1),
            logprobs=bool(kept.get("logprobs", False)),
        )
        try:
            reply = asyncio.run(self.owner.backend.complete(asked))
        except EndpointError as error:
            self._send(json.dumps({"error": {"message": str(error)}}).encode(), status=400)
            return
        data = _to_json(reply, chat=chat, legacy=self.owner.legacy_logprobs and not chat)
        if not self.owner.usage:
            del data["usage"]
        if fault is Fault.WRONG_COUNT:
            data["choices"].append(data["choices"][0])
        if fault is Fault.TOO_LONG:
            data["usage"] = {"completion_tokens": asked.max_tokens + 1, "prompt_tokens": 1}
        text = json.dumps({"answer": data} if fault is Fault.WRONG_SHAPE else data).encode()
        if fault is Fault.GARBAGE:
            text = b"\x00\xff{" + text[:40]
        kind = "text/html" if fault is Fault.WRONG_TYPE else "application/json"
        self._send(text, kind=kind, cut=fault is Fault.CUT)

    def _send(self, text: bytes, *, status: int = 200, kind: str = "application/json", cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text[: len(text) // 2] if cut else text)

    def _fail_with_status(self, fault: Fault) -> None:
        said = json.dumps({"error": f"refused {self.headers.get('Authorization', 'a request without key')}"}).encode()
        self.send_response(_STATUS[fault])
        if fault is Fault.BUSY:
            self.send_header("Retry-After", self.owner.retry_after)
        if fault is Fault.REDIRECT:
            self.send_header("Location", "http://127.0.0.1:9/v1/completions")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _never_end(self, fault: Fault) -> None:
        if fault is Fault.HANG:
            self.owner.stopping.wait()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.owner.bytes_sent = 0
        while self.owner.bytes_sent < FLOOD_BYTES and not self.owner.stopping.is_set():
            self.wfile.write(b" " * 65_536)
            self.owner.bytes_sent += 65_536


_STATUS = {Fault.BUSY: 429, Fault.ERROR: 500, Fault.FORBIDDEN: 401, Fault.REDIRECT: 307}


def _to_json(reply: CompletionReply, *, chat: bool, legacy: bool) -> dict[str, Any]:
    """Return a reply as the protocol writes it."""
    choices: list[dict[str, Any]] = []
    for index, completion in enumerate(reply.completions):
        choice: dict[str, Any] = {"index": index, "finish_reason": completion.finish}
        if chat:
            choice["message"] = {"role": "assistant", "content": completion.text}
        else:
            choice["text"] = completion.text
        if completion.logprobs is not None and legacy:
            choice["logprobs"] = {"token_logprobs": list(completion.logprobs)}
        elif completion.logprobs is not None:
            choice["logprobs"] = {"content": [{"logprob": number} for number in completion.logprobs]}
        choices.append(choice)
    usage = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completions[0].output_tokens}
    return {"choices": choices, "usage": usage}


class FaultyBackend:
    """A backend that fails some calls of another one, in process, and counts what is asked of it.

    Parameters
    ----------
    inner
        Answers the calls that do not fail.
    fault
        Called with the number of the call and the request; returns the error to raise, or ``None``.
    delay_s
        Called with the number of the call; returns the time before the answer.

    Attributes
    ----------
    asked
        Requests, in order of arrival.
    most_in_flight
        Most calls that were in flight at once.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        fault: Callable[[int, CompletionRequest], Exception | None] = lambda _number, _request: None,
        delay_s: Callable[[int], float] = lambda _number: 0.0,
    ) -> None:
        self._inner, self._fault, self._delay_s = inner, fault, delay_s
        self.asked: list[CompletionRequest] = []
        self.in_flight = self.most_in_flight = 0

    @property
    def facts(self) -> Facts:
        """Those of the other backend."""
        return self._inner.facts

    async def start(self) -> None:
        """Start the other backend."""
        await self._inner.start()

    async def probe(self) -> Capabilities:
        """Probe the other backend."""
        return await self._inner.probe()

    async def complete(self, request: CompletionRequest) -> CompletionReply:
        """Fail, or pass the request on."""
        number = len(self.asked)
        self.asked.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._delay_s(number))
            error = self._fault(number, request)
            if error is not None:
                raise error
            return await self._inner.complete(request)
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        """Close the other backend."""
        await self._inner.close()
