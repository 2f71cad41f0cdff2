"""Counts of a routing trace: loads, transitions between layers, and sets of experts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.profiler.trace.tokens import IntArray

Pairs = Literal["all", "first"]
MOST_COUNTS = 2**28
"""Numbers that the counts of all parts may hold together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoutingCounts:
    """What tokens did.

    Attributes
    ----------
    layers, experts, top_k
        Layers with experts, experts of one layer, and experts that each token visits in a layer.
    tokens
        Tokens that were counted.
    loads
        (layers, experts): tokens that visit the expert.
    transitions
        (layers - 1, experts, experts): pairs of an expert and one of the next layer, top_k x top_k for each token;
        ``None`` where it is not known which token visits what.
    token_sets
        (rows, 2 + top_k): layer, count, and the experts of the set in ascending order; ``None``: not counted.
    """

    layers: int
    experts: int
    top_k: int
    tokens: int
    loads: IntArray
    transitions: IntArray | None
    token_sets: IntArray | None = None

    def __add__(self, other: RoutingCounts) -> RoutingCounts:
        """Return the counts of both; what only one has is absent from the sum."""
        for name in ("layers", "experts", "top_k"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(name, expected=str(getattr(self, name)), found=getattr(other, name))
        both = self.transitions is not None and other.transitions is not None
        sets = None
        if self.token_sets is not None and other.token_sets is not None:
            sets = merged_sets(np.concatenate([self.token_sets, other.token_sets]))
        return RoutingCounts(
            layers=self.layers,
            experts=self.experts,
            top_k=self.top_k,
            tokens=self.tokens + other.tokens,
            loads=self.loads + other.loads,
            transitions=np.add(self.transitions, other.transitions) if both else None,  # type: ignore[arg-type]
            token_sets=sets,
        )


def merged_sets(rows: IntArray) -> IntArray:
    """Return rows ``layer, count, experts`` with each set once and its counts added, in ascending order."""
    if not len(rows):
        return rows
    sets, place = np.unique(np.delete(rows, 1, axis=1), axis=0, return_inverse=True)
    counts = np.bincount(place.ravel(), weights=rows[:, 1], minlength=len(sets)).astype(np.int64)
    return np.insert(sets, 1, counts, axis=1)


@dataclass(slots=True, kw_only=True, eq=False)
class Counter:
    """Adds tokens up by part.

    Attributes
    ----------
    layers, experts, top_k
        As in the counts.
    parts
        Number of parts.
    every
        One token of so many, by its position, enters the token sets; ``None``: no sets.
    """

    layers: int
    experts: int
    top_k: int
    parts: int
    every: int | None = None
    tokens: IntArray = field(init=False)
    loads: IntArray = field(init=False)
    transitions: IntArray = field(init=False)
    _sets: list[IntArray] = field(init=False)

    def __post_init__(self) -> None:
        size = self.parts * self.layers * self.experts**2
        if size > MOST_COUNTS:
            expected = f"at most {MOST_COUNTS:,} counts"
            found = Plain(f"{size:,} for {self.parts} parts, {self.layers} layers and {self.experts} experts")
            raise InputError("folds", expected=expected, found=found)
        self.tokens = np.zeros(self.parts, dtype=np.int64)
        self.loads = np.zeros((self.parts, self.layers, self.experts), dtype=np.int64)
        self.transitions = np.zeros((self.parts, self.layers - 1, self.experts, self.experts), dtype=np.int64)
        self._sets = [np.zeros((0, 2 + self.top_k), dtype=np.int64) for _ in range(self.parts)]

    def add(self, experts: IntArray, part: IntArray, first: int) -> None:
        """Count tokens.

        Parameters
        ----------
        experts
            (tokens, layers, top_k), all numbers in 0..experts - 1.
        part
            (tokens,): part of each token.
        first
            Position of the first of them among all tokens.
        """
        for group in np.unique(part):
            chosen = part == group
            self._add_part(int(group), experts[chosen])
            if self.every is not None:
                sampled = chosen & ((np.arange(first, first + len(part)) % self.every) == 0)
                self._add_sets(int(group), experts[sampled])

    def _add_part(self, group: int, experts: IntArray) -> None:
        size = self.experts
        self.tokens[group] += len(experts)
        for layer in range(self.layers):
            here = experts[:, layer]
            self.loads[group, layer] += np.bincount(here.ravel(), minlength=size)
            if layer + 1 < self.layers:
                pairs = here[:, :, None] * size + experts[:, layer + 1, None, :]
                self.transitions[group, layer] += np.bincount(pairs.ravel(), minlength=size**2).reshape(size, size)

    def _add_sets(self, group: int, experts: IntArray) -> None:
        tokens = len(experts)
        rows = np.empty((tokens * self.layers, 2 + self.top_k), dtype=np.int64)
        rows[:, 0] = np.tile(np.arange(self.layers), tokens)
        rows[:, 1] = 1
        rows[:, 2:] = np.sort(experts, axis=2).reshape(-1, self.top_k)
        self._sets[group] = merged_sets(np.concatenate([self._sets[group], rows]))

    def counts(self, part: int) -> RoutingCounts:
        """Return the counts of one part."""
        return RoutingCounts(
            layers=self.layers,
            experts=self.experts,
            top_k=self.top_k,
            tokens=int(self.tokens[part]),
            loads=self.loads[part],
            transitions=self.transitions[part],
            token_sets=None if self.every is None else self._sets[part],
        )


def repeated(experts: IntArray) -> NDArray[np.bool_]:
    """Return which tokens visit an expert twice in one layer, (tokens,)."""
    ordered = np.sort(experts, axis=2)
    twice: NDArray[np.bool_] = (ordered[:, :, 1:] == ordered[:, :, :-1]).any(axis=(1, 2))
    return twice
