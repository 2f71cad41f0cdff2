"""Tiny language models of real kinds with random weights, made in a moment."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from coinfer import zoo
from coinfer.executor.backends.transformers import LoadedModel
from coinfer.executor.strategies.decoding.methods import Job
from coinfer.executor.strategies.decoding.stream import Chooser, Stream

END = 0
"""The token that ends a text."""
CONTEXT_TOKENS = 512


@lru_cache(maxsize=64)
def random_model(seed: int, *, words: int = 24, layers: int = 2, kind: str = "Llama") -> LoadedModel:
    """Return a model without a tokenizer, with weights so large that its distributions are far from uniform.

    Parameters
    ----------
    seed
        Of its weights.
    words
        Size of its vocabulary.
    layers
        How many.
    kind
        As in the class names of transformers: ``Llama``, ``Qwen2``, ``Qwen3``, ``GPT2``.
    """
    import torch
    import transformers

    if kind == "GPT2":
        shape: dict[str, Any] = {"n_embd": 32, "n_head": 4, "n_layer": layers, "n_positions": CONTEXT_TOKENS}
    else:
        shape = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
        shape |= {"num_hidden_layers": layers, "max_position_embeddings": CONTEXT_TOKENS}
    config = getattr(transformers, f"{kind}Config")(
        **shape, vocab_size=words, initializer_range=0.35, bos_token_id=END, eos_token_id=END
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    return LoadedModel(
        name=f"random {seed}",
        model=model,
        tokenizer=None,
        device="cpu",
        end_tokens=frozenset({END}),
        context_tokens=CONTEXT_TOKENS,
        memory_bytes=0,
        load_s=0.0,
    )


def saved_model(folder: Path, seed: int, *, kind: str = "Llama") -> Path:
    """Save a model with random weights and the tokenizer of the bundled models, whose context is longer than theirs."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo.path("generalist-tiny"), model_max_length=CONTEXT_TOKENS)
    tokenizer.save_pretrained(folder)
    random_model(seed, words=len(tokenizer), kind=kind).model.save_pretrained(folder)
    return folder


def stream(loaded: LoadedModel) -> Stream:
    """Return a model under way."""
    return Stream(loaded, stop=threading.Event(), width=loaded.model.config.vocab_size)


def job(*prompt: int, steps: int, temperature: float = 0.0, seed: int = 1, **settings: float) -> Job:
    """Return a text to be decoded."""
    return Job(prompt=prompt, steps=steps, ends=frozenset({END}), settings=settings, chooser=Chooser(temperature, seed))
