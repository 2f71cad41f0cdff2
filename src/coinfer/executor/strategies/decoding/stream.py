"""A model under way on one text: it is fed what it has not read yet, and every token that goes through it is counted.

This module and those beside it import torch only inside functions.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from coinfer.errors import EndpointError
from coinfer.executor.backends.transformers import LoadedModel
from coinfer.executor.strategies.ask import RoleTokens


class Stream:
    """A model with its key-value cache.

    Parameters
    ----------
    loaded
        The weights; they are only read, so several streams share them.
    stop
        Once set, the next pass raises EndpointError: the call was given up.
    width
        Logits that are looked at: models of one tokenizer may be padded differently.

    Attributes
    ----------
    read, computed
        As in :class:`RoleTokens`.
    """

    def __init__(self, loaded: LoadedModel, *, stop: threading.Event, width: int) -> None:
        self._loaded, self._stop, self._width = loaded, stop, width
        self._cache: Any = None
        self._seen: list[int] = []
        self.read = self.computed = 0

    @property
    def metered(self) -> RoleTokens:
        """What went through so far."""
        return RoleTokens(prompt_tokens=self.read, output_tokens=self.computed)

    def logits(self, text: Sequence[int], *, last: int = 1) -> Any:
        """Return the logits after each of the last tokens of a text, ``(last, vocabulary)``, in 64-bit floats.

        Of the cache stays what the text begins with; the rest of the text goes through the model in one pass.
        """
        import torch

        if self._stop.is_set():
            raise EndpointError(f"{self._loaded.name}: the call was given up")
        kept = _common(self._seen, text[: len(text) - last])
        if kept < len(self._seen):
            self._cache.crop(kept - len(self._seen))
        new = torch.tensor([list(text[kept:])], device=self._loaded.device)
        with torch.inference_mode():
            out = self._loaded.model(input_ids=new, past_key_values=self._cache, use_cache=True, logits_to_keep=last)
        self._cache = out.past_key_values
        self.read += len(text) - kept - (1 if self.computed else 0)
        self.computed += 1
        self._seen = list(text)
        return out.logits[0, :, : self._width].double().cpu()


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts have in common at their beginning."""
    size = min(len(one), len(other))
    if list(one[:size]) == list(other[:size]):
        return size
    return next(i for i in range(size) if one[i] != other[i])


class Chooser:
    """Chooses tokens by their logits; the random stream depends on the seed alone.

    Parameters
    ----------
    temperature
        0 for the largest.
    seed
        Of the draws.
    """

    def __init__(self, temperature: float, seed: int) -> None:
        import torch

        self._temperature = temperature
        self._random = torch.Generator().manual_seed(seed & (2**63 - 1))

    def chances(self, logits: Any) -> Any:
        """Return the distribution that tokens are drawn from, ``(..., vocabulary)``; all on the largest at 0."""
        import torch

        if self._temperature > 0.0:
            return torch.softmax(logits / self._temperature, dim=-1)
        return torch.nn.functional.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)

    def drawn(self, chances: Any) -> int:
        """Return a token drawn from ``chances``, (vocabulary,), which need not sum to 1."""
        import torch

        return int(torch.multinomial(chances, 1, generator=self._random))

    def uniform(self) -> float:
        """Return a number drawn from [0, 1)."""
        import torch

        return float(torch.rand((), dtype=torch.float64, generator=self._random))

    def token(self, logits: Any) -> int:
        """Return a token by its logits, (vocabulary,)."""
        return self.drawn(self.chances(logits))
