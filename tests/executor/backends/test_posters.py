"""Posts over plain HTTP/1.1: every reply that is one is read, every other is refused, however it is cut to pieces."""

from __future__ import annotations

import asyncio
import contextlib
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.executor.backends.posters import (
    BrokenConnectionError,
    CannotConnectError,
    HttpReply,
    OddReplyError,
    Poster,
    TooLargeError,
)

OK = b"HTTP/1.1 200 OK\r\n"
REPLIES = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "no body": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "status without body": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello", True),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n", b"hello", True),
    "after an interim reply": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", b"ok", True),
    "to be closed": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "old version": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "to the end": (OK + b"\r\nuntil it closes", b"until it closes", False),
}
BROKEN = {
    "nothing": b"",
    "half a head": OK[:9],
    "no HTTP": b"hello\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "length that is none": OK + b"Content-Length: -5\r\n\r\nhello",
    "cut": OK + b"Content-Length: 50\r\n\r\nhello",
    "cut chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "cut chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n50\r\nhello",
    "chunk size that is none": OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "chunk without an end": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloxx0\r\n\r\n",
    "endless head": OK + b"X: y\r\n" * 20_000,
}


def exchange(reply: bytes, *, posts: int = 1, pieces: int = 1, most_bytes: int = 1000) -> tuple[list[HttpReply], int]:
    """Post to a server that gives this reply in pieces and closes where it has no end; return also its connections."""
    came = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"POST /v1/x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
                assert b"\r\nSecret: key\r\n" in head
                assert await reader.readexactly(4) == b"body"
                for piece in np.array_split(np.frombuffer(reply, np.uint8), pieces):
                    writer.write(piece.tobytes())
                    await writer.drain()
                    await asyncio.sleep(0)
                if reply not in {given for given, _, kept in REPLIES.values() if kept}:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def main() -> list[HttpReply]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Poster(f"http://127.0.0.1:{port}/v1/x?y=1", headers={"Secret": "key"}, connect_s=5.0, read_s=5.0)
        try:
            return [await client.post(b"body", most_bytes=most_bytes) for _ in range(posts)]
        finally:
            await client.close()
            server.close()
            await asyncio.sleep(0.01)

    return asyncio.run(main()), came


@pytest.mark.parametrize("pieces", [1, 2, 7, 400])
@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_is_read_however_it_is_cut(name: str, pieces: int) -> None:
    """Bodies of every framing are read whole, and connections are used again exactly where they may be."""
    reply, body, kept = REPLIES[name]
    found, connections = exchange(reply, posts=3, pieces=pieces)
    assert [each.content for each in found] == [body] * 3
    assert connections == (1 if kept else 3)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_reply_is_refused(name: str) -> None:
    """A cut reply, or what is no HTTP, is a broken connection; it never hangs and never passes for a reply."""
    with pytest.raises(BrokenConnectionError):
        exchange(BROKEN[name], pieces=3, most_bytes=2**20)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=60), place=st.integers(0, 80), name=st.sampled_from(sorted(REPLIES)))
def test_any_bytes_are_a_reply_or_refused(data: bytes, place: int, name: str) -> None:
    """Bytes put anywhere into a reply end in a reply or one of the errors."""
    whole = REPLIES[name][0]
    with contextlib.suppress(BrokenConnectionError, TooLargeError, OddReplyError):
        exchange(whole[:place] + data + whole[place:], pieces=2)


@pytest.mark.parametrize("name", ["length", "chunks", "to the end"])
def test_reading_stops_at_the_limit(name: str) -> None:
    """A body larger than allowed is not read to its end."""
    with pytest.raises(TooLargeError):
        exchange(REPLIES[name][0], most_bytes=4)


def test_compression_that_was_not_asked_for_is_refused() -> None:
    """A compressed reply is no text, and is never unpacked."""
    packed = zlib.compress(b"0" * 1000)
    head = OK + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with pytest.raises(OddReplyError):
        exchange(head + packed)


def test_nobody_there_is_told_from_a_broken_connection() -> None:
    """Where nobody listens nothing was sent."""

    async def main() -> None:
        client = Poster("http://127.0.0.1:9/", headers={}, connect_s=5.0, read_s=5.0)
        try:
            await client.post(b"", most_bytes=10)
        finally:
            await client.close()

    with pytest.raises(CannotConnectError):
        asyncio.run(main())
