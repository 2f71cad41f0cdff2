"""Posts over plain HTTP/1.1 with kept connections, and little else: most of a call's time is the endpoint's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

MOST_HEAD_BYTES = 65_536
IDLE_S = 4.0
"""A connection that nobody used for so long is not used again: its server may be closing it."""


class CannotConnectError(Exception):
    """Nobody could be reached: no byte was sent."""


class BrokenConnectionError(Exception):
    """The connection broke, or what came was no HTTP, before the reply was whole."""


class TooLargeError(Exception):
    """The reply was larger than allowed; reading stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """Status, headers by their names in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class OddReplyError(Exception):
    """The reply came in a way that is not understood."""


class Poster(Protocol):
    """Posts to one address; used by one event loop."""

    async def post(self, body: bytes, *, most_bytes: int) -> HttpReply:
        """Send a body and return the reply; cancelling it closes the connection.

        Raises
        ------
        CannotConnectError, BrokenConnectionError, TooLargeError, OddReplyError
            As they say.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class PlainPoster:
    """Posts over as many connections as there are posts at once; no TLS, no redirects, no compression."""

    def __init__(self, url: str, *, headers: Mapping[str, str], connect_s: float) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._connect_s = parts.hostname or "", parts.port or 80, connect_s
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        said = {"Host": parts.netloc, "Content-Type": "application/json", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        self._head = f"POST {target} HTTP/1.1\r\n{head}Content-Length: ".encode("ascii")
        self._idle: list[_Connection] = []
        self._closed = False

    async def post(self, body: bytes, *, most_bytes: int) -> HttpReply:
        """Send a body and return the reply."""
        connection = self._kept() or await self._connected()
        try:
            reply = await connection.exchange(self._head + b"%d\r\n\r\n" % len(body) + body, most_bytes)
        except BaseException:
            connection.abort()
            raise
        if connection.reusable and not self._closed:
            self._idle.append(connection)
        else:
            connection.abort()
        if reply.headers.get("content-encoding", "identity") != "identity":
            raise OddReplyError("the reply is compressed, which was not asked for")
        return reply

    async def close(self) -> None:
        """Close the connections that nobody uses; the others close when their reply came."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and time.monotonic() - connection.used_s < IDLE_S:
                return connection
            connection.abort()
        return None

    async def _connected(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await loop.create_connection(lambda: _Connection(loop), self._host, self._port)
        except TimeoutError as error:
            raise CannotConnectError(f"no connection within {self._connect_s:g} s") from error
        except (OSError, ValueError) as error:  # ValueError: a host name that is none
            raise CannotConnectError(str(error) or type(error).__name__) from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[HttpReply] | None = None
        self._read, self._most = bytearray(), 0
        self._head: tuple[int, dict[str, str], int | None] | None = None  # status, headers, length; None: to the end
        self._body = bytearray()  # of chunks
        self._chunked = False
        self.reusable = False
        self.used_s = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport, self.reusable = transport, True

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        if self._waiting is None or self._waiting.done():
            return
        if error is None and self._head is not None and self._head[2] is None and not self._chunked:
            self._finish(bytes(self._read))
        else:
            self._fail(BrokenConnectionError(str(error or "it was closed before the reply was whole")))

    def data_received(self, data: bytes) -> None:
        self._read += data
        if self._waiting is None or self._waiting.done():
            self.abort()  # nobody asked for this
            return
        try:
            self._parse()
        except (ValueError, IndexError):
            self._fail(BrokenConnectionError("the reply is no HTTP"))

    async def exchange(self, request: bytes, most_bytes: int) -> HttpReply:
        """Send a request and return its reply."""
        assert self._transport is not None  # noqa: S101
        self._waiting, self._most = self._loop.create_future(), most_bytes
        self._head, self._chunked, self._body = None, False, bytearray()
        self._transport.write(request)
        return await self._waiting

    def abort(self) -> None:
        """Close at once."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _parse(self) -> None:
        """Take in what came."""
        if self._head is None and not self._take_head():
            return
        assert self._head is not None  # noqa: S101
        if len(self._read) + len(self._body) > self._most:
            self._fail(TooLargeError)
        elif self._chunked:
            self._take_chunks()
        elif self._head[2] is not None and len(self._read) >= self._head[2]:
            length = self._head[2]
            self.reusable = self.reusable and len(self._read) == length
            content = bytes(self._read[:length])
            del self._read[:length]
            self._finish(content)

    def _take_head(self) -> bool:
        """Read status and headers once they are whole; replies in between (100) are skipped."""
        while True:
            end = self._read.find(b"\r\n\r\n")
            if end < 0 or end > MOST_HEAD_BYTES:
                if len(self._read) > MOST_HEAD_BYTES:
                    raise ValueError
                return False
            first, *lines = self._read[:end].decode("latin-1").split("\r\n")
            del self._read[: end + 4]
            version, status, *_ = first.split(" ", 2)
            if not version.startswith("HTTP/1.") or len(status) != 3 or not status.isdecimal():
                raise ValueError
            if not status.startswith("1"):
                break
        pairs = [line.partition(":") for line in lines]
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        if not self._chunked and "transfer-encoding" in headers:
            raise ValueError
        length = headers.get("content-length")
        if length is not None and not (length.isascii() and length.isdecimal() and len(length) < 20):
            raise ValueError
        size = 0 if status in ("204", "304") else None if length is None or self._chunked else int(length)
        self._head = (int(status), headers, size)
        kept = headers.get("connection", "keep-alive" if version == "HTTP/1.1" else "close").lower()
        self.reusable = self.reusable and kept == "keep-alive" and (self._chunked or size is not None)
        return True

    def _take_chunks(self) -> None:
        """Move whole chunks to the body; the last one is empty, and trailers after it are dropped."""
        while True:
            line = self._read.find(b"\r\n")
            if line < 0:
                if len(self._read) > MOST_HEAD_BYTES:
                    raise ValueError
                return
            digits = bytes(self._read[:line]).partition(b";")[0].strip()
            if not digits or digits.strip(b"0123456789abcdefABCDEF"):
                raise ValueError
            size = int(digits, 16)
            if size > self._most:
                self._fail(TooLargeError)
                return
            if size == 0:
                end = self._read.find(b"\r\n\r\n", line)
                if end < 0 or line + 2 > len(self._read):
                    return
                self.reusable = self.reusable and end + 4 == len(self._read)
                self._read.clear()
                self._finish(bytes(self._body))
                return
            if len(self._read) < line + 2 + size + 2:
                return
            self._body += self._read[line + 2 : line + 2 + size]
            if self._read[line + 2 + size : line + 4 + size] != b"\r\n":
                raise ValueError
            del self._read[: line + 4 + size]

    def _finish(self, content: bytes) -> None:
        assert self._head is not None  # noqa: S101
        self.used_s = time.monotonic()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(HttpReply(status=self._head[0], headers=self._head[1], content=content))

    def _fail(self, error: Exception | type[Exception]) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.abort()
