"""Retrievers of a file of endpoints: passages of a file by BM25, and a service over HTTP that may misbehave."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coinfer import jsonfile
from coinfer.errors import EndpointError, InputError
from coinfer.executor.backends.base import RetryableError
from coinfer.executor.strategies.ask import Found, Search
from coinfer.executor.strategies.endpoints import Endpoints, programs_of, read_endpoints
from coinfer.executor.strategies.passages import HttpSearch, PassageFile, PassageIndex, opened_retriever, read_passages

pytest.importorskip("bm25s")
PASSAGES = (
    "Paris is the capital of France.",
    "Rome is old.",
    "",
    "The capital of Italy is Rome; Rome is old.",
    "?!",
)


def found(source: PassageFile | HttpSearch, query: str, count: int = 5, *, timeout_s: float = 5.0) -> tuple[str, ...]:
    """Return what a retriever finds."""

    async def search() -> tuple[str, ...]:
        async with opened_retriever(source, timeout_s=timeout_s) as retriever:
            served = await retriever.serve(Search(query=query, count=count), seed=0)
        assert isinstance(served.reply, Found)
        assert served.charged.calls == 1
        return served.reply.passages

    return asyncio.run(search())


def test_passages_are_ranked_by_words_they_share() -> None:
    """The best come first; passages without a word of the query, and queries without a known word, give none."""
    index = PassageIndex(PASSAGES)
    assert index.search("ROME?", 5) == (PASSAGES[1], PASSAGES[3])
    assert index.search("capital of France", 1) == (PASSAGES[0],)
    assert index.search("Berlin", 5) == index.search("", 5) == index.search("?!", 5) == ()


def test_ranks_are_those_of_the_formula() -> None:
    """On random passages the order is that of BM25, written out by its definition."""
    random = np.random.default_rng(3)
    passages = [" ".join(f"w{i}" for i in random.zipf(1.5, random.integers(3, 30)) % 40) for _ in range(60)]
    words = [passage.split() for passage in passages]
    mean = sum(map(len, words)) / len(words)

    def score(own: list[str], query: list[str]) -> float:
        total = 0.0
        for word in query:
            having = sum(word in each for each in words)
            often = Counter(own)[word]
            rare = math.log(1.0 + (len(words) - having + 0.5) / (having + 0.5))
            total += rare * often / (often + 1.5 * (1.0 - 0.75 + 0.75 * len(own) / mean))
        return total

    for query in ("w1 w3", "w2", "w7 w9 w1"):
        scores = [score(own, query.split()) for own in words]
        got = [passages.index(each) for each in PassageIndex(passages).search(query, 10)]
        assert [scores[i] for i in got] == pytest.approx(sorted(scores, reverse=True)[: len(got)], rel=1e-4)


def test_files_are_lines_or_paragraphs(tmp_path: Path) -> None:
    """JSON Lines give their texts, other files their paragraphs; empty lines are none."""
    lines, text = tmp_path / "p.jsonl", tmp_path / "p.txt"
    lines.write_text('{"text": "Rome is old.", "id": 3}\n\n{"text": "a\\u2028b"}\n', encoding="utf-8")
    text.write_text("Rome\nis old.\n \n\nParis is not.\n")
    assert read_passages(lines) == ("Rome is old.", "a\u2028b")
    assert read_passages(text) == ("Rome\nis old.", "Paris is not.")
    assert found(PassageFile(file=str(text)), "rome") == ("Rome\nis old.",)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.jsonl", '{"text": "a"}\n{"txt": "b"}', "p.jsonl:2: expected an object with a text"),
        ("p.jsonl", '["a"]', "p.jsonl:1"),
        ("p.jsonl", '{"text": 3}', "p.jsonl:1"),
        ("p.jsonl", "{", "p.jsonl:1: expected valid JSON"),
        ("p.txt", "?!\n\n--", "at least one with a word in it"),
        ("p.txt", "", "at least one with a word in it"),
        ("p.txt", None, "a readable file"),
    ],
)
def test_files_that_are_none_are_refused_in_a_sentence(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    """The file and the line are named."""
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=words) as error:
        found(PassageFile(file=str(path)), "a")
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("retriever", "words"),
    [
        ({"kind": "http", "url": "ftp://x"}, "retriever.url"),
        ({"kind": "http", "url": "http://[x"}, "retriever.url"),
        ({"kind": "http", "url": "http://x", "concurrency": 0}, "retriever.concurrency"),
        ({"kind": "bm25", "file": "x"}, "retriever.kind: expected one of"),
        ({"kind": "passages"}, "a field `file`"),
    ],
)
def test_retrievers_that_are_none_are_refused_in_a_sentence(
    tmp_path: Path, retriever: dict[str, Any], words: str
) -> None:
    """The place in the file of endpoints is named."""
    path = tmp_path / "ends.json"
    model = {"endpoint": {"backend": "transformers", "model": "zoo:generalist-tiny"}}
    path.write_text(json.dumps({"format": "coinfer/endpoints/1", "roles": {"answer": model}, "retriever": retriever}))
    with pytest.raises(InputError, match=words):
        read_endpoints(path)


def test_paths_start_at_the_folder_of_the_file_of_endpoints(tmp_path: Path) -> None:
    """Relative ones are found from anywhere, absolute ones stay; a program is there once."""
    model = {"endpoint": {"backend": "transformers", "model": "zoo:generalist-tiny"}}
    content: dict[str, Any] = {"format": "coinfer/endpoints/1", "roles": {"answer": model}}
    path, program = tmp_path / "ends.json", tmp_path / "mine.json"
    stage = {"do": "ask", "name": "a", "template": "{prompt}"}
    program.write_text(
        json.dumps({"format": "coinfer/prompt-program/1", "name": "mine", "stages": [stage], "answer": "a"})
    )
    content |= {"retriever": {"kind": "passages", "file": "p.txt"}, "programs": ["mine.json"]}
    path.write_text(json.dumps(content))
    read = read_endpoints(path)
    assert read.retriever == PassageFile(file=str(tmp_path / "p.txt"))
    assert [name.partition("@")[0] for name in programs_of(read)] == ["mine"]
    content["programs"] = [str(program), "mine.json"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="each program once"):
        programs_of(read_endpoints(path))
    content["roles"]["retriever"] = model
    with pytest.raises(InputError, match="roles"):
        jsonfile.convert({k: v for k, v in content.items() if k != "format"}, Endpoints, where="ends.json")


class Handler(BaseHTTPRequestHandler):
    """A service that replies by the path it is asked at."""

    def do_POST(self) -> None:
        """Reply, well or badly."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("Authorization", "no key")
        good = json.dumps({"passages": [f"{body['query']} {i} {key}" for i in range(body["count"] + 2)]})
        replies = {
            "/good": (200, good),
            "/busy": (429, ""),
            "/broken": (500, "sorry"),
            "/none": (404, ""),
            "/moved": (302, ""),
            "/text": (200, "passages"),
            "/list": (200, '["a"]'),
            "/numbers": (200, '{"passages": [1]}'),
            "/flood": (200, json.dumps({"passages": ["x" * 9_000_000]})),
        }
        status, text = replies.get(self.path, (200, good))
        if self.path == "/slow":
            threading.Event().wait(1.0)
        self.send_response(status)
        if status in (302, 429):
            self.send_header(*(("Location", "/good") if status == 302 else ("Retry-After", "7")))
        self.end_headers()
        try:
            self.wfile.write(text.encode())
        except OSError:  # it has hung up
            return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the address of the service."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_service_is_asked_over_http(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The query and the number are posted, with the key; more passages than were asked for are left out."""
    monkeypatch.setenv("SEARCH_KEY", "s3cret")
    source = HttpSearch(url=f"{address}/good", api_key_env="SEARCH_KEY")
    assert found(source, "rome", 2) == ("rome 0 Bearer s3cret", "rome 1 Bearer s3cret")
    assert found(HttpSearch(url=f"{address}/good"), "rome", 1) == ("rome 0 no key",)
    monkeypatch.delenv("SEARCH_KEY")
    with pytest.raises(InputError, match="SEARCH_KEY is not set"):
        found(source, "rome")


@pytest.mark.parametrize(
    ("path", "words", "again"),
    [
        ("/busy", "HTTP 429", True),
        ("/broken", "HTTP 500", True),
        ("/slow", "no complete reply within", True),
        ("/none", "HTTP 404", False),
        ("/moved", "HTTP 302", False),
        ("/text", "not valid JSON", False),
        ("/list", "a list of texts", False),
        ("/numbers", "a list of texts", False),
        ("/flood", "larger than", False),
    ],
)
def test_a_service_that_misbehaves_costs_one_call(address: str, path: str, words: str, again: bool) -> None:
    """What may pass is told from what will not; redirects are not followed, floods are cut."""
    url = address.replace("http://", "http://user:pass@") + path
    with pytest.raises(EndpointError, match=words) as error:
        found(HttpSearch(url=url), "rome", timeout_s=0.3 if path == "/slow" else 5.0)
    assert isinstance(error.value, RetryableError) == again
    assert "pass@" not in str(error.value)
    if path == "/busy":
        assert isinstance(error.value, RetryableError)
        assert (error.value.retry_after_s, error.value.refused) == (7.0, True)


def test_a_service_that_is_not_there_may_come_back() -> None:
    """A refused connection is repeated, and not charged."""
    with pytest.raises(RetryableError, match="cannot be reached") as error:
        found(HttpSearch(url="http://127.0.0.1:9/"), "rome")
    assert error.value.refused
