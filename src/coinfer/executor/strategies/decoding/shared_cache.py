"""One key-value cache that several workers write and read at the same time, each from its own point of view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coinfer.errors import EndpointError

MODELS = ("llama", "qwen2", "qwen3")
"""Types of models whose keys are rotated in two halves, and whose layers attend to everything."""
FIXED_ROTATIONS = ("default", "linear", "llama3", "yarn")
"""Kinds of rotary embeddings whose frequencies do not change with the length."""


class SharedCache:
    r"""Keys and values of a common prompt and of a block of each worker; it stands in for the cache of transformers.

    In the view of worker w stand the prompt, the blocks of the others in their order, and its own block last: what w
    writes next follows its own text, and it sees what the others have written up to this very pass. A key is kept
    once, rotated to its position within its block. For a view it is rotated on to where the block begins there:
    rotations add up, :math:`R(s) R(i) k = R(s + i) k`. Values have no position.

    Parameters
    ----------
    model
        Of one of :data:`MODELS`.
    prompt
        Its cache after the common prompt, which stands first in every view and needs no rotation.
    workers
        How many.

    Raises
    ------
    EndpointError
        If the model is of another kind.

    Notes
    -----
    Rodionov et al. 2504.06261 (Hogwild! inference), contiguous layout; they rotate queries, which is the same.
    """

    is_compileable = False

    def __init__(self, model: Any, prompt: Any, *, workers: int) -> None:
        import torch

        check_shareable(model)
        self._frequencies = model.model.rotary_emb.inv_freq.double().cpu()  # (head size / 2,)
        self._prompt = [(layer.keys, layer.values) for layer in prompt.layers]  # (1, heads, tokens, head size) each
        self._blocks: list[list[tuple[Any, Any]]] = [
            [(keys[:, :, :0], values[:, :, :0]) for _ in range(workers)] for keys, values in self._prompt
        ]
        self._writers: tuple[int, ...] = ()
        self._torch = torch
        self.lengths = [0] * workers
        self.prompt_tokens = int(self._prompt[0][0].shape[2])

    def view(self, worker: int) -> list[int]:
        """Return the workers in the order in which their blocks follow the prompt for one of them."""
        return [*(other for other in range(len(self.lengths)) if other != worker), worker]

    def begins(self, worker: int, block: int) -> int:
        """Return the position at which a block begins for a worker."""
        order = self.view(worker)
        return self.prompt_tokens + sum(self.lengths[other] for other in order[: order.index(block)])

    def take(self, workers: Sequence[int]) -> int:
        """Say which workers write a token each in the next pass; return its position, which is the same for all."""
        self._writers = tuple(workers)
        for worker in workers:
            self.lengths[worker] += 1
        return self.prompt_tokens + sum(self.lengths) - 1

    def update(self, keys: Any, values: Any, layer: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Keep the keys and values of a pass, (writers, heads, 1, head size), and return the view of each writer."""
        cat, blocks = self._torch.cat, self._blocks[layer]
        for row, worker in enumerate(self._writers):
            home = self._rotated(keys[row : row + 1], -self.begins(worker, worker))
            old_keys, old_values = blocks[worker]
            blocks[worker] = (cat([old_keys, home], dim=2), cat([old_values, values[row : row + 1]], dim=2))
        first_keys, first_values = self._prompt[layer]
        seen_keys, seen_values = [], []
        for worker in self._writers:
            order = self.view(worker)
            moved = [self._rotated(blocks[other][0], self.begins(worker, other)) for other in order]
            seen_keys.append(cat([first_keys, *moved], dim=2))
            seen_values.append(cat([first_values, *(blocks[other][1] for other in order)], dim=2))
        return cat(seen_keys), cat(seen_values)

    def get_seq_length(self, layer: int = 0) -> int:  # noqa: ARG002  # all layers are alike
        """Return how many tokens each view has."""
        return self.prompt_tokens + sum(self.lengths)

    def _rotated(self, keys: Any, by: int) -> Any:
        """Return keys, (rows, heads, tokens, head size), rotated by so many positions on."""
        angles = self._frequencies * by
        cos, sin = (self._torch.cat([each, each]).to(keys) for each in (angles.cos(), angles.sin()))
        half = keys.shape[-1] // 2
        return keys * cos + self._torch.cat([-keys[..., half:], keys[..., :half]], dim=-1) * sin


def check_shareable(model: Any) -> None:
    """Raise EndpointError where the keys of a model cannot be rotated on."""
    config = model.config
    kind = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    sliding = {*(getattr(config, "layer_types", None) or ())} - {"full_attention"}
    if config.model_type not in MODELS or kind not in FIXED_ROTATIONS or sliding:
        raise EndpointError(
            f"workers on one cache need a model of type {', '.join(MODELS)} with fixed rotary positions and full "
            f"attention; this one is of type {config.model_type}, rotary {kind}"
        )
