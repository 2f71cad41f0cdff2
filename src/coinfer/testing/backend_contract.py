"""What every backend must keep, as a class of tests.

Subclass it, give :meth:`BackendContract.backend`, and pytest runs the rest::

    class TestMine(BackendContract):
        prompts = ("first", "second")

        @contextmanager
        def backend(self):
            yield MyBackend(...)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

from coinfer.errors import EndpointError
from coinfer.executor.backends.base import Backend, Completion, CompletionRequest

T = TypeVar("T")


class BackendContract:
    """Tests that any backend passes.

    Attributes
    ----------
    prompts
        Prompts it can answer.
    max_tokens
        Most tokens to ask for.
    seeds, samples, logprobs
        What the backend must be found to offer.
    """

    prompts: tuple[str, ...] = ("1 2 3", "a b c")
    max_tokens = 6
    seeds = True
    samples = True
    logprobs = True

    def backend(self) -> AbstractContextManager[Backend]:
        """Return a context manager that yields a new backend; the tests close it."""
        raise NotImplementedError

    def run(self, work: Callable[[Backend], Awaitable[T]]) -> T:
        """Run ``work`` on a new backend in an event loop of its own."""

        async def main(backend: Backend) -> T:
            try:
                return await work(backend)
            finally:
                await backend.close()

        with self.backend() as backend:
            return asyncio.run(main(backend))

    def asked(self, number: int = 0) -> CompletionRequest:
        """Return a greedy request for one of the prompts."""
        return CompletionRequest(prompt=self.prompts[number % len(self.prompts)], max_tokens=self.max_tokens)

    def test_the_probe_finds_what_is_offered(self) -> None:
        """Probing finds out seeds, samples and log-probabilities as they are, and names an engine."""
        found = self.run(lambda backend: backend.probe())

        assert (found.seeds, found.samples, found.logprobs) == (self.seeds, self.samples, self.logprobs)
        assert found.engine

    def test_greedy_decoding_is_deterministic(self) -> None:
        """The same greedy request gives the same text, whatever its seed."""

        async def work(backend: Backend) -> list[Completion]:
            first = await backend.complete(self.asked())
            second = await backend.complete(replace(self.asked(), seed=99))
            return [first.completions[0], second.completions[0]]

        first, second = self.run(work)
        assert (first.text, first.output_tokens, first.finish) == (second.text, second.output_tokens, second.finish)

    def test_a_seed_decides_the_samples(self) -> None:
        """The same seed gives the same texts, also after other calls."""
        if not self.seeds:
            return
        sampled = replace(self.asked(), temperature=1.0, seed=5)

        async def work(backend: Backend) -> list[str]:
            first = await backend.complete(sampled)
            await backend.complete(replace(sampled, seed=6, prompt=self.prompts[-1]))
            second = await backend.complete(sampled)
            return [first.completions[0].text, second.completions[0].text]

        first, second = self.run(work)
        assert first == second

    def test_as_many_samples_as_asked_for(self) -> None:
        """Three samples are three completions, where the endpoint gives several per call and where it does not."""

        async def work(backend: Backend) -> int:
            await backend.probe()
            reply = await backend.complete(replace(self.asked(), samples=3, temperature=1.0))
            return len(reply.completions)

        assert self.run(work) == 3

    def test_max_tokens_is_kept(self) -> None:
        """No completion has more tokens than allowed, and one that ran into the limit says so."""

        async def work(backend: Backend) -> list[tuple[int, Completion]]:
            limits = range(1, self.max_tokens + 1)
            replies = [await backend.complete(replace(self.asked(), max_tokens=limit)) for limit in limits]
            return [(limit, reply.completions[0]) for limit, reply in zip(limits, replies, strict=True)]

        for limit, completion in self.run(work):
            assert completion.output_tokens <= limit
            assert completion.finish in ("stop", "length")
            assert completion.finish == "stop" or completion.output_tokens == limit

    def test_concurrent_calls_equal_sequential_ones(self) -> None:
        """What else is in flight changes no answer."""
        requests = [replace(self.asked(number), seed=number) for number in range(6)]

        async def work(backend: Backend) -> tuple[list[str], list[str]]:
            one_by_one = [(await backend.complete(request)).completions[0].text for request in requests]
            at_once = await asyncio.gather(*(backend.complete(request) for request in requests))
            return one_by_one, [reply.completions[0].text for reply in at_once]

        one_by_one, at_once = self.run(work)
        assert at_once == one_by_one

    def test_logprobs_come_only_when_asked_for(self) -> None:
        """One number, at most 0, per generated token (the end of the text may be left out); none unasked."""

        async def work(backend: Backend) -> list[Completion]:
            asked = await backend.complete(replace(self.asked(), logprobs=True))
            unasked = await backend.complete(self.asked())
            return [asked.completions[0], unasked.completions[0]]

        asked, unasked = self.run(work)
        assert unasked.logprobs is None
        assert (asked.logprobs is not None) == self.logprobs
        if asked.logprobs is not None:
            assert all(number <= 0.0 for number in asked.logprobs)
            assert asked.output_tokens - len(asked.logprobs) in (0, 1)

    def test_costs_are_measured_or_absent(self) -> None:
        """Times are above zero, the first token is within the whole, energy names its counter."""
        reply = self.run(lambda backend: backend.complete(self.asked()))

        assert reply.seconds > 0.0
        assert reply.prefill_s is None or 0.0 < reply.prefill_s <= reply.seconds
        assert (reply.energy_j is None) == (reply.energy_source is None)
        assert reply.prompt_tokens is None or reply.prompt_tokens > 0

    def test_errors_are_of_the_allowed_kinds(self) -> None:
        """An empty prompt, an endless one and one of strange characters are answered or refused with a sentence."""

        async def work(backend: Backend) -> list[str]:
            said = []
            for prompt in ("", "1 " * 20_000, "\x00\ud83d\ude00 \u202e", "é" * 50):
                try:
                    await backend.complete(replace(self.asked(), prompt=prompt.encode(errors="replace").decode()))
                except EndpointError as error:
                    said.append(str(error))
            return said

        assert all(said and "\n" not in said for said in self.run(work))

    def test_closing_twice_is_harmless(self) -> None:
        """A backend may be closed twice, and before its first call."""

        async def work(backend: Backend) -> None:
            await backend.close()
            await backend.close()

        self.run(work)
