"""The in-process backend against transformers itself."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from coinfer import zoo
from coinfer.errors import BackendMissing, EndpointError, InputError
from coinfer.executor.backends.base import Backend, CompletionRequest
from coinfer.executor.backends.transformers import TransformersBackend

T = TypeVar("T")
NAME = "generalist-small"
PROMPTS = ("47+85=", "r:abcd=", "s:3121=", "12*3=", "99-4=", "357%8=")


def with_model(work: Callable[[Backend], Awaitable[T]], **options: Any) -> T:
    """Run ``work`` on a bundled model and close it."""

    async def main() -> T:
        backend = TransformersBackend(f"zoo:{NAME}", device="cpu", **options)
        try:
            return await work(backend)
        finally:
            await backend.close()

    return asyncio.run(main())


def test_greedy_text_and_logprobs_are_those_of_transformers() -> None:
    """The loop over the cache gives the tokens of ``generate()`` and the log-probabilities of one full pass."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(zoo.path(NAME)).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo.path(NAME))

    async def work(backend: Backend) -> list[Any]:
        asked = [CompletionRequest(prompt=prompt, max_tokens=9, logprobs=True) for prompt in PROMPTS]
        return [(await backend.complete(request)).completions[0] for request in asked]

    for prompt, found in zip(PROMPTS, with_model(work), strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        out = model.generate(input_ids=ids, max_new_tokens=9, do_sample=False)
        new = out[0, ids.shape[1] :]
        with torch.inference_mode():
            passes = torch.log_softmax(model(input_ids=out).logits[0, ids.shape[1] - 1 : -1].float(), dim=-1)
        expected = passes.gather(1, new[:, None])[:, 0].tolist()
        assert found.text == tokenizer.decode(new, skip_special_tokens=True)
        assert found.output_tokens == len(new)
        assert found.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_sample_depends_on_its_seed_and_index_alone() -> None:
    """Sample i is the same alone, among more samples, and whatever was generated before."""
    asked = CompletionRequest(prompt=PROMPTS[0], max_tokens=9, temperature=2.0, seed=11)

    async def work(backend: Backend) -> list[list[str]]:
        found = []
        for samples in (1, 4, 2):
            reply = await backend.complete(replace(asked, samples=samples))
            await backend.complete(CompletionRequest(prompt=PROMPTS[1], max_tokens=5, temperature=1.0, seed=samples))
            found.append([completion.text for completion in reply.completions])
        return found

    one, four, two = with_model(work)
    assert four[:1] == one
    assert four[:2] == two
    assert len(set(four)) > 1


def test_weights_are_measured_when_loaded() -> None:
    """Size and loading time are absent before the weights are loaded, and above zero after."""

    async def work(backend: Backend) -> tuple[Any, Any]:
        before = backend.facts
        await backend.start()
        return before, backend.facts

    before, after = with_model(work)
    assert (before.memory_bytes, before.load_s) == (None, None)
    assert after.memory_bytes > 4 * 40_000
    assert after.load_s > 0.0
    assert after.quantisation == "float32"


def test_half_precision_takes_half_the_memory() -> None:
    """The number format is the one asked for."""

    async def size(backend: Backend) -> int:
        await backend.start()
        assert backend.facts.memory_bytes is not None
        return backend.facts.memory_bytes

    assert with_model(size, dtype="bfloat16") == pytest.approx(with_model(size) / 2, rel=0.01)


def test_models_may_be_loaded_at_once() -> None:
    """Several models that load at the same time are all whole."""

    async def main() -> list[str]:
        backends = [TransformersBackend(f"zoo:{name}", device="cpu") for name in zoo.names()[:4]]
        asked = CompletionRequest(prompt=PROMPTS[0], max_tokens=9)
        try:
            at_once = await asyncio.gather(*(backend.complete(asked) for backend in backends))
            again = [await backend.complete(asked) for backend in backends]
        finally:
            for backend in backends:
                await backend.close()
        assert [r.completions for r in at_once] == [r.completions for r in again]
        return [reply.completions[0].text for reply in at_once]

    assert all(asyncio.run(main()))


def test_the_context_is_a_limit() -> None:
    """A prompt that fills the context is refused with both lengths; one that nearly does is cut at its end."""

    async def work(backend: Backend) -> tuple[str, int]:
        with pytest.raises(EndpointError, match=r"has \d+ tokens; the model's context holds 64") as error:
            await backend.complete(CompletionRequest(prompt="1" * 70, max_tokens=4))
        reply = await backend.complete(CompletionRequest(prompt="1" * 62, max_tokens=40))
        return str(error.value), reply.completions[0].output_tokens + (reply.prompt_tokens or 0)

    said, total = with_model(work)
    assert "70" in said or "71" in said
    assert total <= 64


def test_a_cancelled_call_frees_the_worker() -> None:
    """A call that ran into its timeout ends at its next token, and the model answers the next one."""

    async def work(backend: Backend) -> str:
        await backend.start()
        slow = CompletionRequest(prompt=PROMPTS[0], max_tokens=50, temperature=50.0, samples=400)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await backend.complete(slow)
        reply = await backend.complete(CompletionRequest(prompt=PROMPTS[1], max_tokens=9))
        return reply.completions[0].text

    assert with_model(work)


def test_a_model_without_chat_template_says_so() -> None:
    """Chat with a model that has no template is a sentence."""

    async def work(backend: Backend) -> None:
        await backend.complete(CompletionRequest(prompt="hello", max_tokens=4))

    with pytest.raises(EndpointError, match="no chat template"):
        with_model(work, chat=True)


def test_missing_packages_and_models_are_sentences(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """An unknown bundled model, an empty folder and a missing torch each say what to do."""
    with pytest.raises(InputError, match="generalist-tiny"):
        TransformersBackend("zoo:none")

    async def load_nothing() -> None:
        backend = TransformersBackend(str(tmp_path))
        try:
            with pytest.raises(EndpointError, match="could not be run"):
                await backend.start()
        finally:
            await backend.close()
        with pytest.raises(EndpointError, match="was closed"):
            await backend.start()

    asyncio.run(load_nothing())
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BackendMissing, match=r"pip install 'coinfer\[torch\]'"):
        TransformersBackend("zoo:generalist-tiny")
