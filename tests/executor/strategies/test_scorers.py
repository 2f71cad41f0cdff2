"""Whoever serves the role of rewards scores every step, is metered, and is refused where it says nothing of use."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from coinfer.errors import EndpointError, InputError
from coinfer.executor.backends.base import (
    RetryableError,
)
from coinfer.executor.backends.scoring import Address, ScoringBackend
from coinfer.executor.options import RunOptions
from coinfer.executor.strategies.ask import Score, Scored
from coinfer.executor.strategies.endpoints import Endpoints, RoleEndpoint
from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
from coinfer.executor.strategies.opening import opened
from coinfer.executor.strategies.provider import Provider, Served, TokenPrice
from coinfer.executor.strategies.scorers import RewardModel
from coinfer.executor.strategies.session import user
from coinfer.models.endpoint import Endpoint

ASK = Score(messages=user("Is it?"), answers=(("good\n\n", "good"), ("bad",)))
PRICE = TokenPrice(prompt_usd=1e-3, output_usd=1e-2)


class Rewarding(BaseHTTPRequestHandler):
    """Answers as vLLM documents ``/pooling`` and ``/score``: a text is worth 0.1 and 0.4 more for each "good"."""

    protocol_version = "HTTP/1.1"
    spoil: Any = None

    def do_POST(self) -> None:  # the name that the library calls
        """Score."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/score":
            texts = body["documents"]
            rows = [{"index": i, "object": "score", "score": self._worth(text)} for i, text in enumerate(texts)][::-1]
        else:
            texts = [body["messages"][-1]["content"]] if "messages" in body else body["input"]
            tokens = [[[0.9, 0.1], [1.0 - self._worth(text), self._worth(text)]] for text in texts]
            rows = [{"index": i, "object": "pooling", "data": data} for i, data in enumerate(tokens)]
        usage = {"prompt_tokens": 10 * len(texts), "total_tokens": 10 * len(texts)}
        reply = {"object": "list", "data": rows, "usage": usage}
        content = json.dumps(reply if type(self).spoil is None else type(self).spoil(reply)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _worth(self, text: str) -> float:
        return 0.1 + 0.4 * text.count("good")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Serve rewards at an address."""
    Rewarding.spoil = None
    with ThreadingHTTPServer(("127.0.0.1", 0), Rewarding) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def scored(provider: Provider, ask: Score = ASK) -> list[Served]:
    """Serve every part of an ask."""

    async def run() -> list[Served]:
        try:
            return [await provider.serve(part, seed=0) for part in provider.parts(ask)]
        finally:
            backend = getattr(provider, "_backend", None)
            if backend is not None:
                await backend.close()

    return asyncio.run(run())


def scores(served: Sequence[Served]) -> list[tuple[float, ...]]:
    """Return the scores of all parts."""
    return [own for each in served if isinstance(each.reply, Scored) for own in each.reply.scores]


@pytest.mark.parametrize(
    ("address", "chat", "calls"), [("pooling", False, 1), ("pooling", True, 3), ("score", False, 1)]
)
def test_a_reward_model_behind_an_address_scores_every_step_and_is_metered(
    url: str, address: Address, chat: bool, calls: int
) -> None:
    """Each beginning is a text of its own; what the endpoint counts is charged, within the worst case."""
    backend = ScoringBackend(url, model="m", address=address, chat=chat)
    provider = RewardModel(backend, price=PRICE)
    (served,) = found = scored(provider)
    assert scores(found) == [pytest.approx((0.5, 0.9)), pytest.approx((0.1,))]
    charged, worst = served.charged, provider.worst(ASK)
    assert charged.calls == worst.calls == calls
    assert charged.prompt_tokens + charged.tokens == 30
    assert charged.usd == pytest.approx(charged.prompt_tokens * 1e-3 + charged.tokens * 1e-2)
    assert charged.tokens <= worst.tokens
    assert charged.prompt_tokens <= worst.prompt_tokens


def test_log_odds_become_chances(url: str) -> None:
    """With ``logistic``, rewards lie between 0 and 1 in the same order."""
    provider = RewardModel(ScoringBackend(url, model="m", address="score", logistic=True))
    assert scores(scored(provider))[1] == (pytest.approx(1.0 / (1.0 + math.exp(-0.1))),)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda reply: [],
        lambda reply: {**reply, "data": reply["data"][1:]},
        lambda reply: {**reply, "data": [*reply["data"][1:], reply["data"][1]]},
        lambda reply: {**reply, "data": [{**row, "score": None} for row in reply["data"]]},
        lambda reply: {**reply, "data": [{**row, "score": float("nan")} for row in reply["data"]]},
        lambda reply: {**reply, "data": [{**row, "score": True} for row in reply["data"]]},
        lambda reply: {**reply, "data": [{**row, "index": "x"} for row in reply["data"]]},
        lambda reply: {**reply, "usage": {"prompt_tokens": -1}},
    ],
)
def test_replies_that_are_none_are_refused(url: str, spoil: Any) -> None:
    """Rewards that are missing, doubled, or no numbers fail the call in a sentence."""
    Rewarding.spoil = staticmethod(spoil)
    with pytest.raises(EndpointError, match="127"):
        scored(RewardModel(ScoringBackend(url, model="m", address="score")))


def test_an_endpoint_that_does_not_say_what_it_read_is_charged_its_worst_case(url: str) -> None:
    """Without usage the tokens that were set aside count."""
    Rewarding.spoil = staticmethod(lambda reply: {**reply, "usage": {}})
    provider = RewardModel(ScoringBackend(url, model="m", address="score"), price=PRICE)
    (served,) = scored(provider)
    assert served.charged == provider.worst(ASK)


def test_an_address_where_nobody_is_may_be_tried_again() -> None:
    """A refused connection is a failure that may pass."""
    with pytest.raises(RetryableError):
        scored(RewardModel(ScoringBackend("http://127.0.0.1:9/v1", model="m", address="score")))


ENDPOINT = Endpoint(backend="openai", model="m", url="http://127.0.0.1:9/v1")
CHAT = Endpoint(backend="openai", model="m", url="http://127.0.0.1:9/v1", chat=True)


@pytest.mark.parametrize(
    ("role", "fields", "words"),
    [
        ("reward", {"endpoint": ENDPOINT}, "kind"),
        ("answer", {"kind": "judge", "endpoint": ENDPOINT}, "kind"),
        ("answer", {}, "endpoint"),
        ("reward", {"kind": "verifier"}, "folder"),
        ("reward", {"kind": "verifier", "verifier": "V", "endpoint": ENDPOINT}, "endpoint"),
        ("reward", {"kind": "judge", "endpoint": ENDPOINT, "verifier": "V"}, "verifier"),
        ("reward", {"kind": "judge", "endpoint": ENDPOINT, "address": "score"}, "scorer"),
        ("reward", {"kind": "scorer", "endpoint": Endpoint(backend="transformers", model="m")}, "openai"),
        ("reward", {"kind": "scorer", "address": "score", "endpoint": CHAT}, "chat"),
        ("reward", {"kind": "judge"}, "endpoint"),
    ],
)
def test_a_role_that_cannot_be_served_so_is_named(role: str, fields: dict[str, Any], words: str) -> None:
    """Kinds go with their fields, and the role of rewards with the kinds that give some."""
    with pytest.raises(InputError, match=words):
        Endpoints(roles={role: RoleEndpoint(**fields)})


def test_an_opened_scorer_is_asked_once_and_priced(url: str, tmp_path: Path) -> None:
    """What finding out took is journalled, so that a resumed run does not ask again; its price is for plans."""
    endpoint = Endpoint(backend="openai", model="m", url=url)
    roles = {"reward": RoleEndpoint(kind="scorer", endpoint=endpoint, price=PRICE)}
    spent = []
    for _ in range(2):
        with SessionJournal(tmp_path / "journal", SessionsHeader(work_sha256="0", seed=0)) as journal:

            async def run(journal: SessionJournal = journal) -> list[tuple[float, ...]]:
                async with opened(Endpoints(roles=roles), journal=journal, options=RunOptions()) as reached:
                    assert reached.offers["reward"] == {"reward"}
                    assert reached.prices == {"reward": PRICE}
                    return scores([await reached.providers["reward"].serve(ASK, seed=0)])

            assert asyncio.run(run())[1] == pytest.approx((0.1,))
            spent.append(journal.spent)
    assert spent[0] == spent[1]
    assert (spent[0].calls, spent[0].prompt_tokens) == (1, 10)
