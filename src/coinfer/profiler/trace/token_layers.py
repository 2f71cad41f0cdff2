"""JSON Lines with a row for each token and layer: rows are gathered to tokens as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.profiler.trace.json_lines import ROWS_WAITING, TokenLayer, rows
from coinfer.profiler.trace.tokens import TokenChunk, tokens_at_once

Key = tuple[int | str | None, int]


class TokenLayersTrace:
    """Rows of single layers, in any order; a token is given out when all its layers were met.

    A token some of whose layers never come is left out and counted, and so is one whose rows stand so far apart that
    ``waiting`` rows of other tokens come between.
    """

    def __init__(self, path: Path, *, waiting: int = ROWS_WAITING) -> None:
        self.path = path
        self.waiting = waiting
        found: set[int] = set()
        self._top_k = 0
        self._named = False
        for number, row in rows(path, TokenLayer):
            named = row.problem_id is not None or row.sequence is not None
            if not self._top_k:
                self._top_k, self._named = len(row.experts), named
            found.add(row.layer)
            where = f"{path}: line {number}"
            if not row.experts or len(row.experts) != self._top_k:
                expected = f"{self._top_k or 'at least 1'} experts, as in the first row"
                raise InputError(where, expected=expected, found=Plain(f"{len(row.experts)}"))
            if named != self._named:
                raise InputError(where, expected="problem_id in all rows or in none", found=Plain("only some"))
        self.layer_ids: tuple[int, ...] | None = tuple(sorted(found))

    def chunks(self, tokens: int | None) -> Iterator[TokenChunk]:
        """Yield the tokens in the order in which their last layers come."""
        step = tokens_at_once(tokens, len(self.layer_ids or ()) * self._top_k)
        done: list[tuple[Key, list[list[int]]]] = []
        given_up = 0
        for gathered in self._gathered():
            if isinstance(gathered, int):
                given_up += gathered
                continue
            done.append(gathered)
            if len(done) >= step:
                yield self._chunk(done, given_up)
                done, given_up = [], 0
        if done or given_up:
            yield self._chunk(done, given_up)

    def _gathered(self) -> Iterator[tuple[Key, list[list[int]]] | int]:
        """Yield each complete token, and numbers of tokens that were given up."""
        place = {layer: i for i, layer in enumerate(self.layer_ids or ())}
        open_tokens: dict[Key, dict[int, list[int]]] = {}
        waiting = 0
        for number, row in rows(self.path, TokenLayer):
            key = (row.problem_id if row.sequence is None else row.sequence, row.token_idx)
            layers = open_tokens.setdefault(key, {})
            if row.layer in layers:
                found = Plain(f"layer {row.layer} of token {row.token_idx} again")
                raise InputError(f"{self.path}: line {number}", expected="each token and layer once", found=found)
            layers[row.layer] = row.experts
            waiting += 1
            if len(layers) == len(place):
                del open_tokens[key]
                waiting -= len(layers)
                yield key, [layers[layer] for layer in place]
            elif waiting > self.waiting:
                oldest = next(iter(open_tokens))
                waiting -= len(open_tokens.pop(oldest))
                yield 1
        if open_tokens:
            yield len(open_tokens)

    def _chunk(self, done: list[tuple[Key, list[list[int]]]], given_up: int) -> TokenChunk:
        shape = (len(done), len(self.layer_ids or ()), self._top_k)
        names = np.array([str(key[0]) for key, _ in done], dtype=np.str_) if self._named else None
        return TokenChunk(
            experts=np.array([experts for _, experts in done], dtype=np.int64).reshape(shape),
            sequences=names,
            where=f"{self.path}: token",
            first=done[0][0][1] if done else 0,
            incomplete=given_up,
        )
