"""The networks of a verifier: a recurrent one over bytes, or a head on what a frozen language model makes of the text.

Both read from left to right, so one reading of an answer scores it after every step.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from coinfer.errors import InputError
from coinfer.records import Record

SEPARATOR, PADDING = 256, 257
"""Symbols beside the 256 bytes: between question and answer, and after the end."""
NGRAM = 3
Pair = tuple[str, tuple[str, ...]]
"""A question, and the steps of an answer."""


class Shape(Record, frozen=True, kw_only=True):
    """Sizes of a verifier's network.

    Attributes
    ----------
    reads
        ``bytes``: embeddings of bytes and of hashed trigrams of bytes, a recurrent network (GRU), a head. ``model``: a
        head on hidden states and log-probabilities of a frozen language model.
    width
        Of embeddings and head.
    hidden
        Of the recurrent network.
    buckets
        Of hashed trigrams.
    most_tokens
        Bytes or tokens that are read; of longer texts the end of the question and the beginning of the answer.
    inputs
        Of the head on a language model.
    """

    reads: Literal["bytes", "model"] = "bytes"
    width: int = 64
    hidden: int = 128
    buckets: int = 4096
    most_tokens: int = 1024
    inputs: int = 0

    def __post_init__(self) -> None:
        limits = {"width": 4096, "hidden": 8192, "buckets": 2**20, "most_tokens": 2**20}
        for name, most in limits.items():
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"shape.{name}", expected=f"1 to {most}", found=getattr(self, name))
        if not (1 if self.reads == "model" else 0) <= self.inputs <= 2**20:
            raise InputError("shape.inputs", expected="the numbers that the language model gives", found=self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An answer as a network reads it.

    Attributes
    ----------
    values
        ``bytes``: (2, symbols) integers, symbols and their trigrams. ``model``: (steps, inputs) features.
    ends
        Place of the last symbol of each step.
    answer
        Place of the first symbol of the answer.
    """

    values: Any  # torch ships no types that hold without importing it
    ends: tuple[int, ...]
    answer: int = 0


def make_modules(shape: Shape) -> Any:
    """Return the untrained modules of a network."""
    from torch import nn

    if shape.reads == "model":
        layers = (nn.Linear(shape.inputs, shape.width), nn.GELU(), nn.Dropout(0.2), nn.Linear(shape.width, 1))
        return nn.ModuleDict({"norm": nn.BatchNorm1d(shape.inputs, affine=False), "head": nn.Sequential(*layers)})
    return nn.ModuleDict(
        {
            "symbols": nn.Embedding(PADDING + 1, shape.width, padding_idx=PADDING),
            "trigrams": nn.Embedding(shape.buckets, shape.width),
            "reader": nn.GRU(shape.width, shape.hidden, batch_first=True),
            "head": nn.Sequential(
                nn.Linear(2 * shape.hidden, shape.width), nn.GELU(), nn.Dropout(0.1), nn.Linear(shape.width, 1)
            ),
        }
    )


def prepare_bytes(shape: Shape, pair: Pair) -> Prepared:
    """Return the symbols of a question and an answer."""
    import torch

    question, steps = pair
    parts = [step.encode(errors="replace") for step in steps]
    answer = b"".join(parts)[: max(1, shape.most_tokens - 1)]
    room = shape.most_tokens - 1 - len(answer)
    asked = question.encode(errors="replace")
    asked = asked[max(0, len(asked) - room) :] if room > 0 else b""
    symbols = [*asked, SEPARATOR, *answer]
    trigrams = [
        zlib.crc32(b"".join(s.to_bytes(2, "big") for s in symbols[max(0, i + 1 - NGRAM) : i + 1])) % shape.buckets
        for i in range(len(symbols))
    ]
    ends, place = [], len(asked)
    for part in parts:
        place += len(part)
        ends.append(min(place, len(symbols) - 1))
    return Prepared(values=torch.tensor([symbols, trigrams]), ends=tuple(ends), answer=len(asked))


def logits(shape: Shape, modules: Any, batch: Sequence[Prepared]) -> Any:
    """Return the log-odds after each step, (answers, most steps); what is beyond an answer's steps means nothing."""
    import torch

    most = max(len(each.ends) for each in batch)
    if shape.reads == "model":
        rows = torch.cat([each.values for each in batch])
        found = modules["head"](modules["norm"](rows)).squeeze(-1)
        out = torch.zeros(len(batch), most)
        start = 0
        for i, each in enumerate(batch):
            out[i, : len(each.ends)] = found[start : start + len(each.ends)]
            start += len(each.ends)
        return out
    length = max(each.values.shape[1] for each in batch)
    symbols = torch.full((len(batch), length), PADDING)
    trigrams = torch.zeros((len(batch), length), dtype=torch.long)
    ends = torch.zeros((len(batch), most), dtype=torch.long)
    for i, each in enumerate(batch):
        count = each.values.shape[1]
        symbols[i, :count], trigrams[i, :count] = each.values[0], each.values[1]
        ends[i, : len(each.ends)] = torch.tensor(each.ends)
    states, _ = modules["reader"](modules["symbols"](symbols) + modules["trigrams"](trigrams))  # (B, length, hidden)
    first = torch.tensor([each.answer for each in batch])[:, None]
    inside = (torch.arange(length)[None] >= first).unsqueeze(-1)
    sums = torch.cumsum(states * inside, dim=1)
    own = ends.unsqueeze(-1).expand(-1, -1, states.shape[-1])
    mean = sums.gather(1, own) / (ends - first + 1).clamp(min=1).unsqueeze(-1)
    return modules["head"](torch.cat([states.gather(1, own), mean], dim=-1)).squeeze(-1)
