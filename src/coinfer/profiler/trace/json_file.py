"""Routing traces that are one JSON document: a response of vLLM, a list of them, or tokens as nested lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.profiler.trace.json_lines import Response, Tokens, sentence, token_array
from coinfer.profiler.trace.tokens import TokenChunk, tokens_at_once


class JsonTrace:
    """A document that is read as a whole."""

    layer_ids: tuple[int, ...] | None = None

    def __init__(self, path: Path, data: Any) -> None:
        self.path = path
        responses, where = _responses(data), str(path)
        try:
            if responses is None:
                parts = [("", msgspec.convert(data, Tokens))]
            else:
                parsed = [msgspec.convert(response, Response) for response in responses]
                parts = [
                    (f"response {i}" if response.id is None else str(response.id), response.tokens())
                    for i, response in enumerate(parsed)
                ]
        except msgspec.ValidationError as error:
            raise sentence(error, where) from error
        tokens = [token for _, part in parts for token in part]
        if not tokens:
            raise InputError(where, expected="experts of at least one token", found=Plain("none"))
        self._experts = token_array(tokens, [f"{where}: token {i}" for i in range(len(tokens))])
        names = [name for name, part in parts for _ in part]
        self._sequences = None if responses is None else np.array(names, dtype=np.str_)

    def chunks(self, tokens: int | None) -> Iterator[TokenChunk]:
        """Yield the tokens in order."""
        _, layers, top_k = self._experts.shape
        step = tokens_at_once(tokens, layers * top_k)
        for first in range(0, len(self._experts), step):
            piece = slice(first, first + step)
            names = None if self._sequences is None else self._sequences[piece]
            yield TokenChunk(experts=self._experts[piece], sequences=names, where=f"{self.path}: token", first=first)


def read_document(path: Path) -> Any:
    """Return what a JSON file holds."""
    return jsonfile.parse(jsonfile.read_text(path), where=str(path))


def _responses(data: Any) -> list[Any] | None:
    """Return the responses of a document; ``None`` where it is nested lists of experts."""
    if isinstance(data, dict):
        return [data]
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return data
    return None
