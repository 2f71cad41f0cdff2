"""The HTTP backend against servers that fail in every way they can."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import EndpointError, InputError
from coinfer.executor.backends.base import CompletionReply, CompletionRequest, MeteredError, RetryableError
from coinfer.executor.backends.openai import BASE_REPLY_BYTES, OpenAIBackend, retry_after_s
from coinfer.executor.backends.openai_reply import parse_reply
from coinfer.executor.backends.replay import ReplayBackend
from coinfer.testing.backends import Fault, OpenAIServer

ASKED = CompletionRequest(prompt="ask 12", max_tokens=4)
KEY = "sk-do-not-show-me-0123456789"

RETRYABLE = (Fault.HANG, Fault.CUT, Fault.BUSY, Fault.ERROR)


@pytest.fixture
def server(recorded: Path) -> Iterator[OpenAIServer]:
    """Yield a server over recorded outcomes."""
    with OpenAIServer(ReplayBackend(recorded)) as running:
        yield running


def ask(url: str, asked: CompletionRequest = ASKED, **options: Any) -> CompletionReply:
    """Make one call."""

    async def main() -> CompletionReply:
        backend = OpenAIBackend(url, model="m", **{"timeout_s": 5.0, **options})
        try:
            return await backend.complete(asked)
        finally:
            await backend.close()

    return asyncio.run(main())


@pytest.mark.parametrize("name", ["", "user:word@"], ids=["plain", "with a name and a password"])
@pytest.mark.parametrize("fault", Fault)
def test_every_fault_is_a_sentence(server: OpenAIServer, fault: Fault, name: str) -> None:
    """However an endpoint fails, the error is one line that names it, and says rightly whether it may pass."""
    server.fault = lambda _number, _prompt: fault
    with pytest.raises(EndpointError) as caught:
        ask(server.url.replace("//", f"//{name}"), timeout_s=0.3 if fault is Fault.HANG else 5.0)

    assert isinstance(caught.value, RetryableError) == (fault in RETRYABLE)
    assert str(caught.value).startswith(server.url)
    assert "\n" not in str(caught.value)
    assert len(server.log) == 1


def test_a_flood_is_stopped_early(server: OpenAIServer) -> None:
    """An endless reply is read up to its limit and no further."""
    server.fault = lambda _number, _prompt: Fault.FLOOD
    with pytest.raises(EndpointError, match="larger than"):
        ask(server.url)

    assert server.bytes_sent < 16 * BASE_REPLY_BYTES  # what socket buffers hold comes on top


def test_a_busy_endpoint_says_when_to_come_back(server: OpenAIServer) -> None:
    """``Retry-After`` reaches the caller, and no work is charged."""
    server.fault, server.retry_after = lambda _number, _prompt: Fault.BUSY, "7"
    with pytest.raises(RetryableError) as caught:
        ask(server.url)

    assert caught.value.retry_after_s == 7.0
    assert caught.value.refused


def test_retry_after_is_read_as_seconds_or_date() -> None:
    """Both forms of RFC 9110 are understood, a date in the past is now, anything else is absent."""
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

    assert retry_after_s("120", now=now) == 120.0
    assert retry_after_s("Thu, 01 Jan 2026 12:00:30 GMT", now=now) == 30.0
    assert retry_after_s("Thu, 01 Jan 2026 11:00:00 GMT", now=now) == 0.0
    for odd in (None, "", "soon", "-3", "1e999", "9" * 400, "Thu, 99 Jan 2026 12:00:30 GMT"):
        assert retry_after_s(odd, now=now) is None


def test_an_unreachable_endpoint_is_a_sentence() -> None:
    """A port where nobody listens is refused at once, may pass, and cost nothing."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(RetryableError, match="cannot be reached") as caught:
            ask(f"http://127.0.0.1:{held.getsockname()[1]}/v1")
    assert caught.value.refused


def test_the_key_is_sent_and_never_shown(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An endpoint that repeats the key finds it neither in the error nor in any log, at the finest level."""
    monkeypatch.setenv("TEST_KEY", KEY)
    server.fault = lambda _number, _prompt: Fault.FORBIDDEN
    with caplog.at_level(logging.DEBUG), pytest.raises(EndpointError, match=r"401.*Bearer \*\*\*") as caught:
        ask(server.url, api_key_env="TEST_KEY")

    assert KEY not in str(caught.value)
    assert KEY not in caplog.text


@pytest.mark.parametrize("chat", [False, True])
def test_a_completion_that_repeats_the_key_is_handed_out_without_it(
    monkeypatch: pytest.MonkeyPatch, chat: bool
) -> None:
    """What an endpoint writes reaches journals and other agents, so its key is cut out of every text; a word is not."""
    asked = CompletionRequest(prompt="ask 12", max_tokens=40, samples=2)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as echo:
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{echo.server_address[1]}/v1"
        for variable, value, said in (("TEST_KEY", KEY, "say *** x"), ("TEST_WORD", "EMPTY", "say EMPTY x")):
            monkeypatch.setenv(variable, value)
            reply = ask(url, asked, api_key_env=variable, chat=chat)
            assert [each.text for each in reply.completions] == [said, said]
        echo.shutdown()


class _Echo(BaseHTTPRequestHandler):
    """Writes the key of a request into its completions."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer with two texts."""
        self.rfile.read(int(self.headers["Content-Length"]))
        text = f"say {self.headers['Authorization'].removeprefix('Bearer ')} x"
        choice = {"text": text, "message": {"content": text}}
        body = json.dumps({"choices": [choice, choice], "usage": {"prompt_tokens": 1, "completion_tokens": 8}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def test_a_missing_key_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset, empty or unprintable key names the variable, and not what stands in it."""
    for value in (None, " ", "a\nb", "ключ"):
        monkeypatch.delenv("TEST_KEY", raising=False)
        if value is not None:
            monkeypatch.setenv("TEST_KEY", value)
        with pytest.raises(InputError, match="TEST_KEY") as caught:
            OpenAIBackend("http://127.0.0.1:1/v1", model="m", api_key_env="TEST_KEY")
        assert value is None or not value.strip() or value not in str(caught.value)


def test_an_address_never_shows_its_password() -> None:
    """User and password of an address stay out of errors."""
    with pytest.raises(RetryableError) as caught:
        ask("http://me:hidden@127.0.0.1:9/v1")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "ftp://host/v1", "http://", "http://host:port/v1"])
def test_an_odd_address_is_refused(url: str) -> None:
    """An address that is none is refused before any call."""
    with pytest.raises(InputError, match="address"):
        OpenAIBackend(url, model="m")


def test_tokens_are_counted_where_the_endpoint_does_not(server: OpenAIServer) -> None:
    """Without usage a cut text has ``max_tokens``, and a whole one at most its bytes."""
    server.usage = False
    whole = ask(server.url).completions[0]
    cut = ask(server.url, CompletionRequest(prompt="ask 12", max_tokens=1)).completions[0]

    assert (whole.text, whole.output_tokens, whole.finish) == ("12", 2, "stop")
    assert (cut.text, cut.output_tokens, cut.finish) == ("1", 1, "length")


def test_a_count_over_all_samples_is_not_believed() -> None:
    """With several samples the endpoint's one count says nothing about each, and log-probabilities do."""
    choice = {"text": "ab", "finish_reason": "stop", "logprobs": {"token_logprobs": [-0.5, -0.25, -1.0]}}
    data = {"choices": [choice, choice], "usage": {"completion_tokens": 3}}
    asked = CompletionRequest(prompt="p", max_tokens=8, samples=2, logprobs=True)

    reply = parse_reply(data, asked, chat=False, seconds=1.0)

    assert [completion.output_tokens for completion in reply.completions] == [3, 3]
    assert reply.completions[0].logprobs == (-0.5, -0.25, -1.0)


@pytest.mark.parametrize(
    ("samples", "given", "words"),
    [
        (1, {"choices": [{"text": "a b c d"}], "usage": {"completion_tokens": 9, "prompt_tokens": 5}}, "at most 3 x 1"),
        (2, {"choices": [{"text": "a"}], "usage": {"completion_tokens": 1, "prompt_tokens": 5}}, "expected 2 choice"),
        (2, {"choices": [{"text": "a"}] * 2, "usage": {"completion_tokens": 7, "prompt_tokens": 5}}, "at most 3 x 2"),
        (1, {"choices": [{"text": "a"}] * 2, "usage": {"completion_tokens": 2, "prompt_tokens": 5}}, "found 2"),
        (1, {"choices": [{"text": 5}], "usage": {"completion_tokens": 2, "prompt_tokens": 5}}, "a text"),
        (1, {"usage": {"completion_tokens": 2, "prompt_tokens": 5}}, "list of choices"),
    ],
)
def test_a_reply_that_is_not_as_asked_says_what_it_cost(samples: int, given: dict[str, Any], words: str) -> None:
    """Where usage came, the error holds it, with the texts that can be read; where it did not, it is a plain error."""
    asked = CompletionRequest(prompt="p", max_tokens=3, samples=samples)
    with pytest.raises(MeteredError, match=words) as caught:
        parse_reply(given, asked, chat=False, seconds=1.0)
    reply = caught.value.reply
    assert (reply.output_tokens, reply.prompt_tokens) == (given["usage"]["completion_tokens"], 5)
    texts = [choice.get("text") for choice in given.get("choices", [])]
    assert [each.text for each in reply.completions] == (texts if len(texts) <= samples and texts != [5] else [])
    for usage in ({}, {"completion_tokens": 2**60}, {"completion_tokens": True}):
        if "at most" not in words:
            with pytest.raises(EndpointError) as plain:
                parse_reply({**given, "usage": usage}, asked, chat=False, seconds=1.0)
            assert not isinstance(plain.value, MeteredError)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "text", "message", "content", "logprobs", "token_logprobs", "usage", "completion_tokens"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(choices=st.lists(_values, max_size=2) | _values, usage=_values, chat=st.booleans(), logprobs=st.booleans())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_json_is_a_reply_or_a_sentence(choices: Any, usage: Any, chat: bool, logprobs: bool) -> None:
    """Whatever JSON an endpoint sends, it is read within the limits asked for or refused with a sentence."""
    asked = CompletionRequest(prompt="p", max_tokens=3, logprobs=logprobs)
    try:
        reply = parse_reply({"choices": choices, "usage": usage}, asked, chat=chat, seconds=1.0)
    except EndpointError:
        return
    assert all(0 <= completion.output_tokens <= 3 for completion in reply.completions)
    assert len(reply.completions) == 1
