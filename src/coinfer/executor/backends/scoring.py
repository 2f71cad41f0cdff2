"""Reward models behind vLLM's addresses for pooling models: ``/pooling`` and ``/score``."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from coinfer.errors import EndpointError, InputError, Plain
from coinfer.executor.backends.base import Capabilities, CompletionRequest, Message
from coinfer.executor.backends.conversation import plain_text, turns
from coinfer.executor.backends.openai import BASE_REPLY_BYTES, OpenAIBackend

Address = Literal["pooling", "score"]
BYTES_PER_CHARACTER = 256
"""Of a reply: a reward for every token, which has a character at least, with room for two classes in full digits."""
MOST_TOKENS = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewards:
    """What a reward model says.

    Attributes
    ----------
    values
        One for each text.
    read_tokens
        Tokens read, of question and answer together; ``None`` where the endpoint does not say.
    calls
        Requests that it took.
    seconds
        Wall-clock time.
    """

    values: tuple[float, ...]
    read_tokens: int | None
    calls: int
    seconds: float


class ScoringBackend(OpenAIBackend):
    """A reward model behind an address; it writes nothing.

    With ``pooling`` and ``chat``, each answer is sent as a conversation that ends with it, so that the model's own
    template is applied; without ``chat``, question and answer are one text. Where the reply holds a value for each
    token (``token_classify``, process reward models), the last one counts; of several classes, the last one is the good
    one, as in Qwen2.5-Math-PRM. With ``score``, the question is the query and answers are the documents.

    Parameters
    ----------
    url, model, api_key_env, chat, timeout_s
        As of :class:`OpenAIBackend`; ``/v1`` at the end of the address is left away.
    address
        Which of vLLM's addresses.
    logistic
        True where the model gives log-odds: they become 0..1.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        address: Address,
        api_key_env: str | None = None,
        chat: bool = False,
        logistic: bool = False,
        timeout_s: float = 120.0,
    ) -> None:
        super().__init__(url, model=model, api_key_env=api_key_env, chat=chat, timeout_s=timeout_s)
        if chat and address == "score":
            raise InputError("chat", expected="false for the address 'score'", found=Plain("true"))
        self._url = f"{url.rstrip('/').removesuffix('/v1')}/{address}"
        self._address, self._logistic = address, logistic

    async def probe(self) -> Capabilities:
        """Score a tiny answer."""
        found = await self.rewards((Message(role="user", content="2+2="),), ("4",))
        read = found.read_tokens or 0
        return Capabilities(
            logprobs=False, samples=False, seeds=True, engine=self._engine, calls=found.calls, prompt_tokens=read
        )

    async def rewards(self, messages: tuple[Message, ...], answers: Sequence[str]) -> Rewards:
        """Score answers to a conversation.

        Raises
        ------
        RetryableError, EndpointError
            As for completions; also for a reply without a finite number for each answer.
        """
        started = time.perf_counter()
        request = CompletionRequest(messages=messages, max_tokens=1)
        bodies = self._bodies(request, answers)
        most = BASE_REPLY_BYTES + BYTES_PER_CHARACTER * sum(
            len(plain_text(request)) + len(answer.encode(errors="replace")) for answer in answers
        )
        replies = await asyncio.gather(*(self._exchange(body, most) for body in bodies), return_exceptions=True)
        failed = next((each for each in replies if isinstance(each, BaseException)), None)
        if failed is not None:
            raise failed
        each_count = len(answers) // len(bodies)
        try:
            values = tuple(value for data in replies for value in _values(data, each_count, self._address))
            counts = [_read_tokens(data) for data in replies]
        except EndpointError as error:
            raise EndpointError(f"{self._where}: {error}") from None
        known = [count for count in counts if count is not None]
        return Rewards(
            values=tuple(_logistic(value) for value in values) if self._logistic else values,
            read_tokens=sum(known) if len(known) == len(counts) else None,
            calls=len(bodies),
            seconds=time.perf_counter() - started,
        )

    def calls(self, answers: int) -> int:
        """Return how many requests so many answers take."""
        return answers if self._chat else 1

    def _bodies(self, request: CompletionRequest, answers: Sequence[str]) -> list[dict[str, Any]]:
        named = {"model": self._model}
        if self._address == "score":
            return [{**named, "queries": plain_text(request), "documents": list(answers)}]
        if self._chat:
            said = turns(request)
            return [
                {**named, "messages": [*said, {"role": "assistant", "content": answer}], "add_generation_prompt": False}
                for answer in answers
            ]
        return [{**named, "input": [plain_text(request) + answer for answer in answers]}]


def _values(data: Any, count: int, address: Address) -> list[float]:
    """Return the rewards in a reply, in the order of the answers; what an endpoint sends is checked, not trusted."""
    rows = data.get("data") if isinstance(data, dict) else None
    if not isinstance(rows, list) or len(rows) != count or not all(isinstance(row, dict) for row in rows):
        raise EndpointError(f"the reply has no list 'data' of {count} rewards")
    if sorted(str(row.get("index")) for row in rows) != sorted(str(i) for i in range(count)):
        raise EndpointError("the rewards of the reply are not numbered from 0")
    found = []
    for row in sorted(rows, key=lambda row: int(row["index"])):
        value = row.get("score") if address == "score" else row.get("data")
        while isinstance(value, list) and value:
            value = value[-1]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise EndpointError("a reward of the reply is no finite number")
        found.append(float(value))
    return found


def _read_tokens(data: Any) -> int | None:
    """Return the tokens that a reply says were read; ``None`` where it does not say."""
    usage = data.get("usage") if isinstance(data, dict) else None
    count = usage.get("prompt_tokens", usage.get("total_tokens")) if isinstance(usage, dict) else None
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_TOKENS:
        raise EndpointError("the reply's usage is no count of tokens")
    return count


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value >= 0.0 else math.exp(max(value, -700.0)) / (1.0 + math.exp(value))
