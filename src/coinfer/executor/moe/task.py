"""What a worker is told, and what it tells back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coinfer.models.placement.crossings import Dispatch, Mode
from coinfer.models.placement.evaluate import Copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run, as every worker gets it.

    Attributes
    ----------
    model
        Folder or Hugging Face id of the language model.
    copies, dispatch, mode
        What lies where, and by which rule tokens travel.
    layer_ids
        Decoder layers that have experts, in order.
    prompts
        Token ids of each sequence.
    new_tokens
        Tokens to generate after each prompt.
    devices
        Number of workers; sequence ``i`` starts on worker ``i % devices``.
    folder
        Where workers meet, and leave what they counted.
    backend
        ``gloo`` or ``nccl``.
    timeout_s
        Longest wait in one exchange.
    keep_logits
        Whether the logits of every token are kept.
    """

    model: str
    copies: Copies
    dispatch: Dispatch
    mode: Mode
    layer_ids: tuple[int, ...]
    prompts: tuple[tuple[int, ...], ...]
    new_tokens: int
    devices: int
    folder: Path
    backend: str
    timeout_s: float
    keep_logits: bool

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens that are run in each sequence: the prompt, and all new tokens but the last."""
        return tuple(len(prompt) + max(0, self.new_tokens - 1) for prompt in self.prompts)

    @property
    def first_token(self) -> tuple[int, ...]:
        """Number of each sequence's first token among all tokens, sequence by sequence."""
        starts, total = [], 0
        for length in self.lengths:
            starts.append(total)
            total += length
        return tuple(starts)
