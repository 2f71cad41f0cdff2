"""What posts to an endpoint: plain HTTP/1.1, or httpx where more is needed.

A model on this machine or its network answers many small calls, and a general client would take most of their time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

from coinfer.executor.backends.http1 import (
    BrokenConnectionError,
    CannotConnectError,
    HttpReply,
    OddReplyError,
    PlainPoster,
    Poster,
    TooLargeError,
)

if TYPE_CHECKING:
    import httpx


def poster(url: str, *, headers: Mapping[str, str], connect_s: float, read_s: float) -> Poster:
    """Return what posts to an address: httpx for TLS, proxies (but to this machine) and passwords in addresses.

    Parameters
    ----------
    url
        ``http://`` or ``https://``.
    headers
        Of every request.
    connect_s, read_s
        Longest time to connect, and between two pieces of a reply, seconds.
    """
    parts = urlsplit(url)
    local = _is_loopback(parts.hostname or "")
    plain = (
        parts.scheme == "http" and "@" not in parts.netloc and url.isascii() and url.isprintable() and " " not in url
    )
    if plain and (local or not getproxies()):
        return PlainPoster(url, headers=headers, connect_s=connect_s)
    return HttpxPoster(url, headers=headers, connect_s=connect_s, read_s=read_s, local=local)


class HttpxPoster:
    """Posts by httpx."""

    def __init__(self, url: str, *, headers: Mapping[str, str], connect_s: float, read_s: float, local: bool) -> None:
        import httpx

        timeout = httpx.Timeout(read_s, connect=connect_s)
        self._url = url
        self._client: httpx.AsyncClient = httpx.AsyncClient(
            headers={"Content-Type": "application/json", **headers},
            timeout=timeout,
            follow_redirects=False,
            trust_env=not local,
        )

    async def post(self, body: bytes, *, most_bytes: int) -> HttpReply:
        """Send a body and return the reply."""
        import httpx

        try:
            async with self._client.stream("POST", self._url, content=body) as response:
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > most_bytes:
                        raise TooLargeError
                return HttpReply(status=response.status_code, headers=response.headers, content=bytes(content))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise CannotConnectError(str(error)) from error
        except httpx.TransportError as error:
            raise BrokenConnectionError(str(error) or type(error).__name__) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise OddReplyError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
