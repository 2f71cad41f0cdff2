"""The role ``retriever``: passages of a user's file, ranked by BM25, or those of a search service over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from coinfer import jsonfile
from coinfer.errors import BackendMissing, EndpointError, InputError, Plain
from coinfer.executor.backends.access import read_key, without_key
from coinfer.executor.backends.base import RetryableError
from coinfer.executor.backends.openai import retry_after_s
from coinfer.executor.backends.posters import (
    BrokenConnectionError,
    CannotConnectError,
    HttpReply,
    OddReplyError,
    Poster,
    TooLargeError,
)
from coinfer.executor.strategies.provider import Retriever
from coinfer.records import Record

MOST_REPLY_BYTES = 8 * 2**20
MOST_CONCURRENCY = 1000
_WORD = re.compile(r"\w+")
_PARAGRAPHS = re.compile(r"\n\s*\n")


class PassageFile(Record, frozen=True, kw_only=True, tag_field="kind", tag="passages"):
    """Passages of a file, ranked by BM25.

    Attributes
    ----------
    file
        JSON Lines (``.jsonl``), one object with a ``text`` a line, other fields unread; or a text, whose paragraphs are
        the passages. A relative path starts at the folder of the file of endpoints.
    """

    file: str


class HttpSearch(Record, frozen=True, kw_only=True, tag_field="kind", tag="http"):
    """A search service: ``{"query": ..., "count": ...}`` is posted, ``{"passages": [...]}`` comes back.

    Attributes
    ----------
    url
        Address.
    api_key_env
        Environment variable that holds the bearer key; absent for an open service.
    concurrency
        Searches at once.
    """

    url: str
    api_key_env: str | None = None
    concurrency: int = 4

    def __post_init__(self) -> None:
        _address(self.url)
        if not 1 <= self.concurrency <= MOST_CONCURRENCY:
            raise InputError("concurrency", expected=f"a number in 1..{MOST_CONCURRENCY}", found=self.concurrency)


RetrieverSource = PassageFile | HttpSearch


class PassageIndex:
    """Passages that can be searched.

    Parameters
    ----------
    passages
        At least one with a word in it.

    Notes
    -----
    BM25 as Lucene has it (Robertson and Zaragoza 2009, section 3; k1 = 1.5, b = 0.75), by the package bm25s
    (2407.03618). Words are runs of letters and digits, in lower case.

    Raises
    ------
    InputError
        If no passage has a word.
    BackendMissing
        If bm25s is not installed.
    """

    def __init__(self, passages: Sequence[str]) -> None:
        try:
            import bm25s
        except ImportError as error:
            sentence = "passages need bm25s; install it with: pip install 'coinfer[retrieval]'"
            raise BackendMissing(sentence) from error
        words = [_words(each) for each in passages]
        self._passages = [each for each, own in zip(passages, words, strict=True) if own]
        if not self._passages:
            raise InputError("passages", expected="at least one with a word in it", found=Plain("none"))
        self._index = bm25s.BM25()
        self._index.index([own for own in words if own], show_progress=False)

    def search(self, query: str, count: int) -> tuple[str, ...]:
        """Return at most ``count`` passages that share a word with the query, the best first, equal ones in order."""
        words = _words(query)
        if not words:
            return ()
        scores = np.asarray(self._index.get_scores(words))
        order = np.argsort(-scores, kind="stable")[:count]
        return tuple(self._passages[i] for i in order.tolist() if scores[i] > 0.0)


def read_passages(path: Path) -> tuple[str, ...]:
    """Read the passages of a file.

    Raises
    ------
    InputError
        If it cannot be read, or a line is no object with a text.
    """
    text = jsonfile.read_text(path)
    if path.suffix != ".jsonl":
        return tuple(each.strip() for each in _PARAGRAPHS.split(text) if each.strip())
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = jsonfile.parse(line, where=f"{path}:{number}")
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise InputError(f"{path}:{number}", expected="an object with a text", found=row)
        found.append(row["text"])
    return tuple(found)


@asynccontextmanager
async def opened_retriever(source: RetrieverSource, *, timeout_s: float) -> AsyncIterator[Retriever]:
    """Open a retriever, and close it in the end.

    Raises
    ------
    InputError, BackendMissing
        If its file, its key or its package is not there.
    """
    if isinstance(source, PassageFile):
        index = await asyncio.to_thread(lambda: _indexed(Path(source.file)))

        async def search(query: str, count: int) -> tuple[str, ...]:
            return await asyncio.to_thread(index.search, query, count)

        yield Retriever(search)
        return
    async with _Service(source, timeout_s).opened() as service:
        yield Retriever(service.search, concurrency=source.concurrency)


def _indexed(path: Path) -> PassageIndex:
    try:
        return PassageIndex(read_passages(path))
    except InputError as error:
        raise (error if error.where.startswith(str(path)) else error.inside(str(path))) from error


class _Service:
    """A search service over HTTP. What it returns is data, and bounded."""

    def __init__(self, source: HttpSearch, timeout_s: float) -> None:
        _, self._where = _address(source.url)
        self._timeout_s, self._key = timeout_s, read_key(source.api_key_env)
        headers = {"Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        self._poster = Poster(source.url, headers=headers, connect_s=timeout_s, read_s=timeout_s)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[_Service]:
        """Close the connections in the end."""
        try:
            yield self
        finally:
            await self._poster.close()

    async def search(self, query: str, count: int) -> tuple[str, ...]:
        """Post a query."""
        body = json.dumps({"query": query, "count": count}).encode()
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._poster.post(body, most_bytes=MOST_REPLY_BYTES)
        except TimeoutError as error:
            raise RetryableError(f"{self._where}: no complete reply within {self._timeout_s:g} s") from error
        except CannotConnectError as error:
            raise RetryableError(f"{self._where}: cannot be reached", refused=True) from error
        except BrokenConnectionError as error:
            raise RetryableError(f"{self._where}: the connection broke") from error
        except TooLargeError as error:
            raise EndpointError(f"{self._where}: the reply is larger than {MOST_REPLY_BYTES:,} bytes") from error
        except OddReplyError as error:
            raise EndpointError(f"{self._where}: the reply is no HTTP that was asked for") from error
        data = self._read(reply)
        found = data.get("passages") if isinstance(data, dict) else None
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise EndpointError(f"{self._where}: expected an object with passages, a list of texts")
        return tuple(without_key(text, self._key) for text in found)  # the provider takes as many as were asked for

    def _read(self, reply: HttpReply) -> Any:
        status = reply.status
        if status in (408, 429) or status >= 500:
            wait = retry_after_s(reply.headers.get("retry-after"), now=datetime.now(UTC))
            raise RetryableError(f"{self._where}: HTTP {status}", retry_after_s=wait, refused=status in (429, 503))
        if not 200 <= status < 300:
            raise EndpointError(f"{self._where}: HTTP {status}")
        try:
            return json.loads(reply.content)
        except (ValueError, RecursionError) as error:
            raise EndpointError(f"{self._where}: the reply is not valid JSON") from error


def _address(url: str) -> tuple[str, str]:
    """Return the host of an address, and the address as it may be shown: it may hold a password."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise InputError("url", expected="an http:// or https:// address", found=Plain("another text")) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError("url", expected="an http:// or https:// address", found=Plain("another text"))
    return parts.hostname, f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
