"""Language models behind one protocol, opened by name; each backend imports its engine only when it is used."""

from __future__ import annotations

from pathlib import Path

from coinfer.executor.backends.base import Backend
from coinfer.executor.backends.llamacpp import LlamaCppBackend
from coinfer.executor.backends.openai import OpenAIBackend
from coinfer.executor.backends.replay import ReplayBackend
from coinfer.executor.backends.transformers import TransformersBackend
from coinfer.models.endpoint import Endpoint

__all__ = ["Backend", "open_backend"]


def open_backend(endpoint: Endpoint, *, timeout_s: float = 120.0) -> Backend:
    """Return the backend that an endpoint names; weights are loaded and addresses reached by its first call.

    Parameters
    ----------
    endpoint
        Where the language model can be reached.
    timeout_s
        Longest time one call over the network may take, seconds.

    Raises
    ------
    BackendMissing
        If the optional package it needs is not installed; the sentence names the extra.
    InputError
        If its file, bundled model or key variable is not there.
    """
    if endpoint.backend == "transformers":
        return TransformersBackend(endpoint.model, dtype=endpoint.dtype or "float32", chat=endpoint.chat)
    if endpoint.backend == "llamacpp":
        return LlamaCppBackend(
            Path(endpoint.model), chat=endpoint.chat, slots=endpoint.concurrency, timeout_s=timeout_s
        )
    if endpoint.backend == "replay":
        return ReplayBackend(Path(endpoint.model))
    return OpenAIBackend(
        endpoint.url or "",
        model=endpoint.model,
        api_key_env=endpoint.api_key_env,
        chat=endpoint.chat,
        timeout_s=timeout_s,
    )
