"""One worker's share of a language model: everything but the experts that lie elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.assignment.program import BoolArray
from coinfer.solver.program import IntArray


def expert_layers(model: Any) -> tuple[int, ...]:
    """Return the decoder layers of a transformers model that have experts.

    Raises
    ------
    InputError
        If there are none, or they are built in a way that is not known here.
    """
    layers = getattr(getattr(model, "model", None), "layers", None)
    found = [] if layers is None else [i for i, layer in enumerate(layers) if _experts(layer) is not None]
    if not found:
        expected = "a mixture of experts with fused expert weights, as Mixtral, OLMoE and Qwen3-MoE of transformers 5"
        raise InputError("model", expected=expected, found=Plain(type(model).__name__))
    return tuple(found)


def _experts(layer: Any) -> Any:
    block = getattr(layer, "mlp", None)
    experts = getattr(block, "experts", None)
    known = hasattr(experts, "gate_up_proj") and hasattr(experts, "down_proj") and hasattr(block, "gate")
    return experts if known and not hasattr(block, "shared_expert") else None


def load(source: str) -> Any:
    """Load a model for inference in float32, with plain attention and experts.

    Raises
    ------
    InputError
        If it cannot be loaded.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source, dtype="float32", attn_implementation="eager", experts_implementation="eager"
        )
    except Exception as error:  # a hub, a file system and a parser each raise their own
        found = Plain(str(error).partition("\n")[0])
        raise InputError(f"model {source}", expected="a model that transformers loads", found=found) from error
    return model.eval()


class Shard:
    """The experts that one worker holds, by layer; the weights of all others are freed.

    Attributes
    ----------
    place
        (layers, experts): position of an expert among those held here, or their number where it is not.
    expert_bytes
        Bytes of the expert weights that are left.
    """

    def __init__(self, model: Any, layer_ids: tuple[int, ...], held: BoolArray) -> None:
        import torch

        self.place: IntArray = np.zeros(held.shape, dtype=np.int64)
        self.expert_bytes = 0
        self.blocks = []
        for row, index in enumerate(layer_ids):
            block = model.model.layers[index].mlp
            own = np.flatnonzero(held[row])
            self.place[row] = len(own)
            self.place[row, own] = np.arange(len(own))
            for name in ("gate_up_proj", "down_proj"):
                kept = getattr(block.experts, name).data[torch.as_tensor(own)].clone()
                setattr(block.experts, name, torch.nn.Parameter(kept, requires_grad=False))
                self.expert_bytes += kept.numel() * kept.element_size()
            block.experts.num_experts = len(own)
            self.blocks.append(block)

    def compute(self, layer: int, hidden: Any, experts: Any, weights: Any) -> Any:
        """Return the weighted sum of what the experts held here make of each row.

        Parameters
        ----------
        layer
            Layer among those with experts.
        hidden
            (rows, width): normalised hidden states.
        experts, weights
            (rows, top_k): experts by number, -1 for those that run elsewhere, and their weights.
        """
        import torch

        block = self.blocks[layer]
        if not len(hidden) or not block.experts.num_experts:
            return torch.zeros_like(hidden)
        table = torch.as_tensor(np.append(self.place[layer], block.experts.num_experts), device=hidden.device)
        return block.experts(hidden, table[experts], weights)
