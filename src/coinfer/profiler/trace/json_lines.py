"""Routing traces as JSON Lines, one row for each token and layer, each token, or each response of vLLM.

Token and layer
    ``{"problem_id": 0, "layer": 0, "token_idx": 0, "experts": [6, 5]}``; the rows of a token may stand apart.
Token
    ``{"experts": [[6, 5], [2, 7], ...]}``, one list for each layer, and optionally ``problem_id`` or ``sequence``.
Response
    ``{"id": ..., "prompt_routed_experts": [tokens][layers][top_k], "choices": [{"routed_experts": ...}]}``, or with
    ``routed_experts`` beside the prompt's; the tokens of a response are one sequence.

All other fields are passed over. Which of the three a file has is known from its first row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from coinfer.errors import InputError, Plain
from coinfer.profiler.trace.tokens import MOST_EXPERTS, IntArray, TokenChunk, file_failure, tokens_at_once

LONGEST_LINE_BYTES = 256 * 2**20
ROWS_WAITING = 2_000_000
"""Rows of tokens whose other layers were not met yet; when there are more, the oldest tokens are given up."""

ExpertNumber = Annotated[int, Meta(ge=-1, lt=MOST_EXPERTS)]
Position = Annotated[int, Meta(ge=0, lt=2**62)]
Name = int | str
RowKind = Literal["token and layer", "token", "response"]
Tokens = list[list[list[ExpertNumber]]]
Row = TypeVar("Row", bound=msgspec.Struct)

_NO_PATH = re.compile(r"^(.*?)(?: - at `\$\.?(.*)`)?$", re.DOTALL)


class TokenLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A row of one token in one layer."""

    experts: list[ExpertNumber]
    layer: Position
    token_idx: Position
    problem_id: Name | None = None
    sequence: Name | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A row of one token, all layers."""

    experts: list[list[ExpertNumber]]
    problem_id: Name | None = None
    sequence: Name | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One completion in a response."""

    routed_experts: Tokens | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response of vLLM; ``None`` where the experts of a part were not returned."""

    id: Name | None = None
    prompt_routed_experts: Tokens | None = None
    routed_experts: Tokens | None = None
    choices: list[Choice] = []

    def tokens(self) -> Tokens:
        """Return the tokens of the prompt and of all completions."""
        parts = [self.prompt_routed_experts, self.routed_experts, *(choice.routed_experts for choice in self.choices)]
        return [token for part in parts if part is not None for token in part]


def sentence(error: msgspec.MsgspecError, where: str) -> InputError:
    """Turn a decoding error into ours, with the path it names."""
    match = _NO_PATH.match(str(error))
    text, path = (match[1], match[2]) if match else (str(error), None)
    text = text.replace("`", "")
    place = f"{where}: {path}" if path else where
    if isinstance(error, msgspec.ValidationError) and text.startswith("Expected "):
        expected, _, got = text.removeprefix("Expected ").partition(", got ")
        return InputError(place, expected=expected, found=Plain(got or "another"))
    if isinstance(error, msgspec.ValidationError) and text.startswith("Object missing required field"):
        return InputError(place, expected=f"a field {text.rpartition('field ')[2]}", found=Plain("none"))
    return InputError(place, expected="valid JSON", found=Plain(text))


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of every line that is not blank."""
    try:
        with path.open("rb") as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE_BYTES + 1):
                number += 1
                if len(line) > LONGEST_LINE_BYTES:
                    expected = f"a line of at most {LONGEST_LINE_BYTES:,} bytes"
                    raise InputError(f"{path}: line {number}", expected=expected, found=Plain("a longer one"))
                if line.strip():
                    yield number, line
    except OSError as error:
        raise file_failure(path, error, "a readable file") from error


def row_kind(path: Path) -> RowKind:
    """Return what the rows of the file are, by its first row."""
    number, line = next(lines(path), (0, b""))
    if not number:
        raise InputError(str(path), expected="a row for each token", found=Plain("an empty file"))
    try:
        row: Any = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(error, f"{path}: line {number}") from error
    if not isinstance(row, dict):
        raise InputError(f"{path}: line {number}", expected="an object", found=Plain(type(row).__name__))
    if "experts" in row:
        return "token and layer" if "layer" in row else "token"
    if row.keys() & {"routed_experts", "prompt_routed_experts", "choices"}:
        return "response"
    expected = "a field 'experts', 'routed_experts' or 'choices'"
    raise InputError(f"{path}: line {number}", expected=expected, found=Plain(", ".join(map(str, row)) or "none"))


def rows(path: Path, kind: type[Row]) -> Iterator[tuple[int, Row]]:
    """Yield line number and content of each row."""
    decoder = msgspec.json.Decoder(kind)
    for number, line in lines(path):
        try:
            yield number, decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(error, f"{path}: line {number}") from error


def _unreadable(error: Exception, where: str) -> InputError:
    if isinstance(error, msgspec.MsgspecError):
        return sentence(error, where)
    found = Plain("deep nesting" if isinstance(error, RecursionError) else "bytes that are not UTF-8")
    return InputError(where, expected="valid JSON", found=found)


def token_array(tokens: Tokens, places: list[str]) -> IntArray:
    """Return (tokens, layers, top_k) from nested lists; ``places`` says where each token stands.

    Raises
    ------
    InputError
        At the first token that has another number of layers, or a layer with another number of experts.
    """
    layers = len(tokens[0])
    top_k = len(tokens[0][0]) if layers else 0
    if not layers or not top_k:
        raise InputError(places[0], expected="experts of at least one layer", found=Plain("none"))
    for token, place in zip(tokens, places, strict=True):
        if len(token) != layers:
            raise InputError(place, expected=f"{layers} layers, as the tokens before", found=Plain(f"{len(token)}"))
        for layer, experts in enumerate(token):
            if len(experts) != top_k:
                expected = f"{top_k} experts in layer {layer}, as elsewhere"
                raise InputError(place, expected=expected, found=Plain(f"{len(experts)}"))
    return np.array(tokens, dtype=np.int64)


class TokenLinesTrace:
    """JSON Lines with a row for each token, or for each response."""

    layer_ids: tuple[int, ...] | None = None

    def __init__(self, path: Path, kind: Literal["token", "response"]) -> None:
        self.path = path
        self.kind = kind

    def chunks(self, tokens: int | None) -> Iterator[TokenChunk]:
        """Yield the tokens in order."""
        held: list[tuple[int, str | None, list[list[int]]]] = []
        step = None
        for item in self._tokens():
            if step is None:
                step = tokens_at_once(tokens, sum(map(len, item[2])))
            held.append(item)
            if len(held) >= step:
                yield self._chunk(held)
                held = []
        if held:
            yield self._chunk(held)

    def _tokens(self) -> Iterator[tuple[int, str | None, list[list[int]]]]:
        """Yield line, sequence and experts of each token."""
        if self.kind == "token":
            for number, row in rows(self.path, Token):
                label = row.problem_id if row.sequence is None else row.sequence
                yield number, None if label is None else str(label), row.experts
            return
        for number, response in rows(self.path, Response):
            label = f"line {number}" if response.id is None else str(response.id)
            for token in response.tokens():
                yield number, label, token

    def _chunk(self, held: list[tuple[int, str | None, list[list[int]]]]) -> TokenChunk:
        places = [f"{self.path}: line {number}" for number, _, _ in held]
        names = _labels([label for _, label, _ in held], places)
        experts = token_array([experts for _, _, experts in held], places)
        return TokenChunk(experts=experts, sequences=names, where=f"{self.path}: near line", first=held[0][0])


def _labels(names: list[str | None], places: list[str]) -> NDArray[np.str_] | None:
    """Return the sequences; either all tokens have one or none."""
    if all(name is None for name in names):
        return None
    for name, place in zip(names, places, strict=True):
        if name is None:
            raise InputError(place, expected="a field 'problem_id' or 'sequence', as other rows", found=Plain("none"))
    return np.array(names, dtype=np.str_)
