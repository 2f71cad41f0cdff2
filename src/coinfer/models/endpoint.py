"""Where a language model can be reached. Secrets never enter: an endpoint names the variable that holds its key."""

from __future__ import annotations

from typing import Literal

from coinfer.errors import ProblemError
from coinfer.records import Record

BackendName = Literal["transformers", "openai", "llamacpp", "replay"]


class Endpoint(Record, frozen=True, kw_only=True):
    """How the executor reaches one language model.

    Attributes
    ----------
    backend
        ``transformers`` (in process), ``openai`` (any OpenAI-compatible address), ``llamacpp`` (a llama.cpp server
        started here on a GGUF file) or ``replay`` (recorded outcomes).
    model
        Hugging Face id, local path, ``zoo:NAME`` for a bundled model, GGUF file, the model's name at the address,
        or the file of recorded outcomes.
    url
        Base address of an ``openai`` endpoint, with its ``/v1``.
    api_key_env
        Environment variable that holds the key; absent for an open endpoint.
    dtype
        Number format of a ``transformers`` model: ``float32``, ``bfloat16`` or ``float16``; absent: ``float32``.
    chat
        True to send the prompt as a chat message through the model's template; false to complete it as text.
    concurrency
        Most requests in flight at this endpoint at once.
    """

    backend: BackendName
    model: str
    url: str | None = None
    api_key_env: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    chat: bool = False
    concurrency: int = 1

    def __post_init__(self) -> None:
        if not self.model:
            raise ProblemError("model", expected="the name or path of a language model", found=self.model)
        if self.backend == "openai" and not (self.url or "").startswith(("http://", "https://")):
            raise ProblemError("url", expected="an http:// or https:// address", found=self.url)
        if self.concurrency < 1:
            raise ProblemError("concurrency", expected="an integer, at least 1", found=self.concurrency)
