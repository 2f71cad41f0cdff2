"""Any endpoint that speaks the OpenAI protocol: vLLM, SGLang, llama.cpp, Ollama, a cloud."""

from __future__ import annotations

import asyncio
import email.utils
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from coinfer.errors import EndpointError, InputError
from coinfer.executor.backends.access import read_key, without_key
from coinfer.executor.backends.base import (
    Capabilities,
    CompletionReply,
    CompletionRequest,
    Facts,
    MeteredError,
    RetryableError,
)
from coinfer.executor.backends.conversation import cut, plain_text, turns, without_prefix
from coinfer.executor.backends.openai_probe import PROBE, Asked
from coinfer.executor.backends.openai_reply import parse_reply
from coinfer.executor.backends.posters import (
    BrokenConnectionError,
    CannotConnectError,
    OddReplyError,
    Poster,
    TooLargeError,
)

CONNECT_TIMEOUT_S = 10.0
BASE_REPLY_BYTES = 2**20
BYTES_PER_TOKEN = 4096  # a token with its log-probability and twenty rivals stays below this
MOST_STOPS = 4  # what OpenAI takes; texts are cut at the others here
SEED_RANGE = 2**31  # several servers keep seeds in 32 signed bits


class OpenAIBackend:
    """One language model at an OpenAI-compatible address.

    Parameters
    ----------
    url
        Base address with its ``/v1``.
    model
        The model's name there.
    api_key_env
        Environment variable that holds the key; the key itself is never written or shown.
    chat
        True for ``/chat/completions``, false for ``/completions``.
    most_samples
        Most completions it gives per call; no limit is known by default, and probing finds out whether it is 1.
    timeout_s
        Longest time of one call, from connecting to the last byte, seconds.

    Raises
    ------
    InputError
        If the variable of the key is not set, or the address is none.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        api_key_env: str | None = None,
        chat: bool = False,
        most_samples: int = sys.maxsize,
        timeout_s: float = 120.0,
    ) -> None:
        try:
            parts = urlsplit(url)
            port = f":{parts.port}" if parts.port else ""
        except ValueError as error:
            raise InputError("url", expected="an http:// or https:// address", found=url) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("url", expected="an http:// or https:// address", found=url)
        self._url = f"{url.rstrip('/')}/{'chat/completions' if chat else 'completions'}"
        self._where = f"{parts.scheme}://{parts.hostname}{port}{parts.path}"  # an address may hold a password
        self._model, self._chat, self._timeout_s = model, chat, timeout_s
        self._key = read_key(api_key_env)
        self._client: tuple[asyncio.AbstractEventLoop, Poster] | None = None
        self._engine = "openai-compatible"
        self._most_samples = most_samples

    @property
    def facts(self) -> Facts:
        """The engine as its replies name it; weights of a remote model are unknown."""
        return Facts(engine=self._engine)

    async def start(self) -> None:
        """Nothing is to be loaded here."""

    async def probe(self) -> Capabilities:
        """Ask a few tiny questions to see what the endpoint really does."""
        asked = Asked(self._call)
        tiny = CompletionRequest(prompt=PROBE, max_tokens=1)
        await asked.reply(tiny)
        two = await asked.offered(replace(tiny, samples=2))
        self._most_samples = self._most_samples if two is not None else 1
        logprobs = await asked.offered(replace(tiny, logprobs=True))
        sampled = replace(tiny, max_tokens=16, temperature=1.0, seed=7)
        replies = [await asked.offered(sampled) for _ in range(3)]
        texts = [None if reply is None else [each.text for each in reply.completions] for reply in replies]
        return Capabilities(
            logprobs=logprobs is not None and logprobs.completions[0].logprobs is not None,
            samples=self._most_samples > 1,
            seeds=texts[0] is not None and texts.count(texts[0]) == len(texts),
            engine=self._engine,
            prefix=not self._chat,  # a text is gone on with; whether a chat is, servers differ
            calls=asked.calls,
            prompt_tokens=asked.prompt_tokens,
            output_tokens=asked.output_tokens,
        )

    async def complete(self, request: CompletionRequest) -> CompletionReply:
        """Send one request; samples go one by one where there are more than the endpoint gives per call."""
        if request.samples <= self._most_samples:
            return await self._call(request)
        replies = [
            await self._call(replace(request, samples=1, seed=(request.seed + 7919 * i) % SEED_RANGE))
            for i in range(request.samples)
        ]
        return replace(
            replies[0],
            completions=tuple(reply.completions[0] for reply in replies),
            prompt_tokens=_total([reply.prompt_tokens for reply in replies]),
            output_tokens=_total([reply.output_tokens for reply in replies]),
            seconds=sum(reply.seconds for reply in replies),
        )

    async def close(self) -> None:
        """Close the connections."""
        held, self._client = self._client, None
        if held is not None and held[0] is asyncio.get_running_loop():
            await held[1].close()

    async def _call(self, request: CompletionRequest) -> CompletionReply:
        """Send one HTTP request and read its reply within the limits of time and size."""
        started = time.perf_counter()
        most_bytes = BASE_REPLY_BYTES + BYTES_PER_TOKEN * request.samples * request.max_tokens
        data = await self._exchange(self._body(request), most_bytes)
        try:
            reply = parse_reply(data, request, chat=self._chat, seconds=time.perf_counter() - started)
            return self._cleaned(reply, request)
        except MeteredError as error:
            sentence = f"{self._where}: {self._redacted(str(error))}"
            raise MeteredError(sentence, reply=self._cleaned(error.reply, request)) from None
        except EndpointError as error:
            raise EndpointError(f"{self._where}: {self._redacted(str(error))}") from None

    async def _exchange(self, body: dict[str, Any], most_bytes: int) -> Any:
        """Post ``body`` within the limit of time, and say in a sentence what went wrong."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(body, most_bytes)
        except TimeoutError as error:
            raise RetryableError(f"{self._where}: no complete reply within {self._timeout_s:g} s") from error
        except CannotConnectError as error:
            raise RetryableError(f"{self._where}: cannot be reached ({_reason(error)})", refused=True) from error
        except BrokenConnectionError as error:
            raise RetryableError(f"{self._where}: the connection broke ({_reason(error)})") from error
        except OddReplyError as error:
            raise EndpointError(f"{self._where}: {_reason(error)}") from error

    async def _post(self, body: dict[str, Any], most_bytes: int) -> Any:
        """Post ``body`` and return the JSON of the reply, at most ``most_bytes`` of it."""
        try:
            reply = await self._open_client().post(msgspec.json.encode(body), most_bytes=most_bytes)
        except TooLargeError:
            sentence = f"{self._where}: the reply is larger than {most_bytes:,} bytes; reading stopped"
            raise EndpointError(sentence) from None
        self._check_status(reply.status, reply.headers, reply.content)
        kind = reply.headers.get("content-type", "nothing").partition(";")[0].strip()
        if kind != "application/json":
            raise EndpointError(f"{self._where}: expected application/json; found {self._redacted(kind[:60])}")
        self._engine = self._redacted(reply.headers.get("server", "openai-compatible")[:60])
        try:
            return msgspec.json.decode(reply.content)
        except (msgspec.DecodeError, RecursionError):
            pass  # half characters in a text are refused there, and read here
        try:
            return json.loads(reply.content)
        except (ValueError, RecursionError) as error:
            raise EndpointError(f"{self._where}: the reply is not valid JSON") from error

    def _check_status(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Raise for any status but success, with what the endpoint said in at most 200 characters."""
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise EndpointError(f"{self._where}: answers with a redirect ({status}), which is not followed")
        said = " ".join(content[:4096].decode(errors="replace").split())
        sentence = f"{self._where}: HTTP {status}" + (f": {self._redacted(said)[:200]}" if said else "")
        if status in (408, 429) or status >= 500:
            wait = retry_after_s(headers.get("retry-after"), now=datetime.now(UTC))
            raise RetryableError(sentence, retry_after_s=wait, refused=status in (429, 503))
        raise EndpointError(sentence)

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        """Return the JSON body of a request."""
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed % SEED_RANGE,
        }
        if self._chat:
            body["messages"] = turns(request)
            if request.prefix:  # vLLM and SGLang go on by these fields, llama.cpp from a last turn of the assistant
                body["messages"].append({"role": "assistant", "content": request.prefix})
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        else:
            body["prompt"] = plain_text(request)
        if request.stop:
            body["stop"] = list(request.stop[:MOST_STOPS])
        if request.samples > 1:
            body["n"] = request.samples
        if request.logprobs:
            body["logprobs"] = True if self._chat else 1
        return body

    def _open_client(self) -> Poster:
        """Return the client of the running event loop; connections cannot move from one loop to another."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._client[0] is not loop:
            headers = {"Accept-Encoding": "identity", "Accept": "application/json"}
            if self._key is not None:
                headers["Authorization"] = f"Bearer {self._key}"
            connect_s = min(CONNECT_TIMEOUT_S, self._timeout_s)
            client = Poster(self._url, headers=headers, connect_s=connect_s, read_s=self._timeout_s)
            self._client = (loop, client)
        return self._client[1]

    def _cleaned(self, reply: CompletionReply, request: CompletionRequest) -> CompletionReply:
        """Return a reply with its texts as they are to be handed out."""
        if self._key is None and not request.prefix and not request.stop:
            return reply
        completions = []
        for each in reply.completions:
            text = without_key(each.text, self._key)
            cleaned = each if text is each.text else replace(each, text=text)
            completions.append(
                cut(without_prefix(cleaned, request), request) if request.prefix or request.stop else cleaned
            )
        return replace(reply, completions=tuple(completions))

    def _redacted(self, text: str) -> str:
        """Return what an endpoint said without the key, should it repeat it, and without control characters."""
        shown = text if self._key is None else text.replace(self._key, "***")
        return shown if shown.isprintable() else "".join(c if c.isprintable() else " " for c in shown)


def retry_after_s(value: str | None, *, now: datetime) -> float | None:
    """Read a ``Retry-After`` header (RFC 9110, 10.2.3): seconds or a date; ``None`` for anything else."""
    if value is None:
        return None
    if value.strip().isdecimal() and len(value) < 12:
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _total(counts: Sequence[int | None]) -> int | None:
    """Return the sum, ``None`` where a count is missing."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _reason(error: Exception) -> str:
    return str(error)[:120] or type(error).__name__
