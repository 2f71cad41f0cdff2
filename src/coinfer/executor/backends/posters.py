"""Posts to an endpoint over kept connections, with limits of time and size, and errors that say what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from coinfer.executor.backends.access import is_loopback

if TYPE_CHECKING:
    import aiohttp

IDLE_S = 4.0
"""A connection that nobody used for so long is not used again: its server may be closing it."""


class CannotConnectError(Exception):
    """Nobody could be reached: no byte was sent."""


class BrokenConnectionError(Exception):
    """The connection broke, or what came was no HTTP, before the reply was whole."""


class TooLargeError(Exception):
    """The reply was larger than allowed; reading stopped."""


class OddReplyError(Exception):
    """The reply came in a way that is not understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """Status, headers by their names in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Poster:
    """Posts to one address; used by one event loop. Nothing is redirected, and no compression is asked for.

    Parameters
    ----------
    url
        ``http://`` or ``https://``.
    headers
        Of every request.
    connect_s, read_s
        Longest time to connect, and between two pieces of a reply, seconds.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str], connect_s: float, read_s: float) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json", **headers, "Accept-Encoding": "identity"}
        self._connect_s, self._read_s = connect_s, read_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, *, most_bytes: int) -> HttpReply:
        """Send a body and return the reply; cancelling it closes the connection.

        Raises
        ------
        CannotConnectError, BrokenConnectionError, TooLargeError, OddReplyError
            As they say.
        """
        import aiohttp

        session = self._session or self._open()
        try:
            async with session.post(self._url, data=body, allow_redirects=False) as reply:
                if reply.headers.get("Content-Encoding", "identity") != "identity":
                    reply.close()
                    raise OddReplyError("the reply is compressed, which was not asked for")
                content = bytearray()
                async for piece in reply.content.iter_any():
                    content += piece
                    if len(content) > most_bytes:
                        reply.close()
                        raise TooLargeError
                headers = {name.lower(): value for name, value in reply.headers.items()}
                return HttpReply(status=reply.status, headers=headers, content=bytes(content))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise CannotConnectError(_words(error)) from error
        except (aiohttp.InvalidURL, aiohttp.TooManyRedirects, ValueError) as error:
            raise OddReplyError(_words(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise BrokenConnectionError(_words(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        held, self._session = self._session, None
        if held is not None:
            await held.close()

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s, sock_read=self._read_s)
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=not is_loopback(urlsplit(self._url).hostname or ""),  # a proxy is never asked for this machine
        )
        return self._session


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
