"""An endpoint at its worst, with a meter of its own: a real HTTP server that speaks the OpenAI protocol and fails.

What it answers to a request, and how it fails its n-th attempt, is drawn from its seed and the request alone: delays
and the order of arrival change nothing of that. A token is a word.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import numpy as np

MESSAGE_TOKENS = 3
"""What its chat template adds to a message."""
MEAN_LOGPROB = 0.3
LONGEST = 200.0
"""Longest completion, in means."""
REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway"}


class Hostility(enum.Enum):
    """How a request can be failed."""

    ERROR = "500 before any work"
    LATE_ERROR = "502 after the work, which is billed"
    DROP = "closes the connection instead of answering, and bills the work"
    BUSY = "429 with Retry-After"
    CUT = "sends half of an answer of known length"
    CUT_STREAM = "sends half of an answer in chunks and no end"
    GARBAGE = "sends all of an answer that is no JSON"
    NO_USAGE = "answers without usage"
    FEWER = "gives a choice less than asked for, where that leaves one"
    NO_CHOICES = "bills, and gives no choices"
    LONG = "ignores max_tokens, and says so in the usage"


PASSING = frozenset(
    {Hostility.ERROR, Hostility.LATE_ERROR, Hostility.DROP, Hostility.BUSY, Hostility.CUT, Hostility.CUT_STREAM}
)
"""Failures that a repetition gets past."""
TOLD = frozenset({None, Hostility.FEWER, Hostility.NO_CHOICES, Hostility.LONG})
"""How a request ends whose bill the client can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """How a server behaves.

    Attributes
    ----------
    seed
        Of answers, lengths and failures.
    faults
        Chance of each failure.
    mean_tokens, tail
        Lengths are Pareto distributed with this mean and exponent (above 1), cut at ``max_tokens``.
    delay_s, delay_seed
        Mean of the heavy-tailed delay, at most ten times that; drawn for each arrival, so that answers overtake.
    retry_after
        Value of the header.
    answers
        How many answers there are; the first is given in about half of the replies.
    most_in_row
        Most failures in a row of one request: a client that asks once more than this often gets through.
    """

    seed: int = 0
    faults: Mapping[Hostility, float] = field(default_factory=dict)
    mean_tokens: float = 16.0
    tail: float = 1.5
    delay_s: float = 0.0
    delay_seed: int = 0
    retry_after: str = "0"
    answers: int = 5
    most_in_row: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one request was billed.

    Attributes
    ----------
    seed, prompt
        Of the request.
    most
        Output tokens that it allowed: ``max_tokens`` x ``n``.
    fault
        How it was failed.
    prompt_tokens, output_tokens
        Billed; 0 where no work was done.
    sent
        True when the last byte of an answer was handed to the network: the client has it, unless it was gone.
    """

    seed: int | None
    prompt: str
    most: int
    fault: Hostility | None
    prompt_tokens: int
    output_tokens: int
    sent: bool = False

    @property
    def told(self) -> bool:
        """Whether a client that stayed knows the bill: the answer was sent whole, and usage stood in it."""
        return self.sent and self.fault in TOLD


class HostileServer:
    """A server on loopback in a thread of its own; a context manager.

    Attributes
    ----------
    bills
        One for each request, in order of arrival; those under way are billed in full.
    """

    def __init__(self, character: Character | None = None) -> None:
        self.character = character or Character()
        self.bills: list[Bill] = []
        self._attempts: dict[bytes, int] = {}
        self._delays = np.random.default_rng(self.character.delay_seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Base address, with its ``/v1``."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # for transports to see that they are closed

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until one of them breaks it."""
        try:
            kept = True
            while kept:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:"))
                body = json.loads(await reader.readexactly(length))
                kept = await self._answer(body, chat=b"/chat/" in head.partition(b"\r\n")[0], writer=writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client is gone
        finally:
            writer.close()

    async def _answer(self, body: dict[str, Any], *, chat: bool, writer: asyncio.StreamWriter) -> bool:
        """Bill a request, wait, and answer or fail it; return whether the connection is kept."""
        made = Made(self.character, body, chat=chat, attempt=self._attempt(body))
        number = len(self.bills)
        self.bills.append(made.bill)
        if self.character.delay_s:
            pause = self.character.delay_s / 3.0 * (1.0 + float(self._delays.pareto(1.5)))
            await asyncio.sleep(min(pause, 10.0 * self.character.delay_s))
        writer.write(made.content)
        await writer.drain()
        if made.bill.fault in PASSING and made.status == 200:
            return False
        if made.status == 200:
            self.bills[number] = replace(made.bill, sent=True)
        return True

    def _attempt(self, body: dict[str, Any]) -> int:
        name = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
        self._attempts[name] = self._attempts.get(name, -1) + 1
        return self._attempts[name]


class Made:
    """What is done with one request: its bill and the bytes of its answer.

    Attributes
    ----------
    bill, status, content
        See above.
    """

    def __init__(self, character: Character, body: dict[str, Any], *, chat: bool, attempt: int) -> None:
        name = json.dumps([character.seed, {key: body[key] for key in body if key != "model"}], sort_keys=True)
        digest = hashlib.sha256(name.encode()).digest()
        self._character, self._body, self._chat = character, body, chat
        self._random = np.random.default_rng(int.from_bytes(digest[:8]))
        texts = [each["content"] for each in body["messages"]] if chat else [body["prompt"]]
        read = sum(len(text.split()) + MESSAGE_TOKENS for text in texts)
        fault = self._fault(np.random.default_rng([int.from_bytes(digest[:8]), attempt]).random())
        if character.most_in_row is not None and attempt % (character.most_in_row + 1) == character.most_in_row:
            fault = None
        count, most = body.get("n", 1), body["max_tokens"]
        if fault is Hostility.FEWER and count == 1:
            fault = None
        lengths = [self._length() for _ in range(count)]
        choices = [
            self._choice(i, length, most if fault is not Hostility.LONG else 2**30) for i, length in enumerate(lengths)
        ]
        given = choices[: -1 if fault is Hostility.FEWER else count]
        written = sum(words for words, _ in given)
        idle = fault in (Hostility.ERROR, Hostility.BUSY)
        self.bill = Bill(
            seed=body.get("seed"),
            prompt=texts[-1],
            most=most * count,
            fault=fault,
            prompt_tokens=0 if idle else read,
            output_tokens=0 if idle else written,
        )
        self.status = {Hostility.ERROR: 500, Hostility.LATE_ERROR: 502, Hostility.BUSY: 429}.get(fault, 200)  # type: ignore[arg-type]
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        data: dict[str, Any] = {"id": "hostile", "choices": [choice for _, choice in given], "usage": usage}
        if fault is Hostility.NO_USAGE:
            del data["usage"]
        if fault is Hostility.NO_CHOICES:
            data["choices"] = []
        self.content = self._bytes(json.dumps(data).encode(), fault)

    def _fault(self, drawn: float) -> Hostility | None:
        for fault, chance in self._character.faults.items():
            drawn -= chance
            if drawn < 0.0:
                return fault
        return None

    def _length(self) -> int:
        """Return a Pareto length with about the mean, and the tail, asked for."""
        least = self._character.mean_tokens * (self._character.tail - 1.0) / self._character.tail
        drawn = least * (1.0 + self._random.pareto(self._character.tail))
        return max(1, int(min(drawn, LONGEST * self._character.mean_tokens)))

    def _choice(self, index: int, length: int, most: int) -> tuple[int, dict[str, Any]]:
        """Return how many words a choice has, and the choice."""
        kept = min(length, most)
        answer = 0 if self._random.random() < 0.5 else int(self._random.integers(0, self._character.answers))
        text = " ".join((["The", "answer", "is", f"{answer}."] + ["so"] * kept)[:kept])
        choice: dict[str, Any] = {"index": index, "finish_reason": "length" if kept < length else "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        if self._body.get("logprobs"):
            drawn = -self._random.exponential(MEAN_LOGPROB, kept)
            choice["logprobs"] = {"content": [{"token": "so", "logprob": round(float(x), 4)} for x in drawn]}
        return kept, choice

    def _bytes(self, text: bytes, fault: Hostility | None) -> bytes:
        """Return the answer as it goes to the network, whole or not."""
        if fault is Hostility.DROP:
            return b""
        if self.status != 200:
            text = b'{"error": {"message": "hostile"}}'
        if fault is Hostility.GARBAGE:
            text = b"{" + text[1:-1] + b",,"
        head = f"HTTP/1.1 {self.status} {REASONS[self.status]}\r\nContent-Type: application/json\r\n"
        if self.status == 429:
            head += f"Retry-After: {self._character.retry_after}\r\n"
        half = text[: len(text) // 2]
        if fault is Hostility.CUT_STREAM:
            return f"{head}Transfer-Encoding: chunked\r\n\r\n{len(half):x}\r\n".encode() + half + b"\r\n"
        head += f"Content-Length: {len(text)}\r\n\r\n"
        return head.encode() + (half if fault is Hostility.CUT else text)
