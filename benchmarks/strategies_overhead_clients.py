"""One process of the overhead benchmark: the instant endpoint, or one of its clients. Only what it runs is imported.

python strategies_overhead_clients.py endpoint
python strategies_overhead_clients.py CLIENT ADDRESS PROMPTS SAMPLES AT_ONCE
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

WARM = 16
MODEL, MOST, HEAT = "m", 32, 0.8


class Endpoint(asyncio.Protocol):
    """Answers at once: the i-th sample of a prompt says the same to every client, so that votes must be equal."""

    drawn: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: Any) -> None:
        """Keep the connection."""
        self._transport, self._read = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._read += data
        head, mark, rest = self._read.partition(b"\r\n\r\n")
        if not mark:
            return
        size = next(int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:"))
        if len(rest) < size:
            return
        self._read = rest[size:]
        body = json.loads(rest[:size])
        prompt, choices = body["messages"][-1]["content"], []
        for index in range(body.get("n", 1)):
            number, self.drawn[prompt] = self.drawn[prompt], self.drawn[prompt] + 1
            answer = (hash_of(prompt) + (number % 3 == 2)) % 7  # two of three samples agree: no vote is a tie
            message = {"role": "assistant", "content": f"Think about it step by step. The answer is {answer}."}
            choices.append({"index": index, "finish_reason": "stop", "message": message})
        usage = {"prompt_tokens": 20, "completion_tokens": 10 * len(choices), "total_tokens": 20 + 10 * len(choices)}
        text = json.dumps({"id": "x", "object": "chat.completion", "choices": choices, "usage": usage}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
        self._transport.write(head + text)


def hash_of(prompt: str) -> int:
    """Return a number that is the same in every process."""
    return sum(prompt.encode())


def prompts_of(client: str, count: int) -> list[str]:
    """Return prompts of a client: the endpoint gives the same samples to prompts whose letters have the same sum."""
    own = sum(client.encode()) % 7
    return [f"{client} {'~' * 40} question {i} {chr(64 + 7 - own)}" for i in range(count)]


def answer_of(text: str) -> str | None:
    """Return the last word."""
    return text.rsplit(maxsplit=1)[-1].rstrip(".") if text.strip() else None


async def endpoint() -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Endpoint, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def body_of(prompt: str) -> dict[str, Any]:
    """Return the request that everybody sends for one sample."""
    messages = [{"role": "user", "content": prompt}]
    return {"model": MODEL, "messages": messages, "max_tokens": MOST, "temperature": HEAT}


async def voted(
    post: Callable[[dict[str, Any]], Awaitable[bytes]], prompts: list[str], samples: int, at_once: int
) -> list[str | None]:
    """Post each request, read its JSON, and vote."""
    slots = asyncio.Semaphore(at_once)

    async def one(prompt: str) -> str | None:
        async with slots:
            content = await post(body_of(prompt))
        return answer_of(json.loads(content)["choices"][0]["message"]["content"])

    found = await asyncio.gather(*(one(prompt) for prompt in prompts for _ in range(samples)))
    return [Counter(found[i : i + samples]).most_common(1)[0][0] for i in range(0, len(found), samples)]


async def httpx(address: str, prompts: list[str], samples: int, at_once: int) -> list[str | None]:
    """Vote by httpx alone."""
    from httpx import AsyncClient

    async with AsyncClient(timeout=60.0, trust_env=False) as client:

        async def post(body: dict[str, Any]) -> bytes:
            return (await client.post(f"{address}/chat/completions", json=body)).content

        return await voted(post, prompts, samples, at_once)


async def aiohttp(address: str, prompts: list[str], samples: int, at_once: int) -> list[str | None]:
    """Vote by aiohttp alone, which its_hub posts by."""
    from aiohttp import ClientSession

    async with ClientSession() as client:

        async def post(body: dict[str, Any]) -> bytes:
            async with client.post(f"{address}/chat/completions", json=body) as reply:
                content: bytes = await reply.read()
                return content

        return await voted(post, prompts, samples, at_once)


async def posts(address: str, prompts: list[str], samples: int, at_once: int) -> list[str | None]:
    """Vote by what coinfer posts by, alone."""
    from coinfer.executor.backends.posters import Poster

    client = Poster(f"{address}/chat/completions", headers={}, connect_s=5.0, read_s=60.0)

    async def post(body: dict[str, Any]) -> bytes:
        return (await client.post(json.dumps(body).encode(), most_bytes=2**20)).content

    found = await voted(post, prompts, samples, at_once)
    await client.close()
    return found


async def its_hub(address: str, prompts: list[str], samples: int, at_once: int) -> list[str | None]:
    """Vote by its_hub."""
    from its_hub.core.algorithms.self_consistency import SelfConsistency
    from its_hub.core.lms.openai_lm import OpenAICompatibleLanguageModel
    from its_hub.core.orchestrator import LMOrchestrator

    voter = SelfConsistency(answer_of, orchestrator=LMOrchestrator(max_concurrency=at_once))
    async with OpenAICompatibleLanguageModel(
        address, api_key="none", model_name=MODEL, max_completion_tokens=MOST, temperature=HEAT
    ) as model:
        made = await asyncio.gather(*(voter.ainfer(model, prompt, samples) for prompt in prompts))
    return [answer_of(each["content"]) for each in made]


async def coinfer(
    address: str, prompts: list[str], samples: int, at_once: int, *, several: bool = False
) -> list[str | None]:
    """Vote by coinfer: journalled, metered, within caps."""
    from coinfer.executor.backends.openai import OpenAIBackend
    from coinfer.executor.options import RunOptions
    from coinfer.executor.strategies.journal import SessionJournal, SessionsHeader
    from coinfer.executor.strategies.provider import LanguageModel
    from coinfer.executor.strategies.registry import option_to_run, strategy_named
    from coinfer.executor.strategies.scheduler import SessionScheduler, Work
    from coinfer.executor.strategies.strategy import Prompt

    voter, option = strategy_named("self_consistency"), option_to_run("self_consistency", {"samples": float(samples)})
    work = [
        Work(
            prompt=Prompt(id=f"q{i}", text=prompt, max_tokens=MOST, answer_of=answer_of, temperature=HEAT),
            strategy=voter,
            option=option,
        )
        for i, prompt in enumerate(prompts)
    ]
    backend = OpenAIBackend(address, model=MODEL, chat=True)
    model = LanguageModel(backend, several=several, concurrency=at_once)
    options = RunOptions(concurrency=at_once, max_output_tokens=10**9, max_requests=10**9)
    header = SessionsHeader(work_sha256="bench", seed=0)
    with tempfile.TemporaryDirectory() as folder, SessionJournal(Path(folder) / "journal", header) as journal:
        scheduler = SessionScheduler(providers={"answer": model}, journal=journal, options=options)
        answers = await scheduler.run(work)
    await backend.close()
    return [answers[item.prompt.id].value for item in work]


async def coinfer_several(address: str, prompts: list[str], samples: int, at_once: int) -> list[str | None]:
    """Vote by coinfer with all samples of a prompt in one request."""
    return await coinfer(address, prompts, samples, at_once, several=True)


CLIENTS = {each.__name__: each for each in (httpx, aiohttp, posts, its_hub, coinfer, coinfer_several)}


def main() -> None:
    """Run one process."""
    name, *rest = sys.argv[1:]
    if name == "endpoint":
        asyncio.run(endpoint())
        return
    address, (count, samples, at_once) = rest[0], map(int, rest[1:])
    client = CLIENTS[name]
    asyncio.run(client(address, prompts_of(name, WARM + count)[:WARM], samples, at_once))
    prompts = prompts_of(name, WARM + count)[WARM:]
    began, watch = time.process_time(), time.perf_counter()
    answers = asyncio.run(client(address, prompts, samples, at_once))
    print(
        json.dumps(
            {
                "answers": answers,
                "cpu_s": time.process_time() - began,
                "seconds": time.perf_counter() - watch,
                "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
