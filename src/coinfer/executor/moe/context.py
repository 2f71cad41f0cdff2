"""Keys and values of all sequences on one worker, as the attention of transformers wants to see them."""

from __future__ import annotations

from typing import Any


class Context:
    """What attention has seen so far, one buffer for each decoder layer; grows by one token of each sequence a step.

    Attributes
    ----------
    pending
        Keys and values of the tokens that were run here in this step: decoder layer, sequences, keys, values.
    """

    def __init__(self, sequences: int, length: int) -> None:
        self.sequences, self.length, self.step = sequences, length, 0
        self.keys: dict[int, Any] = {}
        self.values: dict[int, Any] = {}
        self.pending: list[tuple[int, Any, Any, Any]] = []
        self._rows: Any = None

    def on(self, rows: Any) -> Context:
        """Return this context for some sequences (their numbers), to be given to attention as its cache."""
        self._rows = rows
        return self

    def update(self, key: Any, value: Any, layer_idx: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Note new keys and values (rows, heads, 1, size), and return them behind those seen before."""
        import torch

        self.pending.append((layer_idx, self._rows, key[:, :, 0], value[:, :, 0]))
        if self.step == 0:
            return key, value
        before_key = self._buffer(self.keys, layer_idx, key)[self._rows, :, : self.step]
        before_value = self._buffer(self.values, layer_idx, value)[self._rows, :, : self.step]
        return torch.cat([before_key, key], dim=2), torch.cat([before_value, value], dim=2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many tokens of each sequence were seen."""
        del layer_idx
        return self.step

    def packed(self) -> Any:
        """Return what is pending as rows ``layer, sequence, key, value`` for the other workers."""
        import torch

        rows = [
            torch.cat(
                [torch.full((len(at), 1), float(layer)), at[:, None].float(), key.flatten(1), value.flatten(1)], dim=1
            )
            for layer, at, key, value in self.pending
        ]
        return torch.cat(rows)

    def store(self, rows: Any, shape: tuple[int, int]) -> None:
        """Take rows as :meth:`packed` makes them, of heads and sizes ``shape``, and go on to the next step."""
        heads, size = shape
        width = heads * size
        for layer in rows[:, 0].unique().tolist():
            mine = rows[rows[:, 0] == layer]
            at = mine[:, 1].long()
            key, value = (mine[:, 2 + i * width : 2 + (i + 1) * width].view(-1, heads, size) for i in (0, 1))
            self._buffer(self.keys, int(layer), key[:, :, None])[at, :, self.step] = key
            self._buffer(self.values, int(layer), value[:, :, None])[at, :, self.step] = value
        self.pending.clear()
        self.step += 1

    def _buffer(self, buffers: dict[int, Any], layer: int, like: Any) -> Any:
        if layer not in buffers:
            _, heads, _, size = like.shape
            buffers[layer] = like.new_zeros((self.sequences, heads, self.length, size))
        return buffers[layer]
